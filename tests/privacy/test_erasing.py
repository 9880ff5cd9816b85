"""An erasure from its order to its receipt: nothing is left, nobody else is touched."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import shutil
import stat
from uuid import uuid4

import msgspec
import pytest
from house import House, run
from lake_rig import make_event, make_reject
from timelines import START, closing, timeline

from footfall.collect.protocols.tracardi.identity import (
    DAY,
    Alias,
    Gone,
    Known,
    profile_key,
    read_profile,
    session_key,
    write,
)
from footfall.collect.protocols.tracardi.issued import ProfileIds
from footfall.errors import AuditNotValid, PeopleNotNamed
from footfall.journal.clock import system_clock
from footfall.journal.contract import Change
from footfall.lake.backup import restore
from footfall.model import Facts, MediaSession, media_key

pytestmark = pytest.mark.slow  # a lake of its own for each test

ANNA = "anna-5d41402abc4b2a76"
ALIAS = "anna-before-9719d911"
USER = "user-of-anna-00000001"
SID = "5" * 64
BERTS = "7" * 64
JAY = "0b1e6f6c-6f1e-4f8e-8a39-8f4f6d0a9a11"
IDS = (ANNA, ALIAS, USER, SID, "session-of-anna-1")
NOW = system_clock()


def put(key, value, days=30):
    return Change(key, value, NOW + days * 86_400_000_000)


def crowd(number, **changes):
    return [
        make_event(
            profile_id=f"{'a0' if n % 2 else 'zz'}-{n:012}", page=f"/p/{n % 7}", properties={"n": n},
            session_id=f"session-{n:012}", **changes,
        )
        for n in range(number)
    ]  # fmt: skip


async def settle(house):
    """A person in every place there is, and others beside her."""
    await house.write(*crowd(600), make_event(profile_id=ANNA, session_id="session-of-anna-1"))
    await house.follow()  # a file
    await house.write(
        make_event(profile_id=ALIAS, user_id=USER, event_id="given-by-the-client-1",
                   client_id_given=True),
        make_event(profile_id=ANNA, type="profile", stored=False,
                   facts=Facts(aliases={ALIAS: "the same e-mail"}, visit="session-of-anna-1",
                               traits={"email.main": "anna@example.com"},
                               consents={"ads": (True, None)}, context={"of": ANNA})),
        rejects=[make_reject(body=f'{{"id": "{ANNA}"}}'), make_reject(body="of somebody else")],
        changes=[
            put(f"tracardi/site/session/{'session-of-anna-1'}", msgspec.msgpack.encode([ANNA])),
            put(f"tracardi/site/profile/{ANNA}", write(Known(NOW))),
            put("tracardi/site/point/email.main/0123", ANNA.encode()),
            put("tracardi/site/session/of-bert", b"bert-0000000000000000"),
        ],
    )  # fmt: skip
    await house.follow()  # in the catalogue
    for sid, who in ((SID, ANNA), (BERTS, "bert")):
        opened = msgspec.msgpack.encode(MediaSession("site", NOW))
        events = timeline("0 0 sessionStart\n0 0 play\n9 9 ping", sid=sid, profile_id=who)
        events = [msgspec.structs.replace(event, source="site") for event in events]
        await house.write(*events, changes=[put(media_key(sid), opened)])
    await house.media.catch_up(20)
    await house.media.checkpoint()
    await house.write(make_event(profile_id=ANNA), *crowd(2))  # in the journal only


def others(house):
    return house.everything(*IDS, "given-by-the-client-1")


@pytest.mark.slow
def test_an_issued_id_stands_in_no_file_and_proves_nothing_any_more(house):
    issued = ProfileIds(house.data.secret(), "site", 730 * DAY).issue(str(uuid4()), NOW)

    async def test():
        await house.write(make_event(profile_id=issued), make_event())
        await house.follow()
        await house.forget({"profile": issued})
        assert house.holders(issued) == []
        key = profile_key("site", issued)
        assert read_profile((await house.journal.get([key]))[key]) == Gone()
        house.reopen()
        assert key in await house.journal.get([key])

    run(test())


@pytest.mark.slow
@pytest.mark.parametrize("identity", [None, "group"])
def test_sources_that_are_not_in_the_settings_forget_as_well(house, identity):
    """Somebody erases with other settings, or none, or the source was taken out of them."""
    group = identity or "gone"
    issued = ProfileIds(house.data.secret(), group, 730 * DAY).issue(str(uuid4()), NOW)
    keys = [profile_key(group, "short"), session_key(group, "s")]

    async def test():
        came = {"source": "gone", "session_id": "s"}
        await house.write(
            make_event(profile_id=issued, **came, facts=Facts(visit="s", identity=identity)),
            make_event(profile_id="short", **came),
            changes=[put(keys[0], write(Known(NOW))), put(keys[1], b"short")],
        )
        await house.forget({"profile": issued}, {"profile": "short"})
        assert await house.journal.get(keys) == {}
        key = profile_key(group, issued)
        assert read_profile((await house.journal.get([key]))[key]) == Gone()

    run(test())


@pytest.mark.slow
def test_a_person_is_gone_from_every_file_and_nobody_else(house):
    async def test():
        await settle(house)
        assert {name.split(":")[0].split("/")[0] for name in house.holders(*IDS)} == {
            "journal", "lake", "project",
        }  # fmt: skip
        await house.follow()
        before = others(house)
        (receipt,) = await house.forget({"profile": ANNA})
        assert house.holders(*IDS, "anna@example.com", "given-by-the-client-1") == []
        assert others(house) == house.everything() == before
        states = await house.journal.get([
            "tracardi/site/session/session-of-anna-1", f"tracardi/site/profile/{ANNA}",
            "tracardi/site/point/email.main/0123", media_key(SID), "erasure",
            "tracardi/site/session/of-bert", media_key(BERTS),
        ])  # fmt: skip
        assert sorted(states) == [media_key(BERTS), "tracardi/site/session/of-bert"]
        assert [session.session_id for session in house.media._fold.sessions()] == [BERTS]
        assert receipt["rows"]["events"] == 3 + 3
        assert receipt["rows"]["rejects"] == 1
        assert receipt["ids"] == {"profile": 2, "session": 2}
        return receipt

    receipt = run(test())
    secret = house.data.secret()
    digest = hmac.new(secret, f"profile:{ANNA}".encode(), hashlib.sha256).hexdigest()
    assert receipt["subjects"] == [{"kind": "profile", "hmac_sha256": digest}]
    line = (house.data.path / "erasures.jsonl").read_text()
    assert json.loads(line) == receipt
    assert list((house.data.path / "erasures").iterdir()) == []
    house.reopen()
    assert house.holders(*IDS) == []
    run(house.follow())
    assert house.sql("SELECT session_id FROM media_sessions") == [(BERTS,)]


@pytest.mark.slow
def test_what_comes_afterwards_begins_anew(house):
    async def test():
        await settle(house)
        await house.forget({"profile": ANNA})
        await house.write(make_event(profile_id=ANNA))
        await house.follow()

    run(test())
    assert house.sql(f"SELECT count(*) FROM events WHERE profile_id = '{ANNA}'") == [(1,)]


@pytest.mark.slow
def test_a_user_with_their_own_profiles_and_many_at_once(house):
    async def test():
        await settle(house)
        await house.write(*(make_event(user_id=f"leaves-{n:016}") for n in range(200)))
        await house.follow()
        leaving = [{"user": f"leaves-{n:016}"} for n in range(200)]
        (receipt,) = await house.forget({"user": USER}, *leaving)
        assert house.holders(*IDS, *(f"leaves-{n:016}" for n in range(0, 200, 20))) == []
        assert len(receipt["subjects"]) == 201
        assert receipt["rows"]["events"] == 206

    run(test())


def test_nobody_is_a_receipt_too(house):
    async def test():
        await house.write(*crowd(3))
        (receipt,) = await house.forget({"session": "unknown"})
        assert receipt["rows"] == {}
        assert len(house.everything()["events"]) == 3

    run(test())


def test_a_short_id_takes_no_strangers_state_along(house):
    async def test():
        keys = [f"tracardi/site/session/{name}" for name in ("a", "b")]
        await house.write(
            make_event(user_id="7", session_id="a"), changes=[put(key, b"17 7") for key in keys]
        )
        await house.forget({"user": "7"})
        assert list(await house.journal.get(keys)) == [keys[1]]
        assert await house.journal.get(["erasure"]) == {}

    run(test())


SHORT = {
    profile_key("site", "bf0c"): write(Known(NOW, aliases=("old", "older"))),
    profile_key("site", "old"): write(Alias("bf0c")),
    profile_key("site", "older"): write(Alias("old")),
}
"""A profile that was imported without consent: only the state has its ids, and they are short."""


@pytest.mark.parametrize(
    ("named", "killed"), [("bf0c", False), ("old", False), ("older", False), ("old", True)]
)
def test_a_profile_that_only_the_state_knows_goes_by_any_of_its_ids(house, named, killed):
    async def test():
        strangers = profile_key("site", "stranger")
        changes = [put(key, value) for key, value in SHORT.items()]
        # Consent came later: the lake has the profile, and knows of no alias.
        await house.write(
            make_event(profile_id="bf0c"), changes=[*changes, put(strangers, write(Known(NOW)))]
        )
        if killed:
            _kill(house, "journal", "trim", 1, "before")
            with pytest.raises(Killed):
                await house.forget({"profile": named})
        else:
            await house.forget({"profile": named})

    run(test())
    if killed:
        house.reopen()
        run(house.forget(resume=True))
    assert list(run(house.journal.get([*SHORT, profile_key("site", "stranger")]))) == [
        profile_key("site", "stranger")
    ]
    assert house.everything()["events"] == []


@pytest.mark.parametrize("people", [[{"person": "x"}], [{"user": ""}], [{}]])
def test_who_is_not_named_is_asked_for(house, people):
    with pytest.raises(PeopleNotNamed):
        run(house.forget(*people))
    assert house.eraser.unfinished() == []


class Killed(BaseException):
    """The process ends here."""


BOUNDARIES = (
    ("journal", "transact", 1), ("journal", "transact", 2), ("journal", "trim", 1),
    ("journal", "transact", 3), ("journal", "trim", 2), ("media", "checkpoint", 1),
    ("media", "checkpoint", 2), ("lake", "run", 1), ("lake", "run", 5), ("lake", "run", 9),
    ("lake", "exclusively", 1), ("media", "show", 1), ("eraser", "_note", 1),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("part", "method", "nth"), BOUNDARIES)
def test_killed_at_any_step_it_goes_on(house, part, method, nth, when):
    run(settle(house))
    run(house.follow())
    before = others(house)
    _kill(house, part, method, nth, when)
    with pytest.raises(Killed):
        run(house.forget({"profile": ANNA}))
    house.reopen()
    (left,) = house.eraser.unfinished()
    file = house.data.path / "erasures" / f"{left.erasure_id}.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (receipt,) = run(house.forget(resume=True))
    assert receipt["erasure_id"] == left.erasure_id
    assert house.holders(*IDS) == []
    assert others(house) == house.everything() == before
    assert (house.data.path / "erasures.jsonl").read_text().count("\n") == 1
    assert run(house.forget(resume=True)) == []


def _kill(house, part, method, nth, when):
    """Let the `nth` call of a method be the last thing that happens."""
    target = house.eraser if part == "eraser" else getattr(house, part, None)
    target = target or getattr(house.eraser, part)
    real, calls = getattr(target, method), 0

    def counted():
        nonlocal calls
        calls += 1
        return calls == nth

    def killed_now(*arguments, **options):
        last = counted()
        if last and when == "before":
            raise Killed
        result = real(*arguments, **options)
        if last:
            raise Killed
        return result

    async def killed(*arguments, **options):
        last = counted()
        if last and when == "before":
            raise Killed
        result = await real(*arguments, **options)
        if last:
            raise Killed
        return result

    is_async = asyncio.iscoroutinefunction(real)
    setattr(target, method, killed if is_async else killed_now)


def test_killed_when_it_is_all_but_done_it_is_not_done_twice(house):
    run(house.write(make_event(profile_id=ANNA)))
    _kill(house, "_unfinished", "remove", 1, "before")
    with pytest.raises(Killed):
        run(house.forget({"profile": ANNA}))
    line = house.eraser.audit.read_text()
    house.reopen()
    assert house.holders(ANNA)
    assert run(house.forget(resume=True)) == [json.loads(line)]
    assert house.eraser.audit.read_text() == line
    assert house.holders(ANNA) == []


@pytest.mark.slow
def test_the_worker_goes_on_by_itself(house):
    run(settle(house))
    _kill(house, "lake", "exclusively", 1, "before")
    with pytest.raises(Killed):
        run(house.forget({"profile": ANNA}))
    house.reopen()
    run(house.people.go_on(asyncio.Event()))
    assert house.holders(*IDS) == []
    assert house.eraser.unfinished() == []


@pytest.mark.slow
def test_what_is_written_while_it_runs_is_there_afterwards(house):
    async def test():
        await settle(house)
        written = 0

        async def write_on(done):
            nonlocal written
            while not done.is_set():
                await house.write(make_event(profile_id="bert-all-the-while"))
                written += 1
                await asyncio.sleep(0.01)

        done = asyncio.Event()
        writing = asyncio.create_task(write_on(done))
        await house.forget({"profile": ANNA})
        done.set()
        await writing
        await house.follow()
        sql = "SELECT count(*) FROM events WHERE profile_id = 'bert-all-the-while'"
        assert house.sql(sql) == [(written,)]
        assert written > 20
        assert house.holders(*IDS) == []

    run(test())


@pytest.mark.slow
def test_a_restored_backup_is_erased_once_more_by_its_audit(house, tmp_path):
    async def test():
        await settle(house)
        await house.write(make_event(profile_id="only-in-the-blog-1", source="blog"))
        await house.back_up(tmp_path / "backup")
        (receipt,) = await house.forget({"profile": ANNA})
        await house.forget({"profile": "only-in-the-blog-1"}, source="site")
        assert [one["path"] for one in receipt["backups"]] == [str(tmp_path / "backup")]
        assert "--repeat-audit" in receipt["backups_note"]

    run(test())
    list(restore(tmp_path / "backup", tmp_path / "again"))
    mode = (tmp_path / "again" / "secret").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    again = House(tmp_path / "again")
    again.open()
    try:
        assert again.holders(*IDS)
        audit = (house.data.path / "erasures.jsonl").read_text()
        receipts = run(again.forget(repeated=audit))
        assert sorted(str(one["source"]) for one in receipts) == ["None", "site"]
        assert sum(len(one["repeats"]) for one in receipts) == 2
        assert again.holders(*IDS) == []
        assert again.sql("SELECT count(*) FROM events WHERE source = 'blog'") == [(1,)]
        stranger = json.dumps(
            {**json.loads(audit.splitlines()[0]), "secret_fingerprint": "of another"}
        )
        with pytest.raises(AuditNotValid, match="secret"):
            run(again.forget(repeated=stranger))
        with pytest.raises(AuditNotValid, match="read"):
            run(again.forget(repeated="no audit"))
    finally:
        again.close()


def test_half_a_line_of_the_audit_is_given_up(house):
    async def test():
        await house.forget({"session": "one"})
        with house.eraser.audit.open("a") as file:
            file.write('{"half')
        await house.forget({"session": "two"})

    run(test())
    assert house.eraser.audit.read_text().count("\n") == 2


def test_a_copied_directory_is_as_whole_as_the_original(house, tmp_path):
    """`shutil.copytree` of a stopped directory is what many backups are."""
    run(house.write(make_event(profile_id=ANNA)))
    run(house.forget({"profile": ANNA}))
    house.close()
    shutil.copytree(house.data.path, tmp_path / "copied")
    copied = House(tmp_path / "copied")
    copied.open()
    run(copied.write(make_event()))
    run(copied.follow())
    assert copied.sql("SELECT count(*) FROM events") == [(1,)]
    copied.close()


def test_closed_media_sessions_go_too(house):
    async def test():
        for sid in (SID, BERTS):
            events = timeline("0 0 sessionStart\n0 0 play\n9 9 sessionEnd", sid=sid)
            await house.write(*(msgspec.structs.replace(e, source="site") for e in events))
            end = closing(START + 9, sid=sid, source="site")
            await house.write(changes=[end])
        house.media._fold.limits = msgspec.structs.replace(house.media._fold.limits, reorder_s=0)
        await house.write(make_event())
        await house.follow()
        assert len(house.everything()["media_sessions_closed"]) == 2
        await house.forget({"session": SID})
        assert house.sql("SELECT session_id FROM media_sessions") == [(BERTS,)]
        assert house.holders(SID) == []

    run(test())
