"""A live origin and an ad server for `stream_site.Network`: text, as such servers send it.

The origin has two videos, their sound beside them in segments of another length, and subtitles;
its breaks are marked in every tag form in turn, in the videos only. Creatives are HLS of the same
kind, without subtitles. Addresses of segments are those of `lists`.
"""

from __future__ import annotations

import base64
from bisect import bisect_left, bisect_right
from itertools import accumulate, pairwise

from lists import EPOCH, S, cut_up, segment, stamp
from stream_site import query

from footfall.demo.scte35 import splice_insert

VIDEOS = ("v1", "v2")
RENDITIONS = {"v1": 2 * S, "v2": 2 * S, "audio": 1_920_000, "text": 4 * S}
"""How long their segments are."""
ADS = {"a": 10 * S, "b": 14_960_000, "c": 30 * S, "d": 6 * S, "e": 5_500_000}
SLATE_US = 4 * S
CODECS = 'CODECS="avc1.4d401f,mp4a.40.2"'


def master(subtitles=True):
    media = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",LANGUAGE="en",URI="audio/list.m3u8"\n'
    more = ',AUDIO="a"'
    if subtitles:
        media += '#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="t",NAME="en",URI="text/list.m3u8"\n'
        more += ',SUBTITLES="t"'
    streams = "".join(
        f"#EXT-X-STREAM-INF:BANDWIDTH={rate},RESOLUTION={size},{CODECS}{more}\n{name}/list.m3u8\n"
        for name, rate, size in (("v1", 2_000_000, "1280x720"), ("v2", 800_000, "640x360"))
    )
    return f"#EXTM3U\n#EXT-X-VERSION:6\n{media}{streams}"


# Markers: of a break, what stands before the segment in which it begins, goes on and ends


def _seconds(micros):
    return f"{micros / S:.3f}"


