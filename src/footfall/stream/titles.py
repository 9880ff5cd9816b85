"""What is behind the playlists of a call, shared by all sessions of a process.

Of each playlist: its list, which rendition it is, what content it belongs to. Of a live stream
besides: its breaks, where moments cut its renditions, and the texts that were made already. This is
worked out once for each version of a list.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

import msgspec

from footfall.errors import JournalUnavailable
from footfall.model import Micros
from footfall.settings import Service
from footfall.stream import breaks, clock, contexts, ladder, splice
from footfall.stream.channels import Playlists
from footfall.stream.contract import (
    Break,
    Context,
    FetchError,
    Mark,
    MediaList,
    Multivariant,
    Pod,
    Rendition,
)
from footfall.stream.ladder import Content
from footfall.stream.lines import PlaylistError
from footfall.stream.numbering import Numbering
from footfall.stream.requests import Call, asked_with, spelled
from footfall.stream.services import CHANNELS
from footfall.stream.sessions import Sessions

KEPT = 2000
"""Live streams that a process keeps."""
VIEWS_KEPT = 64
"""Addresses of each: its renditions, with as many queries as clients make up."""
TEXTS_KEPT, TEXTS_BYTES = 256, 8 << 20
"""Of one version of one list."""
AHEAD_TARGETS = 2
"""Target durations behind the live edge that nobody has been shown."""


class Body:
    """An answer's body, compressed when that is first asked for."""

    __slots__ = ("_zipped", "folded", "plain")

    def __init__(self, plain: bytes, folded: Callable[[Context], Context] | None = None) -> None:
        self.plain = plain
        self.folded = folded
        """Live: takes pods out of its sessions' contexts that are gone for good."""
        self._zipped: bytes | None = None

    def zipped(self) -> bytes:
        """By gzip, the fastest way: it costs more than making the text does."""
        if self._zipped is None:
            squeezer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS | 16)
            self._zipped = squeezer.compress(self.plain) + squeezer.flush()
        return self._zipped


class Named(msgspec.Struct, frozen=True):
    """A media playlist as its multivariant names it."""

    multivariant: Multivariant | None
    """None: there is none, or nobody said which."""
    rendition: Rendition
    reference: Rendition
    """The rendition whose segments count: where it is cut, and how long it is."""
    chosen: str
    """Of the call: what tells streams at its path apart."""


class Film(msgspec.Struct, frozen=True):
    """One rendition of a VOD."""

    media: MediaList
    reference: MediaList
    rendition: Rendition
    content: Content


