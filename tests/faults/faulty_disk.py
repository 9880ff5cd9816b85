"""A patch for `served_with.py`: a disk whose faults are files in `faults`, beside the data.

``sync-fails.ROLE``    the next sync of such a process fails, once, and what it should have made
                       durable is gone, as after a fault that a disk's driver reports once
``sync-stalls.ROLE``   syncs hang for as long as the file is there
``full``               the log cannot grow for as long as the file is there
"""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path


def supervisor(children):
    children.RESTART_SECONDS = (0.05,)


def child(parameters):
    from footfall.journal.engines import local
    from footfall.journal.engines.files import Files

    faults = Path(parameters["data"]).parent / "faults"
    role = parameters["role"]

    class Faulty(Files):
        def __init__(self):
            self.unsynced = []

        def allocate(self, fd, offset, count):
            self._meet_full()
            super().allocate(fd, offset, count)

        def free_bytes(self, directory):
            return 0 if (faults / "full").exists() else super().free_bytes(directory)

        def _meet_full(self):
            if (faults / "full").exists():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def pwrite(self, fd, data, offset):
            self._meet_full()
            self.unsynced.append((fd, os.pread(fd, len(data), offset), offset))
            super().pwrite(fd, data, offset)

        def sync(self, fd):
            fails = faults / f"sync-fails.{role}"
            if fails.exists():
                fails.unlink()
                for written, before, offset in reversed(self.unsynced):
                    os.pwrite(written, before, offset)
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            while (faults / f"sync-stalls.{role}").exists():
                time.sleep(0.02)
            super().sync(fd)
            self.unsynced.clear()

    local.Files = Faulty
