"""Pure: how ffmpeg is told to make a creative into a profile, and the multivariant of what it made.

Every rendition gets the same number of segments, which begin at the same times, each with a
picture that needs no other. So a creative is cut into equal parts (to a frame), none longer than
the profile says, rather than into full ones and a crumb; its last picture is held and its sound
is padded by silence, or cut, to the very frame. B-frames are left out: where they are, the first
picture of a segment is shown later than its segment begins, by an amount that containers tell
differently.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec

from footfall.stream.ladder import FMP4, RATES, Profile, Rung

MULTIVARIANT = "index.m3u8"
LEAST_SECONDS, MOST_SECONDS = 0.5, 600.0
MOST_PIXELS = 8192 * 4320
FREE_SIZE = (1280, 720)
"""Most pixels of what has no size to go by."""
SAMPLES = 48_000
FRAME_SAMPLES = {"aac": 1024, "ac3": 1536, "eac3": 1536}
ENCODERS = {
    "aac": ("-c:a", "aac"),
    "ac3": ("-c:a", "ac3"),
    "eac3": ("-c:a", "eac3"),
    "avc": (
        "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-crf", "21",
        "-sc_threshold", "0", "-bf", "0",
    ),
    "hevc": (
        "-c:v", "libx265", "-preset", "veryfast", "-crf", "23", "-bf", "0",
        "-x265-params", "scenecut=0:open-gop=0:log-level=error",
    ),
}  # fmt: skip
THREADS = 2
"""Of a decoder or encoder, however many processors there are: each takes memory."""
READ = (
    "-protocol_whitelist", "file",
    "-format_whitelist", "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,flv,avi,aac,mp3,ac3",
)  # fmt: skip
"""Before each input: what it may be. A playlist that is called a film would name other files."""
READ_OWN = ("-protocol_whitelist", "file")
"""Before a playlist that we made."""

NAMES = {"avc": {"High": "6400", "Main": "4d40", "Constrained Baseline": "42e0"}}
CODECS = {"aac": "mp4a.40.2", "ac3": "ac-3", "eac3": "ec-3"}


class Unreadable(Exception):  # noqa: N818 - it is what the creative is
    """A creative of which no ad is made; the message says why."""


class Source(msgspec.Struct, frozen=True):
    """What a creative is, by ffprobe."""

    seconds: float
    frame_rate: Fraction
    sound: bool


class Rendered(msgspec.Struct, frozen=True):
    """What came of one rendition, by ffprobe and by its files."""

    width: int
    height: int
    frame_rate: Fraction
    codecs: str
    peak: int
    """Bits per second of its largest segment."""


class Output(msgspec.Struct, frozen=True):
    """One playlist to be made."""

    name: str
    """Without ending: v0, v1, …, a0, …"""
    rung: Rung
    rate: Fraction
    """Pictures a second."""
    frames: int
    """In all; also where it is sound only, as how long it is."""
    segments: int

    @property
    def gop(self) -> int:
        """Most frames of a segment; others may have one less."""
        return math.ceil(self.frames / self.segments)

    @property
    def segment_s(self) -> float:
        """Of each, on average."""
        return float(self.frames / self.rate / self.segments)


class Plan(msgspec.Struct, frozen=True):
    profile: Profile
    source: Source
    outputs: tuple[Output, ...]

    @property
    def seconds(self) -> float:
        first = self.outputs[0]
        return float(first.frames / first.rate)


# What the source is


def probe(program: str, file: str, read: Sequence[str] = READ) -> list[str]:
    """The command that tells what a file is, as `read_probe` and `read_made` understand it."""
    entries = (
        "format=duration:stream=codec_type,codec_name,profile,level,width,height,"
        "avg_frame_rate,duration:stream_disposition=attached_pic"
    )
    return [program, "-v", "error", "-show_entries", entries, "-of", "json", *read, file]


def read_probe(answers: Sequence[bytes]) -> Source:
    """What the inputs are together: the first has the picture. Raises `Unreadable`."""
    answer = msgspec.json.decode(answers[0])
    picture = next((one for one in _streams(answer, "video") if not _is_cover(one)), None)
    if picture is None:
        raise Unreadable("there is no picture in it")
    if int(picture.get("width") or 0) * int(picture.get("height") or 0) > MOST_PIXELS:
        raise Unreadable(f"its pictures are larger than {MOST_PIXELS} pixels")
    seconds = _number(picture.get("duration")) or _number(answer["format"].get("duration"))
    if seconds is None or not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        told = "of unknown length" if seconds is None else f"{seconds:.1f} s long"
        raise Unreadable(f"it is {told}: {LEAST_SECONDS} to {MOST_SECONDS:.0f} s can be an ad")
    rate = _fraction(picture.get("avg_frame_rate")) or Fraction(25)
    nearest = min(RATES, key=lambda one: abs(one - rate))
    sound = any(_streams(msgspec.json.decode(one), "audio") for one in answers)
    return Source(seconds, nearest, sound)


def _streams(answer: Mapping[str, list[dict[str, object]]], kind: str) -> list[dict[str, str]]:
    found = answer.get("streams", [])
    return [one for one in found if one.get("codec_type") == kind]  # type: ignore[misc]


def _is_cover(stream: Mapping[str, object]) -> bool:
    disposition = stream.get("disposition")
    return isinstance(disposition, dict) and disposition.get("attached_pic") == 1


def _number(text: object) -> float | None:
    try:
        number = float(str(text))
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None


def _fraction(text: object) -> Fraction | None:
    try:
        rate = Fraction(str(text))
    except (ValueError, ZeroDivisionError):
        return None
    return rate if rate > 0 else None


# What is made of it


def plan(profile: Profile, source: Source) -> Plan:
    """The segments of every rendition, to the frame."""
    rates = [_rate(rung, source) for rung in profile.rungs]
    base = min(rates, default=source.frame_rate)
    total = max(1, math.floor(Fraction(source.seconds).limit_denominator(1_000_000) * base))
    segments = math.ceil(total / (profile.segment_s * base))
    seconds = Fraction(total) / base
    beside = [Rung(audio=codec) for codec in profile.audio]
    named = [(f"v{i}", rung, rates[i]) for i, rung in enumerate(profile.rungs)]
    named += [(f"a{i}", rung, base) for i, rung in enumerate(beside)]
    outputs = tuple(
        Output(name, rung, rate, max(segments, round(seconds * rate)), segments)
        for name, rung, rate in named
    )
    return Plan(profile, source, outputs)


def _rate(rung: Rung, source: Source) -> Fraction:
    return Fraction(rung.frame_rate) if rung.frame_rate else source.frame_rate


def encode(program: str, made: Plan, inputs: Sequence[str]) -> list[str]:
    """The command that makes a plan's playlists and segments in the folder it is run in.

    `inputs`: the file with the picture, and the one with the sound where that is another.
    """
    command = [program, "-hide_banner", "-v", "error", "-nostdin", "-y"]
    for file in inputs:
        command += [*READ, "-threads", str(THREADS), "-i", file]
    command += [
        "-filter_complex_threads",
        str(THREADS),
        "-filter_complex",
        _filters(made, len(inputs) - 1),
    ]
    for output in made.outputs:
        command += _output(output, made.profile)
    return command


def _filters(made: Plan, sound_input: int) -> str:
    """One graph: pictures and sound are decoded once, and split for the renditions."""
    pictures = [one for one in made.outputs if one.rung.video]
    sounds = [one for one in made.outputs if one.rung.audio]
    parts = []
    if pictures:
        split = "".join(f"[s{one.name}]" for one in pictures)
        parts.append(f"[0:v:0]yadif=deint=interlaced,split={len(pictures)}{split}")
        parts += [f"[s{one.name}]{_picture(one)}[p{one.name}]" for one in pictures]
    if sounds:
        source = f"[{sound_input}:a:0]aresample={SAMPLES}:async=1:first_pts=0"
        if not made.source.sound:
            source = f"anullsrc=r={SAMPLES}:cl=stereo"
        split = "".join(f"[t{one.name}]" for one in sounds)
        stereo = "aformat=channel_layouts=stereo,apad"
        parts.append(f"{source},{stereo},asplit={len(sounds)}{split}")
        parts += [f"[t{one.name}]atrim=end_sample={_samples(one)}[q{one.name}]" for one in sounds]
    return ";".join(parts)


def _picture(one: Output) -> str:
    width, height = one.rung.width, one.rung.height
    fitted = "force_original_aspect_ratio=decrease:force_divisible_by=2"
    if width and height:
        size = f"scale={width}:{height}:{fitted},pad={width}:{height}:-1:-1"
    else:
        size = f"scale='min({FREE_SIZE[0]},iw)':'min({FREE_SIZE[1]},ih)':{fitted}"
    held = f"fps={one.rate}:start_time=0,tpad=stop=-1:stop_mode=clone,trim=end_frame={one.frames}"
    return f"{held},{size},setsar=1,format=yuv420p"


def _samples(one: Output) -> int:
    """As many as end with the picture or just before: an encoder adds one frame in front."""
    frame = FRAME_SAMPLES[one.rung.audio]
    frames = math.floor(one.frames / one.rate * SAMPLES / frame)
    return max(1, (frames - 1) * frame)


def _output(one: Output, profile: Profile) -> list[str]:
    options: list[str] = []
    if one.rung.video:
        options += ["-map", f"[p{one.name}]", *ENCODERS[one.rung.video]]
        options += ["-g", str(one.gop), "-keyint_min", str(one.gop), "-threads", str(THREADS)]
        options += ["-forced-idr", "1", "-force_key_frames", _boundaries(one)]
        if rate := _video_rate(one.rung, profile):
            options += ["-maxrate", str(rate), "-bufsize", str(rate)]
        if one.rung.video == "hevc" and profile.container == FMP4:
            options += ["-tag:v", "hvc1"]
    if one.rung.audio:
        options += ["-map", f"[q{one.name}]", *ENCODERS[one.rung.audio]]
        options += ["-b:a", str(_sound_rate(one.rung.bandwidth))]
    # ffmpeg cuts before the first picture of its own that is not earlier. A little less than a
    # segment, so that no rounding has it wait for the next one.
    every = one.segment_s - 0.0001 if one.rung.video else one.segment_s
    options += ["-map_metadata", "-1", "-map_chapters", "-1", "-f", "hls"]
    options += ["-hls_time", f"{every:.6f}", "-hls_playlist_type", "vod"]
    options += ["-hls_flags", "independent_segments"]
    if profile.container == FMP4:
        options += ["-hls_segment_type", "fmp4"]
        options += ["-hls_fmp4_init_filename", f"{one.name}-init.mp4"]
    ending = "m4s" if profile.container == FMP4 else "ts"
    return [*options, "-hls_segment_filename", f"{one.name}-%d.{ending}", f"{one.name}.m3u8"]


def _boundaries(one: Output) -> str:
    """When the pictures are due that segments begin with, as ffmpeg's expression."""
    return f"expr:gte(n,ceil(n_forced*{one.frames}/{one.segments}))"


