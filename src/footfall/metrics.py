"""Every number at `/metrics`, as one list; all processes' numbers are added together.

Built on prometheus_client's multiprocess mode: each process keeps its values in a mapped file of
the directory that `PROMETHEUS_MULTIPROC_DIR` names, so the variable must be set before this module
is imported (the supervisor sets it for its children), and a process that dies loses no counts.
No label ever holds what a client sent.
"""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

EVENTS = Counter("footfall_events", "Events acknowledged.", ["protocol", "source"], registry=None)
REQUESTS = Counter(
    "footfall_requests", "Tracking requests answered.", ["protocol", "status"], registry=None
)
REFUSED = Counter(
    "footfall_refused", "Requests refused, by reason.", ["protocol", "reason"], registry=None
)
DROPPED = Counter(
    "footfall_dropped", "Events left out, by reason.", ["protocol", "reason"], registry=None
)
REFUSED_EARLY = Counter(
    "footfall_refused_early", "Requests refused before any protocol saw them.", ["status"],
    registry=None,
)  # fmt: skip
REJECTS_KEPT = Counter("footfall_rejects_kept", "Refused requests kept as rejects.", registry=None)
UNSENT = Counter(
    "footfall_unsent", "Replies that found their client gone; the events are kept.", registry=None
)
COMMIT_SECONDS = Histogram(
    "footfall_commit_seconds",
    "Time to decide a group and make it durable.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
    registry=None,
)
GROUP_REQUESTS = Histogram(
    "footfall_group_requests",
    "Requests made durable with one sync.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
    registry=None,
)
QUEUED = Gauge(
    "footfall_queue_requests",
    "Requests waiting for the journal.",
    multiprocess_mode="livesum",
    registry=None,
)
LOADED = Counter("footfall_loaded_events", "Events loaded into the lake.", registry=None)
LOADER_LAG_BYTES = Gauge(
    "footfall_loader_lag_bytes",
    "Journal bytes not yet loaded into the lake.",
    multiprocess_mode="livesum",
    registry=None,
)
LOADER_LAG_SECONDS = Gauge(
    "footfall_loader_lag_seconds",
    "Age of the oldest record not yet loaded.",
    multiprocess_mode="livesum",
    registry=None,
)
MEDIA_OPEN = Gauge(
    "footfall_media_open_sessions",
    "Media sessions that are open.",
    multiprocess_mode="livesum",
    registry=None,
)
MEDIA_STRAYS = Counter(
    "footfall_media_stray_events",
    "Media events that came after their session's rows were final.",
    registry=None,
)
STREAM_REQUESTS = Counter(
    "footfall_stream_requests", "Requests under /stream answered.", ["status"], registry=None
)
STREAM_DECISIONS = Counter(
    "footfall_stream_decisions", "Ad decisions of streams.", ["outcome"], registry=None
)
STREAM_ERROR_CALLS = Counter(
    "footfall_stream_error_calls", "VAST error addresses called.", ["outcome"], registry=None
)
DAMAGE = Counter("footfall_journal_damage", "Unreadable stretches of the journal.", registry=None)


class Cell:
    """One number that grows between two flushes."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


class Tally:
    """Counts of the busiest counters, added up here and written in one go.

    A labelled increment costs more than decoding an event does. Whoever counts keeps its `Cell`
    and adds to it; `flush` is called once a second, before a scrape and at the end.
    """

    def __init__(self) -> None:
        self._cells: dict[tuple[Counter, tuple[str, ...]], Cell] = {}

    def cell(self, counter: Counter, *labels: str) -> Cell:
        """The cell of a counter's labels; always the same one."""
        return self._cells.setdefault((counter, labels), Cell())

    def flush(self) -> None:
        for (counter, labels), cell in list(self._cells.items()):
            if cell.number:
                number, cell.number = cell.number, 0
                counter.labels(*labels).inc(number)


CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(directory: Path) -> bytes:
    """All processes' numbers in Prometheus' text format."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(directory))  # type: ignore[no-untyped-call]
    return generate_latest(registry)
