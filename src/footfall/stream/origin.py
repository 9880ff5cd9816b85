"""Playlists of other servers, fetched once for all sessions of a process.

Whoever asks while one is being fetched waits for that; what was fetched is good for a moment (live)
or a minute (finished), is then asked for again only if it changed, and is read only when it did. A
live origin in trouble costs nobody a wait twice: its last good list is given for as long as a
player could still go on with it, then the fault. How lists are read is not known here.
"""

from __future__ import annotations

import abc
import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from hashlib import blake2b

import msgspec
import structlog

from footfall.settings import Service, Streams
from footfall.stream import continuity, lines, multivariant, playlist
from footfall.stream.contract import FetchError, MediaList, Multivariant
from footfall.stream.fetch import Fetched, Fetcher, Validators
from footfall.stream.lines import PlaylistError

log = structlog.get_logger()

LIVE_SECONDS = 0.5
"""How long a live list is good, and never longer than a quarter of its target duration."""
LIVE_MULTIVARIANT_SECONDS = 5.0
FINISHED_SECONDS = 60.0
RETRY_SECONDS = 0.5
"""How long a fault is good."""
STALE_TARGETS = 3
"""A live origin's last good list is given for so many target durations after it was good."""
STALE_SECONDS = 600.0
"""Likewise what is no live list."""
MOST_ENTRIES = 4096
MOST_BYTES = 128 << 20
WEIGHT = 6
"""Memory that a playlist takes, by its bytes. Measured with 5,400 segments: 3.8 where each has a
date, 5.6 where the first has one."""
SAID_SECONDS = 60.0
"""Between two words about the same kind of trouble of a service."""


class Document(msgspec.Struct, frozen=True, gc=False):
    """What is passed on as it is: a DASH manifest."""

    body: bytes
    content_type: str
    url: str
    """After redirects."""


class Trouble(msgspec.Struct, frozen=True):
    """What went wrong with an origin."""

    service: str
    url: str
    """Without its query."""
    kind: str
    """As of `FetchError`; playlist: what came is none; unfinished: a list that is to be finished
    has no end; jump: a live list did not go on from the one before, as of an origin that began
    anew."""
    reason: str


Playlist = MediaList | Multivariant
ParseMedia = Callable[[str, str, Mapping[str, str]], MediaList]
"""Text, address and the variables of the multivariant. Raises `PlaylistError`."""
ParseMultivariant = Callable[[str, str], Multivariant]


class _Key(msgspec.Struct, frozen=True):
    """What an entry is kept by. Services have their own: each may ask other hosts."""

    service: str
    uri: str
    live: bool
    document: bool = False
    variables: tuple[tuple[str, str], ...] = ()


class _Entry:
    """What is known of one address. Times are of the clock that `Origins` was given."""

    def __init__(self) -> None:
        self.value: Playlist | Document | None = None
        """What was good last."""
        self.error: FetchError | PlaylistError | None = None
        """Of the last attempt; None: it went well."""
        self.good_at = 0.0
        """When `value` was last given by the origin."""
        self.moved_at = 0.0
        """When `value` last changed."""
        self.fresh_until = 0.0
        self.validators: Validators | None = None
        self.digest = b""
        self.bytes = 0
        self.flight: asyncio.Task[None] | None = None


class Lists(abc.ABC):
    """Playlists by their addresses, wherever they come from.

    Everything raises `FetchError`, and `PlaylistError` for what came and is no such playlist;
    `status_of` is the status that tells a client of either.
    """

    @abc.abstractmethod
    async def playlist(
        self,
        service: Service,
        uri: str,
        *,
        live: bool,
        variables: Mapping[str, str] = lines.NONE,
    ) -> Playlist:
        """Whichever kind of playlist stands at an absolute address.

        The same object as before as long as it is the same text. `variables`: those of its
        multivariant playlist, which EXT-X-DEFINE may import.
        """

    async def media(
        self,
        service: Service,
        uri: str,
        *,
        live: bool,
        variables: Mapping[str, str] = lines.NONE,
    ) -> MediaList:
        """The media playlist at an absolute address; see `playlist`."""
        found = await self.playlist(service, uri, live=live, variables=variables)
        if not isinstance(found, MediaList):
            raise PlaylistError("It is a multivariant playlist, where a media playlist is meant.")
        return found

    async def multivariant(self, service: Service, uri: str, *, live: bool = False) -> Multivariant:
        """The multivariant playlist at an absolute address; see `playlist`."""
        found = await self.playlist(service, uri, live=live)
        if not isinstance(found, Multivariant):
            raise PlaylistError("It is a media playlist, where a multivariant playlist is meant.")
        return found


