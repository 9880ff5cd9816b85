"""Tracardi and consent: what the state learns of somebody and what the history is told agree."""

from __future__ import annotations

import pytest
from tracked import Edge, facts, source, visits

from footfall.settings import Privacy


@pytest.mark.parametrize(("said", "told"), [("yes", True), ("no", False), (None, False)])
def test_a_request_without_events_says_its_consent_in_its_context(said, told):
    listed = source(consent="required", privacy=Privacy(consent_field="context.agreed"))
    with Edge(listed) as edge:
        edge.track(context={"agreed": said, "campaign": "spring"})
        found = edge.events()
    assert visits(found) == (["S1"] if told else [])
    contexts = [facts(event)["context"] for event in found]
    assert contexts == ([{"agreed": "yes", "campaign": "spring"}] if told else [])
    assert not any(event["stored"] or "context" in event for event in found)


def said(kind="consent-granted", **consents):
    return {"type": kind, "properties": consents}


def told(edge):
    """By consent, what the history has of it last; of a withheld line as of others."""
    return {
        name: granted
        for event in edge.events()
        for name, (granted, _) in facts(event).get("consents", {}).items()
    }


def known(edge, profile):
    """What the state has of each consent."""
    return {name: granted for name, (granted, *_) in edge.known(profile).consents.items()}


REFUSING = (
    Privacy(consents=("ads",), honour=("gpc",)),
    Privacy(consents=("ads",), consent_header="X-Consent"),
    Privacy(honour=("gpc",)),
    Privacy(consent_header="X-Consent"),
)
"""Sources that heed the headers below; of half of them the profile's consents count."""
HEADERS = {"sec_gpc": "1", "x_consent": "denied"}


@pytest.mark.parametrize("mode", ["required", "implied"])
@pytest.mark.parametrize("privacy", REFUSING)
def test_consent_that_comes_with_a_refusal_is_none(mode, privacy):
    with Edge(source(consent=mode, privacy=privacy)) as edge:
        mine = edge.track(session="S1")["profile"]["id"]
        reply = edge.reply(
            {"source": {"id": "site"}, "session": {"id": "S1"}, "events": [said(ads=True)]},
            **HEADERS,
        )
        assert reply.status == 200
        assert known(edge, mine) == told(edge) == {}
        edge.track(said(news=True), session="S1")
        withheld = edge.events()[-1].get("withheld", False)
        assert withheld is (mode == "required"), "the refused consent counts for nothing"


@pytest.mark.parametrize("back", [said(ads=False, news=True),
                                  said("consent-update", consents={"ads": {"revoke": "2020-01-01"}})])  # fmt: skip
@pytest.mark.parametrize("privacy", REFUSING)
def test_consent_is_taken_back_with_a_refusal_too(privacy, back):
    with Edge(source(consent="implied", privacy=privacy)) as edge:
        mine = edge.profile(said(ads=True))
        body = {"source": {"id": "site"}, "session": {"id": "S1"}, "events": [back]}
        edge.reply(body, **HEADERS)
        last = edge.events()[-1]
        assert last["withheld"]
        assert set(facts(last)["consents"]) == set(edge.known(mine).consents) == {"ads"}
        told_terms = tuple(facts(last)["consents"]["ads"])
        assert told_terms == edge.known(mine).consents["ads"][:2]


def test_who_never_consented_is_not_told_of_when_refusing():
    """Neither is what such a visitor has said before, nor that there is somebody at all."""
    for privacy in REFUSING[:2]:
        with Edge(source(consent="required", privacy=privacy)) as edge:
            mine = edge.profile(said(news=True))
            body = {"source": {"id": "site"}, "session": {"id": "S1"}, "events": [said(news=False)]}
            edge.reply(body, **HEADERS)
            assert told(edge) == {}
            edge.track(said(ads=True), session="S1")
            assert told(edge) == known(edge, mine) == {"news": False, "ads": True}


def test_what_a_withheld_event_says_of_consents_that_do_not_count():
    """Nobody is told of it, so it is not remembered; but what was granted can be taken back."""
    listed = source(consent="required", privacy=Privacy(consent_header="X-Consent"))
    with Edge(listed) as edge:
        mine = edge.profile(said(mail=True))
        assert known(edge, mine) == told(edge) == {}
        body = {"source": {"id": "site"}, "session": {"id": "S1"}, "events": [said(mail=True)]}
        edge.reply(body, x_consent="given")
        assert known(edge, mine) == told(edge) == {"mail": True}
        edge.track(said(mail=False, other=False), session="S1")
        assert known(edge, mine) == told(edge) == {"mail": False}
