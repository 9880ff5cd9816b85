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
