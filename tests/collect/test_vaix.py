"""vaix beyond its golden cases: words for every refusal, the catalogue, input of all kinds."""

from __future__ import annotations

import hashlib
import json
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.collect.contract import Intent, Reason, Refusal, Reply, Request
from footfall.collect.protocols import vaix
from footfall.collect.protocols.vaix import content
from footfall.collect.protocols.vaix.settings import Vaix
from footfall.collect.sources import Sources
from footfall.errors import SettingsError
from footfall.settings import Limits, Source

KEY = hashlib.sha256(b"k").hexdigest()


def sources(**settings) -> Sources:
    table = Vaix(client_ids=("c",), **settings)
    return Sources(
        [
            Source(
                id="site",
                key_sha256=(KEY,),
                protocols=("vaix",),
                protocol_settings={"vaix": table},
            )
        ]
    )


STRICT, LENIENT = sources(), sources(lenient=True)


def request(body: bytes, **headers: bytes) -> Request:
    given = {b"authorization": b"Bearer k", b"x-vaix-client-id": b"c"}
    given |= {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return Request(
        method="POST",
        path="/api/tracker/events",
        headers=given,
        body=body,
        new_uuid=lambda: str(uuid4()),
    )


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_is_worded(reason):
    reply = vaix.refuse(Refusal(reason=reason, detail="What is wrong."))
    assert json.loads(reply.body) == {"error": "What is wrong.", "status": "error"}
    assert (("WWW-Authenticate", "Bearer") in reply.headers) == (reply.status == 401)


def test_the_catalogue_only_grows_by_settings():
    table = Vaix(event_types={"clicks:event": ("position",), "impressions:x": (), "a:b": ("c",)})
    assert content.required("clicks:event", table) == ("page", "location", "event_id", "position")
    assert content.required("impressions:x", table) == ("page", "location")
    assert content.required("a:b", table) == ("c",)
    assert content.required("add:casino_game", table) == ()
    assert content.required("clicks:other", table) is None


def test_a_field_listed_by_the_operator_follows_its_own_rule_when_it_has_one():
    table = Vaix(event_types={"a:b": ("position",)})
    body = b'{"event_type":"a:b","data":{}}'
    (problem,) = content.read(body, Limits(), content.Rules(table)).problems
    assert problem == content.Problem(
        "data.position", "Missing. Must be a whole number, 0 or more."
    )


def test_as_many_problems_as_anybody_reads():
    entries = [{} for _ in range(5000)]
    data = {"page": "/", "location": "a:b", "events": entries}
    body = json.dumps({"event_type": "impressions:events", "data": data}).encode()
    refusal = vaix.decode(request(body), STRICT)
    assert len(refusal.problems) == content.MOST_PROBLEMS


@pytest.mark.parametrize(
    ("number", "user_id"),
    [
        ("7", "7"),
        ("-7", "-7"),
        ("12.5", "12.5"),
        ("7.0", "7"),
        ("1e3", "1000"),
        ("1e-7", "0.0000001"),
        ("0", None),
        ("0.0", None),
        ("-0", None),
    ],
)
def test_lenient_numbers_of_users(number, user_id):
    body = f'{{"event_type":"add:casino_game","data":{{}},"user_id":{number}}}'.encode()
    (draft,) = vaix.decode(request(body), LENIENT).drafts
    assert draft.user_id == user_id
    assert draft.context["deviations"] == ["user_id"]


@pytest.mark.parametrize("number", ["1e300", "9" * 300, "9" * 4000, "9" * 5000, "1e999"])
def test_numbers_too_long_for_a_user(number):
    body = f'{{"event_type":"add:casino_game","data":{{}},"user_id":{number}}}'.encode()
    assert isinstance(vaix.decode(request(body), LENIENT), Refusal)


@pytest.mark.parametrize(
    "settings",
    [
        {"iam_issuer": "i"},
        {"iam_issuer": "i", "iam_audience": "a"},
        {"iam_issuer": "i", "iam_audience": "a", "iam_jwks_url": "http://x/"},
        {
            "iam_issuer": "i",
            "iam_audience": "a",
            "iam_jwks_url": "https://x/",
            "iam_jwks_file": "f",
        },
    ],
)
def test_iam_is_set_up_whole_or_not_at_all(settings):
    with pytest.raises(SettingsError):
        Vaix(**settings)


def test_data_keeps_what_is_no_text_under_its_own_name():
    body = b'{"event_type":"add:casino_game","data":{"brand":5,"channel":null,"page":""}}'
    (draft,) = vaix.decode(request(body), STRICT).drafts
    assert (draft.brand, draft.channel, draft.page) == (None, None, None)
    assert draft.properties == {"brand": 5}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)  # fmt: skip
fields = ["page", "location", "event_id", "outcome_id", "events", "position", "brand", "channel"]
events = st.fixed_dictionaries(
    {},
    optional={
        "event_type": st.sampled_from(sorted(content.CATALOGUE)) | json_values,
        "data": st.dictionaries(st.sampled_from(fields), json_values) | json_values,
        "user_id": json_values,
        "other": json_values,
    },
)


@given(st.binary() | events.map(lambda value: json.dumps(value).encode()), st.booleans())
def test_nothing_raises(body, lenient):
    result = vaix.decode(request(body), LENIENT if lenient else STRICT)
    if isinstance(result, Refusal):
        assert isinstance(vaix.refuse(result), Reply)
    else:
        (draft,) = result.drafts
        assert draft.user_id is None or 0 < len(draft.user_id) <= 256
        assert lenient or "deviations" not in draft.context


@given(
    st.dictionaries(
        st.sampled_from(
            ["authorization", "x_vaix_client_id", "x_vaix_authentication_method", "accept",
             "content_type", "early_data", "origin", "referer", "user_agent"]
        ),
        st.binary() | st.sampled_from([b"iam", b"vaix", b"1"]),
    )
)  # fmt: skip
def test_no_header_raises(headers):
    result = vaix.decode(request(b'{"event_type":"add:casino_game","data":{}}', **headers), STRICT)
    assert isinstance(result, Intent | Refusal)


@given(
    st.text().map(lambda text: text.encode("utf-8", "replace"))
    | st.from_regex(rb"\A[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*\.[A-Za-z0-9_=-]*\Z")
)
def test_no_token_raises(token):
    configured = sources(iam_issuer="i", iam_audience="a", iam_jwks_url="https://issuer.example/")
    headers = {"authorization": b"Bearer " + token, "x_vaix_authentication_method": b"iam"}
    assert isinstance(vaix.decode(request(b"{}", **headers), configured), Refusal)
