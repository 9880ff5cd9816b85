"""EXT-X-KEY and EXT-X-MAP: what is in force at each segment, so that a list can go on anywhere.

Two things in a list depend on what stood before, beyond the tags themselves. A key of AES-128
without IV takes the segment's sequence number for it, which splicing changes: here it is written
out, per segment. And a map may be encrypted by another key than the segments are, or by none: it
is then sent again between its own key and theirs.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from footfall.stream import lines

CLEAR = "#EXT-X-KEY:METHOD=NONE"
_COUNTED = ("AES-128", "SAMPLE-AES", "SAMPLE-AES-CTR")
"""Methods whose IV, where there is none, is the media sequence number."""


class _State(msgspec.Struct, frozen=True, gc=False):
    """From segment `index` on."""

    index: int
    keys: tuple[str, ...]
    map: str
    map_keys: tuple[str, ...]
    """Those that encrypt the map."""


class InForce:
    """Takes the lines in their order, `settle` after each segment's; then gives the columns."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: dict[str, str] = {}
        """By KEYFORMAT: a key holds until the next one of its format."""
        self._map = ""
        self._map_keys: tuple[str, ...] = ()
        self._changed = False
        self._states: list[_State] = []

    def key(self, line: str) -> str:
        """The line as it is kept. Raises `LineError` with what is wrong with it."""
        said = lines.attributes(line)
        method = said.get("METHOD")
        if not method or (method != "NONE" and "URI" not in said):
            raise lines.LineError("EXT-X-KEY has a METHOD, and a URI unless that is NONE")
        line = lines.with_absolute_uri(line, self._url)
        if method == "NONE":
            self._keys = {"": line}
        else:
            self._keys.pop("", None)
            self._keys[said.get("KEYFORMAT", "identity")] = line
        self._changed = True
        return line

    def map(self, line: str) -> str:
        """As `key`; a byte range without an offset begins at 0."""
        said = lines.attributes(line)
        if "URI" not in said:
            raise lines.LineError("EXT-X-MAP has a URI")
        line = lines.with_absolute_uri(line, self._url)
        span = said.get("BYTERANGE")
        if span and "@" not in span:
            line = line.replace(f'BYTERANGE="{span}"', f'BYTERANGE="{span}@0"')
        self._map, self._map_keys = line, self._encrypting()
        self._changed = True
        return line

    def settle(self, index: int) -> None:
        """What was taken so far holds from segment `index` on."""
        if self._changed:
            self._changed = False
            state = _State(index, tuple(self._keys.values()), self._map, self._map_keys)
            self._states.append(state)

    def _encrypting(self) -> tuple[str, ...]:
        """Only AES-128 encrypts whole files, and so the map."""
        return tuple(k for k in self._keys.values() if "METHOD=AES-128" in k)

    def columns(
        self, chunks: list[str], sequence: int
    ) -> tuple[list[tuple[int, str]], list[tuple[int, str]], bool]:
        """`MediaList.keys` and `.maps`, and whether any IV had to be written out.

        Writes them into `chunks` too: those of segments that need one get their key's line.
        """
        keys: list[tuple[int, str]] = []
        maps: list[tuple[int, str]] = []
        counted = False
        ends = [state.index for state in self._states[1:]] + [len(chunks)]
        for state, end in zip(self._states, ends, strict=False):
            lacking = [line for line in state.keys if _lacks_iv(line)]
            if not lacking:
                _put(keys, state.index, state.keys)
                _put(maps, state.index, _map(state, state.keys))
                continue
            counted = True
            for index in range(state.index, end):
                iv = f",IV=0x{sequence + index:032X}"
                spelled = [line + iv if line in lacking else line for line in state.keys]
                chunks[index] = _with_iv(chunks[index], lacking, iv)
                _put(keys, index, spelled)
                _put(maps, index, _map(state, spelled))
        return keys, maps, counted


def _put(column: list[tuple[int, str]], index: int, what: Sequence[str]) -> None:
    text = lines.kept(what)
    if text and (not column or column[-1][1] != text):
        column.append((index, text))


def _map(state: _State, keys: Sequence[str]) -> list[str]:
    """`keys` are those in force, in the wording in which they are sent."""
    if not state.map:
        return []
    encrypting = tuple(line for line in state.keys if "METHOD=AES-128" in line)
    if encrypting == state.map_keys:
        return [state.map]
    return [*(state.map_keys or (CLEAR,)), state.map, *keys]


def _lacks_iv(line: str) -> bool:
    said = lines.attributes(line)
    plain = said.get("KEYFORMAT", "identity") == "identity"
    return plain and said["METHOD"] in _COUNTED and "IV" not in said


def _with_iv(chunk: str, lacking: Sequence[str], iv: str) -> str:
    """The segment's lines with its keys': in their place, or before it where there are none."""
    before = []
    for line in lacking:
        if f"{line}\n" in chunk:
            chunk = chunk.replace(f"{line}\n", f"{line}{iv}\n")
        else:
            before.append(line + iv)
    return lines.kept(before) + chunk
