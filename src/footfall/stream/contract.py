"""The values that pass between the parts of a stream: lists, cues, ads, pods, contexts.

Times are whole microseconds. A live stream's are those of the original stream's clock, since 1970
in UTC (its program date time); a VOD's begin with 0. Milliseconds appear only where answers do.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from footfall.model import Micros

SLATE = "SLATE"
"""`Placed.ad_id` of what fills a break where there is no ad."""


class Cue(msgspec.Struct, frozen=True, gc=False):
    """One SCTE-35 marker of a media playlist, whatever tag said it."""

    index: int
    """The segment that it stands before; that of a later moment than the list's end is `len`."""
    at_us: Micros
    """When it takes effect: that segment's start, or what the marker itself dates."""
    out: bool
    """True: a break begins (or goes on, see `elapsed_us`); False: it ends."""
    duration_us: int | None = None
    """Of the whole break, where the marker says so."""
    elapsed_us: int = 0
    """How much of the break had passed at `at_us`: more than 0 for continuations."""
    id: str | None = None
    """The splice event's id or the date range's, where it has one."""
    upid: str | None = None
    cancels: bool = False
    """The break of this id that begins here or later will not be."""


class MediaList(msgspec.Struct, frozen=True, gc=False):
    """One HLS media playlist as it was fetched, ready to be cut and joined as text.

    Addresses in its text are absolute. Segment `i` starts at `starts[i]` and ends where the next
    starts. Everything is by segment, so that `"".join(chunks[a:b])` is lines of the original.
    """

    url: str
    target_s: int
    version: int
    sequence: int
    """EXT-X-MEDIA-SEQUENCE: the number of segment 0."""
    discontinuity_sequence: int
    head: str
    """Header lines that are kept, each ended by a newline: EXT-X-INDEPENDENT-SEGMENTS, unknown.
    Not EXTM3U, VERSION, TARGETDURATION, sequences, PLAYLIST-TYPE, nor anything of low latency."""
    ended: bool
    """EXT-X-ENDLIST was there."""
    starts: Sequence[Micros]
    """One more than segments: the last is the end of the last segment. From program date times
    where there are any, else from 0; gaps between dates are kept."""
    chunks: Sequence[str]
    """By segment: its lines (EXTINF, BYTERANGE, BITRATE, GAP, unknown ones, DISCONTINUITY,
    program date time, KEY, MAP, DATERANGE) and its address, each line ended by a newline, without
    SCTE-35 markers and without anything of low latency."""
    plain: Sequence[str]
    """Likewise, without DISCONTINUITY, program date time, KEY, MAP and DATERANGE."""
    dated: bool
    """It had program date times."""
    durations: Sequence[int]
    """EXTINF of each segment."""
    discontinuities: Sequence[int] = ()
    """Indices of the segments that EXT-X-DISCONTINUITY stands before, rising."""
    keys: Sequence[tuple[int, str]] = ()
    """(index, lines): the KEY lines in force from that segment on; rising indices. A key without
    IV has an entry for each segment, with its IV written out."""
    maps: Sequence[tuple[int, str]] = ()
    """(index, lines): the EXT-X-MAP in force from that segment on, to be sent after `keys`' lines;
    where the map has another key than the segments, with the KEY lines that takes."""
    dateranges: Sequence[tuple[int, str]] = ()
    """(index, line): EXT-X-DATERANGE before that segment, those of SCTE-35 left out. Its index may
    be `len`: then it stood after the last segment, and in no chunk."""
    cues: Sequence[Cue] = ()
    """In the order of time."""
    problems: Sequence[str] = ()
    """What was wrong with markers, a sentence each: the list is good without them."""

    def __len__(self) -> int:
        return len(self.chunks)


class Rendition(msgspec.Struct, frozen=True, gc=False):
    """One media playlist of a multivariant playlist, with what is known of it."""

    uri: str
    """Absolute."""
    kind: str
    """video (with or without sound in it), audio or subtitles."""
    muxed: bool = True
    """Of video: its sound is in it, not in a rendition of its own."""
    bandwidth: int = 0
    """Bits per second; 0: unknown, and always for audio and subtitles."""
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0
    codecs: str = ""
    group: str = ""
    """GROUP-ID of audio and subtitles."""
    name: str = ""
    language: str = ""
    default: bool = False


class Multivariant(msgspec.Struct, frozen=True, gc=False):
    """A multivariant playlist: its lines, and what they name."""

    url: str
    renditions: Sequence[Rendition]
    """In the order of the file, each media playlist once."""
    parts: Sequence[str]
    """Its text, cut at the addresses of media playlists: `parts[0] + address 0 + parts[1] + …`.
    I-frame playlists are left out: ads have none."""
    addresses: Sequence[str]
    """Absolute, one fewer than `parts`."""
    variables: dict[str, str] = {}
    """What EXT-X-DEFINE defined: its media playlists may import it (`playlist.parse`)."""
    start: str = ""
    """The line of its EXT-X-START, if any, as it stands in one of the parts."""