def _sound_rate(bandwidth: int) -> int:
    """Bits per second of sound, in a rendition of that many in all; 0: free."""
    if 0 < bandwidth < 400_000:
        return 64_000
    return 96_000 if 0 < bandwidth < 1_000_000 else 128_000


def _video_rate(rung: Rung, profile: Profile) -> int | None:
    """Most bits per second of the picture, so that no segment takes more than the rung allows."""
    if not rung.bandwidth:
        return None
    sound = _sound_rate(rung.bandwidth) if rung.audio else 0
    sound = max(sound, _sound_rate(0) if profile.audio else 0)
    return max(50_000, int(rung.bandwidth * 0.75) - sound)


# What was made


def read_made(answer: bytes) -> tuple[int, int, Fraction, str]:
    """Width, height, pictures a second and CODECS of a finished playlist, by `probe`."""
    decoded = msgspec.json.decode(answer)
    width, height, rate, codecs = 0, 0, Fraction(0), []
    for one in _streams(decoded, "video"):
        width, height = int(one["width"]), int(one["height"])
        rate = _fraction(one["avg_frame_rate"]) or Fraction(0)
        if one["codec_name"] == "hevc":
            codecs.append(f"hvc1.1.6.L{one['level']}.B0")
        else:
            codecs.append(f"avc1.{NAMES['avc'][one['profile']]}{int(one['level']):02x}")
    codecs += [CODECS[one["codec_name"]] for one in _streams(decoded, "audio")]
    return width, height, rate, ",".join(codecs)