class Origins(Lists):
    """Playlists of other servers, for every part of a process that needs them."""

    def __init__(
        self,
        fetcher: Fetcher,
        streams: Streams,
        *,
        on_trouble: Callable[[Trouble], None] = lambda _trouble: None,
        clock: Callable[[], float] = time.monotonic,
        parse_media: ParseMedia = playlist.parse,
        parse_multivariant: ParseMultivariant = multivariant.parse,
    ) -> None:
        self._fetcher = fetcher
        self._streams = streams
        self._on_trouble = on_trouble
        self._clock = clock
        self._parse_media = parse_media
        self._parse_multivariant = parse_multivariant
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()
        self._bytes = 0
        self._said: dict[tuple[str, str], float] = {}

    async def playlist(
        self,
        service: Service,
        uri: str,
        *,
        live: bool,
        variables: Mapping[str, str] = lines.NONE,
    ) -> Playlist:
        key = _Key(service.id, uri, live, variables=tuple(variables.items()))
        found = await self._get(service, key)
        assert not isinstance(found, Document)
        return found

    async def document(self, service: Service, uri: str, *, live: bool) -> Document:
        """Whatever stands at an absolute address, unread."""
        found = await self._get(service, _Key(service.id, uri, live, document=True))
        assert isinstance(found, Document)
        return found

    async def close(self) -> None:
        """Give up what is being fetched."""
        flights = [entry.flight for entry in self._entries.values() if entry.flight]
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)

    # -- what is known ------------------------------------------------------------------------

    async def _get(self, service: Service, key: _Key) -> Playlist | Document:
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
        self._entries.move_to_end(key)
        if self._clock() >= entry.fresh_until:
            if entry.flight is None:
                entry.flight = asyncio.create_task(self._refresh(service, key, entry))
            if entry.error is None or not self._usable(key, entry):
                # A client that goes must not take the list from others.
                await asyncio.shield(entry.flight)
        if entry.error is not None and not self._usable(key, entry):
            raise entry.error.with_traceback(None)
        assert entry.value is not None
        return entry.value

    def _usable(self, key: _Key, entry: _Entry) -> bool:
        """Whether the last good value may stand in for what could not be had."""
        if entry.value is None:
            return False
        age = self._clock() - entry.good_at
        if key.live and isinstance(entry.value, MediaList):
            return age <= STALE_TARGETS * entry.value.target_s
        return age <= STALE_SECONDS and not _is_refusal(entry.error)

    async def _refresh(self, service: Service, key: _Key, entry: _Entry) -> None:
        """One attempt. Only what nobody foresaw is raised."""
        began = self._clock()
        try:
            fetched = await self._fetcher.get(
                key.uri,
                service=service,
                timeout=self._streams.origin_seconds,
                limit_bytes=self._streams.playlist_bytes,
                conditional=entry.validators if entry.value is not None else None,
            )
            self._take(key, entry, fetched)
            entry.error = None
            entry.good_at = began
            entry.fresh_until = self._clock() + _good_seconds(key, entry.value)
        except (FetchError, PlaylistError) as error:
            entry.error = error
            entry.fresh_until = self._clock() + RETRY_SECONDS
            if isinstance(error, FetchError):
                self._say(key, error.kind, error.detail)
            else:
                self._say(key, "playlist", str(error))
        finally:
            entry.flight = None
            self._shrink()

    # -- what came ------------------------------------------------------------------------------

    def _take(self, key: _Key, entry: _Entry, fetched: Fetched) -> None:
        """Make an answer the entry's value, if it is another one. Raises `PlaylistError`."""
        if fetched.status == 304:
            return
        content = blake2b(fetched.body, digest_size=16, key=_keyed(fetched.final_url)).digest()
        if content == entry.digest and entry.value is not None:
            entry.validators = fetched.validators
            return
        value = self._read(key, fetched)
        if _is_unfinished(key, value):
            self._say(key, "unfinished", "It has no EXT-X-ENDLIST, where it is to be finished.")
        if self._is_left_behind(key, entry, value):
            return
        self._bytes += len(fetched.body) * WEIGHT - entry.bytes
        entry.bytes = len(fetched.body) * WEIGHT
        entry.value = value
        entry.digest = content
        entry.validators = fetched.validators
        entry.moved_at = self._clock()

    def _read(self, key: _Key, fetched: Fetched) -> Playlist | Document:
        if key.document:
            content_type = fetched.headers.get("content-type", "application/octet-stream")
            return Document(fetched.body, content_type, fetched.final_url)
        try:
            text = fetched.body.decode()
        except UnicodeDecodeError as error:
            raise PlaylistError(f"It is not UTF-8 at byte {error.start}.") from None
        if multivariant.is_multivariant(text):
            return self._parse_multivariant(text, fetched.final_url)
        return self._parse_media(text, fetched.final_url, dict(key.variables))

    def _is_left_behind(self, key: _Key, entry: _Entry, value: Playlist | Document) -> bool:
        """Whether a live list is older than the last; a list that jumped is reported."""
        before = entry.value
        if not (key.live and isinstance(before, MediaList) and isinstance(value, MediaList)):
            return False
        elapsed = self._clock() - entry.moved_at
        reason = continuity.jump(before, value, int(elapsed * 1_000_000))
        if continuity.is_older(before, value):
            if elapsed <= STALE_TARGETS * before.target_s:
                return True
            reason = f"its media sequence went back from {before.sequence} to {value.sequence}"
        if reason:
            self._say(key, "jump", reason)
        return False

    def _say(self, key: _Key, kind: str, reason: str) -> None:
        """Tell of trouble, but not each time: strangers choose what is asked for."""
        now = self._clock()
        if now < self._said.get((key.service, kind), -SAID_SECONDS) + SAID_SECONDS:
            return
        self._said[key.service, kind] = now
        trouble = Trouble(key.service, _shown(key), kind, reason)
        log.warning("origin failed", **msgspec.structs.asdict(trouble))
        self._on_trouble(trouble)

    def _shrink(self) -> None:
        """Forget what was not asked for longest, down to the bounds."""
        if len(self._entries) <= MOST_ENTRIES and self._bytes <= MOST_BYTES:
            return
        for key in list(self._entries):
            entry = self._entries[key]
            if entry.flight is None:
                del self._entries[key]
                self._bytes -= entry.bytes
            if len(self._entries) <= MOST_ENTRIES and self._bytes <= MOST_BYTES:
                return


