"""Fetch the source of a creative into local files that ffmpeg can read.

A file is fetched in pieces where its server gives pieces. The segments of HLS are put behind one
another in one file: MPEG-TS and fragmented MP4 are made to be. What cannot be joined so (encrypted
segments, several initialisation sections) is refused.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

from footfall.settings import Service
from footfall.stream.contract import MediaList, Multivariant, Rendition
from footfall.stream.described import Origins, described, media_of
from footfall.stream.encoding import Unreadable
from footfall.stream.fetch import Fetched, Fetcher
from footfall.stream.ladder import AUDIO, VIDEO
from footfall.stream.lines import attributes
from footfall.stream.prepared import Job

SOURCE_BYTES = 1 << 30
PIECE_BYTES = 8 << 20
WHOLE_BYTES = 256 << 20
"""Most of a file whose server gives no pieces: it is in memory for a moment."""
PIECE_SECONDS = 60.0

_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


async def fetch_source(
    job: Job, service: Service, fetch: Fetcher, origins: Origins, folder: Path
) -> list[str]:
    """Names of the files that were made in the folder: the picture's, and the sound's if apart.

    Raises `FetchError`, `PlaylistError`, `Unreadable` and `OSError`.
    """
    saving = _Saving(fetch, service)
    if not job.hls:
        await saving.file(job.address, folder / "source")
        return ["source"]
    found = await described(origins, service, job.address)
    if found.multivariant is None:
        await saving.segments(found.reference, folder / "source")
        return ["source"]
    video, audio = _best(found.multivariant, job.most_bps)
    names = ["source"]
    media = await media_of(origins, service, found.multivariant, video)
    await saving.segments(media, folder / "source")
    if audio is not None:
        media = await media_of(origins, service, found.multivariant, audio)
        await saving.segments(media, folder / "sound")
        names.append("sound")
    return names


def _best(source: Multivariant, most_bps: int) -> tuple[Rendition, Rendition | None]:
    """The best picture that is not more than wanted, and the sound that belongs to it."""
    videos = [one for one in source.renditions if one.kind == VIDEO]
    enough = [one for one in videos if one.bandwidth <= most_bps] or [
        min(videos, key=lambda one: one.bandwidth)
    ]
    video = max(enough if most_bps else videos, key=lambda one: one.bandwidth)
    sounds = [one for one in source.renditions if one.kind == AUDIO]
    audio = max(sounds, key=lambda one: one.default, default=None)
    return video, None if video.muxed else audio


class _Saving:
    """Writes what is fetched to files, within the limit of one source."""

    def __init__(self, fetch: Fetcher, service: Service) -> None:
        self._fetch = fetch
        self._service = service
        self._left = SOURCE_BYTES

    async def file(self, url: str, path: Path) -> None:
        """One file: by pieces, or whole where the server does not give pieces."""
        at, whole, tag = 0, None, None
        while whole is None or at < whole:
            piece = {"Range": f"bytes={at}-{at + PIECE_BYTES - 1}"}
            got = await self._get(url, piece)
            if got.status != 206:
                await self._write(path, got.body, anew=True)
                return
            found = _RANGE.fullmatch(got.headers.get("content-range", ""))
            ends = at + len(got.body)
            if found is None or not at < ends == int(found[2]) + 1 or int(found[1]) != at:
                raise Unreadable("its server gave another piece of the file than was asked for")
            if tag not in {None, got.headers.get("etag")}:
                raise Unreadable("it changed while it was fetched")
            whole, tag = int(found[3]), got.headers.get("etag")
            if whole > SOURCE_BYTES:
                raise Unreadable(f"it has more than {SOURCE_BYTES >> 20} MB")
            await self._write(path, got.body, anew=not at)
            at = ends

    async def segments(self, media: MediaList, path: Path) -> None:
        """Everything that a list names, in order, in one file."""
        if any("METHOD=NONE" not in lines for _, lines in media.keys):
            raise Unreadable("its segments are encrypted")
        if len({line for _, line in media.maps}) > 1:
            raise Unreadable("it has several initialisation sections")
        # Pieces of one file are the whole file: where HLS names ranges, they are all there is.
        urls = dict.fromkeys(attributes(line).get("URI", "") for _, line in media.maps)
        urls |= dict.fromkeys(_address(chunk) for chunk in media.plain)
        for number, url in enumerate(urls):
            got = await self._get(url, {})
            await self._write(path, got.body, anew=not number)

    async def _get(self, url: str, headers: Mapping[str, str]) -> Fetched:
        got = await self._fetch.get(
            url,
            service=self._service,
            timeout=PIECE_SECONDS,
            limit_bytes=min(WHOLE_BYTES, self._left),
            headers=headers,
        )
        self._left -= len(got.body)
        return got

    @staticmethod
    async def _write(path: Path, content: bytes, *, anew: bool) -> None:
        def write() -> None:
            with path.open("wb" if anew else "ab") as file:
                file.write(content)

        await asyncio.to_thread(write)


def _address(chunk: str) -> str:
    """A segment's: the last line, and the only one that is no tag."""
    return chunk.rstrip("\n").rpartition("\n")[2]
