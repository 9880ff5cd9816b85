"""HLS multivariant playlists: which media playlists there are, and the text around their addresses.

Left out are I-frame and image playlists, since ads have none, and EXT-X-CONTENT-STEERING: it names
other copies of the media playlists, which nobody would have spliced.
https://datatracker.ietf.org/doc/html/draft-pantos-hls-rfc8216bis, section 4.4.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import urljoin

import msgspec

from footfall.stream import lines
from footfall.stream.contract import Multivariant, Rendition
from footfall.stream.lines import PlaylistError

__all__ = ["PlaylistError", "is_multivariant", "parse", "render"]

VARIANT, MEDIA, START = "EXT-X-STREAM-INF", "EXT-X-MEDIA", "EXT-X-START"
LEFT_OUT = frozenset(
    {
        "EXTM3U",
        "EXT-X-DEFINE",
        "EXT-X-CONTENT-STEERING",
        "EXT-X-I-FRAME-STREAM-INF",
        "EXT-X-IMAGE-STREAM-INF",
    }
)
"""EXTM3U is written anew, variables are filled in."""
KINDS = {"VIDEO": "video", "AUDIO": "audio", "SUBTITLES": "subtitles"}
"""By TYPE; closed captions are in the video and have no playlist."""
_SOUNDS = ("mp4a", "ac-3", "ec-3", "ac-4", "opus", "flac", "alac", "dts", "mp3", "vorbis")
_URI = re.compile(r'(?<=[:,\s])URI="([^"]*)"')
_SIZE = re.compile(r"\s*([0-9]{1,6})[xX]([0-9]{1,6})\s*")
_DECIMAL = re.compile(r"\s*[0-9]{1,15}(?:\.[0-9]*)?\s*")


def is_multivariant(text: str) -> bool:
    """Whether a playlist is one of playlists; a media playlist says so near its beginning."""
    if "\n#EXTINF:" in text:
        return False
    return any(f"\n#{tag}:" in text for tag in (VARIANT, MEDIA, "EXT-X-I-FRAME-STREAM-INF"))


def parse(text: str, url: str) -> Multivariant:
    """A multivariant playlist that was fetched from `url`.

    Raises `PlaylistError`, which says what is wrong on which line.
    """
    text, variables = lines.filled_in(lines.prepared(text), url, {})
    reader = _Reader(url)
    for number, line in enumerate(text.split("\n"), 1):
        if line:
            reader.take(number, line)
    return reader.made(variables)


def render(multivariant: Multivariant, address: Callable[[str], str]) -> str:
    """Its text with another address for each media playlist: what `address` makes of it."""
    found = [multivariant.parts[0]]
    for uri, part in zip(multivariant.addresses, multivariant.parts[1:], strict=True):
        found += (address(uri), part)
    return "".join(found)


class _Reader:
    def __init__(self, url: str) -> None:
        self._url = url
        self._parts: list[str] = []
        self._addresses: list[str] = []
        self._part = ["#EXTM3U\n"]
        """Of the part that is not ended yet."""
        self._renditions: dict[str, Rendition] = {}
        self._own_sound: dict[str, bool] = {}
        """By audio group: it has a member without an address, that is, in the variant itself."""
        self._sounds: dict[str, str] = {}
        """The audio group of each variant, by address."""
        self._codecs: dict[str, str] = {}
        """By audio group: how its sound is coded, as a variant that uses it says."""
        self._variant: tuple[int, Mapping[str, str]] | None = None
        """The line of an EXT-X-STREAM-INF that waits for its address, and what it says."""
        self._start = ""

    def take(self, number: int, line: str) -> None:
        if not line.startswith("#"):
            self._address(number, line)
            return
        tag, value = lines.tag_of(line)
        if tag == "EXTINF":
            what = "it is of a media playlist, and this was to be a multivariant playlist"
            raise lines.wrong(number, what)
        if tag in LEFT_OUT:
            return
        if tag == VARIANT:
            self._ended()
            self._variant = number, lines.attributes(value)
        elif tag == MEDIA:
            self._media(line, lines.attributes(value))
            return
        self._part.append(f"{lines.with_absolute_uri(line, self._url)}\n")
        if tag == START:
            self._start = self._part[-1]

    def made(self, variables: dict[str, str]) -> Multivariant:
        self._ended()
        if not self._addresses:
            raise PlaylistError("The playlist names no media playlists.")
        return Multivariant(
            url=self._url,
            renditions=[self._with_sound(one) for one in self._renditions.values()],
            parts=[*self._parts, "".join(self._part)],
            addresses=self._addresses,
            variables=variables,
            start=self._start,
        )

    def _ended(self) -> None:
        if self._variant:
            raise lines.wrong(self._variant[0], "EXT-X-STREAM-INF has no address behind it")

    def _cut(self, before: str, address: str, after: str) -> None:
        """Ends one part at an address and begins the next behind it."""
        self._parts.append("".join([*self._part, before]))
        self._part = [after]
        self._addresses.append(address)

    def _absolute(self, address: str) -> str:
        """Spaces in names of files are not always encoded, and are asked for all the same."""
        return urljoin(self._url, address).replace(" ", "%20")

    def _address(self, number: int, line: str) -> None:
        if not self._variant:
            raise lines.wrong(number, "a variant's address has an EXT-X-STREAM-INF before it")
        _, said = self._variant
        self._variant = None
        address = self._absolute(line)
        self._cut("", address, "\n")
        width, height = _size(said.get("RESOLUTION", ""))
        codecs = said.get("CODECS", "")
        sound = said.get("AUDIO", "")
        self._sounds.setdefault(address, sound)
        self._codecs.setdefault(sound, _sound(codecs))
        kind = "audio" if not height and _only_sound(codecs) else "video"
        bandwidth = int(_decimal(said.get("BANDWIDTH", ""))) if kind == "video" else 0
        self._renditions.setdefault(
            address,
            Rendition(
                uri=address,
                kind=kind,
                bandwidth=bandwidth,
                width=width,
                height=height,
                frame_rate=_decimal(said.get("FRAME-RATE", "")),
                codecs=codecs,
                name=said.get("NAME", ""),
            ),
        )

    def _media(self, line: str, said: Mapping[str, str]) -> None:
        kind, group = said.get("TYPE", ""), said.get("GROUP-ID", "")
        found = _URI.search(line)
        if kind == "AUDIO":
            self._own_sound[group] = self._own_sound.get(group, False) or found is None
        if not found or kind not in KINDS:
            self._part.append(f"{lines.with_absolute_uri(line, self._url)}\n")
            return
        address = self._absolute(found[1])
        self._cut(line[: found.start(1)], address, f"{line[found.end(1) :]}\n")
        rendition = Rendition(
            uri=address,
            kind=KINDS[kind],
            group=group if kind != "VIDEO" else "",
            name=said.get("NAME", ""),
            language=said.get("LANGUAGE", ""),
            default=said.get("DEFAULT") == "YES",
        )
        self._renditions.setdefault(address, rendition)

    def _with_sound(self, one: Rendition) -> Rendition:
        """A variant is muxed unless all sound of its group is in playlists of its own. Those are
        coded as the variants say that use them.
        """
        if one.kind == "audio" and one.group:
            return msgspec.structs.replace(one, codecs=self._codecs.get(one.group, ""))
        group = self._sounds.get(one.uri, "")
        if one.kind != "video" or self._own_sound.get(group, True):
            return one
        return msgspec.structs.replace(one, muxed=False)


def _named(codecs: str) -> list[str]:
    return [codec.strip() for codec in codecs.split(",") if codec.strip()]


def _only_sound(codecs: str) -> bool:
    named = _named(codecs)
    return bool(named) and all(codec.lower().startswith(_SOUNDS) for codec in named)


def _sound(codecs: str) -> str:
    return ",".join(one for one in _named(codecs) if one.lower().startswith(_SOUNDS))


def _size(text: str) -> tuple[int, int]:
    found = _SIZE.fullmatch(text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _decimal(text: str) -> float:
    """0 for what is none: it only ranks renditions."""
    return float(text) if _DECIMAL.fullmatch(text) else 0.0
