"""An ad's own playlists: which one an ad is played from, and its lists by the content's renditions.

HLS that fits the content is used where it is. Everything else is prepared by ffmpeg first, in the
background (`preparing`), and is played from then on; until then the ad is left out. What is
fetched here is shared by all sessions of a process.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import urlsplit

import msgspec

from footfall.settings import Service
from footfall.stream import multivariant, playlist
from footfall.stream.contract import (
    SLATE,
    Ad,
    Failure,
    FetchError,
    MediaFile,
    MediaList,
    Multivariant,
    Rendition,
)
from footfall.stream.described import Described, Origins, described, media_of
from footfall.stream.encoding import MULTIVARIANT
from footfall.stream.kept import Kept
from footfall.stream.ladder import (
    Content,
    Unpreparable,
    content_of,
    fits,
    match,
    profile,
    reference,
)
from footfall.stream.lines import PlaylistError
from footfall.stream.prepared import Job, Store, job_of

KEPT = 2000
"""Playlists that a process keeps."""
TRIED = 3
"""Most files of one ad that are looked at, of each sort."""

HLS_TYPES = frozenset(
    f"{kind}/{name}"
    for kind in ("application", "audio")
    for name in ("vnd.apple.mpegurl", "x-mpegurl", "mpegurl")
)
OLDEST_TYPES = frozenset({"video/x-flv", "video/3gpp", "video/x-ms-wmv"})

# VAST error codes
NOT_FOUND, TIMED_OUT, NO_SUCH_FILE, NOT_PLAYABLE, UNDEFINED = 401, 402, 403, 405, 900


class Creative(msgspec.Struct, frozen=True):
    """Where an ad is played from."""

    address: str
    """Of its multivariant or only playlist, for `Placed.creative` and `Creatives.lists`."""
    duration_us: int
    """What the segments of its reference rendition add up to."""


class Creatives:
    """The creatives of one process: found, checked, kept, and put into the queue of preparing."""

    def __init__(
        self,
        origins: Origins,
        store: Store,
        *,
        encoder: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`encoder`: ffmpeg is here, so that what is queued gets prepared."""
        self._origins = origins
        self._store = store
        self._encoder = encoder
        self._described: Kept[Described] = Kept(KEPT, clock)
        self._lists: Kept[MediaList] = Kept(KEPT, clock)

    async def resolve(self, service: Service, ad: Ad, content: Content) -> Creative | Failure:
        """Where an ad is played from in some content; never raises for what an ad is.

        HLS is used where it fits, in the order of the ad; else the first file that could be
        prepared is, or is put into the queue. The failure's code is 401 or 402 where nothing could
        be fetched, 403 where there is no file to be used, 405 where it cannot be played, 900 where
        it may be another time. Addresses are owed a call for all but 900.
        """
        unfit: list[MediaFile] = []
        failed = _failure(ad, NO_SUCH_FILE, "it has neither HLS nor a video file")
        target_s = served_target_s(service, content)
        for file in [one for one in ad.media if is_hls(one)][:TRIED]:
            try:
                found = await self._describe(service, file.url)
                reason = fits(content, content_of(found.multivariant, found.reference), target_s)
                if reason is None:
                    return await self._creative(service, file.url, content)
            except FetchError as error:
                code = TIMED_OUT if error.kind == "timeout" else NOT_FOUND
                failed = _failure(ad, code, f"its playlist cannot be had: {error}")
                continue
            except PlaylistError as error:
                failed = _failure(ad, NOT_PLAYABLE, f"its playlist cannot be used: {error}")
                continue
            failed = _failure(ad, NOT_PLAYABLE, f"it does not fit the content: {reason}")
            unfit.append(file)
        sources = [*videos(ad, content)[:TRIED], *unfit]
        if not sources:
            return failed
        if failed.code == NO_SUCH_FILE:
            failed = _failure(ad, NOT_PLAYABLE, "it is a file, not HLS")
        return await self._prepared(service, ad, content, sources, failed)

    async def slate(self, service: Service, content: Content) -> Creative | Failure | None:
        """What fills the breaks of a service, as `resolve` gives ads; None: it has no slate."""
        if service.slate is None:
            return None
        file = MediaFile(url=service.slate, type="")
        return await self.resolve(service, Ad(ad_id=SLATE, media=(file,)), content)

    async def lists(self, service: Service, address: str, rendition: Rendition) -> MediaList | None:
        """The list of a creative that stands in for one rendition of the content.

        None where it has nothing of the kind (subtitles): blank is used. Raises `FetchError` and
        `PlaylistError`; a failure is remembered for half a minute.
        """
        found = await self._describe(service, address)
        if found.multivariant is None:
            like = content_of(None, found.reference).renditions
            return found.reference if match(rendition, like) else None
        one = match(rendition, found.multivariant.renditions)
        if one is None:
            return None
        reader = self._reader(service, address)
        return await self._lists.get(
            (service.id, one.uri), partial(media_of, reader, service, found.multivariant, one)
        )

    # Inside

    async def _describe(self, service: Service, address: str) -> Described:
        key = _own_key(service, address)
        if key is not None and self._store.file(key, MULTIVARIANT) is None:
            raise FetchError("unreachable", "the prepared creative was deleted to make room")
        return await self._described.get(
            (service.id, address),
            partial(described, self._reader(service, address), service, address),
        )

    def _reader(self, service: Service, address: str) -> Origins:
        own = _own_key(service, address) is not None
        return _OwnLists(self._store) if own else self._origins

    async def _creative(self, service: Service, address: str, content: Content) -> Creative:
        """With the length of what plays where the content's reference would. Raises as `lists`."""
        first = reference(content.renditions)
        media = await self.lists(service, address, first) if first is not None else None
        if media is None:
            raise PlaylistError("nothing in it stands in for the content's first rendition")
        return Creative(address, sum(media.durations))

    async def _prepared(
        self,
        service: Service,
        ad: Ad,
        content: Content,
        sources: list[MediaFile],
        failed: Failure,
    ) -> Creative | Failure:
        """The first of the sources that is ready or may become so."""
        if not service.transcode:
            return _failure(ad, failed.code, f"{failed.reason} (service.transcode is off)")
        if not self._encoder:
            why = (
                "ffmpeg, which would prepare it, is not installed (Debian: apt-get install ffmpeg)"
            )
            return _failure(ad, NOT_PLAYABLE, f"{failed.reason}; {why}")
        try:
            wanted = profile(content, served_target_s(service, content))
        except Unpreparable as error:
            return _failure(ad, NOT_PLAYABLE, f"it cannot be prepared: {error}")
        for file in sources:
            job = job_of(service.id, file.url, wanted, hls=is_hls(file))
            if self._store.is_ready(job.key):
                return await self._own(service, ad, job, content)
            if (fault := self._store.failure(job.key)) is not None:
                failed = _failure(ad, NOT_PLAYABLE, f"it could not be prepared: {fault.reason}")
                continue
            return await self._queued(ad, job)
        return failed

    async def _own(
        self, service: Service, ad: Ad, job: Job, content: Content
    ) -> Creative | Failure:
        try:
            return await self._creative(service, own_address(service, job.key), content)
        except (FetchError, PlaylistError) as error:
            return Failure(code=UNDEFINED, reason=f"as prepared: {error}", ad_id=ad.ad_id)

    async def _queued(self, ad: Ad, job: Job) -> Failure:
        if await asyncio.to_thread(self._store.queue, job):
            reason = "it is being prepared; until it is ready it is left out"
        else:
            reason = "too many creatives wait to be prepared"
        return Failure(code=UNDEFINED, reason=reason, ad_id=ad.ad_id)


