"""Profile ids that prove themselves."""

from __future__ import annotations

import re
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st
from tracked import NOW, SECOND, Edge, source

from footfall.collect.protocols.tracardi import identity
from footfall.collect.protocols.tracardi.identity import DAY, Known
from footfall.collect.protocols.tracardi.issued import ProfileIds

IDS = ProfileIds(b"secret", "site", 730 * DAY)
ISSUED = IDS.issue(str(uuid4()), NOW)


def test_an_issued_id_is_a_uuid_and_says_when_it_began():
    assert UUID(ISSUED).version == 4
    assert ISSUED == str(UUID(ISSUED))
    assert IDS.known(ISSUED, NOW) == Known(NOW // SECOND * SECOND, 1)


def test_it_proves_itself_to_its_own_group_and_directory_only():
    assert ProfileIds(b"secret", "shop", 730 * DAY).known(ISSUED, NOW) is None
    assert ProfileIds(b"another", "site", 730 * DAY).known(ISSUED, NOW) is None


@given(place=st.integers(0, 35), letter=st.characters())
def test_one_letter_changed_proves_nothing(place, letter):
    forged = ISSUED[:place] + letter + ISSUED[place + 1 :]
    assert (IDS.known(forged, NOW) is None) is (forged != ISSUED)


@given(st.text())
def test_no_text_passes(text):
    assert IDS.known(text, NOW) is None


def test_it_is_forgotten_like_one_that_was_written():
    assert IDS.known(ISSUED, NOW + 729 * DAY) is not None
    assert IDS.known(ISSUED, NOW + 730 * DAY) is None


def test_who_comes_for_the_first_time_costs_one_row_and_is_known_by_the_next():
    with Edge() as edge:
        mine = edge.profile("x", session="S1")
        assert [change.key for change in edge.changes()] == [identity.session_key("site", "S1")]
        assert edge.profile("x", session="S2", profile=mine) == mine
        assert edge.known(mine).visits == 2


def test_a_stranger_cannot_make_up_an_id():
    with Edge() as edge:
        made_up = re.sub(".{8}$", "00000000", edge.profile("x", session="S1"))
        assert edge.profile("x", session="S2", profile=made_up) != made_up


def test_an_erased_id_proves_nothing_to_any_source_of_its_group():
    with Edge(source("a", identity="g"), source("b", identity="g")) as edge:
        mine = edge.profile("x", source="a")
        assert edge.profile("x", source="b", session="S2", profile=mine) == mine
        edge.forget(mine)
        edge.now += SECOND
        for number, name in enumerate(("a", "b")):
            assert edge.profile("x", source=name, session=f"T{number}", profile=mine) != mine
        assert edge.profile("x", source="a") != mine
