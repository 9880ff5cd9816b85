"""HLS playlists as a checker reads them: what rules are about, and what could not be read.

Not the reader that splices: a judge that shares it would share its mistakes. This one keeps
nothing for output, and goes on after faults.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import ClassVar, NamedTuple
from urllib.parse import urldefrag, urljoin

import msgspec

from footfall.model import Micros

_ATTRIBUTE = re.compile(r'\s*([A-Z0-9-]+)=("[^"]*"|[^",]*)\s*(?:,|$)')
_DECIMAL = re.compile(r"\d+(\.\d+)?")


class Fault(NamedTuple):
    """A rule that does not hold; the names are those of `checking_rules.RULES`."""

    rule: str
    detail: str


class Segment(msgspec.Struct, frozen=True, gc=False):
    number: int
    uri: str
    """Absolute, without its query: services may sign addresses anew each time."""
    duration_us: int
    at_us: Micros
    """When it starts: by program date times, else from the start of the list."""
    date_us: Micros | None
    """Its own program date time, where it has one."""
    discontinuity: bool
    discontinuities: int
    """Its discontinuity sequence number, its own tag counted."""
    bytes: str
    """``length@offset``, or nothing."""
    map: str
    """The attributes of the EXT-X-MAP in force."""
    keys: tuple[str, ...]
    """The attributes of each EXT-X-KEY in force."""

    @property
    def end_us(self) -> Micros:
        return self.at_us + self.duration_us


class MediaPlaylist(msgspec.Struct, frozen=True):
    target_s: int
    sequence: int
    discontinuity_sequence: int
    kind: str
    """VOD, EVENT or nothing."""
    ended: bool
    dated: bool
    segments: tuple[Segment, ...]
    ranges: Mapping[str, Mapping[str, str]]
    """EXT-X-DATERANGE by id, tags of one id together."""
    faults: tuple[Fault, ...]
    """Of reading it, and those that only its lines show."""

    @property
    def end_us(self) -> Micros:
        return self.segments[-1].end_us if self.segments else 0


class Variant(NamedTuple):
    name: str
    """For people: ``video 1280x720 2400k``, ``audio English``."""
    kind: str
    """video, audio or subtitles."""
    url: str


class MultivariantPlaylist(msgspec.Struct, frozen=True):
    variants: tuple[Variant, ...]
    """Each media playlist once."""
    faults: tuple[Fault, ...]


def is_multivariant(text: str) -> bool:
    return "#EXT-X-STREAM-INF" in text


def read_multivariant(text: str, url: str) -> MultivariantPlaylist:
    """What a multivariant playlist leads to."""
    faults: list[Fault] = []
    found: dict[str, Variant] = {}
    groups: set[tuple[str, str]] = set()
    wanted: set[tuple[str, str]] = set()
    inf: Mapping[str, str] | None = None
    if not text.startswith("#EXTM3U"):
        faults.append(Fault("format", "the first line is not #EXTM3U"))
    for line in _lines(text):
        if line.startswith("#EXT-X-STREAM-INF:"):
            inf = attributes(line.partition(":")[2])
            if not inf.get("BANDWIDTH", "").isdigit():
                faults.append(Fault("format", f"EXT-X-STREAM-INF without BANDWIDTH: {line}"))
            wanted |= {(k, inf[k]) for k in ("AUDIO", "SUBTITLES") if k in inf}
        elif line.startswith("#EXT-X-MEDIA:"):
            media = attributes(line.partition(":")[2])
            kind = media.get("TYPE", "")
            groups.add((kind, media.get("GROUP-ID", "")))
            if "URI" in media and kind in {"AUDIO", "SUBTITLES"}:
                address = urljoin(url, media["URI"])
                name = f"{kind.lower()} {media.get('NAME', '')}".strip()
                found.setdefault(address, Variant(name, kind.lower(), address))
        elif not line.startswith("#"):
            if inf is None:
                faults.append(Fault("format", f"an address without EXT-X-STREAM-INF: {line}"))
            address = urljoin(url, line)
            found.setdefault(address, Variant(_name(inf or {}), "video", address))
            inf = None
    faults += (
        Fault("group-missing", f"{kind} group {name} is named by a variant and is not there")
        for kind, name in sorted(wanted - groups)
    )
    return MultivariantPlaylist(tuple(found.values()), tuple(faults))


def read_media(text: str, url: str) -> MediaPlaylist:
    """A media playlist, and what is wrong with its lines."""
    reader = _Reader(url)
    if not text.startswith("#EXTM3U"):
        reader.fault("format", "the first line is not #EXTM3U")
    for line in _lines(text):
        reader.line(line)
    return reader.playlist()


def attributes(value: str) -> dict[str, str]:
    """The attribute list after a tag's colon; quotes are taken off."""
    return {match[1]: match[2].strip('"') for match in _ATTRIBUTE.finditer(value)}


