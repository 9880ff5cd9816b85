"""What `bench.stream` puts a live service in front of: an origin, an ad server and its creatives.

    python -m bench.stream_origin PORT

Lists go by the clock: ten segments of 4 s, a program date time on each. /live/{begin}-{length}/
has a break from that second on, for so many seconds; a length of 0 is none. Any VAST is a pod of
four ads of 30 s, each with twelve trackers, HLS in three variants. There are no segments: nobody
asks for them.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime

from bench.tracking import KINDS

SEGMENTS, SEGMENT_S = 10, 4
ADS, AD_S = 4, 30
VARIANTS = (("1080p", 1920, 6_000_000), ("720p", 1280, 3_000_000), ("360p", 640, 800_000))
TRACKER = (
    "https://track.example.com/v1/events/{kind}?ad={ad}&amp;n={place}&amp;campaign=1234567890"
    "&amp;session=0192f000-0000-7000-8000-000000000000&amp;line=42&amp;cb=[CACHEBUSTING]"
)
COUNT = "/count"
"""How many playlists of live streams were asked for."""
NAMED = {"creativeView": "creativeView", "progress": 'progress" offset="00:00:10'}


def multivariant() -> str:
    lines = ["#EXTM3U"]
    for name, width, bandwidth in VARIANTS:
        height = width * 9 // 16
        lines += (
            (
                f'#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},CODECS="avc1.4d401f,mp4a.40.2",'
                f"RESOLUTION={width}x{height},FRAME-RATE=25.000"
            ),
            f"{name}.m3u8",
        )
    return "\n".join([*lines, ""])


def window(variant: str, begin: int, length: int, now: float) -> str:
    """The list that is current at a moment. A break's times are whole segments."""
    newest = int(now) // SEGMENT_S - 1
    first = newest - SEGMENTS + 1
    made = [
        (
            f"#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{SEGMENT_S}\n"
            f"#EXT-X-MEDIA-SEQUENCE:{first}\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        )
    ]
    for number in range(first, newest + 1):
        at = number * SEGMENT_S
        if length and at == begin:
            made.append(f"#EXT-X-CUE-OUT:{length}\n")
        elif begin < at < begin + length:
            made.append(f"#EXT-X-CUE-OUT-CONT:{at - begin}/{length}\n")
        elif length and at == begin + length:
            made.append("#EXT-X-CUE-IN\n")
        date = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        made.append(
            f"#EXT-X-PROGRAM-DATE-TIME:{date}.000Z\n#EXTINF:4.000,\n"
            f"{variant}/2026/11/21/segment_{number:012d}.ts\n"
        )
    return "".join(made)


def creative(variant: str) -> str:
    lines = [f"#EXTINF:2.000,\n{variant}/segment_{n:05d}.ts\n" for n in range(AD_S // 2)]
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n{''.join(lines)}#EXT-X-ENDLIST\n"


def vast(base: str) -> str:
    """Four ads; the same for everybody, as a campaign is."""
    return f'<VAST version="3.0">{"".join(_ad(base, n) for n in range(1, ADS + 1))}</VAST>'


def _ad(base: str, number: int) -> str:
    trackers = [TRACKER.format(kind=kind, ad=number, place=n) for n, kind in enumerate(KINDS)]
    impressions = "".join(
        f"<Impression>{url}</Impression>"
        for kind, url in zip(KINDS, trackers, strict=True)
        if kind == "impression"
    )
    events = "".join(
        f'<Tracking event="{NAMED.get(kind, kind)}">{url}</Tracking>'
        for kind, url in zip(KINDS, trackers, strict=True)
        if kind != "impression"
    )
    return (
        f'<Ad id="campaign-7-ad-{number}" sequence="{number}"><InLine><AdSystem>bench</AdSystem>'
        f"<AdTitle>The ad {number}</AdTitle>"
        f"<Error>https://track.example.com/error?ad={number}&amp;code=[ERRORCODE]</Error>"
        f'{impressions}<Creatives><Creative id="creative-{number}"><Linear skipoffset="00:00:05">'
        f"<Duration>00:00:{AD_S}</Duration><TrackingEvents>{events}</TrackingEvents>"
        f"<VideoClicks><ClickThrough>https://shop.example.com/{number}</ClickThrough></VideoClicks>"
        f'<MediaFiles><MediaFile delivery="streaming" type="application/vnd.apple.mpegurl" '
        f'width="1920" height="1080">{base}/ad/{number}/master.m3u8</MediaFile></MediaFiles>'
        "</Linear></Creative></Creatives></InLine></Ad>"
    )


def answer(path: str, base: str) -> str:
    """What stands at a path."""
    folder, _, file = path.partition("?")[0].rpartition("/")
    variant = file.removesuffix(".m3u8")
    if variant == "master":
        return multivariant()
    if folder.startswith("/live/"):
        begin, _, length = folder.rpartition("/")[2].partition("-")
        return window(variant, int(begin), int(length), time.time())
    return creative(variant) if folder.startswith("/ad/") else vast(base)


async def serve(port: int) -> None:
    base = f"http://127.0.0.1:{port}"
    windows = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal windows
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].decode()
                windows += path.startswith("/live/")
                body = (str(windows) if path == COUNT else answer(path, base)).encode()
                kind = "application/xml" if body.startswith(b"<") else "application/x-mpegurl"
                writer.write(
                    f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
