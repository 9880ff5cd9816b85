"""Where requests carry tracking sessions, and what becomes of events that are sent in one."""

from __future__ import annotations

import base64
import json
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.collect import correlate
from footfall.collect.contract import Request
from footfall.model import Event

A = "550e8400-e29b-41d4-a716-446655440000"
B = "6fa459ea-ee8a-4ca4-894e-db77e160355e"


def request(**headers: str | bytes) -> Request:
    given = {
        name.replace("_", "-").replace("--Secure-jay-tracking", "__secure-jay_tracking").encode(): (
            value.encode() if isinstance(value, str) else value
        )
        for name, value in headers.items()
    }
    return Request(method="GET", path="/", headers=given, new_uuid=lambda: str(uuid4()))


def tracked(value: str | bytes) -> Request:
    return request(**{"__Secure-jay_tracking": value})


def wrapped(value) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def test_nothing_carried():
    assert correlate.carried(request()) == ()
    assert correlate.carried(request(cookie="a=b; c=d")) == ()


def test_cookies_come_first_then_the_header_then_its_alias():
    both = request(
        cookie=f"__Secure-jay_tracking={B}",
        **{"__Secure-jay_tracking": A, "x_jay_tracking": B},
    )
    assert correlate.carried(both) == (B, A)


@pytest.mark.parametrize(
    "value",
    [
        A,
        A.upper(),
        f" {A} ",
        f'"{A}"',
        f"__Secure-jay_tracking={A}",
        wrapped({"session_id": A}),
        wrapped({"session_id": A, "start_time": 5, "source": None}),
        wrapped({"session_id": A}).rstrip("="),
        wrapped({"session_id": A}).replace("=", "%3D"),
        "__Secure-jay_tracking=" + wrapped({"session_id": A}),
        base64.urlsafe_b64encode(json.dumps({"session_id": A, "x": "???>>>"}).encode()).decode(),
        f"junk, {A}",
    ],
)
def test_forms_that_are_read(value):
    assert correlate.carried(tracked(value)) == (A,)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "your_session_id",
        A[:-1],
        A + "0",
        A.replace("-", ""),
        wrapped({"session_id": "x"}),
        wrapped({"session_id": 5}),
        wrapped([A]),
        wrapped({"sessionId": A}),
        "A" * 5000,
    ],
)
def test_forms_that_are_not(value):
    assert correlate.carried(tracked(value)) == ()


def test_so_many_and_no_more():
    cookie = "; ".join(f"__Secure-jay_tracking={uuid4()}" for _ in range(100))
    assert len(correlate.carried(request(cookie=cookie))) == correlate.MOST_IDS


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_nothing_raises(header, cookie):
    ids = correlate.carried(
        request(cookie=b"__Secure-jay_tracking=" + cookie, **{"__Secure-jay_tracking": header})
    )
    assert all(len(session_id) == 36 for session_id in ids)


def event(session_id=None, properties=None) -> Event:
    return Event(
        event_id="1",
        source="s",
        protocol="p",
        type="t",
        occurred_at=1,
        received_at=1,
        session_id=session_id,
        properties=properties,
    )


def states(*ids: str, ends_at: int = 100) -> dict[str, bytes]:
    value = msgspec.msgpack.encode(correlate.TrackingSession(start_time=1, ends_at=ends_at))
    return {correlate.key("s", session_id): value for session_id in ids}


def test_the_first_live_session_is_written_on_every_event():
    events = (event(), event("own", {"a": 1}))
    first, second = correlate.correlate(events, states(B), (A, B), "s", 99)
    assert (first.session_id, first.properties) == (B, {"jay_session_id": B})
    assert (second.session_id, second.properties) == ("own", {"a": 1, "jay_session_id": B})
    assert events[1].properties == {"a": 1}


@pytest.mark.parametrize(
    ("known", "source", "now"), [({}, "s", 1), (states(A), "other", 1), (states(A), "s", 100)]
)
def test_what_does_not_live_leaves_events_alone(known, source, now):
    events = (event(),)
    assert correlate.correlate(events, known, (A,), source, now) is events
