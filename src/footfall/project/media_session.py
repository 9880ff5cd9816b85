"""A media session's state while it is open: what the fold remembers, and nothing that acts.

Times are integers of microseconds (`…_us`, or `…_at` and `ts` for moments by the client's clock,
`…_clock` for readings of the journal's clock), playheads are seconds. Every struct is written to
checkpoints as a MessagePack array: new fields go at the end, with a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from sys import intern
from typing import Any

import msgspec

from footfall.model import Micros

SECOND = 1_000_000

Properties = Mapping[str, Any]
"""`Event.properties`: params, qoeData and customMetadata, each only where it was sent."""

Item = tuple[Micros, int, float, int, float, Properties | None, int]
"""An event on its way into a session: its `ts`, its rank among those of one `ts`, its place by
arrival, its kind (index into `KINDS`), its playhead, its properties, the clock at its arrival.
Items compare by the first three, and no two have the same."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What decides when a session closes, what is waited for, and how much one session may keep."""

    idle_s: float = 600
    """Without an event for so long, by the journal's clock: closed."""
    stuck_s: float = 1800
    """The playhead where it was for so long, by `ts` and outside ad breaks: closed."""
    longest_s: float = 86400
    """Open for so long, by the journal's clock: closed."""
    reorder_s: float = 5
    """An event is held back for so long, by the journal's clock, so that earlier ones can come."""
    reorder_events: int = 10
    """So many wait at most; then the first of them is applied."""
    gap_s: float = 600
    """A longer time between two events counts nowhere."""
    record_gap_s: float = 15
    """What the time between two journal records counts as at most on the journal's clock."""
    items: int = 1000
    """Rows of ads, rows of chapters, stretches of minutes and of playhead that one session may
    have: what comes beyond is counted, but has no row."""
    states: int = 10
    """Names of player states per session."""
    told: int = 20
    """Ignored or late events that are kept one by one, the latest: one screen of them. A client
    that errs repeats itself, so that more of them tell nothing that the counts do not."""
    errors: int = 100
    """Distinct error ids per source of errors."""


class Ad(msgspec.Struct, array_like=True, gc=False):
    """One ad inside a break."""

    started_at: Micros
    values: list[Any]
    """In the order of `media_params.AD`."""
    pod: list[Any]
    """In the order of `media_params.POD`: the break's."""
    metadata: dict[str, str] | None
    from_us: int
    """`Session.ad_us` when it began: its own time is the difference."""
    ended_at: Micros | None = None
    completed: bool = False
    played_us: int = 0
    """Once it has ended."""
    pause_events: int = 0
    pause_us: int = 0
    buffer_events: int = 0
    buffer_us: int = 0


class Chapter(msgspec.Struct, array_like=True, gc=False):
    """One chapter. Its time is the content's between two readings of `Session.content_us`."""

    started_at: Micros
    values: list[Any]
    """In the order of `media_params.CHAPTER`."""
    metadata: dict[str, str] | None
    from_us: int
    until_us: int | None = None
    ended_at: Micros | None = None
    completed: bool = False


class PlayerState(msgspec.Struct, array_like=True, gc=False):
    """One player state by name: fullScreen, mute, …"""

    name: str
    """As it was first spelled."""
    starts: int = 0
    us: int = 0
    """Of the times that have ended."""
    since_us: int | None = None
    """While it is active: `Session.counted_us` when it began."""


