"""HLS media playlists of a 6-hour window: 5,400 segments of 4 s, a program date time on each.

    python -m bench.playlist [--quick]

Against the m3u8 package reading the same text, in the same run.
"""

from __future__ import annotations

import argparse
import base64
import gc
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import m3u8

from bench import machine
from footfall.stream import playlist

URL = "https://origin.example.com/live/channel-1/index.m3u8"
BEGIN = datetime(2026, 5, 4, tzinfo=UTC)
SEGMENTS = 5400
TARGET_MS = 8.0
"""Of reading the first of the texts."""
BREAK = 8
"""Segments of a break, of which there is one every 150 segments (ten minutes)."""


def head(sequence: int = 1000) -> str:
    return (
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n"
        f"#EXT-X-MEDIA-SEQUENCE:{sequence}\n#EXT-X-INDEPENDENT-SEGMENTS\n"
    )


def window(
    count: int = SEGMENTS,
    *,
    dates: bool = True,
    breaks: bool = False,
    folder: str = "channel-1/video-1080p-6000k/",
    first: int = 0,
    begin: datetime = BEGIN,
) -> str:
    """The text of a live list; with `breaks`, CUE-OUT, CUE-OUT-CONT and CUE-IN.

    `first`: how many segments it has gone on since that one began which `begin` dates.
    """
    made = [head(1000 + first)]
    message = base64.b64encode(bytes(40)).decode()  # not readable, as some packagers' are
    for number in range(first, first + count):
        place = number % 150
        if breaks and place <= BREAK:
            made.append(
                f"#EXT-OATCLS-SCTE35:{message}\n#EXT-X-CUE-OUT:{4 * BREAK}\n"
                if place == 0
                else "#EXT-X-CUE-IN\n"
                if place == BREAK
                else f"#EXT-X-CUE-OUT-CONT:{4 * place}/{4 * BREAK}\n"
            )
        if dates:
            at = (begin + timedelta(seconds=4 * number)).isoformat(timespec="milliseconds")
            made.append(f"#EXT-X-PROGRAM-DATE-TIME:{at.replace('+00:00', 'Z')}\n")
        made.append(f"#EXTINF:4.000,\n{folder}2026/05/04/segment_{1000 + number:012d}.ts\n")
    return "".join(made)


TEXTS: dict[str, str] = {
    "6 hours": window(),
    "6 hours, a break every ten minutes": window(breaks=True),
    "6 hours, absolute addresses": window(folder="https://cdn.example.com/channel-1/"),
    "6 hours, no dates": window(dates=False),
    "10 segments": window(10),
}


def best_ms(work: Callable[[], object], times: int) -> float:
    found = float("inf")
    gc.collect()
    for _ in range(times):
        began = time.perf_counter()
        work()
        found = min(found, time.perf_counter() - began)
    return found * 1000


def parsing(times: int) -> None:
    print(f"Reading a list, best of {times}; the target of the first is {TARGET_MS:g} ms:\n")
    print("| list | KB | ms | m3u8 package, ms | ratio |")
    print("|---|---:|---:|---:|---:|")
    for name, text in TEXTS.items():
        ours = best_ms(lambda text=text: playlist.parse(text, URL), times)
        theirs = best_ms(lambda text=text: m3u8.loads(text, uri=URL), max(2, times // 5))
        print(
            f"| {name} | {len(text) / 1000:,.0f} | {ours:.2f} | {theirs:.1f} | {theirs / ours:.0f} |"
        )


def main() -> None:
    machine.as_collector()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    asked = parser.parse_args()
    parsing(5 if asked.quick else 30)


if __name__ == "__main__":
    main()
