"""What a creative that is HLS is: its multivariant, if it has one, and its reference list."""

from __future__ import annotations

from typing import Protocol

import msgspec

from footfall.settings import Service
from footfall.stream.contract import MediaList, Multivariant
from footfall.stream.ladder import reference
from footfall.stream.lines import PlaylistError


class Origins(Protocol):
    """Playlists of other servers. Both raise `FetchError` and `PlaylistError`."""

    async def multivariant(self, service: Service, uri: str) -> Multivariant: ...
    async def media(self, service: Service, uri: str, *, live: bool) -> MediaList: ...


class Described(msgspec.Struct, frozen=True):
    """A creative's playlists as far as they are needed to know what it is."""

    multivariant: Multivariant | None
    """None: its address is a media playlist."""
    reference: MediaList


async def described(origins: Origins, service: Service, address: str) -> Described:
    """What a creative is. Raises `FetchError`, and `PlaylistError` for what is no finished HLS."""
    try:
        found = await origins.multivariant(service, address)
    except PlaylistError:
        media = await origins.media(service, address, live=False)
        return Described(None, finished(media))
    first = reference(found.renditions)
    if first is None:
        raise PlaylistError("it has no rendition with a picture")
    return Described(found, finished(await origins.media(service, first.uri, live=False)))


def finished(media: MediaList) -> MediaList:
    """The list, if it can be an ad's. Raises `PlaylistError`."""
    if not media.ended or not len(media):
        raise PlaylistError("its playlist has no EXT-X-ENDLIST or no segments")
    return media
