"""What the state holds of a session goes with whoever is erased."""

from __future__ import annotations

from footfall.app import erasing
from footfall.model import Erasure
from footfall.settings import Service, Source
from footfall.stream import contexts, owed

SOURCES = (Source(id="site", protocols=()), Source(id="blog", protocols=()))
SERVICES = tuple(
    Service(id=name, source=source, kind="live", origin="https://o.example.com/")
    for name, source in (("tv", "site"), ("films", "site"), ("clips", "blog"))
)


def test_sessions_of_every_service_that_is_meant():
    everywhere = set(erasing.keys(SOURCES, Erasure(sessions=("a", "b")), SERVICES))
    wanted = {contexts.session_key(one.id, name) for one in SERVICES for name in "ab"}
    assert wanted <= everywhere
    there = set(erasing.keys(SOURCES, Erasure(sessions=("a",), source="site"), SERVICES))
    assert contexts.session_key("tv", "a") in there
    assert contexts.session_key("clips", "a") not in there


def test_what_is_kept_of_beacons_names_nobody():
    assert "session-1" not in owed.fired_key("tv", "session-1", "slot:1:X")
    assert owed.fired_key("tv", "s/a", "b") != owed.fired_key("tv", "s", "c")


def test_collectors_are_told_to_look_at_their_sessions_again():
    changed = {one.key for one in erasing.ended(SOURCES, Erasure(sessions=("a",)), 5, b"secret")}
    assert contexts.ERASED in changed
