"""The session-tracking JSON: 30 pods of 4 ads with 12 trackers each, of a live session.

    python -m bench.tracking [--quick]

Against msgspec's encoding of the very same answer from plain objects, in the same run: the least
that making it anew from what is known would take. Each must take at most 1 ms, the first answer of
a session to a process that decided none of its pods included.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable

import msgspec

from bench import machine
from footfall.stream import telling, told
from footfall.stream.contract import Ad, Beacon, Details, Placed, Pod
from footfall.stream.tracking import Tracking, Window

SECOND = 1_000_000
BEGIN = 1_800_000_000 * SECOND
PODS, ADS, AD_S, BREAK_EVERY_S = 30, 4, 15, 720
KINDS = (
    "impression", "impression", "creativeView", "start", "start", "firstQuartile", "midpoint",
    "thirdQuartile", "complete", "complete", "progress", "mute",
)  # fmt: skip
MOST_MS = 1.0


def made() -> list[Pod]:
    """A session's pods over six hours of DVR window."""
    pods = []
    for number in range(PODS):
        start = BEGIN + number * BREAK_EVERY_S * SECOND
        placed = tuple(
            Placed(f"ad-{number}-{n}", f"https://cdn.example.com/creatives/{number}/{n}/master.m3u8",
                   start + n * AD_S * SECOND, AD_S * SECOND)
            for n in range(ADS)
        )  # fmt: skip
        ads = tuple(
            Ad(
                ad_id=one.ad_id, creative_id=f"creative-{one.ad_id}", title=f"The ad {one.ad_id}",
                system="bench", duration_ms=AD_S * 1000, skip_ms=5000, sequence=n + 1,
                beacons=tuple(tracker(kind, one.ad_id, place) for place, kind in enumerate(KINDS)),
                errors=(f"https://track.example.com/error?ad={one.ad_id}&code=[ERRORCODE]",),
                click_through=f"https://shop.example.com/{one.ad_id}",
                click_tracking=(f"https://track.example.com/click?ad={one.ad_id}",),
            )
            for n, one in enumerate(placed)
        )  # fmt: skip
        end = start + ADS * AD_S * SECOND
        details = Details(ads, (Beacon("breakStart", "https://t.example/b"),))
        pod = Pod(f"slot:{start // 1000}:1", start, 0, True, end - start, start, end, placed)
        packed = told.pack(telling.pod(pod, details, by_server=False))
        pods.append(msgspec.structs.replace(pod, told=packed))
    return pods


def tracker(kind: str, ad_id: str, place: int) -> Beacon:
    url = (
        f"https://track.example.com/v1/events/{kind}?ad={ad_id}&n={place}&session=0192f000-0000-7000"
        f"-8000-000000000000&campaign=1234567890&line=42&cb=[CACHEBUSTING]&ts=[TIMESTAMP]"
    )
    return Beacon(kind, url, offset_ms=10_000 if kind == "progress" else None)


def median_ms(work: Callable[[], object], times: int) -> float:
    """Of processor time: others may use the machine as well."""
    took = []
    for _ in range(times):
        began = time.process_time()
        work()
        took.append((time.process_time() - began) * 1000)
    return sorted(took)[times // 2]


def main() -> None:
    machine.as_collector()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    times = 20 if parser.parse_args().quick else 200
    packed = msgspec.msgpack.encode(made())
    decode = msgspec.msgpack.Decoder(list[Pod]).decode
    window = Window(BEGIN - SECOND, BEGIN + 7 * 3600 * SECOND, 6 * SECOND)
    pods = made()

    def answer(tracking: Tracking, pods: list[Pod]) -> bytes:
        return tracking.answer(pods, target_s=6, told_by_server=False, window=window)

    known = Tracking()
    text = answer(known, pods)
    plain = msgspec.json.decode(text)
    assert len(plain["adpods"]) == PODS
    assert sum(len(ad["trackingevents"]) for pod in plain["adpods"] for ad in pod["ads"]) == (
        PODS * ADS * len(KINDS)
    )
    gc.collect()
    reference = median_ms(lambda: msgspec.json.encode(plain), times)
    ready = [Tracking() for _ in range(times)]
    for tracking in ready:
        answer(tracking, pods[:-1])
    waiting = iter(ready)
    rows = (
        ("encode the answer from plain objects (msgspec)", reference),
        ("answer, the pods known in this process", median_ms(lambda: answer(known, pods), times)),
        (
            "the same, the session read anew from the journal's state",
            median_ms(lambda: answer(known, decode(packed)), times),
        ),
        (
            "answer, one pod decided since the last",
            median_ms(lambda: answer(next(waiting), pods), times),
        ),
        (
            "the first answer of a session to a process, all pods from the journal's state",
            median_ms(lambda: answer(Tracking(), decode(packed)), times),
        ),
    )
    print(f"{PODS} pods, {ADS} ads each, {len(KINDS)} trackers each: {len(text):,} bytes.\n")
    print("| what | ms | ratio |")
    print("|---|---:|---:|")
    for what, took in rows:
        print(f"| {what} | {took:.3f} | {reference / took:.2f} |")
    print(f"\nExpected: at most {MOST_MS:g} ms each.")


if __name__ == "__main__":
    main()
