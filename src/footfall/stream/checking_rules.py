"""The rules that `footfall stream check` holds a service to, and what it found.

Of playlists: RFC 8216 and its successor, draft-pantos-hls-rfc8216bis. Of session tracking: what
docs/protocol-broadpeak.md says, which is what clients rely on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import msgspec

from footfall.stream.checking_lists import Fault

Severity = Literal["error", "warning"]


class Rule(NamedTuple):
    severity: Severity
    """error: players may fail; warning: they may cope."""
    remedy: str


RULES: Mapping[str, Rule] = {
    # Getting there
    "http": Rule("error", "Look at the address, the service's log and its origin."),
    "redirects": Rule("error", "Redirect once, to the address that carries the session."),
    "content-type": Rule("warning", "Serve playlists as application/vnd.apple.mpegurl."),
    "cors": Rule("warning", "Send Access-Control-Allow-Origin, or browsers cannot play it."),
    "session-lost": Rule(
        "error", "Put the session's ids into the address of every media playlist."
    ),
    # One multivariant playlist
    "group-missing": Rule("error", "Name only groups that an EXT-X-MEDIA has."),
    "variants-target": Rule("error", "Give all media playlists the same EXT-X-TARGETDURATION."),
    "variants-dated": Rule("error", "Give dates to all media playlists or to none."),
    "variants-ended": Rule("warning", "End all media playlists together."),
    "variants-length": Rule("warning", "Splice the same ads into every media playlist."),
    "variants-discontinuities": Rule(
        "error", "Cut every media playlist at the same times, and number the cuts alike."
    ),
    # One media playlist
    "format": Rule("error", "Write the tag as RFC 8216 has it."),
    "sequence-place": Rule("error", "Put the sequence tags before the first segment."),
    "target-duration": Rule(
        "error", "Raise EXT-X-TARGETDURATION at the session's start, or leave the segment out."
    ),
    "map-missing": Rule("error", "Send EXT-X-MAP before the first fragmented MP4 segment."),
    "map-after-discontinuity": Rule("warning", "Send EXT-X-MAP again after EXT-X-DISCONTINUITY."),
    "map-without-discontinuity": Rule(
        "error", "Send EXT-X-DISCONTINUITY where another initialization section begins."
    ),
    "date-after-discontinuity": Rule("warning", "Send a date after each EXT-X-DISCONTINUITY."),
    "date-order": Rule("error", "Let dates rise from segment to segment."),
    "date-overlap": Rule("warning", "Start no segment before the last one ends, by their dates."),
    "date-drift": Rule("warning", "Without a discontinuity a date is the last one plus EXTINF."),
    "window": Rule("warning", "List at least three target durations of a live stream."),
    "daterange": Rule("error", "Mend the EXT-X-DATERANGE: RFC 8216, 4.3.2.7."),
    # A media playlist after another
    "target-duration-changed": Rule("error", "Never change EXT-X-TARGETDURATION in a session."),
    "media-sequence-back": Rule("error", "Never lower EXT-X-MEDIA-SEQUENCE."),
    "media-sequence-jump": Rule("error", "Raise EXT-X-MEDIA-SEQUENCE by one per removed segment."),
    "segments-withdrawn": Rule("error", "Never take back a segment that was listed last."),
    "segment-changed": Rule("error", "Leave a segment as it was, under the number that it has."),
    "discontinuity-sequence": Rule(
        "error", "Raise EXT-X-DISCONTINUITY-SEQUENCE by one as each tag leaves, and only then."
    ),
    "map-changed": Rule("error", "Send again the EXT-X-MAP of the segments that are still listed."),
    "key-changed": Rule("error", "Send again the EXT-X-KEY of the segments that are still listed."),
    "date-changed": Rule("error", "Give a segment the same date in every refresh."),
    "stale": Rule("error", "List a new segment within 1.5 target durations, ads or not."),
    "ended-changed": Rule("error", "Change nothing after EXT-X-ENDLIST or in a VOD."),
    "daterange-removed": Rule("error", "Keep EXT-X-DATERANGE while its time is in the playlist."),
    # Session tracking
    "tracking-http": Rule("error", "Answer 200: clients stop asking at anything else."),
    "tracking-shape": Rule("error", "Answer JSON as docs/protocol-broadpeak.md has it."),
    "tracking-schema": Rule("error", "Answer what the published schema says."),
    "tracking-clock": Rule("error", "Tell live times by the clock of the playlist's dates."),
    "refresh-delay": Rule("warning", "Set refresh_delay_ms between 2000 and 5000."),
    "pods-order": Rule("error", "Order pods by starttime_ms, without overlaps."),
    "pod-sum": Rule("error", "Set the pod's duration_ms to the sum of its ads so far."),
    "ads-overlap": Rule("error", "Let each ad begin where the one before it ends, or later."),
    "ad-outside": Rule("error", "Begin no ad before its pod."),
    "event-time": Rule("error", "Set time_ms to the ad's start plus offset_ms, within the ad."),
    "pod-changed": Rule("error", "Keep a pod's id and start once it was announced."),
    "ad-changed": Rule("error", "Keep an ad's id, start and duration once it was announced."),
    "pod-left-early": Rule("error", "Keep a pod while any of its segments are listed."),
    "ad-boundary": Rule(
        "error", "Cut the playlist where the tracking says that an ad begins and ends."
    ),
}
"""By name, in the order of the document."""


class Finding(msgspec.Struct):
    """A rule that did not hold at a place, the first time in full."""

    severity: Severity
    rule: str
    where: str
    """The playlist's name, or ``session``, ``tracking``."""
    detail: str
    remedy: str
    first_s: float
    """When it was seen, from the start of the check."""
    last_s: float
    count: int = 1
    """In how many looks."""


class Findings:
    """What was found, each rule at each place once."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Finding] = {}

    def add(self, where: str, faults: Iterable[Fault], now_s: float) -> None:
        """Of one look at a place: of a rule that is broken more than once, the first is told."""
        told: dict[str, str] = {}
        for rule, detail in faults:
            told.setdefault(rule, detail)
        for rule, detail in told.items():
            known = self._found.get((rule, where))
            if known is not None:
                known.count += 1
                known.last_s = now_s
                continue
            severity, remedy = RULES[rule]
            self._found[rule, where] = Finding(severity, rule, where, detail, remedy, now_s, now_s)

    def all(self) -> list[Finding]:
        """Errors first, then in the order of the rules."""
        order = list(RULES)
        return sorted(
            self._found.values(), key=lambda one: (one.severity != "error", order.index(one.rule))
        )
