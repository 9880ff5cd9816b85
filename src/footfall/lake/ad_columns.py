"""The columns of `ad_breaks` and `ads`: name, type, help, unit, whether it is never NULL.

Data for `tables`, which makes tables of it. The views themselves are in `queries/`; the events that
they are made of are in `footfall.stream.events`.
"""

from __future__ import annotations

from collections.abc import Mapping

AdColumn = tuple[str, str, str, str, bool]

_PLACE: tuple[AdColumn, ...] = (
    ("source", "VARCHAR", "The site or app.", "", True),
    ("service", "VARCHAR", "The stream service, as named in the settings.", "", True),
    ("session_id", "VARCHAR", "Its `bpkio_sessionid`.", "", True),
    ("pod", "VARCHAR", "Id of the break, as the session-tracking JSON has it.", "", True),
)
_TIMES: tuple[AdColumn, ...] = (
    ("mode", "VARCHAR", "vod, preroll, replacement (of live content) or channel.", "", True),
    ("starts_at", "TIMESTAMP", "Its start by the stream's clock; NULL of vod.", "UTC", False),
    (
        "start_ms",
        "BIGINT",
        "Its start in the stream: of vod from 0, ads before it included; else since 1970.",
        "milliseconds",
        True,
    ),
    ("decided_at", "TIMESTAMP", "When it was decided, by the server.", "UTC", True),
)


def _counted(name: str, help_: str) -> AdColumn:
    return (name, "INTEGER", help_, "", False)


AD_COLUMNS: Mapping[str, tuple[AdColumn, ...]] = {
    "ad_breaks": (
        *_PLACE,
        *_TIMES,
        (
            "planned_ms",
            "BIGINT",
            "How much of the break was left to fill, as its length was said; NULL: nobody said.",
            "milliseconds",
            False,
        ),
        ("filled_ms", "BIGINT", "How long its ads are.", "milliseconds", True),
        ("slate_ms", "BIGINT", "How long a slate fills it.", "milliseconds", True),
        ("offered", "INTEGER", "Ads that the ad server sent.", "", True),
        ("ads", "INTEGER", "Ads that were placed.", "", True),
        (
            "outcome",
            "VARCHAR",
            "filled, partial (2 s or more left), empty (none offered), failed, lost (out of time).",
            "",
            True,
        ),
        ("reason", "VARCHAR", "Why it is not filled, as far as that is known.", "", False),
        (
            "latency_ms",
            "DOUBLE",
            "From the first call of the ad server to its last answer; NULL where none was called.",
            "milliseconds",
            False,
        ),
        ("calls", "INTEGER", "Calls of ad servers, wrappers included.", "", True),
        ("fill_rate", "DOUBLE", "filled_ms by planned_ms; above 1 where ads exceed it.", "", False),
        ("errors", "INTEGER[]", "VAST error codes, one for each error.", "", True),
    ),
    "ads": (
        *_PLACE,
        ("position", "INTEGER", "Its place among the ads of the break, from 1.", "", True),
        ("ad_id", "VARCHAR", "As VAST has it.", "", True),
        ("creative_id", "VARCHAR", "As VAST has it.", "", False),
        ("title", "VARCHAR", "As VAST has it.", "", False),
        ("advertiser", "VARCHAR", "As VAST has it.", "", False),
        *_TIMES,
        ("duration_ms", "BIGINT", "Of its segments, whatever VAST says.", "milliseconds", True),
        ("tracking", "VARCHAR", "Who tells the ad server: client or server.", "", True),
        _counted(
            "impressions",
            "1 where an impression was reported to the ad server, else 0. This and the next five "
            "are NULL where the client reports, and where the ad names no address for it.",
        ),
        _counted("started", "Likewise of start."),
        _counted("first_quartiles", "Likewise of firstQuartile."),
        _counted("midpoints", "Likewise of midpoint."),
        _counted("third_quartiles", "Likewise of thirdQuartile."),
        _counted("completes", "Likewise of complete."),
        _counted("segments_requested", "How many of its segments were asked for; as above."),
        _counted("segments", "How many it has; NULL where none was asked for."),
        ("errors", "INTEGER[]", "VAST error codes that name this ad in this break.", "", True),
        _counted(
            "uncertain",
            "Reports of which nobody knows whether they arrived: no answer came, or none is "
            "recorded a minute after they were due.",
        ),
    ),
}
