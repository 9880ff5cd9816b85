"""A session's metrics: rows for the tables of `media_columns`, read from its state.

Nothing is decided here. Rules: Adobe's "Media metrics" and "Media parameters" pages; where they
leave something open, `media_machine` says what was chosen. Federated data has no parameter in
this API and no column here.
"""

from __future__ import annotations

from math import ceil, floor
from typing import Any, NamedTuple

from footfall.model import Micros
from footfall.project import media_session as sessions
from footfall.project.media_effects import MARKERS, add_span
from footfall.project.media_hints import hints
from footfall.project.media_order import drain
from footfall.project.media_params import (
    AD,
    CHAPTER,
    CLIENT,
    POD,
    START,
    VISITOR,
    columns_of,
)
from footfall.project.media_session import SECOND, Ad, Chapter, Limits, Session
from footfall.project.media_terms import KIND, KINDS, REASONS, STATES

Row = dict[str, Any]

HALF_HOUR = 1800 * SECOND


class Rows(NamedTuple):
    """One session in the four tables. Keys are the names of `media_columns`, in their order."""

    session: Row
    ads: list[Row]
    chapters: list[Row]
    states: list[Row]


def rows(session: Session, limits: Limits) -> Rows:
    """What a session comes to now, with everything that is held back; it is left as it is."""
    if session.held:
        session = sessions.decode(sessions.encode(session))
        drain(session, limits)
    start = columns_of(START, session.start)
    key = {"source": session.source, "session_id": session.session_id}
    return Rows(
        _session_row(key, session, start),
        [
            key | _ad_row(session, number, ad, start)
            for number, ad in enumerate([*session.ads, *filter(None, [session.ad])], 1)
        ],
        [
            key | _chapter_row(session, number, chapter, start)
            for number, chapter in enumerate(
                [*session.chapters, *filter(None, [session.chapter])], 1
            )
        ],
        [
            key
            | {
                "name": state.name,
                "starts": state.starts,
                "time_s": seconds(
                    state.us
                    + (0 if state.since_us is None else session.counted_us - state.since_us)
                ),
                "active": state.since_us is not None,
            }
            for state in session.states.values()
        ],
    )


def seconds(micros: int) -> float:
    return micros / SECOND


def _session_row(key: Row, session: Session, start: Row) -> Row:
    visitor = columns_of(VISITOR, session.visitor)
    closing = session.closing
    names = ("marketing_cloud_user_id", "analytics_visitor_id", "analytics_aid")
    viewer = next((visitor[name] for name in names if visitor[name]), session.session_id)
    return (
        key
        | {
            "state": "closed" if closing else "open",
            "why": closing.why if closing else None,
            "playback": STATES[session.state],
            "opened_at": session.opened_at,
            "started_at": session.started_at,
            "ended_at": _ended_at(session),
            "viewer_id": viewer,
        }
        | {name: visitor.pop(name) for name in (*names, "app_installation_id")}
        | {"customer_ids": session.customer_ids}
        | {"user_id": dict(zip(CLIENT, session.client, strict=False)).get("user_id")}
        | visitor
        | {name: value for name, value in zip(CLIENT, session.client, strict=False)
           if name != "user_id"}
        | start
        | {
            "metadata": session.metadata,
            "events": _events(session),
            "playhead_s": session.playhead,
        }
        | _content_row(session, start["length_s"])
        | _counts_row(session)
        | _quality_row(session)
        | {
            "since_last_call_s": None if closing is None else _since_last_call(session),
            "active_minutes": [
                list(pair)
                for pair in zip(session.minutes[::2], session.minutes[1::2], strict=True)
            ],
            "late_events": session.late,
            "ignored_events": sum(session.reasons.values()),
            "hints": hints(session, start),
            "account": account(session),
        }
    )  # fmt: skip


def _events(session: Session) -> int:
    """What clients sent: all kinds but our own, and what is of no kind."""
    ours = session.counts[KIND["close"]]
    return sum(session.counts) - ours + session.reasons.get("unknown_type", 0)


def _ended_at(session: Session) -> Micros:
    """The end that the client gave; else the last event, which may have come while the closing
    was under way.
    """
    closing = session.closing
    if closing is None:
        return session.ts
    return closing.closed_at if closing.why == "ended" else max(closing.closed_at, session.ts)


def _content_row(session: Session, length: float | None) -> Row:
    played = session.content_us + session.ad_us
    content = seconds(session.content_us)
    segment = None
    if session.content_started:
        segment = f"[{floor(session.lowest / 60)}-{ceil(session.highest / 60)}]"
    return {
        "content_start": session.content_started,
        "content_complete": session.completed,
        "drop_before_start": session.closing is not None and not session.content_started,
        "content_time_spent_s": content,
        "ad_time_spent_s": seconds(session.ad_us),
        "media_time_spent_s": seconds(played),
        "unique_time_played_s": _unique(session),
        "average_minute_audience": content / length if length and length > 0 else None,
        "estimated_streams": played // HALF_HOUR + 1,
        "progress_markers": list(MARKERS[: session.progress]),
        "content_segment": segment,
        "segment_view": session.content_started,
    }


