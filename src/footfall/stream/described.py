"""What a creative that is HLS is: its multivariant, if it has one, and its reference list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from footfall.settings import Service
from footfall.stream.contract import MediaList, Multivariant, Rendition
from footfall.stream.ladder import reference
from footfall.stream.lines import PlaylistError


class Origins(Protocol):
    """`origin.Origins`, as far as it is needed. Both raise `FetchError` and `PlaylistError`."""

    async def playlist(
        self, service: Service, uri: str, *, live: bool
    ) -> MediaList | Multivariant: ...
    async def media(
        self, service: Service, uri: str, *, live: bool, variables: Mapping[str, str]
    ) -> MediaList: ...


class Described(msgspec.Struct, frozen=True):
    """A creative's playlists as far as they are needed to know what it is."""

    multivariant: Multivariant | None
    """None: its address is a media playlist."""
    reference: MediaList


async def described(origins: Origins, service: Service, address: str) -> Described:
    """What a creative is. Raises `FetchError`, and `PlaylistError` for what is no finished HLS."""
    found = await origins.playlist(service, address, live=False)
    if isinstance(found, MediaList):
        return Described(None, finished(found))
    first = reference(found.renditions)
    if first is None:
        raise PlaylistError("it has neither picture nor sound")
    return Described(found, await media_of(origins, service, found, first))


async def media_of(
    origins: Origins, service: Service, multivariant: Multivariant, rendition: Rendition
) -> MediaList:
    """The list of one of a creative's renditions. Raises as `described`."""
    variables = multivariant.variables
    return finished(await origins.media(service, rendition.uri, live=False, variables=variables))


def finished(media: MediaList) -> MediaList:
    """The list, if it can be an ad's. Raises `PlaylistError`."""
    if not media.ended or not len(media):
        raise PlaylistError("its playlist has no EXT-X-ENDLIST or no segments")
    return media