class _OwnLists:
    """Prepared playlists, read from the disk instead of asking ourselves for them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def playlist(self, service: Service, uri: str, *, live: bool) -> MediaList | Multivariant:
        text = self._read(service, uri)
        if multivariant.is_multivariant(text):
            return multivariant.parse(text, uri)
        return await self.media(service, uri, live=live, variables={})

    async def media(
        self,
        service: Service,
        uri: str,
        *,
        live: bool,  # noqa: ARG002 - what was prepared never is
        variables: Mapping[str, str],
    ) -> MediaList:
        return playlist.parse(self._read(service, uri), uri, variables)

    def _read(self, service: Service, uri: str) -> str:
        key, _, name = uri.removeprefix(_own_prefix(service)).partition("/")
        path = self._store.file(key, name)
        if path is None:
            raise FetchError("unreachable", "the prepared creative is no longer there")
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise FetchError("unreachable", "the prepared creative has just been removed") from None


def _own_prefix(service: Service) -> str:
    return f"/stream/{service.id}/creative/"


def own_address(service: Service, key: str) -> str:
    """The address of a prepared creative's multivariant: a path on the port of streams."""
    return f"{_own_prefix(service)}{key}/{MULTIVARIANT}"


def _own_key(service: Service, address: str) -> str | None:
    prefix = _own_prefix(service)
    return address[len(prefix) :].partition("/")[0] if address.startswith(prefix) else None


def served_target_s(service: Service, content: Content) -> int | None:
    """The longest segment that an ad may have; None: a VOD's playlist is made to allow it."""
    if service.kind == "vod":
        return None
    return service.target_duration_seconds or content.target_s


def is_hls(file: MediaFile) -> bool:
    named = urlsplit(file.url).path.lower().endswith(".m3u8")
    kind = file.type.lower()
    return kind in HLS_TYPES or (named and not kind.startswith("video/"))


def videos(ad: Ad, content: Content) -> list[MediaFile]:
    """Files that can be prepared, the best first.

    Mezzanines, then what is nearest below the content's best rendition, then what is above;
    formats of old behind them all.
    """
    top = max((one.bandwidth for one in content.renditions), default=0) / 1000

    def rank(file: MediaFile) -> tuple[bool, bool, bool, float]:
        above = 0 < top < file.bitrate
        old = file.type.lower() in OLDEST_TYPES
        return (old, not file.mezzanine, above, file.bitrate if above else -file.bitrate)

    return sorted((one for one in ad.media if _is_video(one)), key=rank)


def _is_video(file: MediaFile) -> bool:
    if is_hls(file) or file.delivery.lower() == "streaming":
        return False
    named = urlsplit(file.url).path.lower().endswith((".mp4", ".m4v", ".mov", ".webm"))
    return file.type.lower().startswith("video/") or (named and not file.type)


def _failure(ad: Ad, code: int, reason: str) -> Failure:
    return Failure(code=code, reason=reason, ad_id=ad.ad_id, urls=ad.errors)
