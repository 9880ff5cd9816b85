"""Media sessions in words: which metrics are shown together, and what their values look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from footfall.console.words import CELL_CHARACTERS, cell, clock, moment, number, span
from footfall.project.media_terms import REASONS

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Session": (
        "source", "state", "why", "playback", "opened_at", "started_at", "ended_at", "events",
        "late_events", "ignored_events", "since_last_call_s", "resume", "downloaded",
        "active_minutes",
    ),
    "Content": (
        "media_id", "media_name", "length_s", "playhead_s", "content_start", "content_complete",
        "drop_before_start", "content_time_spent_s", "media_time_spent_s", "unique_time_played_s",
        "average_minute_audience", "estimated_streams", "progress_markers", "content_segment",
        "segment_view", "pause_events", "pause_impacted", "pause_time_s",
    ),
    "Quality": (
        "time_to_start_s", "buffer_events", "buffer_impacted", "buffer_time_s", "stall_events",
        "stall_impacted", "stall_time_s", "bitrate_average_kbps", "bitrate_average_bucket",
        "bitrate_changes", "bitrate_change_impacted", "dropped_frames", "dropped_frames_impacted",
        "frames_per_second", "errors", "error_impacted", "player_errors", "external_errors",
    ),
    "Ads, chapters and states": (
        "ad_breaks", "ad_starts", "ad_completes", "ad_time_spent_s", "ad_load", "chapter_starts",
        "chapter_completes", "player_states",
    ),
    "Viewer and device": (
        "viewer_id", "marketing_cloud_user_id", "analytics_visitor_id", "analytics_aid",
        "app_installation_id", "customer_ids", "user_id", "country", "device", "os", "browser",
    ),
    "What the player said": (
        "content_type", "stream_type", "player_name", "channel", "app_version", "library_version",
        "organization_id", "report_suite", "tracking_server", "show", "season", "episode",
        "asset_id", "genre", "first_air_date", "first_digital_date", "rating", "originator",
        "network", "show_type", "mvpd", "authorized", "day_part", "feed", "stream_format",
        "artist", "album", "label", "author", "station", "publisher", "metadata",
    ),
}  # fmt: skip
"""Columns of `media_sessions` by heading; `hints` and `account` have their own places."""

ITEMS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "media_ads": (
        "Ads",
        (
            "ad_number", "state", "started_at", "ad_id", "ad_name", "pod_name", "pod_index",
            "pod_position", "length_s", "ad_time_spent_s", "pause_time_s", "buffer_time_s",
        ),
    ),
    "media_chapters": (
        "Chapters",
        (
            "chapter_number", "state", "started_at", "chapter_name", "chapter_index", "offset_s",
            "length_s", "chapter_time_spent_s",
        ),
    ),
    "media_states": ("States", ("name", "starts", "time_s", "active")),
}  # fmt: skip
"""By table: the heading of a session's rows, and the columns that are shown of them."""


class Reason(NamedTuple):
    name: str
    events: int
    help: str


class Told(NamedTuple):
    """An event that was ignored or came late."""

    at: datetime
    type: str
    late: bool
    help: str


class Account(NamedTuple):
    types: list[tuple[str, int]]
    ignored: list[Reason]
    last: list[Told]


def account(given: Mapping[str, Any]) -> Account:
    """A session's account, the largest and the latest first."""

    def largest(counts: Mapping[str, int]) -> list[tuple[str, int]]:
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))

    return Account(
        largest(given["types"]),
        [Reason(name, n, REASONS.get(name, "")) for name, n in largest(given["ignored"])],
        [
            Told(
                datetime.fromtimestamp(one["at"] / 1_000_000, UTC),
                one["type"],
                one["late"],
                one["help"] or "",
            )
            for one in reversed(given["last"])
        ],
    )


def metric(value: Any, name: str) -> str:
    """A value of a column of the media tables: times, durations, counts, lists."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return moment(value)
    if name == "active_minutes":
        return _stretches(value)
    if isinstance(value, int | float):
        if name.endswith("_s"):
            return span(value)
        return number(round(value, 3))
    text = ", ".join(map(str, value)) if isinstance(value, list) else cell(value)
    return text if len(text) <= CELL_CHARACTERS else text[:CELL_CHARACTERS] + "…"


def _stretches(pairs: Sequence[Sequence[int]]) -> str:
    """Minutes since 1970 as times of the day, ends included: "11:58 to 12:03, 12:07"."""
    times = [[clock(datetime.fromtimestamp(minute * 60, UTC)) for minute in pair] for pair in pairs]
    return ", ".join(first if first == last else f"{first} to {last}" for first, last in times)
