"""Taking profiles over from elsewhere: lines in, journal units out, counts and faults back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from footfall.collect import wire
from footfall.collect.ids import EventIds
from footfall.collect.protocols.tracardi import importing
from footfall.errors import SourceUnknown
from footfall.journal.clock import system_clock
from footfall.journal.contract import Journal, Outcome
from footfall.settings import Limits, Source

PROTOCOL = "tracardi"


class ProfileImporter:
    """Takes profiles over into one journal."""

    def __init__(self, journal: Journal, limits: Limits, secret: bytes) -> None:
        """`secret`: the data directory's."""
        self._journal = journal
        self._secret = secret
        self._limits = limits
        self._new_event_id = EventIds()

    async def __call__(
        self, sources: Sequence[Source], source_id: str, lines: Sequence[bytes]
    ) -> Mapping[str, Any]:
        """Take one profile a line over, all that can be read; durable on return.

        Gives how many are ``new``, ``changed`` or the ``same``, and the ``faults``: for each line
        that was not taken its number among `lines`, from 0, and what is wrong with it. Raises
        `SourceUnknown`, and what the journal raises.
        """
        source = _taking(sources, source_id)
        now = system_clock()
        faults: list[tuple[int, str]] = []
        units, numbers = [], []
        for number, line in enumerate(lines):
            if not line.strip():
                continue
            try:
                taken = importing.read(line, self._limits)
            except wire.NotReadable as fault:
                faults.append((number, str(fault)))
            else:
                units.append(importing.unit(taken, source, now, self._new_event_id, self._secret))
                numbers.append(number)
        counts = dict.fromkeys((importing.NEW, importing.CHANGED, importing.SAME), 0)
        results = await self._journal.transact(units) if units else ()
        for number, result in zip(numbers, results, strict=True):
            if isinstance(result, Outcome):
                counts[str(result.reply)] += 1
            else:
                faults.append((number, "It cannot be written down as JSON."))
        return {**counts, "faults": sorted(faults)}


def _taking(sources: Sequence[Source], source_id: str) -> Source:
    for source in sources:
        if source.id == source_id and PROTOCOL in source.protocols:
            return source
    raise SourceUnknown(f'No source "{source_id}" that takes {PROTOCOL} is set up here.')