def status_of(error: FetchError | PlaylistError) -> int:
    """The HTTP status that tells a client of a fault: the origin's own 4xx, 504 or 502."""
    if _is_refusal(error) and isinstance(error, FetchError):
        return error.status
    return 504 if isinstance(error, FetchError) and error.kind == "timeout" else 502


def _is_refusal(error: Exception | None) -> bool:
    """Whether the origin said that there is nothing for us."""
    return isinstance(error, FetchError) and 400 <= error.status < 500


def _good_seconds(key: _Key, value: Playlist | Document | None) -> float:
    if not (key.live or _is_unfinished(key, value)):
        return FINISHED_SECONDS
    if isinstance(value, Multivariant):
        return LIVE_MULTIVARIANT_SECONDS
    return min(value.target_s / 4, LIVE_SECONDS) if isinstance(value, MediaList) else LIVE_SECONDS


def _is_unfinished(key: _Key, value: Playlist | Document | None) -> bool:
    """Whether a list that was to be finished goes on."""
    return not key.live and isinstance(value, MediaList) and not value.ended


def _keyed(url: str) -> bytes:
    """The same text at another address is another playlist: its addresses are relative."""
    return blake2b(url.encode(), digest_size=16).digest()


def _shown(key: _Key) -> str:
    return key.uri.partition("?")[0]
