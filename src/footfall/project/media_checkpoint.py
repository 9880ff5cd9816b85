"""What of the fold is kept between two starts, as bytes: its own state, and each session's.

Where it is kept is the runner's matter. A checkpoint is always of one position in the journal:
the fold's own state and all sessions have to be written together.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from footfall.model import Micros
from footfall.project import media_session as sessions
from footfall.project.media_session import Session
from footfall.project.media_terms import KINDS

VERSION = 1
"""Of `Own`, and of what the sessions' numbers mean."""

Key = tuple[str, str]
"""Source and session id."""


class Snapshot(NamedTuple):
    """What a checkpoint has to change. `restore` takes what has been written of it."""

    fold: bytes
    """The fold's own: replaces what was there."""
    sessions: dict[Key, bytes]
    """Sessions that changed since the last snapshot, each replacing its own."""
    gone: list[Key]
    """Sessions that are no more."""


class Own(msgspec.Struct, array_like=True):
    """The fold's own part of a checkpoint."""

    version: int
    position: tuple[int, int] | None
    clock: int
    last_at: Micros | None
    closing: list[tuple[int, tuple[int, int], Key]]


def decode_own(data: bytes) -> Own:
    """Raises `msgspec.DecodeError` on other bytes, and `ValueError` on a later version's."""
    own = msgspec.msgpack.decode(data, type=Own)
    if own.version > VERSION:
        raise ValueError(f"checkpoint of version {own.version}, this is {VERSION}")
    return own


def decode_sessions(written: Iterable[bytes]) -> dict[str, dict[str, Session]]:
    """Sessions by source, by session id."""
    found: dict[str, dict[str, Session]] = {}
    with _without_collecting():
        for data in written:
            session = sessions.decode(data)
            sessions.share_texts(session)
            session.counts += [0] * (len(KINDS) - len(session.counts))
            found.setdefault(session.source, {})[session.session_id] = session
    return found


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """Millions of new objects, none of them garbage: to look for some took most of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def changed(snapshot: Snapshot, before: Mapping[Key, bytes]) -> dict[Key, bytes]:
    """The sessions of a checkpoint after a snapshot was written onto what was there before."""
    gone = set(snapshot.gone)
    return {key: data for key, data in before.items() if key not in gone} | snapshot.sessions
