"""The fold of media sessions: events a second on one core, and 100,000 open sessions in memory.

    python -m bench.fold [--quick]

Against msgspec's decoding of the very same journal lines into `Event`s, in the same run: the least
that anything which follows the journal has to do.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import msgspec

from bench import machine
from footfall.journal.contract import Position, Record, encode_events
from footfall.model import Event
from footfall.project.media import Fold

SECOND = 1_000_000
BEGIN = 1_800_000_000 * SECOND
ROUNDS = 60
"""Ten minutes of pings, every 10 s."""
BREAK_EVERY = 20


def start(number: int, sid: str) -> Event:
    return event(number, sid, 0, 0.0, "sessionStart", {
        "analytics.trackingServer": "metrics.example.com", "analytics.reportSuite": "bench",
        "visitor.marketingCloudOrgId": "0123456789ABCDEF@AdobeOrg",
        "visitor.marketingCloudUserId": f"{number:038d}",
        "media.id": f"film-{number % 500}", "media.name": f"The film number {number % 500}",
        "media.length": 5400, "media.contentType": "vod", "media.streamType": "video",
        "media.playerName": "bench player", "media.channel": "web", "media.genre": "drama",
        "media.sdkVersion": "1.0.0", "media.libraryVersion": "js-3.1.0",
        "media.show": f"Show {number % 50}", "media.downloaded": False,
    })  # fmt: skip


def event(number, sid, at_s, playhead, kind, params=None) -> Event:  # noqa: PLR0917 - it is a row
    at = BEGIN + round(at_s * SECOND) + number
    return Event(
        event_id=f"0192f000-0000-7000-8000-{number:06d}{round(at_s):06d}",
        source="bench", protocol="adobe", type=kind, occurred_at=at, received_at=at + 50_000,
        session_id=sid, playhead_s=playhead, country="DE", device="desktop", os="Windows",
        browser="Chrome", ip="192.0.2.0", properties={"params": params or {}},
    )  # fmt: skip


def turn(number: int, sid: str, round_: int) -> Iterator[Event]:
    """What one orderly session sends in its round: pings, and now and then something else."""
    at, playhead = 10.0 * round_, 10.0 * round_
    phase = (round_ + number) % BREAK_EVERY
    if round_ == 0:
        yield start(number, sid)
        yield event(number, sid, 0, 0, "play")
    elif phase == 7:
        yield event(number, sid, at, playhead, "pauseStart")
        yield event(number, sid, at, playhead, "play")
    elif phase == 13:
        yield event(number, sid, at, playhead, "bufferStart")
    elif phase == 14:
        yield event(number, sid, at, playhead, "play")
    else:
        yield event(number, sid, at, playhead, "ping")


def records(count: int, rounds: int) -> Iterator[tuple[Position, Record, list[Event]]]:
    """Groups of 64 events or less, as collectors commit them, in the order of time."""
    sids = [f"{n * 0x9E3779B97F4A7C15 % (1 << 256):064x}" for n in range(1, count + 1)]
    position = 0
    for round_ in range(rounds):
        group: list[Event] = []
        for number, sid in enumerate(sids):
            group += turn(number, sid, round_)
            if len(group) >= 64 or number == count - 1:
                position += 64
                at = BEGIN + 10 * SECOND * round_ + number * 10 * SECOND // count
                yield Position(0, position), Record(at, encode_events(group)), group
                group = []


def best(work: Callable[[], object], times: int) -> float:
    found = float("inf")
    for _ in range(times):
        gc.collect()
        began = time.perf_counter()
        work()
        found = min(found, time.perf_counter() - began)
    return found


def speed(times: int) -> None:
    made = list(records(1000, ROUNDS))
    count = sum(len(group) for _, _, group in made)
    decoder = msgspec.json.Decoder(Event)

    def decode() -> None:
        for _, record, _ in made:
            decoder.decode_lines(record.events)

    def fold_events() -> None:
        fold = Fold()
        for _, record, group in made:
            fold.clock = record.at - BEGIN
            fold.take_events(record.at, group, [])

    def fold_records() -> None:
        fold = Fold()
        for position, record, _ in made:
            fold.take(position, record)

    reference = best(decode, times)
    print(f"{count:,} events of 1,000 sessions, best of {times}:\n")
    print("| what | events/s | µs an event | ratio |")
    print("|---|---:|---:|---:|")
    for what, took in (
        ("decode the lines into Events (msgspec)", reference),
        ("fold, from decoded Events on", best(fold_events, times)),
        (
            "fold, from journal records on: decoding what it reads of them",
            best(fold_records, times),
        ),
    ):
        print(
            f"| {what} | {count / took:,.0f} | {took / count * 1e6:.2f} | {reference / took:.2f} |"
        )


def size(count: int) -> None:
    """In a process of its own, so that nothing but the fold is in its memory."""
    fold = Fold()
    gc.collect()
    empty = machine.resident_mb(os.getpid())
    for position, record, _ in records(count, 4):
        fold.take(position, record)
    gc.collect()
    full = machine.resident_mb(os.getpid())
    some = [s.session_id for s in fold.sessions()][:: max(1, count // 1000)]
    reading = []
    for sid in some:
        began = time.perf_counter()
        fold.rows("bench", sid)
        reading.append((time.perf_counter() - began) * 1000)
    due = best(fold.due, 3)
    began = time.perf_counter()
    for _rows in fold.open_rows():
        pass
    every = time.perf_counter() - began
    began = time.perf_counter()
    snapshot = fold.snapshot()
    wrote = time.perf_counter() - began
    stored = sum(map(len, snapshot.sessions.values()))
    began = time.perf_counter()
    Fold.restore(snapshot.fold, snapshot.sessions.values())
    restored = time.perf_counter() - began
    print("| with open sessions | " + f"{len(fold):,} |")
    print("|---|---:|")
    print(f"| memory of the process | {full:,.0f} MB |")
    print(f"| of that before the first session | {empty:,.0f} MB |")
    print(f"| read one session's metrics, median | {statistics.median(reading):.3f} ms |")
    print(f"| the same, slowest of {len(reading):,} | {max(reading):.3f} ms |")
    print(f"| read all sessions' metrics, one by one | {every:.1f} s |")
    print(f"| look which sessions are due | {due * 1000:.0f} ms |")
    print(f"| snapshot of all of them | {wrote * 1000:.0f} ms, {stored / count:.0f} bytes each |")
    print(f"| restore all of them | {restored * 1000:.0f} ms |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions and sessions")
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.size:
        size(asked.size)
        return
    speed(2 if asked.quick else 5)
    print(flush=True)
    count = 10_000 if asked.quick else 100_000
    subprocess.run([sys.executable, "-m", "bench.fold", "--size", str(count)], check=True)


if __name__ == "__main__":
    main()
