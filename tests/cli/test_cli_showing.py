"""footfall session and profile: what a person sees at a glance, and the same as JSON."""

from __future__ import annotations

import datetime as dt
import json

import pytest

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
PROFILE = {
    "sources": ["shop"],
    "profiles": [
        {
            "profile_id": "p", "source": "shop", "first_seen_at": NOON, "last_seen_at": NOON,
            "visits": 2, "events": 1001, "user_id": None, "aliases": ["old"],
            "consents": {"ads": "refused"}, "traits": {"email.main": "a@b"}, "country": "DE",
            "device": None, "os": None, "browser": None,
        }
    ],
    "traits": [
        {"name": "email.main", "value": "a@b", "occurred_at": NOON, "type": "sign-in",
         "source": "shop", "profile_id": "p", "event_id": "e"},
    ],
    "consents": [
        {"name": "ads", "granted": False, "until": None, "occurred_at": NOON,
         "type": "consent-update", "source": "shop", "profile_id": "p", "event_id": None},
    ],
    "aliases": [
        {"alias": "old", "profile_id": "p", "reason": "imported", "received_at": NOON,
         "source": "shop", "event_id": "e"},
    ],
    "visits": [
        {"began_at": NOON, "source": "shop", "protocol": "tracardi", "session_id": "s"},
    ],
    "events": [
        {"occurred_at": NOON, "source": "shop", "protocol": "tracardi", "type": "click\x1b[2J",
         "session_id": "s", "user_id": None, "page": "/a", "properties": {"k": 1}, "event_id": "e"},
    ],
    "earlier_events": 1000,
}  # fmt: skip
SESSION = {
    "sessions": [{"source": "shop", "protocol": "vaix", "session_id": "s", "context": None}],
    "timeline": [
        {"occurred_at": NOON, "protocol": "vaix", "type": "click", "page": "/a", "user_id": None,
         "location": None, "playhead_s": None, "properties": None, "event_id": "e"},
    ],
    "later_events": 0,
}  # fmt: skip
MEDIA = {
    "media_sessions": [{"source": "shop", "state": "open"}],
    "events": [
        {"at": NOON, "type": "play", "after": "playing", "changed": {"plays": 1}, "ignored": None},
    ],
}  # fmt: skip


@pytest.fixture
def service(offline):
    """Knows profile p of two places, its alias, and session s of two kinds."""

    async def profile(profile_id):
        other = {**PROFILE, "sources": ["b", "c"], "profiles": [{**PROFILE["profiles"][0],
                 "source": "group"}], "aliases": [], "earlier_events": 0}  # fmt: skip
        return {"p": [PROFILE, other], "old": [PROFILE]}.get(profile_id, [])

    async def session(session_id):
        return [MEDIA, SESSION] if session_id == "s" else []

    offline.profile, offline.session = profile, session
    return offline


def test_a_profile_for_people(run, data, service):
    result = run("profile", "p", "--source", "shop", "--data", data.path)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "profile",
        "  profile_id     p",
        "  source         shop",
        "  first_seen_at  2026-01-01T12:00:00Z",
        "  last_seen_at   2026-01-01T12:00:00Z",
        "  visits         2",
        "  events         1001",
        "  aliases        old",
        "  consents",
        "    ads  refused",
        "  traits",
        "    email.main  a@b",
        "  country        DE",
        "traits",
        "name        value  occurred_at           type",
        "email.main  a@b    2026-01-01T12:00:00Z  sign-in",
        "consents",
        "name  said     until  occurred_at           type",
        "ads   refused         2026-01-01T12:00:00Z  consent-update",
        "aliases",
        "alias  profile_id  received_at           reason",
        "old    p           2026-01-01T12:00:00Z  imported",
        "visits",
        "began_at              source  session_id",
        "2026-01-01T12:00:00Z  shop    s",
        "events",
        "occurred_at           source  type       session_id  page",
        "2026-01-01T12:00:00Z  shop    click\ufffd[2J  s           /a",
        "and 1000 earlier events: see footfall query.",
    ]


def test_an_alias_says_who_took_over(run, data, service):
    result = run("profile", "old", "--data", data.path)
    assert result.stdout.splitlines()[:2] == ["profile", "  p took over what was asked for."]


@pytest.mark.parametrize(
    ("source", "number"), [(None, 2), ("shop", 1), ("b", 1), ("group", 1), ("elsewhere", 0)]
)
def test_a_profile_of_one_source(run, data, service, source, number):
    options = ["--source", source] if source else []
    result = run("profile", "p", *options, "--format", "json", "--data", data.path)
    if number:
        assert len(json.loads(result.stdout)) == number
    else:
        assert result.exit_code == 1
        assert "No profile of elsewhere" in result.stderr


def test_an_unknown_profile_is_an_error(run, data, service):
    result = run("profile", "nobody", "--data", data.path)
    assert result.exit_code == 1
    assert result.stderr.startswith("No profile that is kept here has this id.\nF404: ")


def test_a_shared_profile_says_by_whom(run, data, service):
    result = run("profile", "p", "--source", "b", "--data", data.path)
    assert "  shared by      b, c" in result.stdout.splitlines()


def test_sessions_of_any_kind(run, data, service):
    result = run("session", "s", "--data", data.path)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "media_sessions",
        "  source  shop",
        "  state   open",
        "events",
        "at                    type  state    changed, or why nothing",
        "2026-01-01T12:00:00Z  play  playing  plays +1",
        "sessions",
        "  source      shop",
        "  protocol    vaix",
        "  session_id  s",
        "events",
        "occurred_at           protocol  type   page",
        "2026-01-01T12:00:00Z  vaix      click  /a",
    ]
    found = json.loads(run("session", "s", "--json", "--data", data.path).stdout)
    assert [next(iter(one)) for one in found] == ["media_sessions", "sessions"]


def test_an_unknown_session_is_an_error(run, data, service):
    result = run("session", "nobody", "--data", data.path)
    assert result.exit_code == 1
    assert result.stderr.startswith("No session that is kept here has this id.\nF403: ")