class Told(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event that was ignored, came late, or both."""

    ts: Micros
    type: str
    reason: str
    """One of `media_machine.REASONS`; empty where it was only late."""
    late: bool


class Closing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How a session was closed, as its closing record has it."""

    closed_at: Micros
    why: str
    clock: int
    """When the closing record was taken."""


class Session(msgspec.Struct, array_like=True, gc=False):
    """One session. `media_machine.apply` changes it, `media_metrics.rows` reads it."""

    source: str
    session_id: str
    opened_at: Micros
    """The server's time of its sessionStart."""
    opened_clock: int
    heard_clock: int
    """When the latest event arrived."""
    started_at: Micros
    latest_at: Micros
    """The greatest `ts` of all that arrived, held back or not."""
    ts: Micros
    """The greatest `ts` that was applied."""
    playhead: float
    moved_at: Micros
    """Until when the playhead was seen to move; time in ad breaks is added to it."""
    start: list[Any]
    """In the order of `media_params.START`."""
    visitor: list[Any]
    """In the order of `media_params.VISITOR`."""
    client: list[Any]
    """In the order of `media_params.CLIENT`."""
    counts: list[int]
    """Events applied, by kind."""
    metadata: dict[str, str] | None = None
    customer_ids: dict[str, Any] | None = None

    state: int = 0
    """Index into `media_machine.STATES`."""
    content: int = 0
    """While a break is open: the content's state, which it returns to."""
    held: list[Item] = msgspec.field(default_factory=list)
    """Held back, in order."""
    arrivals: int = 0
    ending: bool = False
    """Its end has arrived: nothing more is applied before the row is final."""
    closing: Closing | None = None
    reasons: dict[str, int] = msgspec.field(default_factory=dict)
    """How many events were ignored, by reason."""
    told: list[Told] = msgspec.field(default_factory=list)
    late: int = 0

    content_started: bool = False
    completed: bool = False
    uncounted_us: int = 0
    """Time between events that was too long to be counted."""
    content_us: int = 0
    ad_us: int = 0
    pause_events: int = 0
    pause_us: int = 0
    buffer_events: int = 0
    buffer_us: int = 0
    stall_events: int = 0
    stall_us: int = 0
    run_events: int = 1
    """While content plays: consecutive events of different `ts` with this playhead."""
    run_us: int = 0
    """The content time between the first of them and now."""

    span_from: float = -1.0
    span_to: float = -1.0
    """The stretch of playhead that is being played; the others are in `spans`."""
    spans: list[float] = msgspec.field(default_factory=list)
    """Earlier stretches, from and to in turn, ascending, apart from each other."""
    lowest: float = -inf
    highest: float = inf
    """Playheads seen since content started; before, nothing is lower or higher."""
    next_progress: float = inf
    """The playhead that reaches the next progress marker."""
    progress: int = 0
    """Progress markers reached."""
    minutes: list[int] = msgspec.field(default_factory=list)
    """First and last minute (since 1970) in turn, of stretches in which something played."""
    minutes_until: Micros = 0
    """The end of the last of them."""

    ad: Ad | None = None
    pod: list[Any] = msgspec.field(default_factory=list)
    """The open break."""
    ads: list[Ad] = msgspec.field(default_factory=list)
    """Those that have ended."""
    ad_starts: int = 0
    ad_completes: int = 0
    ad_breaks: int = 0
    break_moves: int = 0
    """Events in a break, between ads, whose playhead had moved."""
    chapter: Chapter | None = None
    chapters: list[Chapter] = msgspec.field(default_factory=list)
    chapter_starts: int = 0
    chapter_completes: int = 0
    states: dict[str, PlayerState] = msgspec.field(default_factory=dict)
    """By the name in lower case."""

    bitrate: float = 0
    """Bits per second; 0 is unknown."""
    bitrate_before: float = 0
    bitrate_from_us: int = 0
    """`content_us` when it became active."""
    bits: float = 0
    """Sum of bitrate times microseconds of content, up to `bitrate_from_us`."""
    bits_us: int = 0
    bitrate_changes: int = 0
    dropped_frames: float = 0
    frames_per_second: float | None = None
    time_to_start_ms: float = 0
    errors: int = 0
    player_errors: list[str] = msgspec.field(default_factory=list)
    external_errors: list[str] = msgspec.field(default_factory=list)

    dirty: bool = False
    """Changed since the last checkpoint. Written as False."""
    withheld: bool = False
    """The latest event to arrive came without consent."""
    alias: str = ""
    """What it is called while it is withheld; empty where it never was."""

    @property
    def counted_us(self) -> int:
        """Time since the start, without what was too long to be counted."""
        return self.ts - self.started_at - self.uncounted_us


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Session)


def encode(session: Session) -> bytes:
    """A session as checkpoints hold it."""
    dirty, session.dirty = session.dirty, False
    data = _encoder.encode(session)
    session.dirty = dirty
    return data


def decode(data: bytes) -> Session:
    """What `encode` wrote. Raises `msgspec.DecodeError` where it is something else."""
    return _decoder.decode(data)


def share_texts(session: Session) -> None:
    """Let texts that many sessions have alike stand in memory once, as `media_params.text` does."""
    session.source = intern(session.source)
    for values in (session.start, session.visitor, session.client):
        values[:] = [intern(each) if isinstance(each, str) else each for each in values]