class FetchError(Exception):
    """What was asked of another server could not be had."""

    def __init__(self, kind: str, detail: str, status: int = 0) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        """refused (by the list of hosts, or a private address), timeout, unreachable, too_large or
        status (an answer other than 2xx)."""
        self.detail = detail
        """In words, with what to do about it where that is known."""
        self.status = status
        """The answer's, where one came that was not 2xx; else 0."""


# What an ad server said


class Beacon(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, gc=False):
    """One address that wants to hear of one thing."""

    type: str
    """As VAST and VMAP write it: impression, start, firstQuartile, …, breakStart."""
    url: str
    """With its macros, as the ad server sent it."""
    offset_ms: int | None = None
    """Of progress: from the ad's start. Percentages are resolved when the ad is placed."""
    offset_percent: float | None = None


class MediaFile(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, gc=False):
    url: str
    type: str
    """MIME type: application/vnd.apple.mpegurl, video/mp4, …"""
    delivery: str = "progressive"
    bitrate: int = 0
    """Kilobits per second."""
    width: int = 0
    height: int = 0
    codec: str = ""
    mezzanine: bool = False


class Script(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, gc=False):
    """A JavaScript or executable resource of a verification."""

    url: str
    api_framework: str = ""
    browser_optional: bool = False


class Verification(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, gc=False):
    vendor: str = ""
    scripts: tuple[Script, ...] = ()
    executables: tuple[Script, ...] = ()
    events: tuple[Beacon, ...] = ()
    parameters: str = ""


class Graphic(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, gc=False):
    """An icon, a companion or a non-linear ad: a resource beside or over the picture."""

    kind: str
    """icon, companion or nonlinear."""
    creative_id: str = ""
    program: str = ""
    """Of icons."""
    width: int = 0
    height: int = 0
    x: str = ""
    y: str = ""
    offset_ms: int | None = None
    duration_ms: int | None = None
    static: str = ""
    static_type: str = ""
    iframe: str = ""
    html: str = ""
    parameters: str = ""
    click_through: str = ""
    click_tracking: tuple[str, ...] = ()
    events: tuple[Beacon, ...] = ()
    """Views and creativeViews included."""


class Ad(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, gc=False):
    """One ad, all its wrappers merged into it."""

    ad_id: str
    creative_id: str = ""
    title: str = ""
    system: str = ""
    advertiser: str = ""
    sequence: int = 0
    """Its place in the pod; 0: a stand-alone ad."""
    kind: str = "linear"
    """linear, nonlinear, linear_and_nonlinear or unsupported."""
    duration_ms: int = 0
    """What VAST says; how long it really is, its segments say."""
    skip_ms: int | None = None
    """From its start; None: it cannot be skipped."""
    skip_percent: float | None = None
    media: tuple[MediaFile, ...] = ()
    beacons: tuple[Beacon, ...] = ()
    """Impressions and tracking events of all levels, in document order, outermost wrapper first."""
    errors: tuple[str, ...] = ()
    """Error addresses of all levels, with [ERRORCODE]."""
    click_through: str = ""
    click_tracking: tuple[str, ...] = ()
    custom_clicks: tuple[str, ...] = ()
    verifications: tuple[Verification, ...] = ()
    graphics: tuple[Graphic, ...] = ()
    universal_ids: tuple[tuple[str, str], ...] = ()
    """(registry, value)."""
    wrappers: int = 0
    """How many levels it came through."""


class Failure(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, gc=False):
    """Something that kept an ad out, or the whole answer."""

    code: int
    """VAST error code: 100, 301, 303, 403, …; 900 for what has none."""
    reason: str
    """In words, with what to do about it where that is known."""
    ad_id: str = ""
    urls: tuple[str, ...] = ()
    """Error addresses that are owed a call, [ERRORCODE] still in them."""


class Offer(msgspec.Struct, frozen=True, gc=False):
    """What one ad call came to: the ads in the order to be played, and what went wrong."""

    ads: tuple[Ad, ...] = ()
    """Those of the pod by their sequence; where there is no pod, the stand-alone ads."""
    spare: tuple[Ad, ...] = ()
    """Stand-alone ads beside a pod: each may take the place of an ad that cannot be played."""
    failures: tuple[Failure, ...] = ()
    latency_ms: float = 0.0
    """From the first call to the last answer."""
    calls: int = 0


