"""Whose profiles sources share: from the settings into the lake, where views join by it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import duckdb
import structlog

from footfall.collect.protocols.tracardi import NAME
from footfall.collect.protocols.tracardi.settings import Tracardi
from footfall.errors import FootfallError, told
from footfall.lake.groups import put_groups
from footfall.lake.lake import Lake
from footfall.settings import Source

log = structlog.get_logger("footfall")

LOOK_SECONDS = 1.0
"""How often it is looked whether the settings were read anew."""


def groups(sources: Sequence[Source]) -> Mapping[str, str]:
    """By source that takes Tracardi, its identity group: itself where it shares with nobody."""
    return {one.id: one.of(Tracardi).identity or one.id for one in sources if NAME in one.protocols}


async def give_groups(lake: Lake, sources: Sequence[Source]) -> None:
    """Have the lake group by what the settings say."""
    await lake.run(partial(put_groups, lake, groups(sources)))


async def keep_groups(
    lake: Lake, sources: Callable[[], Sequence[Source]], stop: asyncio.Event
) -> None:
    """Do so after every reload, until `stop`. `sources`: those of the settings by now."""
    given = None
    while not stop.is_set():
        if sources() is not given:
            wanted = sources()
            try:
                await give_groups(lake, wanted)
                given = wanted
            except (duckdb.Error, OSError, FootfallError) as fault:
                log.warning("identity groups are not in the lake yet", error=told(fault))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_SECONDS)
