"""SCTE-35 in HLS, in every form that packagers write it: tags in, one `Cue` per edge out.

A tag that stands at the splice says where the edge is; the SCTE-35 message in it (or a date range)
says which event it is and how long. What several tags say about one edge becomes one cue.
https://datatracker.ietf.org/doc/html/draft-pantos-hls-rfc8216bis section 4.4.5.1 has date ranges;
the other tags are their makers': CUE-OUT and OATCLS of packagers, CUE of Adobe, SCTE35 of SCTE.
"""

from __future__ import annotations

import contextlib
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec

from footfall.model import Micros
from footfall.stream import lines, scte35
from footfall.stream.contract import Cue

NEAR_US = 1_500_000
"""Two edges of one direction that are no farther apart are one."""
MOST_PROBLEMS = 20
"""Told of one playlist."""

_T = TypeVar("_T")
_SCTE_RANGE = re.compile(r"#EXT-X-DATERANGE:([^\n]*SCTE35-(?:OUT|IN|CMD)=[^\n]*)")


class Said(msgspec.Struct, frozen=True, gc=False):
    """What one tag says by itself."""

    edge: str = ""
    """out, in, on (the break goes on), or nothing where only the message tells."""
    message: str = ""
    """SCTE-35 as `scte35.read` takes it."""
    duration_us: int | None = None
    elapsed_us: int | None = None
    id: str | None = None
    upid: str | None = None


class Found(msgspec.Struct, frozen=True, gc=False):
    """One marker tag in a playlist, before segment `index`."""

    index: int
    line: int
    """Among those of its segment, from 0."""
    tag: str
    value: str


Problem = tuple[Found, str]
"""A marker, and what is wrong with it."""


class _Edge(msgspec.Struct, frozen=True, gc=False):
    at_us: Micros
    index: int
    edge: str
    duration_us: int | None = None
    elapsed_us: int | None = None
    id: str | None = None
    upid: str | None = None
    level: int = scte35.SPLICE
    source: str = "tag"
    """tag, message (of a tag that says no edge by itself) or range."""


# Tags


def _length(text: str) -> int | None:
    """A duration; 0 is written where it is not known."""
    return lines.micros(text) or None


def _out(value: str) -> Said:
    """Bare, ``30``, ``30,ID=…`` or attributes."""
    said = lines.attributes(value)
    seconds = said.get("DURATION", value.partition(",")[0])
    message = said.get("CUE") or said.get("SCTE35", "")
    return Said("out", message, _length(seconds), id=said.get("ID"), upid=said.get("UPID"))


def _in(value: str) -> Said:
    said = lines.attributes(value)
    return Said("in", said.get("CUE") or said.get("SCTE35", ""), id=said.get("ID"))


def _on(value: str) -> Said:
    """``8.3/30``, ``8.3`` or ``ElapsedTime=8.3,Duration=30,SCTE35=…``."""
    said = lines.attributes(value)
    elapsed, _, duration = value.partition(",")[0].partition("/")
    elapsed = said.get("ELAPSEDTIME") or said.get("ELAPSED") or elapsed
    duration = said.get("DURATION") or duration
    message = said.get("SCTE35") or said.get("CUE", "")
    return Said("on", message, _length(duration), lines.micros(elapsed), said.get("ID"))


def _message(value: str) -> Said:
    return Said(message=value.strip(' "'))


def _scte35(value: str) -> Said:
    """EXT-X-SCTE35: CUE is the message, CUE-OUT is YES or CONT, CUE-IN is YES."""
    said = lines.attributes(value)
    edge = {"YES": "out", "CONT": "on"}.get(said.get("CUE-OUT", "").upper(), "")
    if said.get("CUE-IN", "").upper() == "YES":
        edge = "in"
    return Said(
        edge,
        said.get("CUE", ""),
        _length(said.get("DURATION", "")),
        lines.micros(said.get("ELAPSED", "")) if edge == "on" else None,
        said.get("ID"),
        said.get("UPID"),
    )


def _cue(value: str) -> Said:
    """EXT-X-CUE: TYPE is SpliceOut, SpliceIn, or what only the message in CUE tells."""
    said = lines.attributes(value)
    edge = {"spliceout": "out", "splicein": "in"}.get(said.get("TYPE", "").lower(), "")
    seconds = _length(said.get("DURATION", ""))
    return Said(edge, said.get("CUE", ""), seconds, id=said.get("ID"))


def _nothing(value: str) -> Said:  # noqa: ARG001 - as its neighbours
    return Said()