def _unique(session: Session) -> float:
    """The stretches that were played, and the one that is being played, each second once."""
    start, end = session.span_from, session.span_to
    spans = list(session.spans)
    if end > start:
        add_span(spans, start, end, most=len(spans) + 1)
    return round(sum(spans[1::2]) - sum(spans[::2]), 6)


def _counts_row(session: Session) -> Row:
    return {
        "pause_events": session.pause_events,
        "pause_impacted": session.pause_events > 0,
        "pause_time_s": seconds(session.pause_us),
        "buffer_events": session.buffer_events,
        "buffer_impacted": session.buffer_events > 0,
        "buffer_time_s": seconds(session.buffer_us),
        "stall_events": session.stall_events,
        "stall_impacted": session.stall_events > 0,
        "stall_time_s": seconds(session.stall_us),
        "ad_breaks": session.ad_breaks,
        "ad_starts": session.ad_starts,
        "ad_completes": session.ad_completes,
        "chapter_starts": session.chapter_starts,
        "chapter_completes": session.chapter_completes,
        "player_states": len(session.states),
    }


def _quality_row(session: Session) -> Row:
    average = _bitrate(session)
    bucket = None
    if average is not None:
        low = int(average // 100) * 100
        bucket = f"{low}-{low + 99}"
    return {
        "bitrate_average_kbps": average,
        "bitrate_average_bucket": bucket,
        "bitrate_changes": session.bitrate_changes,
        "bitrate_change_impacted": session.bitrate_changes > 0,
        "dropped_frames": int(session.dropped_frames),
        "dropped_frames_impacted": session.dropped_frames > 0,
        "frames_per_second": session.frames_per_second,
        "time_to_start_s": session.time_to_start_ms / 1000,
        "errors": session.errors,
        "error_impacted": session.errors > 0,
        "player_errors": list(session.player_errors),
        "external_errors": list(session.external_errors),
    }


def _bitrate(session: Session) -> float | None:
    """kbps, over the content's play time with a known bitrate; the last one known, before any."""
    bits, us = session.bits, session.bits_us
    if session.bitrate:
        played = session.content_us - session.bitrate_from_us
        bits, us = bits + played * session.bitrate, us + played
    if us > 0:
        return bits / us / 1000
    return session.bitrate / 1000 if session.bitrate else None


def _since_last_call(session: Session) -> float:
    assert session.closing is not None
    if session.closing.why in ("ended", "downloaded"):
        return 0.0
    return seconds(session.closing.clock - session.heard_clock)


def _ad_row(session: Session, number: int, ad: Ad, start: Row) -> Row:
    row = columns_of(AD, ad.values)
    pod = columns_of(POD, ad.pod)
    played = ad.played_us if ad.ended_at is not None else session.ad_us - ad.from_us
    # In the tables' order: ad_id, ad_name and length_s, the pod, then the rest.
    first = {name: row.pop(name) for name in ("ad_id", "ad_name", "length_s")}
    player = row.pop("player_name") or start["player_name"]
    return (
        {
            "ad_number": number,
            "started_at": ad.started_at,
            "ended_at": ad.ended_at,
            "state": _ended(ad),
        }
        | first
        | {"pod_id": f"{start['media_id']}_{pod['pod_index']}"}
        | pod
        | {"pod_position": row.pop("pod_position"), "player_name": player}
        | row
        | {
            "ad_time_spent_s": seconds(played),
            "ad_complete": ad.completed,
            "pause_events": ad.pause_events,
            "pause_time_s": seconds(ad.pause_us),
            "buffer_events": ad.buffer_events,
            "buffer_time_s": seconds(ad.buffer_us),
            "metadata": ad.metadata,
        }
    )


def _chapter_row(session: Session, number: int, chapter: Chapter, start: Row) -> Row:
    row = columns_of(CHAPTER, chapter.values)
    until = session.content_us if chapter.until_us is None else chapter.until_us
    offset = row["offset_s"]
    place = "" if offset is None else f"{offset:g}"
    return {
        "chapter_number": number,
        "started_at": chapter.started_at,
        "ended_at": chapter.ended_at,
        "state": _ended(chapter),
        "chapter_id": f"{start['media_id']}_{row['chapter_index']}_{place}",
        "chapter_index": row["chapter_index"],
        "chapter_name": row["chapter_name"],
        "offset_s": offset,
        "length_s": row["length_s"],
        "chapter_time_spent_s": seconds(until - chapter.from_us),
        "chapter_complete": chapter.completed,
        "metadata": chapter.metadata,
    }


def _ended(item: Ad | Chapter) -> str:
    if item.ended_at is None:
        return "open"
    return "complete" if item.completed else "skipped"


def account(session: Session) -> Row:
    """Every event by type, those that changed nothing by reason, and the latest of these."""
    return {
        "types": {kind: n for kind, n in zip(KINDS, session.counts, strict=False)
                  if n and kind != "close"},
        "ignored": dict(session.reasons),
        "last": [
            {
                "at": told.ts,
                "type": told.type,
                "reason": told.reason or None,
                "help": REASONS.get(told.reason),
                "late": told.late,
            }
            for told in session.told
        ],
    }  # fmt: skip
