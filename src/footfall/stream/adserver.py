"""Asks ad servers: one address in, the ads of one break or of a whole content out.

Wrappers are followed at the same time where they do not depend on each other, and stand in the
result where they stood in the document. Everything is bounded: each answer in time and size, each
chain of wrappers in length, each decision in time and in calls. What came before a bound was
reached counts; what did not is a `Failure` with the error addresses that are owed a call, those of
the wrappers that led there included. Nothing raises: an ad server can only fail to offer ads.

Reads `vast` and `vmap`, fills `macros`; how a request is sent, and which hosts may be asked, is the
port `Fetch`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

from footfall.model import Micros
from footfall.settings import Service, Streams
from footfall.stream import macros, offsets, vast, vmap, xml
from footfall.stream.contract import Ad, AdBreak, Failure, FetchError, Offer
from footfall.stream.macros import Values
from footfall.stream.xml import XmlError

MOST_CALLS = 64
"""In one decision. An answer of 2 MB could name thousands of wrappers."""
AT_ONCE = 8
"""Calls of one decision that run at the same time."""

_CODES = {"timeout": 301, "unreachable": 301}
"""VAST's codes for kinds of `FetchError`: 301 is an address that gave no answer, 300 (everything
else) one whose answer was no use, or that may not be asked."""

_NO_BREAK = Failure(303, "the VMAP has no break with linear ads")


class Answer(Protocol):
    """Of an ad server."""

    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...


class Fetch(Protocol):
    """How another server is asked."""

    async def get(
        self,
        url: str,
        *,
        service: Service,
        timeout: float,  # noqa: ASYNC109 - part of what is asked; the caller has one of its own
        limit_bytes: int,
        headers: Mapping[str, str],
    ) -> Answer:
        """The answer, redirects followed. `timeout` in seconds, of the whole answer.

        Raises `FetchError` where there is none, or where the service may not ask there.
        """
        ...


class AdServer:
    """Asks by addresses out of the settings, within the bounds of `[server.streams]`."""

    def __init__(
        self,
        fetch: Fetch,
        streams: Streams,
        *,
        clock: Callable[[], float] = time.perf_counter,
        now: Callable[[], Micros] = lambda: time.time_ns() // 1000,
    ) -> None:
        """`clock` in seconds measures; `now` is what [TIMESTAMP] says."""
        self._fetch = fetch
        self._streams = streams
        self._clock = clock
        self._now = now

    async def ask(self, template: str, *, service: Service, values: Values) -> tuple[AdBreak, ...]:
        """The breaks of a content: of a VMAP, or of a VAST, which is one pre-roll.

        `template` is the setting, with its macros. There is always a break: where the ad server
        failed, or had none, it is one at the start, without ads and with the reason.
        """
        decision = self._decision(service, values)
        found = await decision.breaks(template)
        if isinstance(found, AdBreak):
            return (found,)
        return tuple(
            await asyncio.gather(*(decision.ad_break(one, _position(one.offset)) for one in found))
        )

    async def ask_break(self, template: str, *, service: Service, values: Values) -> AdBreak:
        """One break whose place is known: a live one, or a live pre-roll.

        Of a VMAP, its first break at the start, or else its first one.
        """
        decision = self._decision(service, values)
        found = await decision.breaks(template)
        if isinstance(found, AdBreak):
            return found
        at_start = (one for one in found if _position(one.offset) == macros.PREROLL)
        return await decision.ad_break(next(at_start, found[0]), values.position)

    def _decision(self, service: Service, values: Values) -> _Decision:
        return _Decision(
            self._fetch, self._streams, service, values, clock=self._clock, now=self._now
        )


class _Found(msgspec.Struct, frozen=True):
    """What one VAST came to, everything that it led to included."""

    pod: tuple[Ad, ...] = ()
    """By sequence."""
    alone: tuple[Ad, ...] = ()
    """Stand-alone ads, in document order."""
    failures: tuple[Failure, ...] = ()
    calls: int = 0


class _Chain(msgspec.Struct, frozen=True):
    """What led to a VAST: the wrappers, outermost first, and what they allow."""

    levels: tuple[Ad, ...] = ()
    asked: frozenset[str] = frozenset()
    """Their addresses, macros and all: asked twice, they would go round for ever."""
    follow: bool = True
    """Whether wrappers may come next."""
    multiple: bool = True
    """Whether more than one ad may."""

    def failure(self, code: int, reason: str, ad_id: str = "", more: Iterable[str] = ()) -> Failure:
        """With the error addresses of every level, and `more`."""
        if not ad_id and self.levels:
            ad_id = self.levels[-1].ad_id
        owed = [url for level in self.levels for url in level.errors]
        return Failure(code, reason, ad_id, tuple(dict.fromkeys([*owed, *more])))


class _Decision:
    """One decision under way: its deadline, and what was called so far."""

    def __init__(
        self,
        fetch: Fetch,
        streams: Streams,
        service: Service,
        values: Values,
        *,
        clock: Callable[[], float],
        now: Callable[[], Micros],
    ) -> None:
        self._fetch = fetch
        self._streams = streams
        self._service = service
        self._values = values
        self._clock = clock
        self._now = now
        self._headers = macros.headers(values)
        self._began = clock()
        self._deadline = asyncio.get_running_loop().time() + streams.decision_seconds
        self._places = asyncio.Semaphore(AT_ONCE)
        self._calls = 0
        self._asked = ""

    async def breaks(self, template: str) -> AdBreak | tuple[vmap.Break, ...]:
        """Those of the ad server's own answer; of one that names none, the one that stands for it,
        finished.
        """
        self._asked = macros.request(template, self._values, self._now())
        root = await self._get(self._asked, _Chain())
        if isinstance(root, Failure):
            return AdBreak("start", offer=self.offer(_Found(failures=(root,))))
        if not vmap.is_vmap(root):
            found = await self._read(root, _Chain(asked=frozenset({self._asked})), self._values)
            return AdBreak("start", offer=self.offer(found))
        none = _Found(failures=(_NO_BREAK,))
        return vmap.read(root).breaks or AdBreak("start", offer=self.offer(none))

    def offer(self, found: _Found) -> Offer:
        """What was found, with the time that it took up to now."""
        return Offer(
            ads=found.pod or found.alone,
            spare=found.alone if found.pod else (),
            failures=found.failures,
            latency_ms=(self._clock() - self._began) * 1000,
            calls=found.calls + 1,
        )

    async def ad_break(self, one: vmap.Break, position: int) -> AdBreak:
        """A break of a VMAP with its ads. `position`: what BREAKPOSITION says of it."""
        values = msgspec.structs.replace(self._values, position=position)
        offer = _reported(await self._source(one.source, values), one)
        return AdBreak(one.offset, one.id, offer, one.beacons, one.repeat_after_ms)

    async def _source(self, source: vmap.AdSource, values: Values) -> Offer:
        chain = _Chain(
            asked=frozenset({self._asked, source.tag}),
            follow=source.follow,
            multiple=source.multiple,
        )
        if source.document is not None:
            found = await self._unwrap(source.document, chain, values)
        elif source.tag:
            found = await self._follow(source.tag, chain, values)
        else:
            found = _Found(failures=(Failure(source.code, source.reason),))
        return self.offer(found)

    async def _follow(self, tag: str, chain: _Chain, values: Values) -> _Found:
        """The ads of the VAST at an address that a wrapper or a VMAP names."""
        if self._calls >= MOST_CALLS:
            reason = f"the answer led to more than {MOST_CALLS} calls"
            return _Found(failures=(chain.failure(302, reason),))
        self._calls += 1
        root = await self._get(macros.tag(tag, values, self._now()), chain)
        if isinstance(root, Failure):
            return _Found(failures=(root,), calls=1)
        found = await self._read(root, chain, values)
        return msgspec.structs.replace(found, calls=found.calls + 1)

    async def _get(self, url: str, chain: _Chain) -> xml.Element | Failure:
        """The root of what is at an address, or why there is none."""
        host, seconds = _host(url), self._streams.ad_server_seconds
        try:
            async with asyncio.timeout_at(self._deadline), self._places, asyncio.timeout(seconds):
                answer = await self._fetch.get(
                    url,
                    service=self._service,
                    timeout=seconds,
                    limit_bytes=self._streams.answer_bytes,
                    headers=self._headers,
                )
        except TimeoutError:
            return chain.failure(301, f"{host} gave no answer in time")
        except FetchError as error:
            return chain.failure(_CODES.get(error.kind, 300), error.detail)
        if answer.status == 204 or (answer.status == 200 and not answer.body.strip()):
            return chain.failure(303, f"{host} has no ads: its answer is empty")
        if answer.status != 200:
            return chain.failure(300, f"{host} answered {answer.status}")
        try:
            return xml.parse(answer.body, self._streams.answer_bytes)
        except XmlError as error:
            return chain.failure(error.code, f"{host}: {error.reason}")

    async def _read(self, root: xml.Element, chain: _Chain, values: Values) -> _Found:
        try:
            document = vast.read(root)
        except XmlError as error:
            return _Found(failures=(chain.failure(error.code, error.reason),))
        return await self._unwrap(document, chain, values)

    async def _unwrap(self, document: vast.Document, chain: _Chain, values: Values) -> _Found:
        """The ads of a VAST with all that its wrappers lead to, put in their order."""
        failures = tuple(
            chain.failure(one.code, one.reason, one.ad_id, document.errors)
            for one in document.failures
        )
        if not document.ads:
            empty = chain.failure(303, "the VAST has no ads", more=document.errors)
            return _Found(failures=failures or (empty,))
        ads = document.ads if chain.multiple else (_only(document.ads),)
        found = await asyncio.gather(*(self._one(ad, chain, values) for ad in ads))
        return _arranged(ads, found, failures)

    async def _one(self, entry: vast.Entry, chain: _Chain, values: Values) -> _Found:
        """What one Ad element comes to."""
        if isinstance(entry, vast.InLine):
            ad = vast.merge((*chain.levels, entry.ad))
            return _Found(pod=(ad,)) if ad.sequence else _Found(alone=(ad,))
        inner = _Chain(
            levels=(*chain.levels, entry.ad),
            asked=chain.asked | {entry.tag},
            follow=entry.follow,
            multiple=entry.multiple,
        )
        if refused := self._refused(entry, chain):
            return _Found(failures=(inner.failure(*refused),))
        return await self._follow(entry.tag, inner, values)

    def _refused(self, wrapper: vast.Wrapper, chain: _Chain) -> tuple[int, str] | None:
        """Why a wrapper is not followed, if it is not."""
        if not wrapper.tag:
            return 300, "a wrapper has no http(s) VASTAdTagURI"
        if not chain.follow:
            return 302, "a wrapper, where what led to it allows none"
        if wrapper.tag in chain.asked:
            return 302, f"wrappers go round in a loop at {_host(wrapper.tag)}"
        if len(chain.levels) >= self._streams.wrappers:
            return 302, f"more than {self._streams.wrappers} wrappers around one ad"
        return None


def _reported(offer: Offer, one: vmap.Break) -> Offer:
    """A break's offer, whose first failure the break's own error addresses hear of as well, where
    nothing came of its source. That there are no ads is no error of the break.
    """
    urls = tuple(beacon.url for beacon in one.beacons if beacon.type == "error")
    failed = next((failure for failure in offer.failures if failure.code != 303), None)
    if offer.ads or failed is None or not urls:
        return offer
    told = msgspec.structs.replace(failed, urls=tuple(dict.fromkeys([*failed.urls, *urls])))
    failures = [told if failure is failed else failure for failure in offer.failures]
    return msgspec.structs.replace(offer, failures=tuple(failures))


def _position(offset: str) -> int:
    """What BREAKPOSITION says of a timeOffset, whatever the content's length."""
    share, at = offsets.percent(offset), offsets.milliseconds(offset)
    if offset == "start" or 0 in {share, at}:
        return macros.PREROLL
    return macros.POSTROLL if offset == "end" or share == 100 else macros.MIDROLL