def _binary(at, planned):
    pts = at * 9 // 100
    duration = None if planned is None else planned * 9 // 100
    return splice_insert(at // S % 100_000, pts=pts, duration=duration)


def _cue(kind, at, gone, planned):
    if kind == "out":
        return f"#EXT-X-CUE-OUT:{_seconds(planned)}\n" if planned else "#EXT-X-CUE-OUT\n"
    if kind == "in":
        return "#EXT-X-CUE-IN\n"
    return f"#EXT-X-CUE-OUT-CONT:{_seconds(gone)}/{_seconds(planned)}\n" if planned else ""


def _oatcls(kind, at, gone, planned):
    message = base64.b64encode(_binary(at - gone, planned or 0)).decode()
    if kind == "out":
        return f"#EXT-OATCLS-SCTE35:{message}\n" + _cue(kind, at, gone, planned)
    if kind == "in":
        return "#EXT-X-CUE-IN\n"
    return (
        f"#EXT-X-CUE-OUT-CONT:ElapsedTime={_seconds(gone)},"
        + (f"Duration={_seconds(planned)}," if planned else "")
        + f"SCTE35={message}\n"
    )


def _range(kind, at, gone, planned):
    start = at - gone
    name = f'#EXT-X-DATERANGE:ID="splice-{start // S}",START-DATE="{stamp(start)}"'
    if kind == "in":
        return f'{name},END-DATE="{stamp(at)}",SCTE35-IN=0x{_binary(at, None).hex()}\n'
    if kind == "on" and gone > 6 * S:
        return ""
    length = f",PLANNED-DURATION={_seconds(planned)}" if planned else ""
    return f"{name}{length},SCTE35-OUT=0x{_binary(start, planned or 0).hex()}\n"


def _scte35(kind, at, gone, planned):
    message = base64.b64encode(_binary(at - gone, planned or 0)).decode()
    length = f",DURATION={_seconds(planned)}" if planned else ""
    if kind == "in":
        return f'#EXT-X-SCTE35:CUE="{message}",CUE-IN=YES\n'
    if kind == "on":
        return f'#EXT-X-SCTE35:CUE="{message}",CUE-OUT=CONT,ELAPSED={_seconds(gone)}{length}\n'
    return f'#EXT-X-SCTE35:CUE="{message}",CUE-OUT=YES{length}\n'


def _spliceout(kind, at, gone, planned):
    name = f"#EXT-X-CUE:ID={(at - gone) // S}"
    length = f",DURATION={_seconds(planned)}" if planned else ""
    if kind == "on":
        return ""
    return f"{name},TYPE=SpliceIn\n" if kind == "in" else f"{name},TYPE=SpliceOut{length}\n"


FORMS = (_cue, _oatcls, _range, _scte35, _spliceout)


class Feed:
    """The origin, from `EPOCH` on. `breaks`: (start, planned length or None, end), in µs."""

    def __init__(self, breaks, total_us, *, tags=(), window=10, forms=FORMS):
        self.length = window
        self.starts, self.parts, self.tags, self.first = {}, {}, {}, {}
        for name, length in RENDITIONS.items():
            edges = {0, total_us, *tags}
            for start, _, end in breaks if name in VIDEOS else ():
                edges |= {start, end}
            starts = [EPOCH]
            for begin, end in pairwise(sorted(one for one in edges if one <= total_us)):
                starts += [EPOCH + begin + at for at in accumulate(cut_up(end - begin, length))]
            self.starts[name] = starts
            self.tags[name] = sorted({bisect_left(starts, EPOCH + at) for at in tags})
            self.first[name] = 100 * len(name)
            self.parts[name] = list(self._parts(name, starts, breaks, forms))

    def _parts(self, name, starts, breaks, forms):
        ending = "vtt" if name == "text" else "m4s"
        marks = {}
        for number, (start, planned, end) in enumerate(breaks if name in VIDEOS else ()):
            form = forms[number % len(forms)]
            for at in starts[
                bisect_left(starts, EPOCH + start) : bisect_right(starts, EPOCH + end)
            ]:
                gone = at - EPOCH - start
                kind = "out" if gone == 0 else "in" if at == EPOCH + end else "on"
                marks[at] = marks.get(at, "") + form(kind, at, gone, planned)
        for index, (start, stop) in enumerate(pairwise(starts)):
            lines = "#EXT-X-DISCONTINUITY\n" if index in self.tags[name] else ""
            lines += marks.get(start, "")
            lines += f"#EXT-X-PROGRAM-DATE-TIME:{stamp(start)}\n"
            yield segment(f"{self.first[name] + index}.{ending}", stop - start, lines)

    def edge(self, name, at_us):
        """The end of what has been listed by a moment."""
        return self.starts[name][max(1, bisect_right(self.starts[name], at_us) - 1)]

    def text(self, name, at_us):
        """What the origin answers at a moment."""
        stop = max(1, bisect_right(self.starts[name], at_us) - 1)
        begin = max(0, stop - (self.length if name != "text" else self.length // 2 + 1))
        target = max(1, (RENDITIONS[name] + S // 2) // S)
        head = '#EXT-X-MAP:URI="init.mp4"\n' if name != "text" else ""
        return (
            f"#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{target}\n"
            f"#EXT-X-MEDIA-SEQUENCE:{self.first[name] + begin}\n"
            f"#EXT-X-DISCONTINUITY-SEQUENCE:{bisect_left(self.tags[name], begin)}\n"
            f"{head}{''.join(self.parts[name][begin:stop])}"
        )

    def answer(self, url, at_us):
        name = url.split("/")[3]
        return master() if name == "master.m3u8" else self.text(name, at_us)


# Ads


def creative(url):
    """A creative's playlists: `https://creatives.example/<ad>/master.m3u8` and below."""
    name, _, file = url.split("/", 3)[3].partition("/")
    rendition = file.partition("/")[0]
    if rendition == "master.m3u8":
        return master(subtitles=False)
    total = SLATE_US if name == "slate" else ADS[name]
    length = RENDITIONS[rendition]
    parts = [segment(f"{n}.m4s", one) for n, one in enumerate(cut_up(total, length))]
    return (
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n"
        f'#EXT-X-MAP:URI="init.mp4"\n{"".join(parts)}#EXT-X-ENDLIST\n'
    )


def vast(*ads, error=""):
    """A pod."""
    inside = "".join(_ad(name, number, len(ads)) for number, name in enumerate(ads, 1))
    return f'<VAST version="4.2">{error}{inside}</VAST>'


def _ad(name, number, of):
    address = f"https://creatives.example/{name}/master.m3u8"
    called = f"https://beacons.example/{name}"
    events = ("start", "firstQuartile", "midpoint", "thirdQuartile", "complete")
    tracking = "".join(f'<Tracking event="{e}">{called}/{e}</Tracking>' for e in events)
    seconds = ADS[name] / S if name in ADS else 10
    sequence = f' sequence="{number}"' if of > 1 else ""
    return (
        f'<Ad id="{name}"{sequence}><InLine><AdSystem>t</AdSystem><AdTitle>{name}</AdTitle>'
        f"<Error>{called}/error?code=[ERRORCODE]</Error>"
        f"<Impression>{called}/impression</Impression><Creatives><Creative id='c-{name}'><Linear>"
        f"<Duration>00:00:{seconds:06.3f}</Duration><TrackingEvents>{tracking}</TrackingEvents>"
        "<VideoClicks><ClickThrough>https://shop.example/</ClickThrough></VideoClicks>"
        f'<MediaFiles><MediaFile delivery="streaming" type="application/x-mpegURL" width="1280" '
        f'height="720">{address}</MediaFile></MediaFiles></Linear></Creative></Creatives></InLine>'
        "</Ad>"
    )


def offered(url):
    """The ad server: the ads that the session's parameter `ads` names."""
    names = query(url).get("ads", "").split(",")
    return vast(*(name for name in names if name in ADS))


def label(uri):
    """Content, or the ad that a segment is of."""
    return uri.split("/")[3] if uri.startswith("https://creatives.example/") else "content"
