"""Splicing a session's ads into lists that are read already: live windows and a VOD.

    python -m bench.splice [--quick]

A 6-hour window has 5,400 segments of 4 s, a program date time on each, and a break of 32 s every
ten minutes; each pod has two ads of 16 s in 2-s segments. No compression.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from bench import machine
from bench.playlist import BEGIN, BREAK, SEGMENTS, URL, best_ms, window
from bench.stream_process import Process
from footfall.stream import playlist, splice
from footfall.stream.contract import Break, MediaList, Placed, Pod, Shift

S = 1_000_000
EPOCH = int(BEGIN.timestamp()) * S
AD_US = 16 * S
LONG_TARGET_MS, SHORT_TARGET_MS = 1.0, 0.1
KEY = splice.key(URL)
SESSIONS = 6
CREATIVES = 100
"""Of which each session's breaks have two others each."""


def creative(name: str) -> MediaList:
    lines = "".join(f"#EXTINF:2.000,\nsegment_{n:05d}.ts\n" for n in range(AD_US // S // 2))
    head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n"
    return playlist.parse(f"{head}{lines}#EXT-X-ENDLIST\n", name)


AD = "https://ads.example.com/hls"
ADS = {name: creative(name) for name in (f"{AD}/1.m3u8", f"{AD}/2.m3u8")}


def pods(count: int, every_us: int, first_us: int) -> tuple[list[Pod], list[Break]]:
    """`count` breaks, and their pods."""
    breaks = [
        Break(f"{start // 1000}:1", start, 4 * BREAK * S)
        for start in range(first_us, first_us + count * every_us, every_us)
    ]
    found = []
    for one in breaks:
        placed = tuple(
            Placed(name, name, one.start_us + at * AD_US, AD_US) for at, name in enumerate(ADS)
        )
        found.append(
            Pod(
                f"slot:{one.id}",
                one.start_us,
                decided=True,
                at_us=one.start_us,
                until_us=one.start_us + 2 * AD_US,
                ads=placed,
            )
        )
    return found, breaks


def live(content: MediaList, count: int, every_us: int, first_us: int) -> Callable[[], object]:
    made, breaks = pods(count, every_us, first_us)
    marks = splice.live(content, made, breaks, ADS, {}, shift=Shift(), key=KEY).needed
    known = {KEY: marks}
    return partial(splice.live, content, made, breaks, ADS, known, shift=Shift(), key=KEY)


def cases() -> dict[str, tuple[Callable[[], object], float]]:
    """What is measured, and its target."""
    long = playlist.parse(window(), URL)
    short = playlist.parse(window(10), URL)
    start, hour = EPOCH + 600 * S, 3600 * S
    vod = splice.stitch(pods(6, hour, 0)[0])
    return {
        "6-hour window, no pods": (live(long, 0, hour, start), LONG_TARGET_MS),
        "6-hour window, 6 pods": (live(long, 6, hour, start), LONG_TARGET_MS),
        "6-hour window, 36 pods": (live(long, 36, 600 * S, EPOCH), LONG_TARGET_MS),
        "10 segments, no pods": (live(short, 0, hour, start), SHORT_TARGET_MS),
        "10 segments, in a pod": (live(short, 1, hour, EPOCH + 12 * S), SHORT_TARGET_MS),
        "6-hour VOD with dates, 6 pods": (partial(splice.vod, long, vod, ADS), 10.0),
        "6-hour VOD without dates, 6 pods": (
            partial(splice.vod, playlist.parse(window(dates=False), URL), vod, ADS),
            LONG_TARGET_MS,
        ),
    }


async def call_ms(segments: int, breaks: bool, rounds: int) -> tuple[float, float, float]:
    """What a call costs that nobody has asked for alike, least and median, and one that somebody
    has, median.
    """
    begin = datetime.fromtimestamp(time.time() // 4 * 4 - segments * 4, UTC)

    def listed(first: int) -> MediaList:
        return playlist.parse(window(segments, breaks=breaks, first=first, begin=begin), URL)

    many = {name: creative(name) for name in (f"{AD}/{n}.m3u8" for n in range(CREATIVES))}
    process = Process(listed(0), many, AD_US)
    sessions = [f"viewer-{number}" for number in range(SESSIONS)]
    for session in sessions:
        await process.get(session)
    anew, again = [], []
    for number in range(1, rounds + 1):
        process.window = listed(number)
        await process.get("somebody-else")  # what is worked out once for all sessions
        for took in (anew, again):
            for session in sessions:
                began = time.process_time()
                await process.get(session)
                took.append((time.process_time() - began) * 1000)
    return min(anew), statistics.median(anew), statistics.median(again)


def calls(rounds: int) -> None:
    print(
        "\nA whole call inside a process, the window a segment further each time; processor time:\n"
    )
    print("| list | least, ms | median, ms | the same asked for again, ms | at most |")
    print("|---|---|---|---|---|")
    for name, segments, breaks, target in (
        ("6-hour window, no breaks", SEGMENTS, False, LONG_TARGET_MS),
        ("6-hour window, 36 breaks with ads of the session's own", SEGMENTS, True, LONG_TARGET_MS),
        ("10 segments, no breaks", 10, False, 2 * SHORT_TARGET_MS),
        ("10 segments, a break with ads of the session's own", 10, True, 2 * SHORT_TARGET_MS),
    ):
        least, anew, again = asyncio.run(call_ms(segments, breaks, rounds))
        print(f"| {name} | {least:.3f} | {anew:.3f} | {again:.3f} | {target} |")


def main() -> None:
    machine.as_collector()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    times = 50 if quick else 500
    print("| list | ms | at most |\n|---|---|---|")
    missed = []
    for name, (work, target) in cases().items():
        found = best_ms(work, times)
        print(f"| {name} | {found:.3f} | {target} |")
        if found > target:
            missed.append(name)
    calls(4 if quick else 16)
    if missed:
        raise SystemExit(f"over the target: {', '.join(missed)}")


if __name__ == "__main__":
    main()
