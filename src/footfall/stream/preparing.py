"""Prepare creatives by ffmpeg, one after another: the worker's side of `prepared`.

A source is fetched whole, by the same rules as everything that is asked of others, and only then
read by ffmpeg, which may open local files of a few formats and nothing else. ffmpeg is nice, ends
with this process, and has limits of time, memory and size. What was being made when the process
died is begun anew: a job leaves the queue when its creative stands, or when it failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from footfall.settings import Service
from footfall.stream import encoding, leash, playlist
from footfall.stream.contract import FetchError
from footfall.stream.described import Origins
from footfall.stream.encoding import Plan, Rendered, Unreadable
from footfall.stream.fetch import Fetcher
from footfall.stream.ladder import FMP4, longest_s
from footfall.stream.lines import PlaylistError
from footfall.stream.prepared import Job, Store
from footfall.stream.source_files import fetch_source

log = structlog.get_logger("footfall")

LOOK_SECONDS = 1.0
NICE = 15
"""Beside the worker's own: whatever else is to be done comes first."""
FETCH_SECONDS = 600.0
PROBE_SECONDS = 30.0
ENCODE_SECONDS = 900.0
FILE_BYTES = 512 << 20
MEMORY_BYTES = 8 << 30
"""Of addresses, most of which are never used."""
SAID_CHARACTERS = 300


class Tools:
    """Where ffmpeg and ffprobe are."""

    def __init__(self, ffmpeg: str, ffprobe: str) -> None:
        self.ffmpeg = ffmpeg
        self.ffprobe = ffprobe

    @classmethod
    def found(cls) -> Tools | None:
        """Those of this machine; None where one is missing."""
        ffmpeg, ffprobe = shutil.which("ffmpeg"), shutil.which("ffprobe")
        return cls(ffmpeg, ffprobe) if ffmpeg and ffprobe else None


class Preparer:
    """Does the jobs of one store. At most one may run on a store."""

    def __init__(
        self,
        store: Store,
        fetch: Fetcher,
        origins: Origins,
        *,
        services: Callable[[str], Service | None],
        tools: Tools,
        limit_mb: int,
    ) -> None:
        self._store = store
        self._fetch = fetch
        self._origins = origins
        self._services = services
        self._tools = tools
        self._limit_bytes = limit_mb << 20

    async def follow(self, stop: asyncio.Event) -> None:
        """Do what is queued until `stop`; what is being done then is left to the next process."""
        await asyncio.to_thread(self._store.clean)
        stopping = asyncio.ensure_future(stop.wait())
        while not stop.is_set():
            jobs = await asyncio.to_thread(self._store.jobs)
            doing = asyncio.ensure_future(self.prepare(jobs[0]) if jobs else _pause())
            try:
                await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                doing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await doing

    async def prepare(self, job: Job) -> None:
        """Do one job: afterwards it is ready or failed, and no longer queued."""
        began = time.monotonic()
        said = {"key": job.key, "host": urlsplit(job.address).hostname, "service": job.service}
        service = self._services(job.service)
        if service is None or self._store.is_ready(job.key):
            await asyncio.to_thread(self._store.done, job)
            return
        folder = await asyncio.to_thread(self._store.workspace)
        try:
            made = await self._make(job, service, folder)
            await asyncio.to_thread(self._store.publish, job, folder / "out")
        except (FetchError, PlaylistError, Unreadable, OSError) as error:
            log.warning("creative not prepared", reason=str(error), **said)
            await asyncio.to_thread(self._store.fail, job, str(error))
            return
        except Exception as error:  # somebody else's file must not end this process
            log.exception("creative not prepared", **said)
            await asyncio.to_thread(self._store.fail, job, f"a fault of ours: {error!r}")
            return
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        took = round(time.monotonic() - began, 1)
        renditions = len(made.outputs)
        log.info(
            "creative prepared", **said, seconds=made.seconds, renditions=renditions, took=took
        )
        await self._shrink()

    async def _shrink(self) -> None:
        gone = await asyncio.to_thread(lambda: list(self._store.shrink(self._limit_bytes)))
        if gone:
            log.info("prepared creatives deleted to make room", creatives=len(gone))

    async def _make(self, job: Job, service: Service, folder: Path) -> Plan:
        """Fetch, make and check: playlists and segments in `out` of the folder."""
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                inputs = await fetch_source(job, service, self._fetch, self._origins, folder)
        except TimeoutError:
            raise Unreadable(f"fetching it took more than {FETCH_SECONDS:.0f} s") from None
        answers = [
            await self._run(encoding.probe(self._tools.ffprobe, name), folder, PROBE_SECONDS)
            for name in inputs
        ]
        made = encoding.plan(job.profile, encoding.read_probe(answers))
        out = folder / "out"
        out.mkdir(mode=0o700)
        sources = [f"../{name}" for name in inputs]
        await self._run(encoding.encode(self._tools.ffmpeg, made, sources), out, ENCODE_SECONDS)
        rendered = {
            output.name: await self._rendered(made, output.name, out) for output in made.outputs
        }
        (out / encoding.MULTIVARIANT).write_text(encoding.multivariant(made, rendered))
        return made

    async def _rendered(self, made: Plan, name: str, out: Path) -> Rendered:
        """What came of one rendition, checked: players rely on all being cut alike."""
        media = playlist.parse((out / f"{name}.m3u8").read_text(), f"{name}.m3u8")
        if not media.ended or len(media) != made.outputs[0].segments:
            raise Unreadable(
                f"ffmpeg made {len(media)} segments of {made.outputs[0].segments} ({name})"
            )
        if longest_s(media) > made.profile.segment_s:
            raise Unreadable(f"ffmpeg made segments of {longest_s(media)} s ({name})")
        ending = "m4s" if made.profile.container == FMP4 else "ts"
        sizes = [(out / f"{name}-{i}.{ending}").stat().st_size for i in range(len(media))]
        peak = max(size * 8_000_000 // us for size, us in zip(sizes, media.durations, strict=True))
        command = encoding.probe(self._tools.ffprobe, f"{name}.m3u8", encoding.READ_OWN)
        answer = await self._run(command, out, PROBE_SECONDS)
        return Rendered(*encoding.read_made(answer), peak)

    async def _run(self, command: Sequence[str], folder: Path, seconds: float) -> bytes:
        """What a program wrote; `Unreadable` with its last words where it did not end well."""
        limits = [str(os.getpid()), str(NICE), str(FILE_BYTES), str(MEMORY_BYTES)]
        with (folder / "errors.txt").open("w+b") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", leash.__file__, *limits, *command,
                cwd=folder, env=_environment(), stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE, stderr=errors,
            )  # fmt: skip
            try:
                async with asyncio.timeout(seconds):
                    answer, _ = await process.communicate()
            except TimeoutError:
                raise Unreadable(
                    f"{Path(command[0]).name} took more than {seconds:.0f} s"
                ) from None
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - SAID_CHARACTERS))
            said = errors.read().decode(errors="replace").strip()
        (folder / "errors.txt").unlink()
        if process.returncode:
            raise Unreadable(f"{Path(command[0]).name} cannot use it: {said or process.returncode}")
        return answer


async def _pause() -> None:
    await asyncio.sleep(LOOK_SECONDS)


def _environment() -> Mapping[str, str]:
    """What a program needs to run, and none of our settings and secrets."""
    return {"PATH": os.environ.get("PATH", os.defpath), "AV_LOG_FORCE_NOCOLOR": "1"}
