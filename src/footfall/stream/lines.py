"""What both kinds of HLS playlists share as text: lines, attributes, addresses, variables, times.

https://datatracker.ietf.org/doc/html/draft-pantos-hls-rfc8216bis, sections 4.1 to 4.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from urllib.parse import parse_qsl, urljoin, urlsplit

NONE: Mapping[str, str] = MappingProxyType({})
LONGEST_S = 86_400.0
"""No break, and no segment, is longer than a day: what says so is a mistake."""
LARGEST = 32 << 20
"""Characters of a playlist once its variables are filled in."""

# What looks behind keeps a long line without attributes from being searched from each character.
_ATTRIBUTE = re.compile(r'(?<![A-Za-z0-9-])([A-Za-z0-9-]+)\s*=\s*("[^"]*"|[^",]*)')
_SPACE_AROUND = re.compile(r"[ \t]\n|\n[ \t]")
_URI = re.compile(r'(?<=[:,\s])URI="([^"]*)"')
_VARIABLE = re.compile(r"\{\$([A-Za-z0-9_-]+)\}")
_DEFINE = "#EXT-X-DEFINE:"
_MICROSECOND = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"\s*([0-9]{1,20}(?:\.[0-9]*)?|\.[0-9]+)\s*")


class PlaylistError(ValueError):
    """A text that is no playlist, or one that cannot be spliced, in a sentence for the operator."""


class LineError(ValueError):
    """What is wrong with one line, in words; who knows its number makes it a `PlaylistError`."""


def wrong(line: int, what: str) -> PlaylistError:
    """`line` counts from 1."""
    return PlaylistError(f"Line {line} of the playlist: {what}.")


def prepared(text: str) -> str:
    """Lines ended by single newlines, without spaces around them; as many lines as before.

    Raises `PlaylistError` for what does not begin with EXTM3U.
    """
    text = text.removeprefix("\ufeff")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if (" " in text or "\t" in text) and _SPACE_AROUND.search(text):
        text = "\n".join([line.strip(" \t") for line in text.split("\n")])
    if not text.endswith("\n"):
        text += "\n"
    first = text[: text.index("\n")].rstrip(" \t")
    if first != "#EXTM3U":
        raise wrong(1, f"a playlist begins with #EXTM3U, this text with {shown(first)}")
    return text


def shown(text: str) -> str:
    """What stands in a message of somebody's text: little of it, on one line."""
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


def attributes(text: str) -> dict[str, str]:
    """Of an attribute list: values without their quotes, by names in capitals."""
    return {name.upper(): value.strip(' "') for name, value in _ATTRIBUTE.findall(text)}


def with_absolute_uri(line: str, url: str) -> str:
    """A tag's line, the address of its URI attribute (if it has one) made absolute."""
    if "URI=" not in line:
        return line
    return _URI.sub(lambda found: f'URI="{urljoin(url, found[1])}"', line)


def absolute(addresses: Sequence[str], url: str) -> list[str]:
    """Each address as seen from `url`: cheap for names below one folder, as segments are."""
    folder = urljoin(url, ".")
    joined = "\n".join(addresses)
    firsts = {address[0] for address in addresses}
    if firsts.isdisjoint("/.?") and not any(sign in joined for sign in (":", "#", "/.")):
        return [folder + address for address in addresses]
    folders = {"": folder}
    return [_absolute(address, url, folders) for address in addresses]


def _absolute(address: str, url: str, folders: dict[str, str]) -> str:
    """`folders` remembers the absolute form of each folder that addresses named so far."""
    query = address.find("?")
    cut = address.rfind("/", 0, len(address) if query < 0 else query) + 1
    folder, name = address[:cut], address[cut:]
    if "#" in address or name.startswith(("?", ".")) or (not folder and ":" in name):
        return urljoin(url, address)
    known = folders.get(folder)
    if known is None:
        known = folders[folder] = urljoin(url, folder)
    return known + name


def filled_in(text: str, url: str, imported: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The text with every {$variable} in its place, and the variables; as many lines as before.

    `imported` are those of the multivariant playlist. Raises `PlaylistError` for a variable that
    nobody defined, and for a text that they make too long.
    """
    variables: dict[str, str] = {}
    found = []
    length = 0
    for number, line in enumerate(text.split("\n"), 1):
        if "{$" in line:
            line = _substituted(line, variables, number)  # noqa: PLW2901 - it is the line from here on
        if line.startswith(_DEFINE):
            name, value = _definition(attributes(line[len(_DEFINE) :]), url, imported, number)
            variables[name] = value
        found.append(line)
        length += len(line)
        if length > LARGEST:
            raise wrong(number, "its variables make it longer than any playlist is")
    return "\n".join(found), variables


def _substituted(line: str, variables: Mapping[str, str], number: int) -> str:
    names = _VARIABLE.findall(line)
    if unknown := [name for name in names if name not in variables]:
        raise wrong(number, f"it names the variable {shown(unknown[0])}, which nothing defines")
    if len(line) + sum(len(variables[name]) for name in names) > LARGEST:
        raise wrong(number, "its variables make it longer than any playlist is")
    return _VARIABLE.sub(lambda found: variables[found[1]], line)


def _definition(
    said: Mapping[str, str], url: str, imported: Mapping[str, str], number: int
) -> tuple[str, str]:
    if (name := said.get("NAME")) and "VALUE" in said:
        return name, said["VALUE"]
    if name := said.get("IMPORT"):
        if name not in imported:
            raise wrong(number, f"the multivariant playlist does not define {shown(name)}")
        return name, imported[name]
    if name := said.get("QUERYPARAM"):
        query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
        if name not in query:
            raise wrong(number, f"the playlist's address has no parameter {shown(name)}")
        return name, query[name]
    raise wrong(number, "EXT-X-DEFINE has NAME and VALUE, IMPORT, or QUERYPARAM")


def tag_of(line: str) -> tuple[str, str]:
    """A tag's name without its #, and what stands behind its colon."""
    name, _, value = line[1:].partition(":")
    return name, value


def kept(lines: Iterable[str]) -> str:
    """Lines as text, each ended by a newline."""
    return "".join([f"{line}\n" for line in lines])


def instant(text: str) -> int:
    """Of an ISO 8601 date, in microseconds since 1970; one without a zone is in UTC.

    Raises `ValueError`.
    """
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    micros = (at - _EPOCH) // _MICROSECOND
    if micros < 0:
        raise ValueError("before 1970")
    return micros


def micros(text: str) -> int | None:
    """Of decimal seconds; None for what is no number, or longer than a day."""
    found = _NUMBER.fullmatch(text)
    if found is None or (seconds := float(found[1])) > LONGEST_S:
        return None
    return round(seconds * 1_000_000)
