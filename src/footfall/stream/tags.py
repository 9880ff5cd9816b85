"""The tags of HLS media playlists, one handler for each: what is kept, what is only noted.

Kept lines are those that a spliced list repeats. Of low latency nothing is: a list that is made
anew for each session has no parts.
https://datatracker.ietf.org/doc/html/draft-pantos-hls-rfc8216bis, section 4.4.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from footfall.stream import lines, markers
from footfall.stream.keys import InForce
from footfall.stream.lines import LineError

_WHOLE_NUMBER = re.compile(r"\s*([0-9]{1,18})\s*")
_NUMBER = re.compile(r"\s*([0-9]{1,9})(?:\.([0-9]*))?\s*")
_RANGE = re.compile(r"\s*([0-9]{1,18})(?:@([0-9]{1,18}))?\s*")


def _number(tag: str, text: str) -> int:
    if not (found := _WHOLE_NUMBER.fullmatch(text)):
        raise LineError(f"{tag} is a whole number, not {lines.shown(text)}")
    return int(found[1])


class Reader:
    """Takes a list's tags in their order; the handlers below know one tag each.

    They raise `LineError`; `line` then says where, counted from 0 within the segment.
    """

    def __init__(self, url: str, marker_ranges: frozenset[str]) -> None:
        self.url = url
        self.marker_ranges = marker_ranges
        self.at_head = True
        self.head: list[str] = []
        self.in_force = InForce(url)
        self.range_end = ("", 0)
        """Address and end of the last byte range."""
        self.discontinuities: list[int] = []
        self.dateranges: list[tuple[int, str]] = []
        self.found: list[markers.Found] = []
        self.target_s: int | None = None
        self.version = 1
        self.sequence = 0
        self.discontinuity_sequence = 0
        self.ended = False
        self.line = 0
        # Of the segment that is being read:
        self.index = 0
        self.address = ""
        self.duration: int | None = None
        self.lines: list[str] = []
        self.plain: list[str] = []

    def segment(self, index: int, text: str, address: str) -> int:
        """Its duration; `lines` and `plain` are then what is kept of its tags."""
        self._read(index, text, address)
        self.at_head = False
        self.in_force.settle(index)
        if self.duration is None:
            raise LineError("a segment's address has an EXTINF before it, this one has none")
        return self.duration

    def rest(self, index: int, text: str) -> None:
        """What stands after the last segment: about the list, or about what is to come."""
        self._read(index, text, "")
        if self.duration is not None:
            raise LineError("the last EXTINF has no address behind it: the text was cut off")

    def _read(self, index: int, text: str, address: str) -> None:
        self.index, self.address, self.duration = index, address, None
        self.lines, self.plain = [], []
        for self.line, line in enumerate(text.split("\n")):
            if line:
                tag, value = lines.tag_of(line)
                TAGS.get(tag, _unknown)(self, line, value)


# Tags of the list


def _target(reader: Reader, _: str, value: str) -> None:
    if not (found := _NUMBER.fullmatch(value)):
        shown = lines.shown(value)
        raise LineError(f"EXT-X-TARGETDURATION is a number of seconds, not {shown}")
    reader.target_s = int(found[1]) + bool((found[2] or "").strip("0"))


def _version(reader: Reader, _: str, value: str) -> None:
    reader.version = _number("EXT-X-VERSION", value)


def _sequence(reader: Reader, _: str, value: str) -> None:
    reader.sequence = _number("EXT-X-MEDIA-SEQUENCE", value)


def _discontinuity_sequence(reader: Reader, _: str, value: str) -> None:
    reader.discontinuity_sequence = _number("EXT-X-DISCONTINUITY-SEQUENCE", value)


def _type(reader: Reader, _: str, value: str) -> None:
    # An EVENT is a live list whose window only grows; VOD is whole even without ENDLIST.
    reader.ended = reader.ended or value.strip() == "VOD"


def _end(reader: Reader, _line: str, _: str) -> None:
    reader.ended = True


def _heading(reader: Reader, line: str, _: str) -> None:
    reader.head.append(line)


def _dropped(reader: Reader, line: str, value: str) -> None:
    """Of low latency, or done with."""


def _skip(_reader: Reader, _line: str, _: str) -> None:
    raise LineError("it is a delta update; the whole playlist has to be asked for")


def _multivariant(_reader: Reader, _line: str, _: str) -> None:
    raise LineError("it is of a multivariant playlist, and this was to be a media playlist")


# Tags of a segment


def _unknown(reader: Reader, line: str, _: str) -> None:
    """Kept where it stands: comments too."""
    line = lines.with_absolute_uri(line, reader.url)
    if reader.at_head:
        reader.head.append(line)
    else:
        _keep(reader, line)


def _keep(reader: Reader, line: str, _: str = "") -> None:
    reader.at_head = False
    reader.lines.append(line)
    reader.plain.append(line)


def _extinf(reader: Reader, line: str, value: str) -> None:
    if reader.duration is not None:
        raise LineError("the EXTINF before this one has no address behind it")
    text = value.partition(",")[0]
    reader.duration = lines.micros(text)
    if reader.duration is None:
        what = "a duration in seconds, from 0 to a day"
        raise LineError(f"EXTINF has {what}, not {lines.shown(text)}")
    _keep(reader, line)


def _byterange(reader: Reader, _: str, value: str) -> None:
    """Without an offset it begins where the last one ended, which cutting would change."""
    if not (found := _RANGE.fullmatch(value)):
        raise LineError(f"EXT-X-BYTERANGE is length@offset, not {lines.shown(value)}")
    address, end = reader.range_end
    offset = int(found[2]) if found[2] else end * (address == reader.address)
    reader.range_end = (reader.address, offset + int(found[1]))
    _keep(reader, f"#EXT-X-BYTERANGE:{int(found[1])}@{offset}")


def _discontinuity(reader: Reader, line: str, _: str) -> None:
    reader.at_head = False
    if reader.discontinuities[-1:] != [reader.index]:
        reader.discontinuities.append(reader.index)
        reader.lines.append(line)


def _date(reader: Reader, line: str, _: str) -> None:
    reader.at_head = False
    reader.lines.append(line)


def _key(reader: Reader, line: str, _: str) -> None:
    reader.at_head = False
    reader.lines.append(reader.in_force.key(line))


def _map(reader: Reader, line: str, _: str) -> None:
    reader.at_head = False
    reader.lines.append(reader.in_force.map(line))


def _daterange(reader: Reader, line: str, value: str) -> None:
    reader.at_head = False
    if reader.marker_ranges and lines.attributes(value).get("ID", "") in reader.marker_ranges:
        _marker(reader, line, value)
    else:
        reader.lines.append(line)
        reader.dateranges.append((reader.index, f"{line}\n"))


def _marker(reader: Reader, line: str, value: str) -> None:
    reader.at_head = False
    tag, _ = lines.tag_of(line)
    reader.found.append(markers.Found(reader.index, reader.line, tag, value))


TAGS: Mapping[str, Callable[[Reader, str, str], None]] = {
    "EXTM3U": _dropped,
    "EXT-X-VERSION": _version,
    "EXT-X-TARGETDURATION": _target,
    "EXT-X-MEDIA-SEQUENCE": _sequence,
    "EXT-X-DISCONTINUITY-SEQUENCE": _discontinuity_sequence,
    "EXT-X-PLAYLIST-TYPE": _type,
    "EXT-X-ENDLIST": _end,
    "EXT-X-INDEPENDENT-SEGMENTS": _heading,
    "EXT-X-I-FRAMES-ONLY": _heading,
    "EXT-X-START": _heading,
    "EXT-X-ALLOW-CACHE": _heading,
    "EXTINF": _extinf,
    "EXT-X-BYTERANGE": _byterange,
    "EXT-X-GAP": _keep,
    "EXT-X-BITRATE": _keep,
    "EXT-X-DISCONTINUITY": _discontinuity,
    "EXT-X-PROGRAM-DATE-TIME": _date,
    "EXT-X-KEY": _key,
    "EXT-X-MAP": _map,
    "EXT-X-DATERANGE": _daterange,
    **dict.fromkeys(markers.READERS, _marker),
    # The variables are filled in, and of low latency there is nothing.
    "EXT-X-DEFINE": _dropped,
    "EXT-X-SERVER-CONTROL": _dropped,
    "EXT-X-PART-INF": _dropped,
    "EXT-X-PART": _dropped,
    "EXT-X-PRELOAD-HINT": _dropped,
    "EXT-X-RENDITION-REPORT": _dropped,
    "EXT-X-SKIP": _skip,
    "EXT-X-STREAM-INF": _multivariant,
    "EXT-X-MEDIA": _multivariant,
}
"""By tag. What is not here is kept as it is."""
