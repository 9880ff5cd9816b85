"""Channels as if they had an origin: their playlists are made here, of their assets' playlists.

A channel's addresses lie in a folder that no network has (`services.folder_of_channel`). Whoever
asks for playlists asks `Playlists`, which gives the channels' own and leaves the rest to `Origins`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

from footfall.model import Micros
from footfall.settings import Service
from footfall.stream import channel, ladder, lines, schedule
from footfall.stream.contract import (
    Break,
    FetchError,
    MediaList,
    Multivariant,
    Pod,
    Rendition,
)
from footfall.stream.lines import PlaylistError
from footfall.stream.origin import Lists, Origins
from footfall.stream.schedule import Planned
from footfall.stream.services import folder_of_channel
from footfall.stream.slots import Slots

MULTIVARIANT = "master.m3u8"
SLOTS_SECONDS = 1.0
"""How old a process' look at the slots may be."""


class _Asset(msgspec.Struct, frozen=True):
    """One asset of a loop, or the replacement of a slot."""

    playlist: Multivariant
    lasts_us: int


class _Schedule(msgspec.Struct, frozen=True):
    slots: list[Planned]
    until: float
    """When it is to be looked at again."""


class Playlists(Lists):
    """Playlists of origins and of channels; the interface of `Origins`, whose faults it has too."""

    def __init__(
        self,
        origins: Origins,
        slots: Slots,
        now: Callable[[], Micros],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`now`: the server's clock; `clock`: a monotonic one."""
        self._origins = origins
        self._slots = slots
        self._now = now
        self._clock = clock
        self._schedules: dict[str, _Schedule] = {}
        self._loops: dict[str, tuple[tuple[MediaList, ...], channel.Loop]] = {}
        """By address: the assets' lists that a loop was made of, which are the same objects as
        long as they did not change."""
        self.document = origins.document

    async def playlist(
        self,
        service: Service,
        uri: str,
        *,
        live: bool,
        variables: Mapping[str, str] = lines.NONE,
    ) -> MediaList | Multivariant:
        """Whichever kind of playlist stands at an absolute address."""
        folder = folder_of_channel(service)
        if folder is None or not uri.startswith(folder):
            return await self._origins.playlist(service, uri, live=live, variables=variables)
        assets = await self._assets(service)
        file = uri.partition("?")[0].removeprefix(folder)
        if file == MULTIVARIANT:
            return _named(assets[0].playlist, folder)
        number, dot, ending = file.partition(".")
        renditions = assets[0].playlist.renditions
        if not (dot and ending == "m3u8" and number.isdecimal() and int(number) < len(renditions)):
            raise FetchError("status", f"The channel has no {file}; it has {MULTIVARIANT}.", 404)
        return await self._window(service, folder + file, renditions[int(number)], assets)

    async def close(self) -> None:
        await self._origins.close()

    # -- slots ----------------------------------------------------------------------------------

    async def breaks(self, service: Service) -> tuple[Break, ...]:
        """A channel's ad breaks, those to come too."""
        return schedule.breaks(await self._slots_of(service))

    async def pods(self, service: Service) -> tuple[Pod, ...]:
        """What plays in a channel instead of its loop: pods that all its sessions have.

        A replacement that cannot be had leaves the loop where it is.
        """
        slots = await self._slots_of(service)
        wanted = {one.replacement for one in slots if one.kind == schedule.CONTENT}
        if not wanted:
            return ()
        found = await asyncio.gather(
            *(self._asset(service, address) for address in wanted), return_exceptions=True
        )
        lengths = {
            address: one.lasts_us
            for address, one in zip(wanted, found, strict=True)
            if isinstance(one, _Asset)
        }
        return schedule.pods(slots, lengths)

    async def _slots_of(self, service: Service) -> list[Planned]:
        known = self._schedules.get(service.id)
        if known is None or self._clock() >= known.until:
            slots = await self._slots.of(service)
            known = self._schedules[service.id] = _Schedule(slots, self._clock() + SLOTS_SECONDS)
        return known.slots

    # -- loops ----------------------------------------------------------------------------------

    async def _assets(self, service: Service) -> Sequence[_Asset]:
        """The loop's. Raises what `Origins` raises for the first that cannot be had."""
        if not service.assets:
            raise FetchError("status", "The channel has no assets.", 404)
        return await asyncio.gather(*(self._asset(service, one) for one in service.assets))

    async def _asset(self, service: Service, address: str) -> _Asset:
        found = await self._origins.multivariant(service, address)
        reference = ladder.reference(found.renditions)
        if reference is None:
            raise PlaylistError("It has neither picture nor sound.")
        media = await self._media(service, found, reference)
        return _Asset(found, sum(media.durations))

    async def _window(
        self, service: Service, uri: str, rendition: Rendition, assets: Sequence[_Asset]
    ) -> MediaList:
        """The channel's list of one rendition, as of now.

        An asset that has nothing like the rendition is played in its reference rendition: a
        picture is better than a gap.
        """
        wanted = []
        for asset in assets:
            renditions = asset.playlist.renditions
            match = ladder.match(rendition, renditions) or ladder.reference(renditions)
            assert match is not None, "every asset has a reference"
            wanted.append(rendition if asset.playlist is assets[0].playlist else match)
        lists = await asyncio.gather(
            *(
                self._media(service, asset.playlist, one)
                for asset, one in zip(assets, wanted, strict=True)
            )
        )
        known = self._loops.get(uri)
        if known is None or [*map(id, known[0])] != [*map(id, lists)]:
            try:
                loop = channel.loop(uri, lists, [one.lasts_us for one in assets])
            except ValueError as fault:
                raise PlaylistError(f"The channel cannot play: {fault}.") from None
            known = self._loops[uri] = (tuple(lists), loop)
        return channel.window(known[1], self._now())

    async def _media(self, service: Service, asset: Multivariant, one: Rendition) -> MediaList:
        return await self._origins.media(service, one.uri, live=False, variables=asset.variables)


def _named(asset: Multivariant, folder: str) -> Multivariant:
    """An asset's multivariant playlist with the channel's own addresses."""
    own = {one.uri: f"{folder}{number}.m3u8" for number, one in enumerate(asset.renditions)}
    renditions = [msgspec.structs.replace(one, uri=own[one.uri]) for one in asset.renditions]
    addresses = [own[address] for address in asset.addresses]
    return Multivariant(f"{folder}{MULTIVARIANT}", renditions, asset.parts, addresses)
