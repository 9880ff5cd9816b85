"""What requests say of consent, and what comes of it by mode, signal and memory."""

from __future__ import annotations

import itertools

import pytest
from test_consent_tcf import encoded

from footfall.collect import consent
from footfall.collect.contract import Draft, Request
from footfall.model import Event
from footfall.settings import Privacy, Source

GIVEN, REFUSED = encoded({1, 3}, {7}), encoded({3}, {7})
EMPTY = Draft(type="x")


def source(mode="implied", **privacy) -> Source:
    return Source(id="site", protocols=("vaix",), consent=mode, privacy=Privacy(**privacy))


def request(**headers: str) -> Request:
    named = {name.replace("_", "-").encode(): text.encode() for name, text in headers.items()}
    return Request(method="POST", path="/", headers=named)


# -- the table ----------------------------------------------------------------------------------

# Mode, honoured signal, said by the request, remembered: withheld. None is nothing.
TABLE = {
    ("required", False, None, None): True,
    ("required", False, None, True): False,
    ("required", False, None, False): True,
    ("required", False, True, None): False,
    ("required", False, True, True): False,
    ("required", False, True, False): False,
    ("required", False, False, None): True,
    ("required", False, False, True): True,
    ("required", False, False, False): True,
    ("implied", False, None, None): False,
    ("implied", False, None, True): False,
    ("implied", False, None, False): True,
    ("implied", False, True, None): False,
    ("implied", False, True, True): False,
    ("implied", False, True, False): False,
    ("implied", False, False, None): True,
    ("implied", False, False, True): True,
    ("implied", False, False, False): True,
    ("none", False, None, None): False,
    ("none", False, None, True): False,
    ("none", False, None, False): False,
    ("none", False, True, None): False,
    ("none", False, True, True): False,
    ("none", False, True, False): False,
    ("none", False, False, None): False,
    ("none", False, False, True): False,
    ("none", False, False, False): False,
} | {
    (mode, True, said, remembered): True
    for mode, said, remembered in itertools.product(
        ("required", "implied", "none"), (None, True, False), (None, True, False)
    )
}  # fmt: skip
WORDS = {None: "perhaps", True: "granted", False: "denied"}


@pytest.mark.parametrize(("case", "withheld"), TABLE.items())
@pytest.mark.parametrize("place", ["header", "field"])
def test_mode_signal_said_remembered(case, withheld, place):
    mode, signal, said, remembered = case
    site = source(
        mode, consent_header="X-Consent", consent_field="properties.consent", honour=("gpc",)
    )
    sent = request(sec_gpc="1") if signal else request()
    draft = EMPTY
    if place == "header":
        sent = request(x_consent=WORDS[said], **({"sec_gpc": "1"} if signal else {}))
    else:
        draft = Draft(type="x", properties={"consent": WORDS[said]})
    found = consent.said(sent, site, draft)
    assert consent.withheld(site, found, remembered) is withheld
    if remembered is None:
        # What intake works out for protocols that remember nothing.
        head = consent.look(sent, site)
        worked_out = consent.withheld(site, consent.in_event(head, draft))
        assert (worked_out if head.fields else head.withheld) is withheld


def test_the_table_is_whole():
    assert len(TABLE) == 3 * 2 * 3 * 3


# -- signals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("honour", "headers", "said"),
    [
        ((), {"sec_gpc": "1", "dnt": "1"}, None),
        (("gpc",), {"sec_gpc": "1"}, False),
        (("gpc",), {"sec_gpc": " 1 "}, False),
        (("gpc",), {"sec_gpc": "0"}, None),
        (("gpc",), {"sec_gpc": "true"}, None),
        (("gpc",), {"sec_gpc": ""}, None),
        (("gpc",), {"dnt": "1"}, None),
        (("dnt",), {"dnt": "1"}, False),
        (("dnt",), {"sec_gpc": "1"}, None),
        (("gpc", "dnt"), {"dnt": "1"}, False),
    ],
)
def test_signals(honour, headers, said):
    for mode in ("required", "implied", "none"):
        assert consent.said(request(**headers), source(mode, honour=honour), EMPTY) is said


# -- places -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "said"),
    [
        *((text, True) for text in ("true", "1", "yes", "granted", "given", "opt-in")),
        *((text, False) for text in ("false", "0", "no", "denied", "refused", "opt-out")),
        ("Granted", True),
        (" NO ", False),
        (True, True),
        (False, False),
        (1, True),
        (0, False),
        (2, None),
        (-1, None),
        (1.0, None),
        (0.0, None),
        (10**40, None),
        ("", None),
        ("on", None),
        ("true,false", None),
        (None, None),
        ([True], None),
        ({"given": True}, None),
    ],
)
def test_words(value, said):
    site = source(consent_field="properties.consent", consent_header="X-Consent")
    draft = Draft(type="x", properties={"consent": value})
    assert consent.said(request(), site, draft) is said
    if isinstance(value, str):
        assert consent.said(request(x_consent=value), site, EMPTY) is said


