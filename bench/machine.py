"""What every result table names: the machine, and the memory of a process and its children."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from footfall.supervisor.child import MEMORY

PAGE = os.sysconf("SC_PAGE_SIZE")


def describe() -> str:
    """One line: processor, cores, memory, system."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    total = os.sysconf("SC_PHYS_PAGES") * PAGE / 2**30
    return (
        f"{model}, {os.cpu_count()} cores, {total:.0f} GiB, {platform.system()} "
        f"{platform.release().split('-')[0]}, Python {platform.python_version()}"
    )


def processes(root: int) -> dict[int, str]:
    """A process and all its descendants: pid to command line."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {root}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            break
        found |= more
    return {pid: _command(pid) for pid in sorted(found)}


def resident_mb(root: int) -> float:
    """Resident memory of a process and all its descendants together, in MB."""
    total = 0
    for pid in processes(root):
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
        except OSError:
            continue
    return total / 1e6


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def as_collector() -> None:
    """Begin anew with the memory settings of a collector, which malloc reads once, at its start."""
    wanted = MEMORY["collector"]
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **wanted})
