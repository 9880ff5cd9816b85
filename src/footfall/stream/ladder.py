"""Pure: which rendition of an ad stands in for which of the content's, and what an ad must be.

An ad fits where a player that crosses from content to ad and back meets nothing that it cannot
cross: the same container, sound in the picture's segments or beside them alike, the same families
of codecs, and segments that the target duration allows. Another container is where the families
of players part (some rewrite MPEG-TS on the way in, others hand each segment to a decoder that was
opened for one container), so the ad is prepared instead.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import msgspec

from footfall.stream.contract import MediaList, Multivariant, Rendition

VIDEO, AUDIO, SUBTITLES = "video", "audio", "subtitles"
TS, FMP4 = "ts", "fmp4"

FAMILIES = {
    "avc1": "avc", "avc3": "avc",
    "hvc1": "hevc", "hev1": "hevc", "dvh1": "hevc", "dvhe": "hevc",
    "av01": "av1", "vp09": "vp9", "vp08": "vp8",
    "mp4a": "aac", "ac-3": "ac3", "ec-3": "eac3", "fLaC": "flac", "Opus": "opus", "opus": "opus",
}  # fmt: skip
"""The first part of a name in CODECS (RFC 6381), to what a decoder must be able to do."""
PICTURES = frozenset({"avc", "hevc", "av1", "vp9", "vp8"})
SOUNDS = frozenset({"aac", "ac3", "eac3", "flac", "opus"})
TEXT_CODECS = frozenset({"wvtt", "stpp"})
"""Subtitles are named in CODECS too, and are nobody's decoder."""
MP3 = frozenset({"mp4a.40.34", "mp4a.69", "mp4a.6b"})