def _only(ads: Sequence[vast.Entry]) -> vast.Entry:
    """The one ad of an answer of which one is allowed: its first stand-alone ad.

    Where it has none, the first of its pod, which then is none: many ad servers number an ad that
    comes alone.
    """
    entry = min(ads, key=lambda one: one.ad.sequence)
    return msgspec.structs.replace(entry, ad=msgspec.structs.replace(entry.ad, sequence=0))


def _arranged(
    ads: Sequence[vast.Entry], found: Sequence[_Found], failures: tuple[Failure, ...]
) -> _Found:
    """What the ads of one document came to, as one pod and the stand-alone ads beside it.

    The pod is that of the document itself; where it has none, the first that a wrapper led to. Ads
    of any other pod are stand-alone ads to this one.
    """
    numbered: list[tuple[int, Sequence[Ad]]] = []
    missing: list[int] = []
    led_to: tuple[Ad, ...] = ()
    alone: list[Ad] = []
    for entry, came in zip(ads, found, strict=True):
        sequence = entry.ad.sequence
        if sequence and came.pod:
            numbered.append((sequence, came.pod))
        elif sequence and isinstance(entry, vast.Wrapper) and entry.fallback:
            missing.append(sequence)
        elif not led_to:
            led_to = came.pod
        else:
            alone += came.pod
        alone += came.alone
        failures += came.failures
    if numbered or missing:
        alone = [*led_to, *alone]
        substitutes, alone = alone[: len(missing)], alone[len(missing) :]
        numbered += [
            (sequence, [_numbered(ad, sequence)])
            for sequence, ad in zip(missing, substitutes, strict=False)
        ]
        numbered.sort(key=lambda entry: entry[0])
        led_to = tuple(ad for _, pod in numbered for ad in pod)
    return _Found(
        led_to,
        tuple(_numbered(ad, 0) for ad in alone),
        failures,
        calls=sum(came.calls for came in found),
    )


def _numbered(ad: Ad, sequence: int) -> Ad:
    return msgspec.structs.replace(ad, sequence=sequence)


def _host(url: str) -> str:
    """What may be shown of an address: its query may hold what is known of the viewer."""
    return url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2]