def multivariant(made: Plan, rendered: Mapping[str, Rendered]) -> str:
    """The multivariant playlist of what was made: `rendered` by the outputs' names.

    BANDWIDTH is the profile's where that was kept to, which it is but for pictures that nothing
    makes small: so a rendition of the content finds the one that was made for it.
    """
    version = 7 if made.profile.container == FMP4 else 6
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{version}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    beside = [one for one in made.outputs if one.name.startswith("a")]
    variants = [one for one in made.outputs if one not in beside]
    apart = any(not one.rung.audio for one in variants)
    if not apart:  # then what has no picture is a variant of its own
        variants, beside = [*variants, *beside], []
    lines += [
        f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{one.rung.audio}",NAME="{one.rung.audio}",'
        f'DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="{one.name}.m3u8"'
        for one in beside
    ]
    groups: Sequence[Output | None] = beside or [None]
    for one in variants:
        for group in groups if not one.rung.audio else [None]:
            sound = rendered[group.name] if group is not None else None
            lines += [_variant(one, rendered[one.name], sound, group), f"{one.name}.m3u8"]
    return "".join(f"{line}\n" for line in lines)


def _variant(one: Output, got: Rendered, sound: Rendered | None, group: Output | None) -> str:
    peak = got.peak + (sound.peak if sound is not None else 0)
    codecs = ",".join([got.codecs, sound.codecs] if sound is not None else [got.codecs])
    text = f'#EXT-X-STREAM-INF:BANDWIDTH={max(peak, one.rung.bandwidth)},CODECS="{codecs}"'
    if got.width:
        text += f",RESOLUTION={got.width}x{got.height},FRAME-RATE={float(got.frame_rate):.3f}"
    return text + (f',AUDIO="{group.rung.audio}"' if group is not None else "")
