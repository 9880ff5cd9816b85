"""What remains of an erasure: ``erasures.jsonl`` in the data directory, one line for each.

A line names nobody: of every id that was asked for it holds the keyed hash (HMAC-SHA256 under the
directory's secret), by which the erasure can be shown for an id that somebody names, and be done
once more where an older backup was restored. Beside it, ``backups.jsonl`` says which backups were
made when: those made before an erasure still hold the person.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from footfall.errors import AuditNotValid
from footfall.lake.persons import Kind
from footfall.model import Micros
from footfall.privacy.progress import Progress


class Subject(msgspec.Struct, frozen=True):
    """One id that was asked for."""

    kind: Kind
    hmac_sha256: str


class Backup(msgspec.Struct, frozen=True):
    """One backup that was begun."""

    path: str
    at: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One erasure that is done: the receipt that was given, and a line of the audit."""

    erasure_id: str
    asked_at: str
    done_at: str
    subjects: tuple[Subject, ...]
    source: str | None = None
    repeats: tuple[str, ...] = ()
    ids: dict[str, int] = {}
    """By kind, how many ids were found to be theirs."""
    rows: dict[str, int]
    """By table of the lake, how many are gone."""
    files_rewritten: int
    bytes_rewritten: int
    journal_trimmed_through: str
    """The journal holds nothing before this position."""
    backups: tuple[Backup, ...] = ()
    """Made before it was done: they still hold these people."""
    backups_note: str = ""
    secret_fingerprint: str
    """Which directory's secret the hashes were made with, by its own hash."""


STILL_IN_BACKUPS = (
    "The backups named here were made before and still hold these people. Delete them as your "
    "policy says; after restoring one, run: footfall forget --repeat-audit FILE, with a copy of "
    "this directory's erasures.jsonl."
)


def hashed(secret: bytes, kind: Kind, name: str) -> str:
    """An id's keyed hash."""
    return hmac.new(secret, f"{kind}:{name}".encode(), hashlib.sha256).hexdigest()


def fingerprint(secret: bytes) -> str:
    """By which a secret is told from another."""
    return hmac.new(secret, b"fingerprint", hashlib.sha256).hexdigest()[:16]


def entry(progress: Progress, secret: bytes, backups: Iterable[Backup], now: Micros) -> Entry:
    """The receipt of an erasure that is done."""
    kinds = [one.kind for one in progress.ids]
    held = tuple(backups)
    return Entry(
        erasure_id=progress.erasure_id,
        asked_at=moment(progress.at),
        done_at=moment(now),
        subjects=tuple(
            Subject(one.kind, hashed(secret, one.kind, one.id)) for one in progress.asked
        ),
        source=progress.source,
        repeats=tuple(progress.repeats),
        ids={kind: kinds.count(kind) for kind in sorted(set(kinds))},
        rows=progress.rows,
        files_rewritten=progress.files,
        bytes_rewritten=progress.bytes,
        journal_trimmed_through=f"{progress.partition}:{progress.trimmed}",
        backups=held,
        backups_note=STILL_IN_BACKUPS if held else "",
        secret_fingerprint=fingerprint(secret),
    )


def moment(at: Micros) -> str:
    return datetime.fromtimestamp(at / 1e6, UTC).isoformat(timespec="seconds")


def append(file: Path, line: Any) -> None:
    """Add a line to a file of JSON lines; durable on return.

    The half of a line that a crash left at the end is given up.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b") as opened:
        whole = opened.read().rpartition(b"\n")
        opened.seek(len(whole[0]) + len(whole[1]))
        opened.truncate()
        opened.write(msgspec.json.encode(line) + b"\n")
        opened.flush()
        os.fsync(opened.fileno())


def entries(file: Path) -> list[Entry]:
    """The whole lines of an audit. Raises `AuditNotValid`."""
    return _lines(file, Entry)


def read(text: str) -> list[Entry]:
    """The lines of an audit that somebody gave. Raises `AuditNotValid`."""
    return _decoded(text.encode(), Entry, "The audit")


def backups(file: Path) -> list[Backup]:
    return _lines(file, Backup)


def _lines(file: Path, kind: type[Any]) -> list[Any]:
    try:
        whole = file.read_bytes().rpartition(b"\n")[0]
    except FileNotFoundError:
        return []
    return _decoded(whole, kind, str(file))


def _decoded(lines: bytes, kind: type[Any], what: str) -> list[Any]:
    try:
        return msgspec.json.Decoder(kind).decode_lines(lines)
    except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
        raise AuditNotValid(f"{what} cannot be read: {fault}") from fault
