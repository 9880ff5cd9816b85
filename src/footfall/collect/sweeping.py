"""Looks after the open connections of a process: their deadlines, their share of memory."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from footfall.collect.connection import Connection

log = structlog.get_logger()

SWEEP_SECONDS = 0.25


async def sweep(connections: set[Any]) -> None:
    """Hold every connection to its deadline, and all to their share; runs until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        lanes = [lane for lane in connections if isinstance(lane, Connection)]
        now = loop.time()
        for lane in lanes:
            try:
                lane.check_deadline(now)
            except Exception:
                log.exception("looking after a connection failed")
        make_room(lanes)


def make_room(lanes: list[Connection]) -> None:
    """Refuse the largest of the bodies that are arriving, where all together are too large.

    Each is within its limit, but many slow ones could fill the memory.
    """
    arriving = [(size, lane) for lane in lanes if (size := lane.body_arriving())]
    excess = sum(size for size, _ in arriving) - (lanes[0].limits.queue_bytes if lanes else 0)
    if excess <= 0:
        return
    for size, lane in sorted(arriving, key=lambda pair: -pair[0]):
        lane.give_way()
        excess -= size
        if excess <= 0:
            return
