"""What is kept of params: which key becomes which column, and how its value is read.

Names of the keys: the request parameters of
https://experienceleague.adobe.com/en/docs/media-analytics/using/implementation/analytics-only/streaming-media-apis/mc-api-overview;
a value of another type than expected is left out; the edge
has refused it already where it is required. Values are kept as lists in the order of these
tuples, so new params go at the end.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

LONGEST_TEXT = 1000
"""Characters of a text that are kept; the event itself has all of it."""
MOST_METADATA = 100
"""Entries of customMetadata that are kept, likewise."""
_LARGEST_INTEGER = 1 << 31
_LARGEST_NUMBER = 1e18


def text(value: Any) -> str | None:
    # Interned: most sessions share player, channel, content and so on, and the memory for them.
    return sys.intern(value[:LONGEST_TEXT]) if isinstance(value, str) else None


def number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < _LARGEST_NUMBER else None


def whole(value: Any) -> int | None:
    found = number(value)
    return None if found is None or abs(found) >= _LARGEST_INTEGER else int(found)


def flag(value: Any) -> bool | None:
    if isinstance(value, str):
        return value.lower() == "true"
    return value if isinstance(value, bool) else None


class Param(NamedTuple):
    key: str
    column: str
    read: Callable[[Any], Any] = text


START = (
    Param("media.id", "media_id"),
    Param("media.name", "media_name"),
    Param("media.length", "length_s", number),
    Param("media.contentType", "content_type"),
    Param("media.streamType", "stream_type"),
    Param("media.playerName", "player_name"),
    Param("media.channel", "channel"),
    Param("media.resume", "resume", flag),
    Param("media.sdkVersion", "app_version"),
    Param("media.libraryVersion", "library_version"),
    Param("media.show", "show"),
    Param("media.season", "season"),
    Param("media.episode", "episode"),
    Param("media.assetId", "asset_id"),
    Param("media.genre", "genre"),
    Param("media.firstAirDate", "first_air_date"),
    Param("media.firstDigitalDate", "first_digital_date"),
    Param("media.rating", "rating"),
    Param("media.originator", "originator"),
    Param("media.network", "network"),
    Param("media.showType", "show_type"),
    Param("media.adLoad", "ad_load"),
    Param("media.pass.mvpd", "mvpd"),
    Param("media.pass.auth", "authorized", flag),
    Param("media.dayPart", "day_part"),
    Param("media.feed", "feed"),
    Param("media.streamFormat", "stream_format"),
    Param("media.artist", "artist"),
    Param("media.album", "album"),
    Param("media.label", "label"),
    Param("media.author", "author"),
    Param("media.station", "station"),
    Param("media.publisher", "publisher"),
    Param("media.downloaded", "downloaded", flag),
)
"""Of sessionStart: what is watched, and by which player."""

VISITOR = (
    Param("visitor.marketingCloudUserId", "marketing_cloud_user_id"),
    Param("analytics.visitorId", "analytics_visitor_id"),
    Param("analytics.aid", "analytics_aid"),
    Param("appInstallationId", "app_installation_id"),
    Param("visitor.marketingCloudOrgId", "organization_id"),
    Param("analytics.reportSuite", "report_suite"),
    Param("analytics.trackingServer", "tracking_server"),
)
"""Of sessionStart: who watches, and for whom it is counted."""

CLIENT = ("country", "device", "os", "browser", "user_id")
"""Of the sessionStart's own fields, as the edge filled them in: each a column of its name."""

POD = (
    Param("media.ad.podIndex", "pod_index", whole),
    Param("media.ad.podSecond", "pod_second_s", number),
    Param("media.ad.podFriendlyName", "pod_name"),
)
"""Of adBreakStart."""

AD = (
    Param("media.ad.id", "ad_id"),
    Param("media.ad.name", "ad_name"),
    Param("media.ad.length", "length_s", number),
    Param("media.ad.podPosition", "pod_position", whole),
    Param("media.ad.playerName", "player_name"),
    Param("media.ad.advertiser", "advertiser"),
    Param("media.ad.campaignId", "campaign_id"),
    Param("media.ad.creativeId", "creative_id"),
    Param("media.ad.creativeURL", "creative_url"),
    Param("media.ad.siteId", "site_id"),
    Param("media.ad.placementId", "placement_id"),
)
"""Of adStart."""

CHAPTER = (
    Param("media.chapter.index", "chapter_index", whole),
    Param("media.chapter.offset", "offset_s", number),
    Param("media.chapter.length", "length_s", number),
    Param("media.chapter.friendlyName", "chapter_name"),
)
"""Of chapterStart."""


def read_params(wanted: tuple[Param, ...], params: Mapping[str, Any]) -> list[Any]:
    """The values of `wanted`, in its order; None where there is none."""
    return [param.read(params.get(param.key)) for param in wanted]


def value_of(wanted: tuple[Param, ...], values: list[Any], column: str) -> Any:
    """One of them, by its column."""
    for param, value in zip(wanted, values, strict=False):
        if param.column == column:
            return value
    return None


def columns_of(wanted: tuple[Param, ...], values: list[Any]) -> dict[str, Any]:
    """All of them by column. Values of an older checkpoint may be fewer."""
    padded = values + [None] * (len(wanted) - len(values))
    return {param.column: value for param, value in zip(wanted, padded, strict=True)}


def read_metadata(properties: Mapping[str, Any]) -> dict[str, str] | None:
    found = properties.get("customMetadata")
    if not isinstance(found, dict) or not found:
        return None
    return {
        sys.intern(str(key)): str(found[key])[:LONGEST_TEXT] for key in list(found)[:MOST_METADATA]
    }


def params_of(properties: Mapping[str, Any] | None) -> Mapping[str, Any]:
    found = properties.get("params") if properties else None
    return found if isinstance(found, dict) else {}
