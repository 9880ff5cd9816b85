"""Jay beyond its golden cases: words for every refusal, races, and input of all kinds."""

from __future__ import annotations

import hashlib
import json
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.collect import correlate
from footfall.collect.contract import Intent, Reason, Refusal, Reply, Request
from footfall.collect.protocols import jay
from footfall.collect.sources import Sources
from footfall.model import Event
from footfall.settings import Source

SITE = Source(id="site", key_sha256=(hashlib.sha256(b"k").hexdigest(),), protocols=("jay",))
SOURCES = Sources([SITE])
PATH = "/v1/playouts/tracking/session"
NOW = 1_000_000_000_000


def request(method: str, body: bytes = b"", **more) -> Request:
    headers = {b"x-api-key": b"k", **more.pop("headers", {})}
    return Request(
        method=method,
        path=PATH,
        body=body,
        headers=headers,
        received_at=more.pop("at", NOW),
        new_uuid=lambda: str(uuid4()),
        **more,
    )


def decided(intent: Intent, states: dict[str, bytes]):
    events = [
        Event(
            event_id=str(number),
            source=intent.source.id,
            protocol="jay",
            type=draft.type,
            occurred_at=NOW,
            received_at=NOW,
            session_id=draft.session_id,
            user_id=draft.user_id,
        )
        for number, draft in enumerate(intent.drafts)
    ]
    return intent.decide(intent, states, events)


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_is_worded(reason):
    reply = jay.refuse(Refusal(reason=reason, detail="What is wrong."))
    error = json.loads(reply.body)["error"]
    assert set(error) == {"code", "message", "details"}
    assert error["message"] == "What is wrong."
    assert error["code"] == "1001" or "9001" <= error["code"] <= "9009"
    assert 400 <= reply.status < 600


def test_codes_and_details_stand_one_for_one():
    pairs = {*jay.CODES.values(), jay._NOT_VALID}
    assert len({code for code, _ in pairs}) == len({details for _, details in pairs}) == len(pairs)


def test_what_was_made_can_be_read_and_ended_and_then_is_gone():
    created = decided(jay.decode(request("POST", b'{"user_id":"u"}'), SOURCES), {})
    session = json.loads(created.reply.body)
    (change,) = created.changes
    assert change.expires_at == NOW + 86_400_000_000
    states = {change.key: change.value}
    carry = {b"__secure-jay_tracking": session["session_id"].encode()}

    later = decided(jay.decode(request("GET", headers=carry, at=NOW + 5), SOURCES), states)
    assert json.loads(later.reply.body) == session
    assert not later.events
    assert not later.changes

    ended = decided(jay.decode(request("DELETE", headers=carry), SOURCES), states)
    assert [(event.type, event.user_id) for event in ended.events] == [("session_end", "u")]
    assert [(c.key, c.value) for c in ended.changes] == [(change.key, None)]

    again = decided(jay.decode(request("DELETE", headers=carry), SOURCES), {})
    assert (again.events, again.changes, again.reply.status) == ((), (), 200)
    gone = decided(jay.decode(request("GET", headers=carry), SOURCES), {})
    assert gone.reply.reason is Reason.SESSION_NOT_FOUND


def test_events_that_were_dropped_do_not_keep_a_session_alive():
    session_id = str(uuid4())
    live = msgspec.msgpack.encode(correlate.TrackingSession(start_time=1, ends_at=NOW * 2))
    key = correlate.key("site", session_id)
    intent = jay.decode(
        request("DELETE", headers={b"x-jay-tracking": session_id.encode()}), SOURCES
    )
    outcome = intent.decide(intent, {key: live}, ())
    assert [(change.key, change.value) for change in outcome.changes] == [(key, None)]


def test_each_session_has_an_id_of_its_own():
    ids = {decided(jay.decode(request("POST"), SOURCES), {}).changes[0].key for _ in range(9)}
    assert len(ids) == 9


headers = st.dictionaries(
    st.sampled_from([b"cookie", b"__secure-jay_tracking", b"x-jay-tracking", b"origin"]),
    st.binary(max_size=60) | st.builds(lambda v: b"__Secure-jay_tracking=" + v, st.binary()),
)
bodies = st.binary() | st.dictionaries(
    st.sampled_from(["user_id", "userId", "x"]),
    st.none() | st.text() | st.integers() | st.lists(st.none()),
).map(lambda value: json.dumps(value).encode())


@given(st.sampled_from(["GET", "POST", "DELETE"]), bodies, headers, st.text())
def test_nothing_raises(method, body, given_headers, query):
    result = jay.decode(request(method, body, headers=given_headers, query=query), SOURCES)
    if isinstance(result, Intent):
        reply = decided(result, {}).reply if result.decide else result.reply
        assert isinstance(reply, Reply | Refusal)
    else:
        assert isinstance(jay.refuse(result), Reply)