READERS: Mapping[str, Callable[[str], Said]] = {
    "EXT-X-CUE-OUT": _out,
    "EXT-X-CUE-OUT-CONT": _on,
    "EXT-X-CUE-SPAN": _on,
    "EXT-X-CUE-IN": _in,
    "EXT-X-CUE": _cue,
    "EXT-X-SCTE35": _scte35,
    "EXT-OATCLS-SCTE35": _message,
    "EXT-X-OATCLS-SCTE35": _message,
    "EXT-X-SPLICEPOINT-SCTE35": _message,
    "EXT-X-ASSET": _nothing,
}
"""By tag. Every one of them is taken out of what players get."""
RANGE = "EXT-X-DATERANGE"


def ranges(text: str) -> frozenset[str]:
    """IDs of a playlist's date ranges that are SCTE-35: of the tags with one, all are markers."""
    if "SCTE35-" not in text:
        return frozenset()
    said = map(lines.attributes, _SCTE_RANGE.findall(text))
    return frozenset(one.get("ID", "") for one in said)


# Cues


def cues(
    found: Sequence[Found], starts: Sequence[Micros], *, dated: bool
) -> tuple[list[Cue], list[Problem]]:
    """The cues of a playlist, in the order of time, and what is wrong with its markers.

    `starts` and `dated` are those of the `MediaList`. A marker with a message that cannot be read
    counts without it.
    """
    problems: list[Problem] = []
    tags: dict[int, list[Found]] = {}
    spans: dict[str, list[Found]] = {}
    for one in found:
        if one.tag == RANGE:
            spans.setdefault(lines.attributes(one.value).get("ID", ""), []).append(one)
        else:
            tags.setdefault(one.index, []).append(one)
    edges: list[_Edge] = []
    for index, group in tags.items():
        edges += _at_one_place(index, starts[index], group, problems)
    for group in spans.values():
        edges += _of_range(group, starts, dated, problems)
    edges.sort(key=lambda edge: edge.at_us)
    told = [*_told(_merged(edges)), *_cancelled(found, starts)]
    return sorted(told, key=lambda cue: cue.at_us), problems[:MOST_PROBLEMS]


def _messages(one: Found) -> list[str]:
    """The messages that one tag has, of a date range OUT, IN and CMD; empty where it has none."""
    if one.tag != RANGE:
        return [READERS[one.tag](one.value).message]
    said = lines.attributes(one.value)
    return [said.get(f"SCTE35-{name}", "") for name in ("OUT", "IN", "CMD")]


def _cancelled(found: Iterable[Found], starts: Sequence[Micros]) -> Iterator[Cue]:
    """Events that messages cancel, each from where its tag stands: so late it is said."""
    for one in found:
        for message in filter(None, _messages(one)):
            with contextlib.suppress(scte35.Scte35Error):
                for signal in scte35.read(message):
                    if signal.cancels:
                        at = starts[one.index]
                        yield Cue(one.index, at, False, id=signal.id, cancels=True)


def _signals(
    messages: Iterable[tuple[Found, str]], problems: list[Problem]
) -> dict[str, scte35.Signal]:
    """What messages of one place say of edges: the first for each direction, ends first."""
    signals: dict[str, scte35.Signal] = {}
    for one, message in messages:
        if not message:
            continue
        try:
            read = scte35.read(message)
        except scte35.Scte35Error as error:
            if len(problems) < MOST_PROBLEMS:
                what = f"the SCTE-35 message of {one.tag} cannot be used: {error}"
                problems.append((one, what))
            continue
        for signal in read:
            if not signal.cancels:
                signals.setdefault("out" if signal.out else "in", signal)
    return signals


def _at_one_place(
    index: int, at_us: Micros, group: Sequence[Found], problems: list[Problem]
) -> list[_Edge]:
    """The edges before one segment: those of tags; where no tag is one, those of messages."""
    said = [READERS[one.tag](one.value) for one in group]
    messages = [(one, what.message) for one, what in zip(group, said, strict=True)]
    signals = _signals(messages, problems)
    kinds = list(dict.fromkeys(what.edge for what in said if what.edge))
    if "out" in kinds and "on" in kinds:
        kinds.remove("on")
    found = []
    for kind in kinds or signals:
        own = [what for what in said if what.edge in {kind, ""}]
        edge = _Edge(
            at_us,
            index,
            kind,
            _first(what.duration_us for what in own) if kind != "in" else None,
            _first(what.elapsed_us for what in own),
            _first(what.id for what in own),
            _first(what.upid for what in own),
            source="tag" if kinds else "message",
        )
        if signal := signals.get("in" if kind == "in" else "out"):
            edge = _with_message(edge, signal)
        found.append(edge)
    return found


def _first(values: Iterable[_T | None]) -> _T | None:
    return next((value for value in values if value is not None), None)


def _with_message(edge: _Edge, signal: scte35.Signal) -> _Edge:
    """What the message tells of the edge goes before what the tags tell of it."""
    return msgspec.structs.replace(
        edge,
        duration_us=signal.duration_us or edge.duration_us,
        id=signal.id,
        upid=signal.upid or edge.upid,
        level=signal.level,
    )