@pytest.mark.parametrize(
    ("place", "draft", "said"),
    [
        ("properties.a", Draft(type="x", properties={"a": True}), True),
        ("properties.a.b", Draft(type="x", properties={"a": {"b": False}}), False),
        ("context.a", Draft(type="x", context={"a": "yes"}), True),
        ("context.a", Draft(type="x", properties={"a": "yes"}), None),
        ("properties.a", Draft(type="x"), None),
        ("properties.a.b", Draft(type="x", properties={"a": "b"}), None),
        ("properties.a.b", Draft(type="x", properties={"a": [{"b": True}]}), None),
        # Adobe's keys have dots of their own.
        ("properties.params.analytics.optIn",
         Draft(type="x", properties={"params": {"analytics.optIn": True}}), True),
        ("properties.a.b.c", Draft(type="x", properties={"a.b": {"c": True}}), True),
        ("properties.a.b.c",
         Draft(type="x", properties={"a.b": {"d": True}, "a": {"b.c": False}}), False),
    ],
)  # fmt: skip
def test_fields(place, draft, said):
    assert consent.said(request(), source(consent_field=place), draft) is said


@pytest.mark.parametrize(
    ("privacy", "headers", "said"),
    [
        ({"tcf_header": "X-TC"}, {"x_tc": GIVEN}, True),
        ({"tcf_header": "X-TC"}, {"x_tc": REFUSED}, False),
        ({"tcf_header": "X-TC"}, {"x_tc": "granted"}, None),
        ({"tcf_header": "X-TC"}, {}, None),
        ({"tcf_header": "X-TC", "tcf_purposes": (1, 3)}, {"x_tc": GIVEN}, True),
        ({"tcf_header": "X-TC", "tcf_purposes": (1, 2)}, {"x_tc": GIVEN}, False),
        ({"tcf_header": "X-TC", "tcf_vendor": 7}, {"x_tc": GIVEN}, True),
        ({"tcf_header": "X-TC", "tcf_vendor": 8}, {"x_tc": GIVEN}, False),
        ({"tcf_cookie": "euconsent-v2"}, {"cookie": f"a=b; euconsent-v2={GIVEN}"}, True),
        ({"tcf_cookie": "euconsent-v2"}, {"cookie": f"euconsent-v2={REFUSED}; c"}, False),
        ({"tcf_cookie": "euconsent-v2"}, {"cookie": f"euconsent={GIVEN}"}, None),
        ({"tcf_cookie": "c"}, {"cookie": f"c={GIVEN}; c={REFUSED}"}, False),
        ({"tcf_cookie": "c"}, {"cookie": f"c=?; c={GIVEN}"}, True),
    ],
)
def test_tcf_in_the_head(privacy, headers, said):
    assert consent.said(request(**headers), source(**privacy), EMPTY) is said


@pytest.mark.parametrize(
    ("value", "said"), [(GIVEN, True), (REFUSED, False), (1, None), ("", None)]
)
def test_tcf_in_the_event(value, said):
    site = source(tcf_field="context.tcf")
    assert consent.said(request(), site, Draft(type="x", context={"tcf": value})) is said


def test_who_refuses_outweighs_who_gives():
    site = source(consent_header="X-Consent", tcf_field="properties.tcf")
    for word, string, said in [
        ("granted", REFUSED, False),
        ("denied", GIVEN, False),
        ("granted", GIVEN, True),
        ("", GIVEN, True),
        ("granted", "", True),
        ("", REFUSED, False),
    ]:
        draft = Draft(type="x", properties={"tcf": string})
        assert consent.said(request(x_consent=word), site, draft) is said


def test_with_mode_none_nothing_but_signals_is_looked_at():
    site = source("none", consent_header="X-Consent", consent_field="properties.c")
    sent = request(x_consent="denied")
    assert consent.said(sent, site, Draft(type="x", properties={"c": False})) is None


def test_the_head_is_looked_at_once_and_anew_for_other_settings():
    sent = request(x_consent="denied")
    site = source(consent_header="X-Consent")
    assert sent.once(consent.look, site) is sent.once(consent.look, site)
    assert consent.said(sent, site, EMPTY) is False
    assert consent.said(sent, source(consent_header="X-Other"), EMPTY) is None


def test_one_event_of_many_may_say_something_of_its_own():
    site = source("required", consent_field="properties.c")
    sent = request()
    said = [consent.said(sent, site, Draft(type="x", properties={"c": c})) for c in (1, 0, None)]
    assert said == [True, False, None]


def test_marked():
    event = Event("e", "site", "vaix", "x", 1, 1)
    assert consent.marked(event, False) is event
    assert consent.marked(event, True).withheld
    assert consent.marked(consent.marked(event, True), False) == event


def test_headers_for_preflights():
    first = source(consent_header="X-Consent", tcf_header="X-TC")
    assert consent.headers((first, source(), source(tcf_header="X-TC"))) == ("X-Consent", "X-TC")