class AdBreak(msgspec.Struct, frozen=True, gc=False):
    """One break of a VMAP, or of the one VAST that stands for a pre-roll."""

    offset: str
    """hh:mm:ss[.mmm], n%, start, end or #n, as VMAP writes it; `offsets.place` resolves it."""
    id: str = ""
    offer: Offer = Offer()
    beacons: tuple[Beacon, ...] = ()
    """breakStart, breakEnd, error."""
    repeat_after_ms: int = 0
    """The same break again after every so much content; 0: once."""


# What a session has spliced in


class Placed(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, gc=False):
    """One ad at its place. Never changes once it was announced."""

    ad_id: str
    creative: str
    """Address of its multivariant (or only) playlist."""
    start_us: Micros
    """Of the stream: live by the original clock, VOD from 0 of the stitched stream."""
    duration_us: int
    """What the segments of its reference rendition add up to (for a slate: what it fills)."""
    announced: bool = True
    """False: the JSON does not tell of it, so it may be cut short: a slate of unknown end, or what
    plays in a channel's slot."""


class Pod(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, gc=False):
    """What was decided for one break of one session: the one record of a splice."""

    id: str
    """Live: ``slot:`` and the break's id, or ``preroll``; VOD: the VMAP's break id, made unique,
    else ``slot:`` and its start in milliseconds."""
    start_us: Micros
    """Of the break: its marker's time, slot or offset; of the stream, as in `Placed`."""
    claimed_until: Micros = 0
    """Server's clock. Without `decided`: until then its holder may still decide; then it is lost
    and the original plays."""
    decided: bool = False
    planned_us: int | None = None
    """How long the break was said to be when it was decided."""
    at_us: Micros = 0
    """Where in the content it cuts: a live stream's clock, a VOD's content time."""
    until_us: Micros = 0
    """Live: where content comes back unless the break ends before; VOD: `at_us`."""
    ads: tuple[Placed, ...] = ()
    told: bytes = b""
    """What is told of it: `told.pack` of that, small, and read only where it is asked for."""


class Details(msgspec.Struct, frozen=True, gc=False):
    """What was said of a pod and its ads, beyond their places."""

    ads: tuple[Ad, ...] = ()
    """One for each of `Pod.ads`, slates included (an `Ad` of that id and nothing else)."""
    beacons: tuple[Beacon, ...] = ()
    """breakStart, breakEnd."""


class Break(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One break of a live stream or channel, the same for every session and process."""

    id: str
    """``<start in ms>:<trigger>``."""
    start_us: Micros
    duration_us: int | None = None
    end_us: Micros | None = None
    """Where content really came back, once that is known: an early return."""
    upid: str = ""
    """What its marker says of the content that it is for."""


class Mark(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Where moments cut one live rendition: kept, because the list forgets it.

    Any moment after `after_us` and not after `at_us` cuts before the same segment, so that marks
    are as few as segments, however many sessions ask for moments of their own.
    """

    at_us: Micros
    """The last moment that cuts here: half a segment after its start."""
    sequence: int
    """Media sequence number of the segment that is cut before."""
    discontinuities: int
    """Discontinuity sequence of the segment before it: its own tag, if any, not counted."""
    after_us: Micros = 0
    """Half a segment before its start."""
    tag_us: Micros | None = None
    """Its start, where it has an EXT-X-DISCONTINUITY itself."""

    @property
    def own(self) -> bool:
        return self.tag_us is not None


class Shift(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """By how much a session's numbers differ from the origin's after pods that are gone."""

    sequence: int = 0
    discontinuities: int = 0
    upto_us: Micros = 0
    """Pods that cut before this are counted in, even those that the context still holds."""
    after: Mark | None = None
    """Where the last of them lets the next one cut at the earliest."""


class Context(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True, gc=False):
    """A session, as the journal's state holds it."""

    began_at: Micros
    workflow: str = ""
    """The value of bk-ml that was fixed: 1.0, 2.0, or nothing so far."""
    manifest_at: Micros = 0
    """When its first media playlist was served (live: the moment of joining); 0: none yet."""
    joined_us: Micros = 0
    """Live: where on the stream's clock it joined; nothing before it is ever replaced."""
    parameters: tuple[tuple[str, str], ...] = ()
    """The ad parameters of its first call."""
    pods: tuple[Pod, ...] = ()
    """By `at_us`; those that are gone for good are left out, once `shifts` have them."""
    shifts: dict[str, Shift] = {}
    """By rendition's key."""
    renewed_at: Micros = 0
    """Server's clock, as it was stored; grows with every change."""
    life_us: int = 0
    """How long it lives from then on."""
