"""Run a program that ends when its parent does, leaves the processor to others and writes little.

``python leash.py PARENT NICE FILE_BYTES MEMORY_BYTES PROGRAM ARGUMENT…``. The file runs by itself,
so that starting it costs nothing but Python; after `exec` nothing of it is left. That the kernel
ends the program with its parent is Linux's; elsewhere it goes on to its own end.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    parent, nice, file_bytes, memory_bytes = map(int, arguments[:4])
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before this could be said
        sys.exit(1)
    os.nice(nice)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    os.execv(arguments[4], arguments[4:])  # noqa: S606 - a list of arguments, and no shell


if __name__ == "__main__":
    main(sys.argv[1:])
