"""Media playlists for tests: the windows of a live origin, finished lists, lists of ads.

All are written as text and read by `playlist.parse`, as they are in earnest. Addresses tell what
they are: ``https://origin.example/<rendition>/<number>.m4s`` and
``https://ads.example/<creative>/<rendition>/<number>.m4s``, with ``init.mp4`` and ``key`` beside.
"""

from bisect import bisect_left, bisect_right
from datetime import UTC, datetime
from itertools import accumulate, pairwise

from footfall.stream import playlist
from footfall.stream.contract import SLATE, Placed, Pod

S = 1_000_000
EPOCH = 1_800_000_000 * S
"""Where live streams of tests begin."""


def stamp(at_us):
    moment = datetime.fromtimestamp(at_us // S, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{moment}.{at_us % S // 1000:03}Z"


def segment(name, duration_us, before=""):
    return f"{before}#EXTINF:{duration_us / S:.6f},\n{name}\n"


def parsed(parts, *, url, target_s=2, sequence=0, discontinuities=0, head="", end=""):
    text = (
        f"#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{target_s}\n"
        f"#EXT-X-MEDIA-SEQUENCE:{sequence}\n"
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuities}\n{head}{''.join(parts)}{end}"
    )
    return playlist.parse(text, url)


def finished(
    durations,
    *,
    folder="https://origin.example/v",
    kind="m4s",
    tags=(),
    key="",
    date_us=None,
    ranges=None,
    **rest,
):
    """A list with ENDLIST. `tags`: segments with a discontinuity; `ranges`: segment to lines."""
    parts = []
    at = date_us
    for index, duration in enumerate(durations):
        before = "#EXT-X-DISCONTINUITY\n" if index in tags else ""
        before += (ranges or {}).get(index, "")
        if index == 0:
            before += f'#EXT-X-KEY:METHOD={key},URI="key",IV=0x1\n' if key else ""
            before += '#EXT-X-MAP:URI="init.mp4"\n' if kind == "m4s" else ""
        if at is not None:
            before += f"#EXT-X-PROGRAM-DATE-TIME:{stamp(at)}\n"
            at += duration
        parts.append(segment(f"{index}.{kind}", duration, before))
    longest = max(durations, default=0)
    rest.setdefault("target_s", max(1, (longest + S // 2) // S))
    return parsed(parts, url=f"{folder}/list.m3u8", end="#EXT-X-ENDLIST\n", **rest)


def cut_up(total_us, segment_us):
    whole, left = divmod(total_us, segment_us)
    return [segment_us] * whole + ([left] if left else [])


def creative(name, total_us, segment_us, rendition="v", **more):
    """The list of an ad in one rendition."""
    folder = f"https://ads.example/{name}/{rendition}"
    return finished(cut_up(total_us, segment_us), folder=folder, **more)


def pod(name, at_us, lengths, *, start_us=None, slate_us=0, until_us=None):
    """A decided pod: `lengths` of its ads by their creatives' names."""
    start = at_us if start_us is None else start_us
    ads = []
    at = start
    for ad, length in lengths:
        ads.append(Placed(ad, f"https://ads.example/{ad}", at, length))
        at += length
    if slate_us:
        ads.append(Placed(SLATE, "https://ads.example/slate", at, slate_us))
        at += slate_us
    until = at_us + at - start if until_us is None else until_us
    return Pod(name, start, decided=True, at_us=at_us, until_us=until, ads=tuple(ads))


class Origin:
    """One rendition of a live stream, from `EPOCH` on."""

    def __init__(self, name, segment_us, total_us, *, breaks=(), tags=(), cues=True, dated=True,
                 first=1000, key="", ranges=()):  # fmt: skip
        """`breaks`: (start, planned duration or None, end), which segments end at, in `cues`
        renditions; `tags`: moments of discontinuities. All from `EPOCH`, in µs."""
        edges = {0, total_us, *tags}
        for start, _, end in breaks if cues else ():
            edges |= {start, end}
        edges = sorted(one for one in edges if one <= total_us)
        starts = [EPOCH]
        for begin, end in pairwise(edges):
            starts += [EPOCH + begin + at for at in accumulate(cut_up(end - begin, segment_us))]
        self.name, self.starts, self.first = name, starts, first
        self.url = f"https://origin.example/{name}/list.m3u8"
        self.target_s = max(1, (segment_us + S // 2) // S)
        self.tags = sorted({bisect_left(starts, EPOCH + at) for at in tags})
        self.parts = []
        for index, (start, stop) in enumerate(pairwise(starts)):
            lines = "#EXT-X-DISCONTINUITY\n" if index in self.tags else ""
            lines += "".join(line for at, line in ranges if start <= EPOCH + at < stop)
            lines += _cues(start, breaks) if cues else ""
            if dated:
                lines += f"#EXT-X-PROGRAM-DATE-TIME:{stamp(start)}\n"
            self.parts.append(segment(f"{first + index}.m4s", stop - start, lines))
        key = f'#EXT-X-KEY:METHOD={key},URI="key",IV=0x1\n' if key else ""
        self._head = f'{key}#EXT-X-MAP:URI="init.mp4"\n'
        self._kept = {}

    def count(self, now_us):
        """Segments that are over by a moment."""
        return bisect_right(self.starts, now_us) - 1

    def window(self, now_us, length=8):
        """What the origin serves at a moment: its newest segments."""
        stop = max(1, self.count(now_us))
        begin = max(0, stop - length)
        if (begin, stop) not in self._kept:
            if len(self._kept) > 200:
                self._kept.clear()
            self._kept[begin, stop] = parsed(
                [self._head, *self.parts[begin:stop]],
                url=self.url,
                target_s=self.target_s,
                sequence=self.first + begin,
                discontinuities=bisect_left(self.tags, begin),
            )
        return self._kept[begin, stop]


def _cues(start, breaks):
    text = ""
    for begin, planned, end in breaks:
        if start == EPOCH + begin:
            text += f"#EXT-X-CUE-OUT:{planned / S:.3f}\n" if planned else "#EXT-X-CUE-OUT\n"
        if EPOCH + begin < start < EPOCH + end and planned:
            text += f"#EXT-X-CUE-OUT-CONT:{(start - EPOCH - begin) / S:.3f}/{planned / S:.3f}\n"
        if start == EPOCH + end:
            text += "#EXT-X-CUE-IN\n"
    return text
