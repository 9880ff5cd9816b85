"""Media sessions written tersely, for a console's journal.

A session is lines `at playhead type [params as JSON]`; `at` is seconds since its start.
"""

from __future__ import annotations

import asyncio
import json

import msgspec
from visiting import NOON, SECOND, Console

from footfall.journal.contract import Change, Outcome
from footfall.model import Event, MediaSession, media_key

START = {
    "analytics.trackingServer": "t",
    "analytics.reportSuite": "suite",
    "visitor.marketingCloudOrgId": "org",
    "media.contentType": "vod",
    "media.playerName": "player",
    "media.channel": "web",
}


def sid(number) -> str:
    return f"{number:064x}"


def watch(
    console: Console,
    number,
    text,
    *,
    start=NOON - 1800 * SECOND,
    source="site",
    viewer=None,
    **media,
):
    """Session `number` begins at `start`; sessionEnd closes it. `media`: params by their short name."""
    given = {"id": "film", "length": 100} | media
    params = START | {f"media.{name}": value for name, value in given.items()}
    if viewer:
        params["visitor.marketingCloudUserId"] = viewer
    events, changes = [], []
    for line in filter(str.strip, text.splitlines()):
        at, playhead, kind, *more = line.split(None, 3)
        moment = start + round(float(at) * SECOND)
        properties = {"params": params} if kind == "sessionStart" else None
        if more:
            properties = {"params": json.loads(more[0])}
        events.append(
            Event(
                event_id=f"{number}-{source}-{len(events)}", source=source, protocol="adobe", type=kind,
                occurred_at=moment, received_at=start, session_id=sid(number),
                playhead_s=float(playhead), properties=properties, device="tv",
            )
        )  # fmt: skip
        if kind == "sessionEnd":
            closing = MediaSession(source, start, moment, "ended")
            changes.append(
                Change(
                    media_key(sid(number)), msgspec.msgpack.encode(closing), NOON + 86_400 * SECOND
                )
            )
    outcome = Outcome(events=tuple(events), changes=tuple(changes))
    asyncio.run(console.journal.transact([outcome]))


def settle(console: Console):
    """What is closed becomes final and goes into the lake: 10 s pass on the journal's clock."""

    async def work():
        for _ in range(2):
            console.clock += 5 * SECOND
            await console.journal.transact([])
        await console.service.refresh("media_sessions")

    asyncio.run(work())
