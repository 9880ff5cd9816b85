"""Prepared creatives on the disk: what is wanted, what is ready, what could not be made.

A folder with one entry for each key, which is made of the source's address and the profile, and
shared by all processes:

``queue/<key>.json``   a `Job` that somebody wants done; written by collectors, whole or not at all
``work/…``             what is being made; whatever stands there when the worker starts is rubbish
``ready/<key>/``       playlists and segments, as they are served, and ``job.json``
``failed/<key>.json``  a `Failed`

A source that changes under its address is not noticed: a creative that is changed needs another
address, as caches between the ad server and its players need it too. Addresses are compared whole,
query included.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from footfall.stream.encoding import MULTIVARIANT
from footfall.stream.ladder import Profile

VERSION = 1
"""Of what encoding makes of the same source and profile; part of each key."""
QUEUED_MOST = 256
RETRY_SECONDS = 600.0
"""A creative that failed is tried again when somebody wants it after that."""
FORGET_SECONDS = 86_400.0
"""Failures that nobody asks for again are removed."""
IN_USE_SECONDS = 600.0
"""Nothing is deleted that was used so lately."""
TOUCH_SECONDS = 60.0

TYPES = {
    "m3u8": "application/vnd.apple.mpegurl",
    "ts": "video/mp2t",
    "m4s": "video/mp4",
    "mp4": "video/mp4",
}
"""Content types of what is served, by the ending of its name."""

_KEY = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(
    r"index\.m3u8|[va][0-9]\.m3u8|[va][0-9]-init\.mp4|[va][0-9]-[0-9]{1,4}\.(?:ts|m4s)"
)


class Job(msgspec.Struct, frozen=True):
    """One creative that is to be prepared."""

    key: str
    service: str
    """Whose limits and hosts hold for fetching the source."""
    address: str
    hls: bool
    """Its source is an HLS multivariant or media playlist, not a file."""
    profile: Profile
    most_bps: int = 0
    """Of an HLS source: the best rendition that is wanted; 0: the best there is."""


class Failed(msgspec.Struct, frozen=True):
    """Why a creative could not be prepared."""

    address: str
    reason: str
    at: float
    """Seconds since 1970."""


def job_of(service: str, address: str, profile: Profile, *, hls: bool) -> Job:
    """The job that prepares a source to a profile, under the key that everybody gives it."""
    text = f"{VERSION}\n{profile.key}\n{address}".encode()
    key = hashlib.blake2b(text, digest_size=16).hexdigest()
    highest = max((rung.bandwidth for rung in profile.rungs), default=0)
    return Job(key, service, address, hls, profile, highest)


class Store:
    """The folder of prepared creatives. Methods are short; those of the worker are marked so."""

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self.path = path
        self._ready = path / "ready"
        self._queue = path / "queue"
        self._failed = path / "failed"
        self._work = path / "work"
        self._now = now
        self._touched: dict[str, float] = {}

    # What collectors ask

    def is_ready(self, key: str) -> bool:
        return (self._ready / key / MULTIVARIANT).is_file()

    def is_queued(self, key: str) -> bool:
        return (self._queue / f"{key}.json").is_file()

    def failure(self, key: str) -> Failed | None:
        """Why it could not be prepared, where that is not so long ago that it may be tried."""
        with contextlib.suppress(OSError, msgspec.DecodeError):
            failed = msgspec.json.decode((self._failed / f"{key}.json").read_bytes(), type=Failed)
            if 0 <= self._now() - failed.at < RETRY_SECONDS:
                return failed
        return None

    def queue(self, job: Job) -> bool:
        """Want a job done; False where too many wait. Any number of processes may want the same."""
        if self.is_queued(job.key):
            return True
        self._queue.mkdir(mode=0o700, parents=True, exist_ok=True)
        if sum(1 for _ in os.scandir(self._queue)) >= QUEUED_MOST:
            return False
        _write(self._queue / f"{job.key}.json", msgspec.json.encode(job))
        return True

    def file(self, key: str, name: str) -> Path | None:
        """A file as it is served, or None: there is no such creative or file, or never can be."""
        if not _KEY.fullmatch(key) or not _NAME.fullmatch(name):
            return None
        path = self._ready / key / name
        if not path.is_file():
            return None
        self.touch(key)
        return path

    def touch(self, key: str) -> None:
        """Say that a creative is in use. Cheap: the disk hears of it once a minute."""
        now = self._now()
        if now - self._touched.get(key, 0.0) < TOUCH_SECONDS:
            return
        if len(self._touched) > 4096:
            self._touched.clear()
        self._touched[key] = now
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._ready / key / "job.json", (now, now))

    # What the worker does

    def clean(self) -> None:
        """Remove what a process that died left behind. Only while nobody prepares."""
        shutil.rmtree(self._work, ignore_errors=True)
        for draft in self._queue.glob(".*"):
            if self._now() - _modified(draft) > TOUCH_SECONDS:
                draft.unlink(missing_ok=True)

    def jobs(self) -> list[Job]:
        """What waits, the oldest first. What cannot be read is removed."""
        found = []
        for path in sorted(self._queue.glob("[!.]*.json"), key=_modified):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Job))
            except FileNotFoundError:
                continue
            except msgspec.DecodeError:
                path.unlink(missing_ok=True)
        return found

    def workspace(self) -> Path:
        """A new folder to work in."""
        folder = self._work / secrets.token_hex(8)
        folder.mkdir(mode=0o700, parents=True)
        return folder

    def publish(self, job: Job, folder: Path) -> None:
        """Make a folder of a workspace the creative of a job: at once, and durably.

        It must hold what is served and nothing else.
        """
        (folder / "job.json").write_bytes(msgspec.json.encode(job))
        now = self._now()
        os.utime(folder / "job.json", (now, now))
        for path in [*folder.iterdir(), folder]:
            _sync(path)
        self._ready.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.is_ready(job.key):
            if (self._ready / job.key).exists():
                self._delete(self._ready / job.key)
            folder.rename(self._ready / job.key)
            _sync(self._ready)
        (self._failed / f"{job.key}.json").unlink(missing_ok=True)
        self.done(job)

    def fail(self, job: Job, reason: str) -> None:
        """Keep why a job could not be done."""
        self._failed.mkdir(mode=0o700, parents=True, exist_ok=True)
        failed = Failed(job.address, reason, self._now())
        _write(self._failed / f"{job.key}.json", msgspec.json.encode(failed))
        self.done(job)

    def done(self, job: Job) -> None:
        (self._queue / f"{job.key}.json").unlink(missing_ok=True)

    def shrink(self, limit_bytes: int) -> Iterator[str]:
        """Delete what was not used for longest until the rest fits; gives the keys deleted.

        What was used in the last ten minutes stays, even where that is too much.
        """
        now = self._now()
        found = sorted((_modified(path / "job.json"), path) for path in self._ready.glob("*"))
        sizes = {path: _size(path) for _, path in found}
        total = sum(sizes.values())
        for used, path in found:
            if total <= limit_bytes or now - used < IN_USE_SECONDS:
                break
            self._delete(path)
            total -= sizes[path]
            yield path.name
        for failed in self._failed.glob("*.json"):
            if now - _modified(failed) > FORGET_SECONDS:
                failed.unlink(missing_ok=True)

    def _delete(self, path: Path) -> None:
        """At once for those who look, then for the disk."""
        self._work.mkdir(mode=0o700, parents=True, exist_ok=True)
        gone = self._work / f"{path.name}.{secrets.token_hex(4)}"
        path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, for whoever looks. Not synced: lost, it is asked for again."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    draft.write_bytes(content)
    draft.rename(path)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(folder: Path) -> int:
    return sum(entry.stat().st_size for entry in os.scandir(folder))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
