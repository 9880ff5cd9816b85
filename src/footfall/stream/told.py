"""What is told of a decided pod: settled as it is decided, and kept in its session's context.

It is the pod as the session-tracking JSON has it, with every ad that is announced: that JSON and
the beacons of server-side tracking are read from here and nowhere else. It is kept as the JSON
itself, packed: what is asked for most often is the whole of it. `telling` makes it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from footfall.stream.contract import Pod as Decided

Said = dict[str, Any]


class Event(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A call that is owed."""

    type: str
    callbackurl: str
    time_ms: int
    offset_ms: int | None = None
    """From the ad's start, where playing alone brings it."""


class Clicks(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """`videoclicks`."""

    clickthroughurl: str = ""
    clicktracking: Sequence[Said] | None = None
    customclick: Sequence[Said] | None = None


class Ad(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An ad: what VAST left out is left out. Not a dict: there are many."""

    adid: str
    creativeid: str = ""
    adtype: str
    starttime_ms: int
    duration_ms: int
    skippable_ms: int | None = None
    trackingevents: Sequence[Event]
    videoclicks: Clicks | None = None
    adverifications: Sequence[Said] | None = None
    nonlinearinfo: Sequence[Said] | None = None
    icons: Sequence[Said] | None = None
    companions: Sequence[Said] | None = None
    errorurl: Sequence[str] | None = None
    adtitle: str = ""
    adsystem: str = ""
    advertiser: str = ""
    sequence: int = 0
    universaladids: Sequence[Said] | None = None


class Pod(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A pod and its ads."""

    id: str
    starttime_ms: int
    duration_ms: int
    """Of the ads that are told."""
    adbreaktrackingevents: Sequence[Event] | None = None
    ads: Sequence[Ad]

    def first(self, count: int) -> Pod:
        """With its first ads only."""
        ads = self.ads[:count]
        duration = sum(one.duration_ms for one in ads)
        return msgspec.structs.replace(self, duration_ms=duration, ads=ads)

    def told_by_server(self) -> Pod:
        """As clients are told of it where the server itself makes the calls."""
        ads = [msgspec.structs.replace(one, trackingevents=(), errorurl=None) for one in self.ads]
        return msgspec.structs.replace(self, adbreaktrackingevents=None, ads=ads)


encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Pod).decode


def pack(pod: Pod) -> bytes:
    """As `contract.Pod.told` has it: addresses of beacons are long and alike."""
    return zlib.compress(encode(pod), 6)


def text(pod: Decided) -> bytes:
    """The JSON of a pod of which something is to be told."""
    return zlib.decompress(pod.told)


def read(pod: Decided) -> Pod:
    """What is told of a pod."""
    return _decode(text(pod))