PREPARED_PICTURES = frozenset({"avc", "hevc"})
PREPARED_SOUNDS = frozenset({"aac", "ac3", "eac3"})
SEGMENT_SECONDS = 4
"""Longest segment of a prepared ad: a live list shows an ad's segment once all of it is due."""
RUNGS = 6
"""Most renditions with a picture that an ad is prepared to."""
RATES = tuple(
    Fraction(n, d)
    for n, d in (
        (24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (50, 1), (60000, 1001), (60, 1),
    )
)  # fmt: skip
LEAST_BANDWIDTH = 100_000


class Content(msgspec.Struct, frozen=True, gc=False):
    """What is known of a stream before its segments are looked at. Of content and ads alike."""

    renditions: tuple[Rendition, ...]
    """One of them is its `reference`: what that adds up to is how long the stream is."""
    container: str
    """ts or fmp4."""
    target_s: int
    """EXT-X-TARGETDURATION."""
    longest_s: int
    """Its longest segment, rounded as EXT-X-TARGETDURATION is."""
    start: str = ""
    """EXT-X-START of its multivariant, where that has one: a line."""


def content_of(multivariant: Multivariant | None, reference: MediaList) -> Content:
    """What is known of a stream by its multivariant, if it has one, and its reference list."""
    alone = Rendition(uri=reference.url, kind=VIDEO)
    renditions = tuple(multivariant.renditions) if multivariant is not None else (alone,)
    container = FMP4 if reference.maps else TS
    start = multivariant.start if multivariant is not None else ""
    return Content(renditions, container, reference.target_s, longest_s(reference), start)


def reference(renditions: Sequence[Rendition]) -> Rendition | None:
    """The rendition that says how long the stream is: the first with a picture, else with sound."""
    both = (one for kind in (VIDEO, AUDIO) for one in renditions if one.kind == kind)
    return next(both, None)


def longest_s(media: MediaList) -> int:
    """The longest segment of a list in whole seconds, as EXT-X-TARGETDURATION counts."""
    return math.floor(max(media.durations, default=0) / 1_000_000 + 0.5)


@lru_cache(1024)
def families(codecs: str) -> frozenset[str]:
    """The families of codecs that CODECS names; empty: unknown."""
    names = (name.strip() for name in codecs.split(","))
    return frozenset(
        "mp3" if name.lower() in MP3 else FAMILIES.get(kind, kind)
        for name in names
        if (kind := name.split(".")[0]) and kind not in TEXT_CODECS
    )


# Matching


def match(content: Rendition, ad: Sequence[Rendition]) -> Rendition | None:
    """The ad's rendition that stands in for one of the content's.

    None where the ad has nothing of the kind, which is always so for subtitles: blank ones do.
    """
    if content.kind == VIDEO:
        alike = [one for one in ad if one.kind == VIDEO and _same_decoders(content, one)]
        return min(alike, key=lambda one: _distance(content, one), default=None)
    if content.kind == AUDIO:
        alike = [one for one in ad if one.kind == AUDIO and _same_sound(content, one)]
        return min(alike, key=lambda one: _strangeness(content, one), default=None)
    return None


def _same_decoders(content: Rendition, ad: Rendition) -> bool:
    """Whether a player's decoders for one do for the other, as far as the playlists tell."""
    ours, theirs = families(content.codecs), families(ad.codecs)
    if content.muxed != ad.muxed:
        return False
    if not content.muxed:  # CODECS of a variant may or may not name the sound beside it
        ours, theirs = ours - SOUNDS, theirs - SOUNDS
    return not ours or not theirs or ours == theirs


def _same_sound(content: Rendition, ad: Rendition) -> bool:
    ours, theirs = families(content.codecs) - PICTURES, families(ad.codecs) - PICTURES
    return not ours or not theirs or not ours.isdisjoint(theirs)


def _distance(content: Rendition, ad: Rendition) -> tuple[float, ...]:
    """Smaller is nearer: not more than the player asked for, then the nearest to it."""
    above = content.bandwidth > 0 and ad.bandwidth > content.bandwidth
    apart = abs(ad.bandwidth - content.bandwidth) if content.bandwidth and ad.bandwidth else 0
    return (
        above,
        apart,
        abs(ad.height - content.height) if content.height and ad.height else 0,
        abs(ad.frame_rate - content.frame_rate) if content.frame_rate and ad.frame_rate else 0,
    )


def _strangeness(content: Rendition, ad: Rendition) -> tuple[bool, ...]:
    """Smaller is nearer: its language, then the ad's own default, then its name."""
    return (
        _language(ad.language) != _language(content.language),
        not ad.default,
        ad.name != content.name,
    )


def _language(tag: str) -> str:
    """Its first part: an ad in en-GB is one in English."""
    return tag.lower().split("-")[0]


def fits(content: Content, ad: Content, target_s: int | None) -> str | None:
    """Why an ad's playlists cannot be used as they are, in words; None where they can.

    `target_s`: the longest segment that the served playlist allows; None: any. Encrypted segments
    are lawful: their keys go into the playlist with them.
    """
    if ad.container != content.container:
        return f"its segments are {ad.container}, those of the content {content.container}"
    if target_s is not None and ad.longest_s > target_s:
        return f"it has segments of {ad.longest_s} s, and the playlist allows {target_s} s"
    for one in content.renditions:
        if one.kind != SUBTITLES and match(one, ad.renditions) is None:
            return f"it has nothing for the content's {_told(one)}"
    return None


def _told(one: Rendition) -> str:
    if one.kind == AUDIO:
        return f"audio rendition {one.name or one.group or one.language!r} ({one.codecs or '?'})"
    sound = "with sound in it" if one.muxed else "with its sound beside it"
    return f"video rendition of {one.bandwidth} bit/s {sound} ({one.codecs or 'codecs unknown'})"


# What an ad is prepared to


class Rung(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, gc=False):
    """One rendition to be made, picture or not."""

    width: int = 0
    """Pixels, even; 0: as the source is."""
    height: int = 0
    bandwidth: int = 0
    """Bits per second, all that is in its segments and the sound beside them; 0: free."""
    frame_rate: str = ""
    """A fraction; empty: as the source is."""
    video: str = ""
    """avc, hevc or nothing."""
    audio: str = ""
    """aac, ac3, eac3 or nothing: what is in its segments."""


class Profile(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a creative is prepared to: the content's ladder, as far as it matters."""

    container: str
    segment_s: int
    rungs: tuple[Rung, ...]
    """In the order of the content: the first is the reference."""
    audio: tuple[str, ...] = ()
    """Codecs of the audio renditions beside the picture."""

    @property
    def key(self) -> str:
        """The same for the same profile, in every process and release that has this class."""
        return hashlib.blake2b(msgspec.json.encode(self), digest_size=8).hexdigest()


class Unpreparable(Exception):  # noqa: N818 - it is what the content is
    """No encoder of ours makes what this content would need. The message says what."""


def profile(content: Content, target_s: int | None = None) -> Profile:
    """What an ad for some content is prepared to. Raises `Unpreparable`.

    Rates of the ladder are rounded down to steps of a quarter, so that titles whose ladders
    differ by little share their prepared ads.
    """
    videos = [one for one in content.renditions if one.kind == VIDEO]
    sounds = [one for one in content.renditions if one.kind == AUDIO]
    if not videos:
        raise Unpreparable("no ad is prepared as sound alone")
    made = dict.fromkeys(_rung(one) for one in _spread(videos))
    rungs = tuple(rung for rung in made if rung.video or rung.audio)
    beside = tuple(sorted({_sound(one.codecs, "aac") for one in sounds}))
    longest = min(content.target_s, target_s or content.target_s, SEGMENT_SECONDS)
    return Profile(content.container, max(1, longest), rungs, beside)


def _spread(videos: Sequence[Rendition]) -> list[Rendition]:
    """All of them, or `RUNGS` spread over a longer ladder from its lowest to its highest."""
    if len(videos) <= RUNGS:
        return list(videos)
    rising = sorted(range(len(videos)), key=lambda i: (videos[i].bandwidth, i))
    kept = {rising[round(i * (len(videos) - 1) / (RUNGS - 1))] for i in range(RUNGS)}
    return [videos[i] for i in sorted(kept)]


def _rung(one: Rendition) -> Rung:
    named = families(one.codecs)
    pictures = named & PICTURES or ({"avc"} if not named else set())
    if pictures - PREPARED_PICTURES:
        raise Unpreparable(f"no ad is prepared as {', '.join(sorted(pictures))}")
    return Rung(
        width=one.width // 2 * 2 if one.height else 0,
        height=one.height // 2 * 2,
        bandwidth=step(one.bandwidth),
        frame_rate=str(rate) if (rate := _rate(one.frame_rate)) else "",
        video=min(pictures, default=""),
        audio=_sound(one.codecs, "" if named else "aac") if one.muxed else "",
    )


def _sound(codecs: str, unknown: str) -> str:
    sounds = families(codecs) - PICTURES
    if not sounds:
        return unknown
    if sounds - PREPARED_SOUNDS:
        raise Unpreparable(f"no ad is prepared with sound as {', '.join(sorted(sounds))}")
    return min(sounds)


def step(bandwidth: int) -> int:
    """A rate, rounded down to a step of 100 kbit/s times a power of the third root of 2."""
    if bandwidth <= LEAST_BANDWIDTH:
        return bandwidth
    return int(LEAST_BANDWIDTH * 2 ** (int(math.log2(bandwidth / LEAST_BANDWIDTH) * 3) / 3))


def _rate(frame_rate: float) -> Fraction | None:
    """A frame rate as the fraction that its decimals mean; None: unknown."""
    if frame_rate <= 0:
        return None
    nearest = min(RATES, key=lambda rate: abs(rate - frame_rate))
    if abs(nearest - frame_rate) < 0.02:
        return nearest
    return Fraction(frame_rate).limit_denominator(1001)
