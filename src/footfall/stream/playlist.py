"""HLS media playlists: read once into columns of text, to be cut and joined per session.

Lines are kept as they came; only addresses become absolute, and what depends on earlier lines
(byte ranges, IVs) is written out, so that a segment can stand anywhere. Nearly every segment of a
long list says nothing but its duration and its date: one regular expression finds the segments,
and `tags` looks at lines one by one only where there are others.
https://datatracker.ietf.org/doc/html/draft-pantos-hls-rfc8216bis, section 4.4.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from footfall.model import Micros
from footfall.stream import lines, markers
from footfall.stream.contract import MediaList
from footfall.stream.lines import LineError, PlaylistError
from footfall.stream.tags import Reader

__all__ = ["PlaylistError", "parse", "render_head"]

_SEGMENT = re.compile(
    r"((?:#(?!EXT-X-PROGRAM-DATE-TIME:).*\n|\n)*+)"  # lines before the date,
    r"(#EXT-X-PROGRAM-DATE-TIME:.*\n)?"
    r"((?:#.*\n|\n)*+)"  # those behind it,
    r"(?:([^#\n].*)\n|\Z)"  # and the address; none after the last segment
)
_DATE = len("#EXT-X-PROGRAM-DATE-TIME:")
_ONLY_A_DURATION = re.compile(r"#EXTINF:([^,\n]*)(?:,.*)?\n")

_Block = tuple[str, str, str, str]
"""A segment's text: before its date, the date's line, after it, the address as it was written."""


def parse(text: str, url: str, imported: Mapping[str, str] = lines.NONE) -> MediaList:
    """A media playlist that was fetched from `url`.

    `imported` are the variables of its multivariant playlist. Raises `PlaylistError`, which says
    what is wrong on which line. Sloppiness that players forgive is forgiven.
    """
    text = lines.prepared(text)
    if "#EXT-X-DEFINE:" in text or "{$" in text:
        text, _ = lines.filled_in(text, url, imported)
    blocks: list[_Block] = _SEGMENT.findall(text)
    segments = [block for block in blocks if block[3]]
    addresses = lines.absolute([block[3] for block in segments], url)
    reader = Reader(url, markers.ranges(text))
    chunks: list[str] = []
    plain: list[str] = []
    durations: list[int] = []
    known: dict[str, int] = {}
    try:
        for (before, date, after, _), address in zip(segments, addresses, strict=True):
            tags = before + after
            duration = known.get(tags)
            if duration is None and chunks and (found := _ONLY_A_DURATION.fullmatch(tags)):
                duration = lines.micros(found[1])
                if duration is not None:
                    known[tags] = duration
            if duration is not None:
                chunk = f"{before}{date}{after}{address}\n"
                chunks.append(chunk)
                plain.append(f"{tags}{address}\n" if date else chunk)
            else:
                duration = reader.segment(len(chunks), f"{before}{date}{after}", address)
                chunks.append(f"{lines.kept(reader.lines)}{address}\n")
                plain.append(f"{lines.kept(reader.plain)}{address}\n")
            durations.append(duration)
        reader.rest(len(segments), "".join(map("".join, blocks[len(segments) :])))
    except LineError as error:
        line = _first_lines(segments)[len(chunks)] + reader.line
        raise lines.wrong(line, str(error)) from None
    return _made(reader, segments, chunks=chunks, plain=plain, durations=durations)


def _made(
    reader: Reader,
    segments: Sequence[_Block],
    *,
    chunks: list[str],
    plain: list[str],
    durations: list[int],
) -> MediaList:
    if reader.target_s is None:
        raise PlaylistError("The playlist has no EXT-X-TARGETDURATION.")
    dated = any(block[1] for block in segments)
    starts = _dated(segments, durations) if dated else list(accumulate(durations, initial=0))
    keys, maps, counted = reader.in_force.columns(chunks, reader.sequence)
    cues, problems = markers.cues(reader.found, starts, dated=dated)
    return MediaList(
        url=reader.url,
        target_s=reader.target_s,
        # An IV needs version 2.
        version=max(reader.version, 2) if counted else reader.version,
        sequence=reader.sequence,
        discontinuity_sequence=reader.discontinuity_sequence,
        head=lines.kept(reader.head),
        ended=reader.ended,
        starts=starts,
        chunks=chunks,
        plain=plain,
        dated=dated,
        durations=durations,
        # One after the last segment comes again before the next.
        discontinuities=[at for at in reader.discontinuities if at < len(chunks)],
        keys=keys,
        maps=maps,
        dateranges=reader.dateranges,
        cues=cues,
        problems=_told(problems, segments),
    )


def _first_lines(segments: Sequence[_Block]) -> list[int]:
    """The number of each segment's first line; only asked for where something is wrong."""
    counts = ("".join(block).count("\n") + 1 for block in segments)
    return list(accumulate(counts, initial=1))


def _told(problems: Sequence[markers.Problem], segments: Sequence[_Block]) -> list[str]:
    """Problems of markers as sentences, each with its line."""
    if not problems:
        return []
    first = _first_lines(segments)
    return [str(lines.wrong(first[tag.index] + tag.line, what)) for tag, what in problems]


def _dated(segments: Sequence[_Block], durations: Sequence[int]) -> list[Micros]:
    """Where each segment starts, and the last one ends: as its date says, else where one ended.

    Each date is read, not only the first: so a segment starts at the same moment however many
    stood before it in the list, although durations are rounded. A date that goes back is that of
    another clock; time then goes on, since nobody could place anything in a time that repeats.
    """
    dates = [block[1][_DATE:-1].lstrip() for block in segments]
    first = index = next(index for index, block in enumerate(segments) if block[1])
    last = -1
    starts: list[Micros] = []
    steps = {duration: timedelta(microseconds=duration) for duration in set(durations)}
    expected = datetime.min.replace(tzinfo=UTC)  # by then most dates are what was expected
    try:
        at = max(0, lines.instant(dates[first]) - sum(durations[:first]))
        for index, date in enumerate(dates):
            duration = durations[index]
            if date and (when := datetime.fromisoformat(date)) != expected:
                expected = when
                if (told := lines.instant(date)) > last:
                    at = told
            starts.append(at)
            last = at
            at += duration
            expected += steps[duration]
    except (ValueError, OverflowError):
        line = _first_lines(segments)[index] + segments[index][0].count("\n")
        shown = lines.shown(dates[index])
        what = f"EXT-X-PROGRAM-DATE-TIME is a date as 2026-05-04T03:02:01.000Z, not {shown}"
        raise lines.wrong(line, what) from None
    return [*starts, at]


def render_head(
    media: MediaList,
    *,
    target_s: int,
    sequence: int,
    discontinuity_sequence: int,
    version: int,
    vod: bool,
) -> str:
    """The lines before the first segment of a list that is made of `media`."""
    kind = "#EXT-X-PLAYLIST-TYPE:VOD\n" if vod else ""
    return (
        f"#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{target_s}\n"
        f"#EXT-X-MEDIA-SEQUENCE:{sequence}\n"
        f"#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuity_sequence}\n{kind}{media.head}"
    )
