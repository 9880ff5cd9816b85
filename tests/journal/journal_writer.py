"""A process that writes to a shared journal, for `test_journal_processes`.

    journal_writer.py DIRECTORY NAME GROUPS

Each group counts the key `total` and stores an event that says the count; what was acknowledged
is printed, one event id per line.
"""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from journal_units import count, say

from footfall.journal.engines.local import LocalJournal


async def write(journal, name, groups):
    for n in range(groups):
        counted = f"{name}-{n}"
        # Every third group leaves the state alone, as most do.
        units = (
            [count("total", counted)] if n % 3 else [count("total", counted), say(f"{counted}-x")]
        )
        results = await journal.transact([*units, count(f"own-{name}")])
        assert results[-1].reply == n + 1, results
        sys.stdout.write(f"{counted}\n")
        sys.stdout.flush()


def main(directory, name, groups):
    journal = LocalJournal(Path(directory), segment_bytes=20_000, allocate_bytes=4096)
    journal.open()
    try:
        asyncio.run(write(journal, name, int(groups)))
    finally:
        journal.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