def _of_range(
    group: Sequence[Found], starts: Sequence[Micros], dated: bool, problems: list[Problem]
) -> list[_Edge]:
    """The edges of one date range; `group` are its tags, which complete each other."""
    said: dict[str, str] = {}
    for one in group:
        said = lines.attributes(one.value) | said
    messages = [(group[0], said.get(f"SCTE35-{name}", "")) for name in ("OUT", "IN", "CMD")]
    signals = _signals(messages, problems)
    begins = "SCTE35-OUT" in said or ("SCTE35-CMD" in said and "out" in signals)
    ends = "SCTE35-IN" in said or ("SCTE35-CMD" in said and "in" in signals)
    start, end = _span(group, said, dated, problems)
    if ends and not begins and end is None:
        end = start
    found = []
    if begins:
        at, index = _placed(start, group[0].index, starts)
        seconds = said.get("PLANNED-DURATION") or said.get("DURATION", "")
        edge = _Edge(at, index, "out", _length(seconds), id=said.get("ID"), source="range")
        found.append(_with_message(edge, signals["out"]) if "out" in signals else edge)
    if ends or (begins and end is not None):
        at, index = _placed(end, group[-1].index, starts)
        name = found[0].id if found else said.get("ID")
        edge = _Edge(at, index, "in", id=name, source="range")
        found.append(_with_message(edge, signals["in"]) if "in" in signals else edge)
    return found


def _span(
    group: Sequence[Found], said: Mapping[str, str], dated: bool, problems: list[Problem]
) -> tuple[Micros | None, Micros | None]:
    """When a date range begins and ends, as far as that can be placed in the list."""
    if not dated:
        return None, None
    try:
        start = lines.instant(said["START-DATE"]) if "START-DATE" in said else None
        if "END-DATE" in said:
            return start, lines.instant(said["END-DATE"])
    except ValueError:
        if len(problems) < MOST_PROBLEMS:
            problems.append((group[-1], "a date of this date range is none"))
        return None, None
    duration = lines.micros(said.get("DURATION", ""))
    return start, None if start is None or duration is None else start + duration


def _placed(at: Micros | None, index: int, starts: Sequence[Micros]) -> tuple[Micros, int]:
    """A moment and the segment whose start is nearest; without a moment, that of the tag."""
    if at is None:
        return starts[index], index
    after = bisect_left(starts, at)
    if after == len(starts):
        return at, len(starts) - 1
    if after and at - starts[after - 1] < starts[after] - at:
        return at, after - 1
    return at, after


def _merged(edges: Iterable[_Edge]) -> list[_Edge]:
    """In the order of time: a date range's edge and that of a tag or range near it are one."""
    found: list[_Edge] = []
    last: dict[str, int] = {}
    for edge in edges:
        before = last.get(edge.edge)
        if before is not None and edge.at_us - found[before].at_us <= NEAR_US:
            other = found[before]
            if "range" in {edge.source, other.source}:
                found[before] = _one_of_two(*sorted((edge, other), key=_is_range))
                continue
        last[edge.edge] = len(found)
        found.append(edge)
    return sorted(found, key=lambda edge: edge.at_us)


def _is_range(edge: _Edge) -> bool:
    return edge.source == "range"


def _one_of_two(place: _Edge, said: _Edge) -> _Edge:
    return msgspec.structs.replace(
        place,
        id=said.id or place.id,
        duration_us=said.duration_us or place.duration_us,
        upid=said.upid or place.upid,
    )


def _told(edges: Iterable[_Edge]) -> Iterable[Cue]:
    """Edges as cues: what goes on knows since when, and ads within a break are no edges of it."""
    began: _Edge | None = None
    for edge in edges:
        if began and edge.edge != "on" and edge.at_us > _planned_end(began):
            began = None
        if began and edge.source == "message" and 0 < edge.level < began.level:
            continue
        elapsed, duration, name = _elapsed(edge, began), edge.duration_us, edge.id
        if began and (edge.edge == "in" or elapsed):
            name = name or began.id
            duration = duration or (began.duration_us if elapsed else None)
        yield Cue(edge.index, edge.at_us, edge.edge != "in", duration, elapsed, name, edge.upid)
        if edge.edge == "in":
            began = None
        elif not began or not elapsed:
            began = msgspec.structs.replace(edge, at_us=edge.at_us - elapsed, id=name)


def _planned_end(edge: _Edge) -> float:
    return edge.at_us + edge.duration_us + NEAR_US if edge.duration_us else float("inf")


def _elapsed(edge: _Edge, began: _Edge | None) -> int:
    """Of the break at this edge: as it says, else since the break was seen to begin."""
    if edge.edge == "in":
        return 0
    if edge.edge == "on" and edge.elapsed_us is not None:
        return edge.elapsed_us
    repeats = began and edge.id and edge.id == began.id
    return edge.at_us - began.at_us if began and (repeats or edge.edge == "on") else 0
