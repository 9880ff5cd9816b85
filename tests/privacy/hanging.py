"""A patch for a server: its first erasure stops where it leaves nothing behind, for ever."""

import asyncio


def child(parameters):
    from pathlib import Path

    from footfall.lake import erasure

    leave_nothing = erasure.leave_nothing
    mark = Path(parameters["data"]).parent / "hanging"

    async def hanging(lake):
        if not mark.exists():
            mark.write_text("")
            await asyncio.sleep(3600)
        await leave_nothing(lake)

    erasure.leave_nothing = hanging
