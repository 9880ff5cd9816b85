"""What RFC 8216 (and 8216bis) asks of media playlists, as an independent parser reads them.

`read` gives a list's segments as rows; `broken` the rules that one list breaks; a `Follower` those
that a series of lists of one rendition breaks, `differing` those between renditions.
"""

from typing import NamedTuple
from urllib.parse import urljoin

import m3u8

S = 1_000_000
ROUNDING_US = 120_000


class Row(NamedTuple):
    number: int
    tags: int
    """Discontinuity sequence number."""
    uri: str
    duration_us: int
    at_us: int | None
    """By the last program date time and the durations since."""
    dated: bool
    """It has a date itself."""
    tagged: bool
    map: str | None
    key: str | None
    """Address; None: clear."""
    gap: bool


class Listing(NamedTuple):
    sequence: int
    discontinuity_sequence: int | None
    target_s: int
    version: int
    ended: bool
    rows: tuple[Row, ...]
    text: str

    @property
    def end_us(self):
        return self.rows[-1].at_us + self.rows[-1].duration_us


def read(text) -> Listing:
    found = m3u8.loads(text)
    tags = found.discontinuity_sequence or 0
    rows = []
    at = None
    for number, one in enumerate(found.segments, found.media_sequence or 0):
        tags += bool(one.discontinuity)
        if one.program_date_time is not None:
            at = round(one.program_date_time.timestamp() * S)
        duration = round(one.duration * S)
        key = one.key.uri if one.key is not None and one.key.method != "NONE" else None
        rows.append(
            Row(
                number,
                tags,
                one.uri,
                duration,
                at,
                one.program_date_time is not None,
                bool(one.discontinuity),
                one.init_section.uri if one.init_section else None,
                key,
                bool(one.gap_tag),
            )
        )
        at = None if at is None else at + duration
    return Listing(
        found.media_sequence or 0,
        found.discontinuity_sequence if "#EXT-X-DISCONTINUITY-SEQUENCE:" in text else None,
        found.target_duration,
        int(found.version),
        found.is_endlist,
        tuple(rows),
        text,
    )


def broken(listing, *, live=True, encrypted=()):
    """Rules that one list breaks by itself, in words.

    Maps and keys have to lie beside the segments that they are for. `encrypted`: beginnings of
    addresses whose segments have a key.
    """
    found = []
    lines = listing.text.splitlines()
    if lines[0] != "#EXTM3U":
        found.append("it does not begin with EXTM3U")
    for tag in ("TARGETDURATION", "MEDIA-SEQUENCE", "DISCONTINUITY-SEQUENCE", "VERSION"):
        if sum(line.startswith(f"#EXT-X-{tag}:") for line in lines) != 1:
            found.append(f"{tag} has to be there once")
    if live and ("PLAYLIST-TYPE" in listing.text or listing.ended):
        found.append("a sliding list has neither type nor end")
    if any("CUE" in line or "SCTE" in line for line in lines if line.startswith("#")):
        found.append("markers of the original are left")
    last = None
    for row in listing.rows:
        if (row.duration_us + S // 2) // S > listing.target_s:
            found.append(f"{row.uri} is longer than the target duration")
        if live and not row.dated and (row.tagged or last is None):
            found.append(f"{row.uri} has no date after a discontinuity")
        if row.dated and last is not None and last.at_us is not None and not row.tagged:
            off = row.at_us - last.at_us - last.duration_us
            if abs(off) > ROUNDING_US:
                found.append(f"{row.uri} is {off / S:.3f} s off without a discontinuity")
        if row.map is not None and row.map != urljoin(row.uri, "init.mp4"):
            found.append(f"{row.uri} has the map {row.map}")
        if row.map is None and row.uri.endswith(".m4s"):
            found.append(f"{row.uri} has no map")
        key = urljoin(row.uri, "key") if row.uri.startswith(tuple(encrypted)) else None
        if row.key != key:
            found.append(f"{row.uri} has the key {row.key}")
        last = row
    return found


def withheld(listing, edge_us):
    """Whether something before the edge is kept back longer than a server may."""
    last = listing.end_us
    late = edge_us - last
    return [f"{late / S:.2f} s are withheld"] if late > 1.5 * listing.target_s * S else []


class Follower:
    """Lists of one rendition of one session, served in any order by any process."""

    def __init__(self):
        self.rows = {}
        self.target_s = None
        self.newest = (0, 0, 0)

    def broken(self, listing, window_us):
        """Rules that a list breaks together with those before. `window_us`: the start of the
        origin's window: a newer one never has lower numbers."""
        found = []
        self.target_s = self.target_s or listing.target_s
        if listing.target_s != self.target_s:
            found.append("the target duration changed")
        for row in listing.rows:
            same = (row.uri, row.tags, row.tagged, row.map, row.key)
            known = self.rows.setdefault(row.number, (same, row.at_us))
            if known[0] != same:
                found.append(f"{row.number} was {known[0]} and is {same}")
            if abs(known[1] - row.at_us) > ROUNDING_US:
                found.append(f"{row.number} moved from {known[1]} to {row.at_us}")
        mine = (window_us, listing.sequence, listing.discontinuity_sequence)
        if window_us >= self.newest[0]:
            if mine[1] < self.newest[1] or mine[2] < self.newest[2]:
                found.append(f"numbers went back from {self.newest} to {mine}")
            self.newest = mine
        return found


class Discontinuities:
    """What plays under each discontinuity number: the same in all renditions of a session."""

    def __init__(self, label):
        """`label`: of an address, what it belongs to, in whatever rendition."""
        self._label = label
        self._known = {}

    def broken(self, listing):
        found = []
        for row in listing.rows:
            label = self._label(row.uri)
            known = self._known.setdefault(row.tags, label)
            if known != label:
                found.append(f"discontinuity {row.tags} is {known} and {label} ({row.uri})")
        return found
