"""A live stream that is computed from the clock: every process gives the same, and none keeps it.

The programme plays over and over. Each time, `BREAK` of its segments are an ad break, marked in all
the ways at once that live encoders mark them. Nobody fills the break: the programme plays on.
"""

from __future__ import annotations

import base64
import math
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from footfall.demo import media
from footfall.demo.media import ASSETS, SEGMENT_US, TARGET_S
from footfall.demo.scte35 import PTS_HZ, splice_insert

EPOCH_US = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
"""Segment 0 begins then."""
WINDOW = 20
"""Segments in a list."""
CYCLE = ASSETS["main"].segments
BREAK = range(11, 20)
"""Which segments of each cycle are the break: 17.28 s, as long as two of the ads."""
BREAK_US = len(BREAK) * SEGMENT_US
_SETTING = re.compile(r"(speed|start|phase)=([0-9]{1,12}(?:\.[0-9]{1,6})?)")


@dataclass(frozen=True)
class Live:
    """The stream, and how its time goes.

    At `start` (seconds since 1970) its clock shows the right time; from then on it goes `speed`
    times as fast. `phase` is how many segments the cycle is ahead.
    """

    clock: Callable[[], float] = time.time
    speed: float = 1.0
    start: float = 0.0
    phase: int = 0

    @classmethod
    def of(cls, text: str) -> Self | None:
        """From an address, ``speed=4,start=1767225600,phase=3``; None where it makes no sense."""
        found = [_SETTING.fullmatch(part) for part in text.split(",")]
        if not all(found):
            return None
        said = {match[1]: float(match[2]) for match in found if match}
        speed, phase = said.get("speed", 1.0), said.get("phase", 0.0)
        if not (0 < speed <= 64 and phase < CYCLE and phase.is_integer()):
            return None
        return cls(speed=speed, start=said.get("start", 0.0), phase=int(phase))

    def now_us(self) -> int:
        """What the stream's clock shows."""
        return round((self.start + (self.clock() - self.start) * self.speed) * 1e6)

    def playlist(self, rendition: str, place: str) -> str:
        """The list as it is now; `place` leads from it to ``/demo/media``."""
        after = (self.now_us() - EPOCH_US) // SEGMENT_US
        numbers = range(after - WINDOW, after)
        lines = [
            "#EXTM3U",
            "#EXT-X-VERSION:6",
            f"#EXT-X-TARGETDURATION:{TARGET_S}",
            f"#EXT-X-MEDIA-SEQUENCE:{numbers[0]}",
            # A tag before the first segment that is listed has not left yet.
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{math.ceil((numbers[0] + self.phase) / CYCLE)}",
            "#EXT-X-INDEPENDENT-SEGMENTS",
        ]
        folder = f"{place}/main/{rendition}"
        for number in numbers:
            position = self.position(number)
            if position == 0:
                lines.append("#EXT-X-DISCONTINUITY")
            if position == 0 or number == numbers[0]:
                lines.append(f'#EXT-X-MAP:URI="{folder}/init.mp4"')
                lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{_date(starts_us(number))}")
            lines += self._markers(number, is_first=number == numbers[0])
            lines += (media.extinf(), f"{folder}/{position}.m4s")
        return "\n".join((*lines, ""))

    def position(self, number: int) -> int:
        """Which segment of the programme a segment of the stream is."""
        return (number + self.phase) % CYCLE

    def _markers(self, number: int, *, is_first: bool) -> Iterator[str]:
        """The lines of SCTE-35 before a segment.

        A date range stays for as long as any of its time is listed, so that one that began
        before the list is said again before the first segment.
        """
        position = self.position(number)
        if position not in BREAK and position != BREAK.stop:
            return
        began = number - position + BREAK.start
        event = (number + self.phase) // CYCLE & 0x7FFF_FFFF
        begins = _splice(event, BREAK.start, BREAK_US)
        span = f'ID="break-{event}",START-DATE="{_date(starts_us(began))}"'
        planned = f"PLANNED-DURATION={BREAK_US / 1e6:.3f}"
        if position == BREAK.stop:
            ends = _splice(event, BREAK.stop, None)
            yield f"#EXT-X-DATERANGE:{span},DURATION={BREAK_US / 1e6:.3f},SCTE35-IN=0x{ends.hex()}"
            yield "#EXT-X-CUE-IN"
            return
        if number == began or is_first:
            yield f"#EXT-X-DATERANGE:{span},{planned},SCTE35-OUT=0x{begins.hex()}"
        if number == began:
            yield f"#EXT-OATCLS-SCTE35:{base64.b64encode(begins).decode()}"
            yield f"#EXT-X-CUE-OUT:{BREAK_US / 1e6:.3f}"
            return
        elapsed = (number - began) * SEGMENT_US / 1e6
        yield f"#EXT-X-CUE-OUT-CONT:ElapsedTime={elapsed:.3f},Duration={BREAK_US / 1e6:.3f}"


def starts_us(number: int) -> int:
    """When a segment of the stream begins, by its clock."""
    return EPOCH_US + number * SEGMENT_US


def _splice(event: int, position: int, duration_us: int | None) -> bytes:
    """The cue before a segment of the programme, whose own time stamps begin with 0."""
    ticks = None if duration_us is None else duration_us * PTS_HZ // 1_000_000
    return splice_insert(event, pts=position * SEGMENT_US * PTS_HZ // 1_000_000, duration=ticks)


def _date(at_us: int) -> str:
    moment = datetime.fromtimestamp(0, UTC) + timedelta(microseconds=at_us)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def live(request: Request) -> Response:
    """``/demo/origin/live/high.m3u8``, or with settings ``/demo/origin/live/speed=4/high.m3u8``."""
    how, file = request.path_params.get("how"), request.path_params["file"]
    stream = Live.of(how) if how else Live()
    if stream is None:
        return media.missing()
    if file == media.MULTIVARIANT:
        return media.listed(media.MASTER)
    rendition = media.rendition_of(file)
    if rendition is None:
        return media.missing()
    place = "../../../media" if how else "../../media"
    return media.listed(stream.playlist(rendition, place), cache="no-store")


ROUTES = (
    Route("/origin/live/{file}", live),
    Route("/origin/live/{how}/{file}", live),
)
