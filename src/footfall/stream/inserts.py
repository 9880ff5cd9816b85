"""The lists of ads that a session's pods need in a rendition, and the addresses of their segments.

Where the server tracks, an ad's segment has an address of ours, which sends the player on to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from itertools import accumulate

from footfall.settings import Service
from footfall.stream import ladder, requests, splice
from footfall.stream.ad_tokens import AdSegment, Tokens
from footfall.stream.contract import FetchError, MediaList, Pod, Rendition
from footfall.stream.creatives import Creatives
from footfall.stream.ladder import Content
from footfall.stream.lines import PlaylistError
from footfall.stream.sessions import Session

BLANK = requests.PREFIX + requests.SUBTITLES


class Inserts:
    """Of all sessions of a process."""

    def __init__(self, creatives: Creatives, tokens: Tokens) -> None:
        self._creatives = creatives
        self._tokens = tokens

    async def lists(
        self,
        service: Service,
        pods: Sequence[Pod],
        rendition: Rendition,
        content: Content,
        known: dict[str, MediaList] | None = None,
        *,
        mapped: bool = False,
    ) -> dict[str, MediaList]:
        """By `Placed.creative`. What cannot be had is left out: gaps stand for it.

        `known`: those of this rendition that were found before, to which what is found is added.
        Many sessions have the same ads, and looking one up costs more than writing it down.
        `mapped`: the rendition's own list has EXT-X-MAP.
        """
        if known is None:
            known = {}
        wanted = dict.fromkeys(placed.creative for pod in pods for placed in pod.ads)
        missing = [creative for creative in wanted if creative not in known]
        if missing:
            found = await asyncio.gather(
                *(self._list(service, one, rendition, content, mapped=mapped) for one in missing)
            )
            known |= {
                name: one for name, one in zip(missing, found, strict=True) if one is not None
            }
        return {creative: known[creative] for creative in wanted if creative in known}

    async def _list(
        self,
        service: Service,
        creative: str,
        rendition: Rendition,
        content: Content,
        *,
        mapped: bool,
    ) -> MediaList | None:
        try:
            found = await self._creatives.lists(service, creative, rendition)
            if found is not None or rendition.kind != ladder.SUBTITLES:
                return found
            # Nothing to be read, as long as the creative is.
            first = ladder.reference(content.renditions)
            whole = await self._creatives.lists(service, creative, first) if first else None
        except (FetchError, PlaylistError):
            return None
        if whole is None:
            return None
        # No tag ends a map, so text would be read as fragments of the subtitles' MP4.
        nothing = splice.gap if mapped else splice.blank
        return nothing(sum(whole.durations), content.target_s, BLANK)

    def addresses(self, session: Session, ads: Mapping[str, MediaList]) -> splice.Address | None:
        """What segments of ads are called by in a session; None: by their own addresses."""
        service = session.service
        if service.tracking != "server":
            return None

        def address(pod: Pod, position: int, segment: int) -> str | None:
            media = ads.get(pod.ads[position].creative)
            if media is None:
                return None
            ends = list(accumulate(media.durations, initial=0))
            asked = AdSegment(
                session_id=session.id,
                pod=pod.id,
                ad=position,
                segment=segment,
                of=len(media),
                begin_ms=ends[segment] // 1000,
                end_ms=ends[segment + 1] // 1000,
                address=media.plain[segment].rstrip("\n").rpartition("\n")[2],
            )
            token = self._tokens.token(service.id, asked)
            return f"{requests.PREFIX}{service.id}/{requests.AD}{token}"

        return address
