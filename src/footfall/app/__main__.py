"""`python -m footfall.app '{"role": …}'`: how the supervisor starts a child.

`recover` verifies the journal before a collector or the worker opens it.
"""

from __future__ import annotations

import footfall.lean  # noqa: F401 - for what it does

# isort: split
import asyncio
import gc
import json
import os
import sys
from typing import Any

import structlog

from footfall import logs
from footfall.app.child import Process, die_with_parent
from footfall.data import DataDirectory
from footfall.errors import FootfallError, told
from footfall.journal.engines.local import LocalJournal
from footfall.supervisor import CHILD_FAILED

NICE = 5
"""The worker's share of a busy processor is a third of a collector's."""

log = structlog.get_logger("footfall")


def recover(data: DataDirectory) -> int:
    """Verify the journal and say what was found; the exit code."""
    found = LocalJournal.recover(data.journal)
    log.info("journal verified", **found._asdict())
    return 0


def collector(process: Process) -> int:
    import uvloop  # noqa: PLC0415 - each kind of child loads what it needs and no more

    from footfall.app.collector import collector as run  # noqa: PLC0415 - as above

    # What start-up made stays for good: leave it out of every later collection. Requests make no
    # cycles, only many objects at once: look for cycles rarely.
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    return uvloop.run(run(process))


def worker(process: Process) -> int:
    from footfall.app.worker import worker as run  # noqa: PLC0415 - as above

    # Tracking comes first: what is acknowledged can be loaded and looked at a moment later.
    os.nice(NICE)
    gc.freeze()
    return asyncio.run(run(process))


CHILDREN = {"collector": collector, "worker": worker}


def count_as(name: str) -> None:
    """Keep metrics in the files of this child's name, which the supervisor made.

    Before `footfall.metrics` is imported.
    """
    from prometheus_client import values  # noqa: PLC0415 - recovery needs no metrics

    values.ValueClass = values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]


def main(argument: str) -> int:
    """One child's life; its exit code."""
    parameters: dict[str, Any] = json.loads(argument)
    role, name = parameters["role"], parameters["name"]
    logs.configure(name)
    die_with_parent(parameters["alive"])
    try:
        if role == "recover":
            return recover(DataDirectory.open(parameters["data"]))
        count_as(name)
        return CHILDREN[role](Process(parameters))
    except FootfallError as fault:
        log.error("ended", error=str(fault), code=fault.code, remedy=fault.remedy)  # noqa: TRY400 - in words
    except Exception as fault:
        log.exception("ended", error=told(fault))
    return CHILD_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