class View(msgspec.Struct, frozen=True):
    """One version of one rendition of a live stream."""

    raw: MediaList
    raw_reference: MediaList
    media: MediaList
    """By the stream's clock."""
    reference: MediaList
    """Likewise."""
    key: str
    rendition: Rendition
    content: Content
    breaks: tuple[Break, ...]
    known_us: Micros | None
    """See `splice.live`."""
    slots: tuple[Pod, ...]
    """Of a channel: what plays instead of its loop, the same for every session."""
    stream: LiveStream
    texts: dict[Hashable, Body]
    ads: dict[str, MediaList] = {}
    """Lists of ads by `Placed.creative`, as they were needed so far."""

    def keep(self, signature: Hashable, body: Body) -> None:
        """Keep a text for the next session that has the same."""
        if len(self.texts) >= min(TEXTS_KEPT, max(1, TEXTS_BYTES // len(body.plain))):
            self.texts.clear()
        self.texts[signature] = body


class LiveStream:
    """What a process knows of one live stream."""

    def __init__(self, service: Service, key: str) -> None:
        self.service = service
        self.key = key
        self.breaks: tuple[Break, ...] = ()
        self.marks: dict[str, tuple[Mark, ...]] = {}
        """By rendition's key."""
        self.edge_us: Micros = 0
        """Up to where any of its lists went; never goes back."""
        self.latest: View | None = None
        """The last that was had: what a tracking call is told by when the origin fails."""
        self.views: OrderedDict[str, View] = OrderedDict()
        """By address."""
        self.dated: dict[str, tuple[int, Micros]] = {}
        """By rendition's key, of its last list that had dates: a late segment's number and start.
        An origin that drops its dates goes on from there."""
        self.marked: set[str] = set()
        """Renditions whose lists have markers of their own."""
        self.lock = asyncio.Lock()

    def unseen_from(self) -> Micros:
        """A boundary of the reference rendition that no list has shown yet, of any process.

        Others may have seen a newer list of the origin, and show what is decided here a moment
        after it is: each may come to a target duration.
        """
        assert self.latest is not None
        media = self.latest.reference
        last = media.durations[-1] or 1_000_000
        ahead = max(0, self.edge_us - media.starts[-1]) + AHEAD_TARGETS * media.target_s * 1_000_000
        return media.starts[-1] + -(-ahead // last) * last


class Titles:
    """All of them."""

    def __init__(self, playlists: Playlists, sessions: Sessions, now: Callable[[], Micros]) -> None:
        self._playlists = playlists
        self._sessions = sessions
        self._now = now
        self._numbering = Numbering(sessions, now)
        self._streams: OrderedDict[tuple[str, str], LiveStream] = OrderedDict()

    async def film(self, call: Call) -> Film:
        """The VOD that a media playlist is of. Raises `FetchError` and `PlaylistError`."""
        named, media = await self._named(call, live=False)
        reference = await self._reference(call, named, media, live=False)
        content = ladder.content_of(named.multivariant, reference)
        return Film(media, reference, named.rendition, content)

    async def live(self, call: Call) -> View:
        """The live list as it is now. Raises `FetchError` and `PlaylistError`."""
        named, media = await self._named(call, live=True)
        reference = await self._reference(call, named, media, live=True)
        if not len(reference) or not len(media):
            raise PlaylistError("It has no segments.")
        stream = self.stream(call)
        stream.service = call.service
        view = stream.views.get(call.url)
        if view is None or not _is_current(view, media, reference):
            async with stream.lock:
                view = stream.views.get(call.url)
                if view is None or not _is_current(view, media, reference):
                    view = await self._look(stream, call.url, named, media, reference)
        return view

    def stream(self, call: Call) -> LiveStream:
        """The stream that a playlist is of, as far as it is known."""
        key = splice.key(call.multivariant_url or call.url, call.chosen)
        found = self._streams.get((call.service.id, key))
        if found is None:
            found = self._streams[call.service.id, key] = LiveStream(call.service, key)
            while len(self._streams) > KEPT:
                self._streams.popitem(last=False)
        self._streams.move_to_end((call.service.id, key))
        return found

    async def mark(self, view: View, wanted: tuple[Mark, ...]) -> None:
        """Store where moments cut a rendition, before a list relies on it."""
        stream = view.stream
        key = contexts.marks_key(stream.service.id, view.key)
        unit = contexts.shared_marks(key, self._now(), wanted)
        try:
            marks: tuple[Mark, ...] = (await self._sessions.commit(stream.service, unit)).reply  # type: ignore[assignment]
        except JournalUnavailable:
            # What is needed follows from the list: another process comes to the same.
            both = (*stream.marks.get(view.key, ()), *wanted)
            marks = tuple(sorted(both, key=lambda mark: mark.at_us))
        stream.marks[view.key] = marks

    # Inside

    async def _named(self, call: Call, *, live: bool) -> tuple[Named, MediaList]:
        """What a call's address names; of a multivariant playlist, its reference rendition."""
        service = call.service
        if call.multivariant_url:
            parent = await self._parent(call, live=live)
            if parent is not None:
                media = await self._playlists.media(
                    service, call.url, live=live, variables=parent.variables
                )
                return _named(parent, call), media
        found = await self._playlists.playlist(service, call.url, live=live)
        if isinstance(found, MediaList):
            alone = Rendition(call.url, ladder.VIDEO)
            return Named(None, alone, alone, call.chosen), found
        first = ladder.reference(found.renditions) or next(iter(found.renditions), None)
        if first is None:
            raise PlaylistError("It names no media playlist.")
        named = Named(found, first, first, call.chosen)
        return named, await self._list(call, named, first, live=live)

    async def _parent(self, call: Call, *, live: bool) -> Multivariant | None:
        try:
            return await self._playlists.multivariant(
                call.service, call.multivariant_url, live=live
            )
        except (FetchError, PlaylistError):
            return None  # the list itself may be there all the same

    async def _reference(
        self, call: Call, named: Named, media: MediaList, *, live: bool
    ) -> MediaList:
        if named.reference is named.rendition:
            return media
        return await self._list(call, named, named.reference, live=live)

    async def _list(
        self, call: Call, named: Named, rendition: Rendition, *, live: bool
    ) -> MediaList:
        assert named.multivariant is not None
        return await self._playlists.media(
            call.service,
            asked_with(rendition.uri, call.handed_on),
            live=live,
            variables=named.multivariant.variables,
        )

    async def _look(
        self, stream: LiveStream, url: str, named: Named, raw: MediaList, raw_reference: MediaList
    ) -> View:
        """Work out one version of one rendition."""
        key = _key(named, named.rendition)
        reference_key = _key(named, named.reference)
        states = await self._sessions.read(
            [
                contexts.breaks_key(stream.service.id, stream.key),
                contexts.marks_key(stream.service.id, key),
            ]
        )
        marks = states.get(contexts.marks_key(stream.service.id, key))
        if marks is not None:
            stream.marks[key] = contexts.read_marks(marks)
        reference = await self._by_clock(stream, reference_key, raw_reference)
        media = reference if raw is raw_reference else await self._by_clock(stream, key, raw)
        told = states.get(contexts.breaks_key(stream.service.id, stream.key))
        known = stream.breaks if told is None else contexts.read_breaks(told)
        slots: tuple[Pod, ...] = ()
        if stream.service.kind == "channel":
            found = await self._playlists.breaks(stream.service)
            slots = await self._playlists.pods(stream.service)
        else:
            found = await self._breaks(stream, known, media, reference)
        if found != stream.breaks:
            stream.breaks = found
        if media.cues:
            stream.marked.add(key)
        own = key == reference_key or key in stream.marked
        view = View(
            raw,
            raw_reference,
            media,
            reference,
            key,
            named.rendition,
            ladder.content_of(named.multivariant, reference),
            stream.breaks,
            None if own else reference.starts[-1],
            slots,
            stream,
            {},
        )
        stream.edge_us = max(stream.edge_us, reference.starts[-1])
        stream.latest = stream.views[url] = view
        stream.views.move_to_end(url)
        while len(stream.views) > VIEWS_KEPT:
            stream.views.popitem(last=False)
        return view

    async def _by_clock(self, stream: LiveStream, key: str, media: MediaList) -> MediaList:
        """A list by the stream's clock and numbers, whether its origin has them or not."""
        media = await self._dated(stream, key, media)
        return await self._numbering.of(stream.service, stream.key, media)

    async def _dated(self, stream: LiveStream, key: str, media: MediaList) -> MediaList:
        if media.dated:
            if len(media):
                last = len(media) - 1
                stream.dated[key] = (media.sequence + last, media.starts[last])
            return media
        now = self._now()
        name = contexts.clock_key(stream.service.id, stream.key)
        dated = stream.dated.get(key)

        def advance(before: contexts.Clock) -> contexts.Clock:
            if dated is not None and before.get(key, (0, 0)) < dated:
                before = {**before, key: dated}
            return clock.advanced(media, before, key, now)

        known = contexts.read_clock((await self._sessions.read([name])).get(name))
        if advance(known) != known:
            unit = contexts.shared_clock(name, now, advance)
            try:
                reply = (await self._sessions.commit(stream.service, unit)).reply
            except JournalUnavailable:
                reply = known
            assert isinstance(reply, dict)
            known = reply
        return clock.anchored(media, known, key, now)

    async def _breaks(
        self,
        stream: LiveStream,
        known: tuple[Break, ...],
        media: MediaList,
        reference: MediaList,
    ) -> tuple[Break, ...]:
        """The stream's breaks, with what these lists say, agreed on with every other process."""
        cues = reference.cues if media is reference else (*reference.cues, *media.cues)
        since = reference.starts[0] - contexts.KEPT_US

        def merge(before: Sequence[Break]) -> tuple[Break, ...]:
            return breaks.merged(before, cues, forget_before=since)

        if merge(known) == known:
            return known
        name = contexts.breaks_key(stream.service.id, stream.key)
        try:
            unit = contexts.shared_breaks(name, self._now(), merge)
            found: tuple[Break, ...] = (await self._sessions.commit(stream.service, unit)).reply  # type: ignore[assignment]
        except JournalUnavailable:
            return known  # nothing is decided now: what is new is found again
        return found


def _is_current(view: View, media: MediaList, reference: MediaList) -> bool:
    return (
        _is_same(view.raw, media)
        and _is_same(view.raw_reference, reference)
        and view.breaks is view.stream.breaks
    )


def _is_same(one: MediaList, other: MediaList) -> bool:
    """Whether two lists are one version. Those of channels are made anew each time."""
    return one is other or (
        one.url.startswith(CHANNELS)
        and one.sequence == other.sequence
        and one.starts == other.starts
    )


def _named(parent: Multivariant, call: Call) -> Named:
    """The rendition of an address; of one that its multivariant does not name, what can be said."""
    url, _, query = call.url.partition("?")
    listed = parent.renditions
    alike = [one for one in listed if one.uri.partition("?")[0] == url]
    alike = alike or [one for one in listed if spelled(call.service, one.uri) == url]
    exact = [one for one in alike if asked_with(one.uri, call.handed_on).partition("?")[2] == query]
    rendition = next(iter((*exact, *alike)), Rendition(call.url, ladder.VIDEO))
    return Named(parent, rendition, ladder.reference(listed) or rendition, call.chosen)


def _key(named: Named, rendition: Rendition) -> str:
    """Its name in the state. Queries may be the session's: who differ by them have a number."""
    key = splice.key(rendition.uri, named.chosen)
    listed = named.multivariant.renditions if named.multivariant else ()
    alike = [one for one in listed if splice.key(one.uri, named.chosen) == key]
    place = alike.index(rendition) if rendition in alike else 0
    return f"{key}-{place}" if place else key
