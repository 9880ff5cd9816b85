"""The data directory: what is where in it, which format it has, and who holds it.

It knows names, not contents: the journal and the lake each own their folder. Nothing is created
by looking; `DataDirectory.create` makes a directory, `DataDirectory.open` wants one that is there.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from footfall.errors import (
    DataDirectoryForeign,
    DataDirectoryInUse,
    DataDirectoryMissing,
    DataDirectoryTooNew,
)

FORMAT = 1
"""The format that this release writes. A release opens every format up to its own."""

SECRET_BYTES = 32

_HARMLESS = frozenset({"lost+found"})
"""What an empty file system holds."""


class DataDirectory:
    """One data directory, by its path."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
        self.version = self.path / "VERSION"
        self.lock_file = self.path / "lock"
        self.journal = self.path / "journal"
        self.lake = self.path / "lake"
        self.project = self.path / "project"
        self.metrics = self.path / "metrics"
        self.creatives = self.path / "creatives"
        self.secret_file = self.path / "secret"
        self.control = self.path / "control.sock"

    @classmethod
    def create(cls, path: str | Path) -> DataDirectory:
        """The directory, made where it is not there yet, readable by its owner only.

        Raises `DataDirectoryForeign` where the path holds something else, and
        `DataDirectoryTooNew`.
        """
        data = cls(path)
        if data.path.exists() and not data.path.is_dir():
            raise DataDirectoryForeign(f"{data.path} is not a directory.")
        data.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not data.version.exists():
            data._refuse_other_contents()
            data._write_version()
        data._check_version()
        return data

    @classmethod
    def open(cls, path: str | Path) -> DataDirectory:
        """The directory as it is. Raises `DataDirectoryMissing` where there is none, else as
        `create`.
        """
        data = cls(path)
        if not data.path.is_dir():
            raise DataDirectoryMissing(f"There is no data directory at {data.path}.")
        if not data.version.exists():
            raise DataDirectoryForeign(f"{data.path} is not a data directory: it has no VERSION.")
        data._check_version()
        return data

    @contextmanager
    def lock(self) -> Iterator[int]:
        """Hold the directory: one process at a time, until the block or the process ends.

        Gives the lock's descriptor: a child process that inherits it holds the directory too.
        Raises `DataDirectoryInUse`, at once.
        """
        descriptor = os.open(self.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataDirectoryInUse(f"{self.path} is in use{self._holder()}.") from None
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
            yield descriptor
        finally:
            # Closing releases the lock. The file stays: removing it would let a second process
            # lock a new file of the name while a third still waits for the old one.
            os.close(descriptor)

    def secret(self) -> bytes:
        """32 random bytes of this directory, made when first asked for: the key of keyed hashes.

        Ids that must not be kept are kept as such hashes. Readable by the owner only.
        """
        with contextlib.suppress(FileNotFoundError):
            return self._read_secret()
        draft = self.path / f".secret.{secrets.token_hex(8)}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, f"{secrets.token_hex(SECRET_BYTES)}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        # Of several processes that ask at once, the first one's stands.
        with contextlib.suppress(FileExistsError):
            self.secret_file.hardlink_to(draft)
        draft.unlink()
        _sync_directory(self.path)
        return self._read_secret()

    def _read_secret(self) -> bytes:
        text = self.secret_file.read_text(encoding="ascii", errors="replace").strip()
        with contextlib.suppress(ValueError):
            if len(secret := bytes.fromhex(text)) == SECRET_BYTES:
                return secret
        raise DataDirectoryForeign(f"{self.secret_file} holds no secret of {SECRET_BYTES} bytes.")

    def _holder(self) -> str:
        """Who wrote itself into the lock file, for the message; empty where nobody has yet."""
        text = self.lock_file.read_text().strip()
        return f" by process {text}" if text.isdigit() else ""

    def _refuse_other_contents(self) -> None:
        others = [
            entry.name
            for entry in self.path.iterdir()
            if entry.name not in _HARMLESS and not entry.name.startswith(".")
        ]
        if others:
            raise DataDirectoryForeign(
                f"{self.path} has no VERSION, but holds other files, such as {min(others)}."
            )

    def _write_version(self) -> None:
        """Whole or not at all, whenever the power goes."""
        draft = self.path / ".VERSION.new"
        with draft.open("w") as file:
            file.write(f"{FORMAT}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self.version)
        _sync_directory(self.path)

    def _check_version(self) -> None:
        text = self.version.read_text(encoding="ascii", errors="replace").strip()
        if not text.isdigit() or int(text) < 1:
            raise DataDirectoryForeign(f"{self.version} holds no format number.")
        if int(text) > FORMAT:
            raise DataDirectoryTooNew(
                f"{self.path} has format {text}; this release knows formats up to {FORMAT}."
            )


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
