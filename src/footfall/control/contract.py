"""What can be asked of whoever holds a data directory.

The worker of a running server implements `Service`, and so does the client of its socket; where
no server runs, a command opens the same service in its own process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Literal, Protocol

CONTENT_TYPES: Mapping[str, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
}
"""The formats of `Service.query`, with what they are on the wire."""


class Service(Protocol):
    """What is asked. Every one may raise a `footfall.errors.FootfallError`.

    Streams are asynchronous generators: nothing happens before their first item is asked for,
    and closing one ends the work behind it.
    """

    def query(self, sql: str, fmt: str) -> AsyncIterator[bytes]:
        """One SELECT's result in a format of `CONTENT_TYPES`, in pieces.

        JSON is one array of objects; CSV has a header line, also where there are no rows.
        Raises `QueryRefused`, `QueryTimeout`.
        """
        ...

    def tail(self, *, follow: bool, start: str) -> AsyncIterator[bytes]:
        """Events and rejects in the journal's order, as lines made by `tail_line`.

        An item holds one or more whole lines. `start` is "start" (the first record that is
        kept), "now" (what is committed from now on) or a position, "0:4711". With `follow` it
        goes on for ever, else it ends where the journal ends.
        """
        ...

    async def session(self, session_id: str) -> Sequence[Mapping[str, Any]]:
        """A session of any protocol: by table, its rows.

        Of a media session, open or closed, with its account, and under ``events``, in the order of
        their time, what each changed, or why it did not. Of any other its row of ``sessions``, and
        under ``timeline`` its events; ``later_events`` are so many more. Empty where there is none
        of this id; more than one where several sources or protocols have it.
        """
        ...

    async def profile(self, profile_id: str) -> Sequence[Mapping[str, Any]]:
        """The profiles that an id, or an alias, stands for: one for each identity that has it.

        ``{"sources", "profiles", "traits", "consents", "aliases", "visits", "events",
        "earlier_events"}``: who shares it, its row of ``profiles``, what that was made of, the
        latest first, and how many events are not among them. Empty where there is none.
        """
        ...

    async def status(self) -> Mapping[str, Any]:
        """How things stand: names to numbers, texts, lists and further such mappings."""
        ...

    async def import_profiles(self, source: str, lines: Sequence[bytes]) -> Mapping[str, Any]:
        """Take profiles over from elsewhere, one a line as JSON, into a source; durable on return.

        Gives how many are ``new``, ``changed`` and the ``same``, and as ``faults`` the lines that
        were not taken, ``[[number from 0, why], …]``. Raises `SourceUnknown`.
        """
        ...

    def forget(
        self,
        people: Sequence[Mapping[str, str]],
        source: str | None = None,
        *,
        resume: bool = False,
        audit: str | None = None,
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Erase people of one source or of all: ``[{"profile": "…"}, {"user": "…"}]``.

        Or, with nobody named, go on with what was broken off (`resume`), or erase once more whom
        the text of an audit says, where they are here (`audit`). Items tell the progress as
        `backup`'s do; one of each erasure has its ``receipt``. Closing the stream breaks it off;
        it goes on when the server starts, or with `resume`. Raises `ErasureUnfinished`,
        `AuditNotValid`, `PeopleNotNamed`, and `SourceUnknown` where nothing is known of it.
        """
        ...

    def export(
        self, people: Sequence[Mapping[str, str]], source: str | None = None
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Everything that is kept about each of some people, as a JSON document for each.

        Items are pieces of one, in order, ``{"person": 0, "text": "…"}``, and after its last piece
        one that tells the progress. Raises `PeopleNotNamed`, `SourceUnknown`.
        """
        ...

    def backup(self, destination: str) -> AsyncIterator[Mapping[str, Any]]:
        """Write a backup into a directory (an absolute path) that is empty or not there yet.

        Every item tells the progress: ``{"done": 3, "total": 17, "what": "journal/…"}``, in
        files or bytes as it likes; the last one has ``done == total``.
        """
        ...


def tail_line(kind: Literal["event", "reject"], position: tuple[int, int], raw: bytes) -> bytes:
    """One line of `Service.tail`: ``{"event": {…}, "position": "0:4711"}``.

    `raw` is the event or reject as the journal has it, JSON without a newline.
    """
    partition, sequence = position
    return b'{"%s":%s,"position":"%d:%d"}\n' % (kind.encode(), raw, partition, sequence)
