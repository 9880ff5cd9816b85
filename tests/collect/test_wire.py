"""What protocols share: bodies, cookies, header values, words."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.collect import wire
from footfall.collect.contract import RETRY_LATER, Reason, Refusal
from footfall.settings import Limits

LIMITS = Limits(json_depth=4, json_keys=16)
NAME = b"__Secure-jay_tracking"


def test_every_reason_has_a_status():
    assert set(wire.STATUS) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_retry_after_stands_on_503_and_only_there(reason):
    reply = wire.refusal_json(Refusal(reason=reason, detail="x"), {})
    assert (wire.RETRY_AFTER in reply.headers) == (reply.status == 503) == (reason in RETRY_LATER)


# JSON


def unreadable(body: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(wire.NotReadable) as caught:
        wire.json_object(body, limits)
    return str(caught.value)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"{", "not valid JSON"),
        (b'{"a":1}x', "trailing characters"),
        (b'{"a":NaN}', "not valid JSON"),
        (b'{"a":1e999}', "out of range"),
        (b'{"a":' + b"1" * 5000 + b"}", "out of range"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"a":"\xff"}', "UTF-8"),
        (b"\xff\xfe{\x00}\x00", "JSON"),
        (b"[]", "a list"),
        (b"null", "null"),
        (b"true", "a boolean"),
        (b"1", "a number"),
        (b'"x"', "a string"),
        (b'{"a":' * 5 + b"1" + b"}" * 5, "4 levels"),
        (b'{"a":[' + b"1," * 16 + b"1]}", "16 keys"),
        (b"[" * 100_000, "levels deep"),
    ],
)
def test_bodies_that_are_refused(body, says):
    assert says in unreadable(body)


def test_messages_never_quote_the_body():
    assert "secret" not in unreadable(b'{"secret": secret}')


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":{"b":{"c":{}}}}',
        b'{"a":"[[[[[[[[{{{{{{"}',
        b'{"a":"' + b"," * 500 + b'"}',
        b'{"a":[' + b"1," * 13 + b"1]}",
    ],
)
def test_bodies_at_the_limits_are_taken(body):
    assert wire.json_object(body, LIMITS) == json.loads(body)


def test_the_last_of_two_equal_keys_counts():
    assert wire.json_object(b'{"a":1,"a":2}', LIMITS) == {"a": 2}


def depth(value) -> int:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    inner = max(map(depth, parts), default=0)
    return inner + 1 if isinstance(value, dict | list) else 0


def keys(value) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(keys, value.values()))
    return len(value) + sum(map(keys, value)) if isinstance(value, list) else 0


values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=40,
)


@pytest.mark.slow
@given(st.dictionaries(st.text(max_size=2), values))
def test_limits_hold_exactly(value):
    body = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
    within = depth(value) <= LIMITS.json_depth and keys(value) <= LIMITS.json_keys
    if within:
        assert wire.json_object(body, LIMITS) == value
    else:
        unreadable(body)


@given(st.binary() | st.text().map(str.encode))
def test_no_body_raises_anything_else(body):
    try:
        value = wire.json_object(body, LIMITS)
    except wire.NotReadable as error:
        value = {"said": str(error)}
    assert isinstance(value, dict)


# Cookies

values_of_cookies = st.from_regex(rb"[!#-+\--:<-\[\]-~]{1,20}", fullmatch=True).filter(
    lambda value: value.strip(b'"') == value
)
junk = st.binary(max_size=40).map(lambda part: part.replace(b";", b"").replace(NAME, b""))


@given(st.lists(junk, max_size=6), values_of_cookies, st.lists(junk, max_size=6))
def test_junk_never_hides_a_good_cookie(before, value, after):
    header = b"; ".join([*before, NAME + b"=" + value, *after])
    assert wire.cookies(header, NAME) == [value.decode()]


@given(st.binary(), st.binary(min_size=1))
def test_no_cookie_header_raises(header, name):
    assert isinstance(wire.cookies(header, name), list)


def test_cookies_keep_their_order_and_are_told_by_their_whole_name():
    header = b"a=1; aa=2;a=3 ; A=4; a =5; a; a==6=; b=a=7"
    assert wire.cookies(header, b"a") == ["1", "3", "5", "=6="]


# Headers


@pytest.mark.parametrize(
    ("accept", "fine"),
    [
        (None, True),
        (b"", True),
        (b" , ", True),
        (b"*/*", True),
        (b"application/json", True),
        (b"Application/JSON ; charset=utf-8", True),
        (b"text/html, application/*;q=0.1", True),
        (b"text/html, */*;q=0.001", True),
        (b"application/json;q=nonsense", True),
        (b"application/json;q=0, application/json;v=1", True),
        (b"text/html", False),
        (b"text/*, image/png", False),
        (b"*/*;q=0", False),
        (b"*/*;q=0.000", False),
        (b"application/json;q=0, */*", False),
        (b"application/*;q=0, */*;q=1", False),
        (b"application/json;v=1;q=0", False),
    ],
)
def test_accept(accept, fine):
    assert wire.accepts_json(accept) is fine


@pytest.mark.parametrize(
    ("content_type", "fine"),
    [
        (None, True),
        (b"application/json", True),
        (b"application/json;charset=UTF-8", True),
        (b'APPLICATION/JSON ; a=b; charset="utf-8"', True),
        (b"application/json; charset=utf-16", False),
        (b"application/jsonp", False),
        (b"text/plain", False),
        (b"", False),
    ],
)
def test_content_type(content_type, fine):
    assert wire.is_json_type(content_type) is fine


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        (b"Bearer abc", "abc"),
        (b"BEARER  abc ", "abc"),
        (b"Bearer", None),
        (b"Bearer ", None),
        (b"Basic abc", None),
        (b"abc", None),
        (b"", None),
    ],
)
def test_bearer(authorization, token):
    assert wire.bearer(authorization) == token


@given(st.binary())
def test_no_header_raises(value):
    wire.accepts_json(value)
    wire.is_json_type(value)
    wire.bearer(value)


def test_what_browsers_say_is_kept_up_to_a_bound():
    kept = wire.sent_by({b"origin": b"null", b"user-agent": b"x" * 9999, b"accept": b"*/*"})
    assert kept == {"origin": "null", "user_agent": "x" * wire.HEADER_CHARACTERS}
    assert wire.sent_by({}) == {}


# Queries, words, times


def test_query_keeps_order_repetitions_and_empty_values():
    assert wire.query("b=1&a=%C3%A9+x&b=&c") == [("b", "1"), ("a", "é x"), ("b", ""), ("c", "")]
    assert wire.query("") == []
    assert wire.query("a=%ff") == [("a", "\ufffd")]


@given(st.text())
def test_no_query_raises(raw):
    wire.query(raw)


def test_nearest():
    assert wire.nearest("clicks:evnt", ("clicks:event", "add:x")) == "clicks:event"
    assert wire.nearest("zzz", ("clicks:event",)) is None


def test_times_have_six_decimals_also_when_they_are_zero():
    assert wire.utc_text(1_673_793_024_123_456) == "2023-01-15T14:30:24.123456"
    assert wire.utc_text(1_673_793_024_000_000) == "2023-01-15T14:30:24.000000"
