"""File layers that do what disks do on a bad day."""

import errno
import os
import threading

from footfall.journal.engines.files import Files

SECTOR = 512


class PowerLoss(BaseException):
    """The machine is gone; nothing after this happens."""


class NoSync(Files):
    """Syncs nothing: for tests that are not about durability."""

    def sync(self, fd):
        pass


class Picky(Files):
    """Raises what a test sets, at what a test names."""

    def __init__(self):
        self.faults = {}
        self.free = None

    def _meet(self, name):
        if name in self.faults:
            raise self.faults[name]

    def allocate(self, fd, offset, count):
        self._meet("allocate")
        super().allocate(fd, offset, count)

    def pwrite(self, fd, data, offset):
        if "pwrite" in self.faults:
            super().pwrite(fd, data[: len(data) // 2], offset)
        self._meet("pwrite")
        super().pwrite(fd, data, offset)

    def sync(self, fd):
        self._meet("sync")

    def sync_directory(self, directory):
        self._meet("sync_directory")

    def free_bytes(self, directory):
        return super().free_bytes(directory) if self.free is None else self.free


NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
IO_ERROR = OSError(errno.EIO, os.strerror(errno.EIO))


class Stalling(Files):
    """Syncs hang until they are let go."""

    def __init__(self):
        self.go = threading.Event()
        self.reached = threading.Event()

    def sync(self, fd):
        self.reached.set()
        self.go.wait(30)


class _Node:
    """One file: what the disk has of it, and what was written since the last sync."""

    def __init__(self):
        self.durable = b""
        self.pending = []


class Forgetful(Files):
    """Works on the real files, and knows what of them a loss of power would leave.

    `crash_at` counts the operations that change anything; there `PowerLoss` is raised.
    """

    def __init__(self, crash_at=None):
        self.crash_at = crash_at
        self.steps = 0
        self._nodes = {}
        self._names = {}
        self._durable_names = {}

    def _step(self):
        self.steps += 1
        if self.crash_at is not None and self.steps > self.crash_at:
            raise PowerLoss

    def open(self, path, *, create=False):
        if create and path.name not in self._names:
            self._step()
        fd = super().open(path, create=create)
        self._nodes[fd] = self._names.setdefault(path.name, _Node())
        return fd

    def pwrite(self, fd, data, offset):
        self._step()
        super().pwrite(fd, data, offset)
        self._nodes[fd].pending.append((offset, bytes(data)))

    def allocate(self, fd, offset, count):
        self._step()
        super().allocate(fd, offset, count)
        self._nodes[fd].pending.append((offset + count, None))

    def truncate(self, fd, size):
        self._step()
        super().truncate(fd, size)
        self._nodes[fd].pending.append((-size, None))

    def sync(self, fd):
        self._step()
        node = self._nodes[fd]
        node.durable = self.pread(fd, self.size(fd), 0)
        node.pending = []

    def sync_directory(self, directory):
        self._step()
        self._durable_names = dict(self._names)

    def rename(self, source, target):
        self._step()
        super().rename(source, target)
        self._names[target.name] = self._names.pop(source.name)

    def unlink(self, path):
        if path.name in self._names:
            self._step()
            del self._names[path.name]
        super().unlink(path)

    def after_power_loss(self, target, random):
        """Write into `target` what the disk holds: all that was synced, and any of the rest."""
        target.mkdir()
        names = dict(self._durable_names)
        for name in sorted({*self._names, *names}):
            if random.random() < 0.5:
                names.pop(name, None)
                if name in self._names:
                    names[name] = self._names[name]
        for name, node in names.items():
            (target / name).write_bytes(_survived(node, random))


def _survived(node, random):
    content = bytearray(node.durable)
    for offset, data in node.pending:
        if data is None:
            if random.random() < 0.5:
                size = abs(offset)
                if offset > 0:
                    content.extend(bytes(max(size - len(content), 0)))
                else:
                    del content[size:]
            continue
        for start in range(0, len(data), SECTOR):
            if random.random() < 0.5:
                piece = data[start : start + SECTOR]
                place = offset + start
                content.extend(bytes(max(place + len(piece) - len(content), 0)))
                content[place : place + len(piece)] = piece
    return bytes(content)
