"""Consent over a media session: remembered from its start, changed by who says something else."""

from __future__ import annotations

import msgspec
import pytest
from test_adobe import SITE, Edge, event, request, source, start, to_session

from footfall.collect.contract import Reply
from footfall.collect.protocols import adobe
from footfall.collect.sources import Sources
from footfall.journal.contract import Position
from footfall.model import MediaSession
from footfall.settings import Privacy

PLACES = Privacy(consent_header="X-Consent", consent_field="properties.params.optIn")


def edge(mode="required", privacy=PLACES):
    return Edge(source(consent=mode, privacy=privacy))


def withheld(edge) -> list[bool]:
    return [event.get("withheld", False) for event in edge.events()]


def changes(edge) -> int:
    batch = edge._runner.run(edge.journal.read(Position(0, 0), 1 << 30))
    return sum(len(record.changes) for _, record in batch.records)


def test_what_is_said_at_the_start_holds_for_the_session():
    with edge() as asked:
        sid = asked.begin(optIn=True)
        assert asked.state(sid).consent is True
        assert asked.send(sid) == asked.send(sid, "play") == 204
        assert withheld(asked) == [False] * 3
        other = asked.begin()
        asked.send(other)
        assert withheld(asked)[3:] == [True] * 2
        assert asked.state(other).consent is None


def test_state_is_written_only_when_something_else_is_said():
    with edge() as asked:
        sid = asked.begin(optIn=True)
        for opt_in in (True, None, False, None, False, True):
            parts = {} if opt_in is None else {"params": {"optIn": opt_in}}
            assert asked.send(sid, **parts) == 204
        assert withheld(asked) == [False, False, False, True, True, True, False]
        assert changes(asked) == 3
        assert asked.state(sid).consent is True


def test_an_end_that_says_something_closes_and_is_remembered():
    with edge() as asked:
        sid = asked.begin(optIn=True)
        assert asked.send(sid, "sessionEnd", params={"optIn": False}) == 204
        state = asked.state(sid)
        assert (state.why, state.consent, state.closed_at is None) == ("ended", False, False)
        assert asked.send(sid, "sessionEnd") == 204
        assert withheld(asked) == [False, True, True]


def test_a_header_speaks_for_its_request_and_is_remembered():
    with edge() as asked:
        reply = asked.post("/api/v1/sessions", event("sessionStart"), x_consent="granted")
        assert reply.status == 400, "params are missing"
        sid = asked.begin()
        assert asked.post(to_session(sid), event(), x_consent="granted").status == 204
        assert asked.send(sid) == 204
        assert withheld(asked) == [True, False, False]


def test_what_was_said_is_judged_by_the_mode_of_the_moment():
    """Nothing said, with "implied" set: not withheld. After a reload with "required": withheld."""
    with edge("implied") as asked:
        silent, given = asked.begin(), asked.begin(optIn=True)
        asked._sources = Sources([source(consent="required", privacy=PLACES)])
        asked.send(silent)
        asked.send(given)
        assert withheld(asked) == [False, False, True, False]


def test_of_a_dropped_crawler_nothing_is_stored_and_all_is_answered():
    with Edge(source(consent="required", privacy=PLACES, bots="drop")) as asked:
        reply = asked.post("/api/v1/sessions", start(optIn=True), user_agent="bot")
        sid = dict(reply.headers)["Location"].split("/")[4]
        assert asked.state(sid).consent is True
        assert asked.post(to_session(sid), event(), user_agent="bot").status == 204
        assert asked.events() == []


def test_a_state_of_an_earlier_release_is_read():
    with edge() as asked:
        sid = asked.begin()
        earlier = msgspec.msgpack.decode(msgspec.msgpack.encode(asked.state(sid)))[:4]
        read = msgspec.msgpack.decode(msgspec.msgpack.encode(earlier), type=MediaSession)
        assert (read.source, read.consent) == ("site", None)


@pytest.mark.parametrize(
    ("privacy", "more"),
    [
        (Privacy(), []),
        (PLACES, ["X-Consent"]),
        (Privacy(tcf_header="X-TC", consent_header="X-C"), ["X-C, X-TC"]),
    ],
)
def test_pages_of_other_origins_may_send_the_headers(privacy, more):
    asked = msgspec.structs.replace(request(b""), method="OPTIONS")
    sources = Sources([source(privacy=privacy)])
    reply = adobe.decode(asked, sources)
    assert isinstance(reply, Reply)
    allowed = [v for name, v in reply.headers if name == "Access-Control-Allow-Headers"]
    assert allowed == more
    assert ("Access-Control-Max-Age", "7200") in reply.headers
    assert adobe.decode(asked, SITE) is adobe.PREFLIGHT