def date_us(text: str) -> Micros | None:
    """ISO 8601; without a zone it counts as UTC. None where it is no date."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - datetime.fromtimestamp(0, UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _lines(text: str) -> Iterator[str]:
    return (line for line in map(str.strip, text.splitlines()) if line)


def _name(inf: Mapping[str, str]) -> str:
    rate = inf.get("BANDWIDTH", "")
    parts = ("video", inf.get("RESOLUTION", ""), f"{int(rate) // 1000}k" if rate.isdigit() else "")
    return " ".join(filter(None, parts))


class _Reader:
    """Line after line into a playlist."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._numbers: dict[str, int] = {}
        self._kind = ""
        self._ended = False
        self._drafts: list[dict[str, object]] = []
        self._ranges: dict[str, dict[str, str]] = {}
        self._faults: list[Fault] = []
        self._next: dict[str, object] = {}
        self._map = ""
        self._keys: dict[str, str] = {}
        self._after: dict[str, int] = {}
        """Where the last byte range of each resource ended."""

    def fault(self, rule: str, detail: str) -> None:
        self._faults.append(Fault(rule, detail))

    def line(self, line: str) -> None:
        if not line.startswith("#"):
            self._segment(line)
            return
        tag, _, value = line.partition(":")
        if tag in self._TAGS:
            self._TAGS[tag](self, value)

    def _target(self, value: str) -> None:
        self._number("#EXT-X-TARGETDURATION", value)

    def _media_sequence(self, value: str) -> None:
        self._sequence("#EXT-X-MEDIA-SEQUENCE", value)

    def _discontinuity_sequence(self, value: str) -> None:
        self._sequence("#EXT-X-DISCONTINUITY-SEQUENCE", value)

    def _sequence(self, tag: str, value: str) -> None:
        if self._drafts or "discontinuity" in self._next:
            self.fault("sequence-place", f"{tag} stands after the first segment or tag")
        self._number(tag, value)

    def _type(self, value: str) -> None:
        self._kind = value

    def _end(self, _value: str) -> None:
        self._ended = True

    def _byterange(self, value: str) -> None:
        self._next["bytes"] = value

    def _discontinuity(self, _value: str) -> None:
        self._next["discontinuity"] = True

    def _initialization(self, value: str) -> None:
        self._map = _stable(attributes(value), self._url)

    def _number(self, tag: str, value: str) -> None:
        if tag in self._numbers:
            self.fault("format", f"{tag} stands twice")
        if value.isascii() and value.isdigit():
            self._numbers[tag] = int(value)
        else:
            self.fault("format", f"{tag} is no whole number: {value}")

    def _duration(self, value: str) -> None:
        text = value.partition(",")[0].strip()
        if _DECIMAL.fullmatch(text):
            self._next["duration_us"] = round(float(text) * 1e6)
        else:
            self.fault("format", f"EXTINF is no duration: {value}")

    def _date(self, value: str) -> None:
        found = date_us(value)
        if found is None:
            self.fault("format", f"EXT-X-PROGRAM-DATE-TIME is no date: {value}")
        else:
            self._next["date_us"] = found

    def _key(self, value: str) -> None:
        said = attributes(value)
        if said.get("METHOD") == "NONE":
            self._keys = {}
        else:
            self._keys[said.get("KEYFORMAT", "identity")] = _stable(said, self._url)

    def _range(self, value: str) -> None:
        said = attributes(value)
        name = said.get("ID")
        if name is None:
            self.fault("daterange", f"no ID: {value}")
            return
        known = self._ranges.setdefault(name, {})
        for attribute, text in said.items():
            if known.setdefault(attribute, text) != text:
                self.fault("daterange", f"{name}: {attribute} is {known[attribute]} and {text}")

    def _segment(self, line: str) -> None:
        draft, self._next = self._next, {}
        if "duration_us" not in draft:
            self.fault("format", f"an address without EXTINF: {line}")
        address = urljoin(self._url, line)
        self._drafts.append(
            {
                "uri": _unsigned(address),
                "duration_us": draft.get("duration_us", 0),
                "date_us": draft.get("date_us"),
                "discontinuity": "discontinuity" in draft,
                "bytes": self._bytes(address, str(draft.get("bytes", ""))),
                "map": self._map,
                "keys": tuple(self._keys.values()),
            }
        )

    def _bytes(self, address: str, said: str) -> str:
        if not said:
            return ""
        length, _, offset = said.partition("@")
        if not length.isdigit() or (offset and not offset.isdigit()):
            self.fault("format", f"EXT-X-BYTERANGE is none: {said}")
            return said
        if not offset and address not in self._after:
            self.fault("format", f"EXT-X-BYTERANGE without an offset, and nothing before: {said}")
        begins = int(offset) if offset else self._after.get(address, 0)
        self._after[address] = begins + int(length)
        return f"{length}@{begins}"

    def playlist(self) -> MediaPlaylist:
        if "#EXT-X-TARGETDURATION" not in self._numbers:
            self.fault("format", "no EXT-X-TARGETDURATION")
        sequence = self._numbers.get("#EXT-X-MEDIA-SEQUENCE", 0)
        discontinuities = first = self._numbers.get("#EXT-X-DISCONTINUITY-SEQUENCE", 0)
        segments = []
        for index, (draft, at_us) in enumerate(zip(self._drafts, self._starts(), strict=True)):
            discontinuities += draft["discontinuity"] is True
            more = {"number": sequence + index, "at_us": at_us, "discontinuities": discontinuities}
            segments.append(msgspec.convert(draft | more, Segment))
        return MediaPlaylist(
            target_s=self._numbers.get("#EXT-X-TARGETDURATION", 0),
            sequence=sequence,
            discontinuity_sequence=first,
            kind=self._kind,
            ended=self._ended,
            dated=any(draft["date_us"] is not None for draft in self._drafts),
            segments=tuple(segments),
            ranges=self._ranges,
            faults=tuple(self._faults),
        )

    def _starts(self) -> list[Micros]:
        """When each segment starts: what comes before the first date counts back from it."""
        at = 0
        starts: list[Micros] = []
        shift: int | None = None
        for draft in self._drafts:
            date, duration = draft["date_us"], draft["duration_us"]
            assert isinstance(duration, int)
            if isinstance(date, int):
                if shift is None:
                    shift = date - at
                    starts = [start + shift for start in starts]
                at = date
            starts.append(at)
            at += duration
        return starts

    _TAGS: ClassVar[Mapping[str, Callable[[_Reader, str], None]]] = {
        "#EXT-X-TARGETDURATION": _target,
        "#EXT-X-MEDIA-SEQUENCE": _media_sequence,
        "#EXT-X-DISCONTINUITY-SEQUENCE": _discontinuity_sequence,
        "#EXT-X-PLAYLIST-TYPE": _type,
        "#EXT-X-ENDLIST": _end,
        "#EXTINF": _duration,
        "#EXT-X-BYTERANGE": _byterange,
        "#EXT-X-DISCONTINUITY": _discontinuity,
        "#EXT-X-PROGRAM-DATE-TIME": _date,
        "#EXT-X-MAP": _initialization,
        "#EXT-X-KEY": _key,
        "#EXT-X-DATERANGE": _range,
    }


def _stable(said: dict[str, str], url: str) -> str:
    """The attributes of a MAP or KEY as text, its address absolute and unsigned."""
    if "URI" in said:
        said["URI"] = _unsigned(urljoin(url, said["URI"]))
    return ",".join(f"{name}={value}" for name, value in sorted(said.items()))


def _unsigned(address: str) -> str:
    return urldefrag(address).url.partition("?")[0]
