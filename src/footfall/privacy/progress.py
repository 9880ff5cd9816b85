"""What an erasure remembers until it is done: ``erasures/<erasure_id>.json`` in the data directory.

It holds the ids, since they are needed to go on after a crash; so it is readable by the owner only
and the last thing to go.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from footfall.lake.persons import Id
from footfall.model import Micros


class Progress(msgspec.Struct, kw_only=True):
    """One erasure, as far as it has come."""

    erasure_id: str
    at: Micros
    """When it was asked for."""
    asked: list[Id]
    source: str | None = None
    repeats: list[str] = []
    """Earlier erasures that it does once more, in a directory that came from a backup."""
    ids: list[Id] = []
    """Everybody's, as far as they are found."""
    rounds: int = 0
    """How often the journal was gone through."""
    partition: int = 0
    sequence: int = 0
    """With `rounds`: the newest record of this erasure. What stands before it goes."""
    recorded_at: Micros = 0
    """The time of that record."""
    trimmed: int = 0
    """The journal holds nothing before this sequence."""
    rows: dict[str, int] = {}
    """By table of the lake, how many are gone."""
    files: int = 0
    bytes: int = 0
    """Written anew without them."""


class Erasures:
    """The directory of what is not done."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def save(self, progress: Progress) -> None:
        """Durable on return."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        file = self._file(progress.erasure_id)
        draft = file.with_suffix(".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as writing:
            writing.write(msgspec.json.encode(progress))
            writing.flush()
            os.fsync(writing.fileno())
        draft.rename(file)
        self._sync()

    def remove(self, erasure_id: str) -> None:
        self._file(erasure_id).unlink(missing_ok=True)
        self._sync()

    def unfinished(self) -> list[Progress]:
        """In the order in which they were asked for."""
        for draft in self._directory.glob("*.new"):
            draft.unlink()
        found = [
            msgspec.json.decode(file.read_bytes(), type=Progress)
            for file in self._directory.glob("*.json")
        ]
        return sorted(found, key=lambda one: one.at)

    def _file(self, erasure_id: str) -> Path:
        return self._directory / f"{erasure_id}.json"

    def _sync(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
