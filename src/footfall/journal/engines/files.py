"""Everything that the local engine asks of the file system, in one small object.

Tests put another in its place: one that forgets what was not synced, has no space left, or
fails or stalls a sync. Nothing here knows what the bytes mean.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

if sys.platform == "darwin":
    import fcntl


class Files:
    """The real file system. Raises `OSError` as the system does."""

    def open(self, path: Path, *, create: bool = False) -> int:
        """Open for reading and writing; a file that is there keeps its content."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        return os.open(path, flags, 0o600)

    def close(self, fd: int) -> None:
        os.close(fd)

    def size(self, fd: int) -> int:
        return os.fstat(fd).st_size

    def pread(self, fd: int, count: int, offset: int) -> bytes:
        """Up to `count` bytes; fewer only at the end of the file."""
        data = os.pread(fd, count, offset)
        while 0 < len(data) < count:
            more = os.pread(fd, count - len(data), offset + len(data))
            if not more:
                break
            data += more
        return data

    def pwrite(self, fd: int, data: bytes, offset: int) -> None:
        """Write all of `data`; where it raises, any part may have been written."""
        written = os.pwrite(fd, data, offset)
        while written < len(data):
            written += os.pwrite(fd, data[written:], offset + written)

    def allocate(self, fd: int, offset: int, count: int) -> None:
        """Take space before it is written, so that a full disk shows here. Grows the file."""
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(fd, offset, count)
        elif os.fstat(fd).st_size < offset + count:
            os.ftruncate(fd, offset + count)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def empty(self, path: Path) -> None:
        """Give up a file's content, also for those who have it open still."""
        with contextlib.suppress(FileNotFoundError):
            os.truncate(path, 0)

    def sync(self, fd: int) -> None:
        """Make a file's data durable, and as much of its metadata as reading it needs."""
        if sys.platform == "darwin":
            fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # fsync stops at the disk's cache there
        else:
            os.fdatasync(fd)

    def sync_directory(self, directory: Path) -> None:
        """Make creations, renames and deletions in a directory durable."""
        fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def rename(self, source: Path, target: Path) -> None:
        source.replace(target)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def names(self, directory: Path) -> list[str]:
        return [entry.name for entry in directory.iterdir()]

    def forget_cached(self, fd: int) -> None:
        """Ask that the next read comes from the disk; after a failed sync memory may differ."""
        with contextlib.suppress(OSError, AttributeError):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def free_bytes(self, directory: Path) -> int:
        """Space that is left for us. Answered from memory on local file systems."""
        status = os.statvfs(directory)
        return status.f_bavail * status.f_frsize
