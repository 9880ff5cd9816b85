"""On which line of a TOML text each table and key stands.

`tomllib` gives values without places. This goes over a text that `tomllib` has already accepted
and notes where headers and keys are; it does not read values, and it is not a TOML parser.
What stands inside an inline table or a list over several lines has the line of its key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping

Place = tuple[str | int, ...]
"""Where a setting stands: ``("source", 1, "vaix", "lenient")`` for the second source's."""

_BASIC = r'"(?:\\.|[^"\\\n])*"'
_LITERAL = r"'[^'\n]*'"
_KEY = rf"(?:{_BASIC}|{_LITERAL}|[A-Za-z0-9_.\- \t])+"
_STATEMENT = re.compile(
    rf"(?P<blank>[ \t\r\n]+|\#[^\n]*)"
    rf"|\[\[(?P<array>{_KEY})\]\]"
    rf"|\[(?P<table>{_KEY})\]"
    rf"|(?P<key>{_KEY})="
)
# A value's pieces. Brackets nest; a newline outside of them ends the value.
_PIECE = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    rf"|{_BASIC}|{_LITERAL}|\#[^\n]*|[^\"'\#\[\]{{}}\n]+|.",
    re.DOTALL,
)


class Lines:
    """Line numbers, from 1, by the path of a table or key."""

    def __init__(self, text: str) -> None:
        self._known: dict[Place, int] = {}
        self._counts: dict[Place, int] = {}
        self._scan(text)

    def of(self, path: Place) -> int | None:
        """The line of a path, or of the nearest thing around it that has one."""
        for end in range(len(path), 0, -1):
            if path[:end] in self._known:
                return self._known[path[:end]]
        return None

    def _scan(self, text: str) -> None:
        at = 0
        table: Place = ()
        while match := _STATEMENT.match(text, at):
            line = text.count("\n", 0, match.start()) + 1
            at = match.end()
            if match["array"]:
                table = self._item(_parts(f"[{match['array']}]"))
                self._note(table, line)
            elif match["table"]:
                table = self._resolve(_parts(f"[{match['table']}]"))
                self._note(table, line)
            elif match["key"]:
                self._note((*table, *_parts(f"{match['key']}=0")), line)
                at = _end_of_value(text, at)

    def _note(self, path: Place, line: int) -> None:
        for end in range(1, len(path) + 1):
            self._known.setdefault(path[:end], line)

    def _item(self, parts: Place) -> Place:
        """The path of one more item of an array of tables."""
        array = (*self._resolve(parts[:-1]), parts[-1])
        self._counts[array] = self._counts.get(array, -1) + 1
        return (*array, self._counts[array])

    def _resolve(self, parts: Place) -> Place:
        """A header's path: where it goes through an array of tables, its last item is meant."""
        path: Place = ()
        for part in parts:
            path = (*path, part)
            if path in self._counts:
                path = (*path, self._counts[path])
        return path


def _parts(statement: str) -> Place:
    """The parts of a possibly dotted and quoted key; TOML's own reader takes it apart."""
    found: list[str] = []
    table: Mapping[str, object] | object = tomllib.loads(statement)
    while isinstance(table, dict) and table:
        ((name, table),) = table.items()
        found.append(name)
    return tuple(found)


def _end_of_value(text: str, at: int) -> int:
    depth = 0
    while match := _PIECE.match(text, at):
        at = match.end()
        piece = match[0]
        if piece in "[{":
            depth += 1
        elif piece in "]}":
            depth -= 1
        elif piece == "\n" and depth == 0:
            break
    return at
