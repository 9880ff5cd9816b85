# ruff: noqa: S608 - statements are put together from our own tables; ids are parameters or literals
"""Whose rows are whose: from the ids that somebody names to every row of the lake about them.

Ids stand in a table in memory, ``(n, kind, id, source)``: `n` tells one person from another where
several are asked for at once, `source` is NULL where every source is meant. `expand` adds the ids
that belong to the same person:

- a profile's aliases, and the profile that an alias was taken over by, through whole chains;
- the profiles that a user was seen with and no other user was;
- the sessions in which such a profile, or such a user, was seen and no other one.

What another person was seen with too is theirs as well: of it only the rows go that name the
person. A row is a person's where a column of `IDENTITY` says so, or where one of its texts holds
an id of at least `LONG_ENOUGH` characters. Shorter ids are not looked for in texts: "12345" stands
in many a stranger's row.
"""

from __future__ import annotations

import re
import urllib.parse
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import duckdb
import msgspec

from footfall.lake.lake import literal
from footfall.lake.tables import (
    EVENTS,
    IDENTITIES,
    PRIVATE,
    PROFILES,
    SOURCE_GROUPS,
    TABLES,
    Table,
)
from footfall.model import Micros

Kind = Literal["profile", "user", "session"]
KINDS: tuple[Kind, ...] = ("profile", "user", "session")

IDENTITY: Mapping[str, Kind] = {
    "profile_id": "profile",
    "alias": "profile",
    "user_id": "user",
    "session_id": "session",
}
"""Columns that hold ids, with what they are ids of."""
LONG_ENOUGH = 16
PATTERN_CHARS = 16_000
"""Most of the ids' characters in one regular expression: its automaton has to fit in memory."""
_HEX = re.compile(r"(%|\\u)((?<=%)[0-9A-F]{2}|(?<=u)[0-9a-f]{4})")
UNPERSONAL = frozenset({"source", "protocol", "identity"})
"""Texts that come from the settings and not from a client."""

OF_SETTINGS = (IDENTITIES, SOURCE_GROUPS)
"""Tables about sources and nobody else."""
PERSONAL: tuple[Table, ...] = tuple(
    table
    for table in (*TABLES, *PRIVATE)
    if table.view is None
    and table not in OF_SETTINGS
    and any(column.name == "source" for column in table.columns)
)
"""Every table of the lake that may have rows about somebody."""


class Id(msgspec.Struct, frozen=True, array_like=True, order=True):
    """One id of a person."""

    kind: Kind
    id: str
    source: str | None = None
    """None: of whatever source."""


class Before(NamedTuple):
    """Where the data ends that is meant."""

    partition: int
    sequence: int
    at: Micros
    """For tables whose rows have no place in the journal."""


class Who:
    """Ids in a table in memory of the lake's DuckDB; `close` drops it."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, people: Sequence[Iterable[Id]]
    ) -> None:
        """`people`: the ids of each; their numbers are their places."""
        self.name = f"memory.main.who_{uuid.uuid4().hex}"
        connection.execute(
            f"CREATE TABLE {self.name} (n INTEGER, kind VARCHAR, id VARCHAR, source VARCHAR)"
        )
        self._put(connection, [(n, *_row(one)) for n, ids in enumerate(people) for one in ids])

    def _put(self, connection: duckdb.DuckDBPyConnection, rows: list[tuple[Any, ...]]) -> None:
        """Add rows that are not there yet."""
        columns = [list(column) for column in zip(*rows, strict=True)]
        if columns:
            connection.execute(
                f"INSERT INTO {self.name} SELECT DISTINCT * FROM "
                "(SELECT unnest($1::INTEGER[]), unnest($2::VARCHAR[]), unnest($3::VARCHAR[]), "
                "unnest($4::VARCHAR[])) AS new(n, kind, id, source) "
                f"EXCEPT SELECT * FROM {self.name}",
                columns,
            )

    def ids(self, connection: duckdb.DuckDBPyConnection, n: int | None = None) -> list[Id]:
        """The ids of one person, or of all."""
        where = "" if n is None else f"WHERE n = {n}"
        rows = connection.execute(
            f"SELECT DISTINCT kind, id, source FROM {self.name} {where} ORDER BY ALL"
        ).fetchall()
        return [Id(*row) for row in rows]

    def expand(self, connection: duckdb.DuckDBPyConnection, before: Before | None = None) -> None:
        """Add every id that belongs to the same person (above)."""
        while self._add(connection, _aliases(self.name, before)) + self._add(
            connection, _profiles(self.name, before)
        ):
            pass
        for kind in ("profile", "user"):
            self._add(connection, _sessions(self.name, kind, before))

    def _add(self, connection: duckdb.DuckDBPyConnection, found: str) -> int:
        """Add what a statement finds; how many ids were new."""
        row = connection.execute(
            f"INSERT INTO {self.name} SELECT * FROM ({found}) "
            f"EXCEPT SELECT n, kind, id, source FROM {self.name}"
        ).fetchone()
        return int(row[0]) if row else 0

    def close(self, connection: duckdb.DuckDBPyConnection) -> None:
        connection.execute(f"DROP TABLE IF EXISTS {self.name}")


def _row(one: Id) -> tuple[str, str, str | None]:
    return one.kind, one.id, one.source


def _where(table: Table, before: Before | None) -> str:
    if before is None:
        return "true"
    if _has(table, "position"):
        return f"partition = {before.partition} AND position < {before.sequence}"
    return f"received_at <= make_timestamp({before.at})"


def _has(table: Table, column: str) -> bool:
    return any(one.name == column for one in table.columns)


def _aliases(who: str, before: Before | None) -> str:
    """Both ways: an alias leads to the profile that took it over, a profile to its aliases.

    Which of an identity group's sources has seen that they are one makes no difference.
    """
    found = []
    of_row, of_who = (
        f"coalesce((SELECT any_value(identity) FROM {IDENTITIES.name} AS g "
        f"WHERE g.source = {name}.source), {name}.source)"
        for name in ("t", "w")
    )
    for table in PERSONAL:
        if _has(table, "alias"):
            for known, new in (("alias", "profile_id"), ("profile_id", "alias")):
                found.append(
                    f"SELECT n, 'profile', t.{new}, w.source FROM {table.name} AS t "
                    f"JOIN {who} AS w ON w.kind = 'profile' AND t.{known} = w.id "
                    f"WHERE (w.source IS NULL OR {of_who} = {of_row}) AND {_where(table, before)}"
                )
    return " UNION ALL ".join(found) or _nobody(who)


def _nobody(who: str) -> str:
    return f"SELECT * FROM {who} WHERE false"


def _seen(before: Before | None) -> str:
    """Which session, profile and user were seen together, where at least two were.

    A live Jay session that an event carries counts as its session too.
    """
    wanted = ("source", "session_id", "profile_id", "user_id")
    found = []
    for table in PERSONAL:
        have = [name for name in wanted if _has(table, name)]
        if len(have) > 2:
            where = _where(table, before)
            found.append(f"SELECT {', '.join(have)} FROM {table.name} WHERE {where}")
    found.append(
        "SELECT source, properties ->> '$.jay_session_id' AS session_id, profile_id, user_id "
        f"FROM {EVENTS.name} WHERE {_where(EVENTS, before)} "
        "AND contains(properties::VARCHAR, '\"jay_session_id\"')"
    )
    return "(" + " UNION ALL BY NAME ".join(found) + ")"


def _profiles(who: str, before: Before | None) -> str:
    """The profiles that a user was seen with, and no other user."""
    pairs = (
        f"(SELECT source, profile_id, user_id FROM {_seen(before)} "
        "WHERE profile_id IS NOT NULL AND user_id IS NOT NULL)"
    )
    return f"""
        WITH named AS (
            SELECT DISTINCT w.n, seen.profile_id, w.source
            FROM {pairs} AS seen JOIN {who} AS w ON w.kind = 'user' AND seen.user_id = w.id
                AND coalesce(w.source = seen.source, true)
        ),
        shared AS (
            SELECT named.n, named.profile_id, named.source
            FROM {pairs} AS seen JOIN named ON seen.profile_id = named.profile_id
                AND coalesce(named.source = seen.source, true)
            WHERE (named.n, seen.user_id) NOT IN (SELECT (n, id) FROM {who} WHERE kind = 'user')
        )
        SELECT n, 'profile', profile_id, source
        FROM (SELECT * FROM named EXCEPT SELECT * FROM shared)
    """


def _sessions(who: str, kind: Kind, before: Before | None) -> str:
    """The sessions in which a profile (or user) of the person was seen, and no other."""
    pairs = (
        f"(SELECT source, session_id, {kind}_id AS id FROM {_seen(before)} "
        f"WHERE session_id IS NOT NULL AND {kind}_id IS NOT NULL)"
    )
    return f"""
        WITH named AS (
            SELECT DISTINCT w.n, seen.session_id, seen.source
            FROM {pairs} AS seen JOIN {who} AS w ON w.kind = '{kind}' AND seen.id = w.id
                AND coalesce(w.source = seen.source, true)
        ),
        shared AS (
            SELECT named.n, named.session_id, named.source
            FROM {pairs} AS seen JOIN named USING (source, session_id)
            WHERE (named.n, seen.id) NOT IN (SELECT (n, id) FROM {who} WHERE kind = '{kind}')
        )
        SELECT n, 'session', session_id, source
        FROM (SELECT * FROM named EXCEPT SELECT * FROM shared)
    """


# Rows.


def condition(
    table: Table,
    who: Who,
    ids: Iterable[Id],
    *,
    before: Before | None = None,
    n: int | None = None,
) -> str:
    """An SQL condition: rows of `table` about the people of `who`, or about its person `n`.

    `ids` are theirs, as `Who.ids` gives them: they are looked for in texts.
    """
    some = "" if n is None else f" AND n = {n}"
    source, groups = "source", ""
    if table.name == PROFILES.name:  # whose source is the identity group
        source, groups = "coalesce(identity, source)", f"LEFT JOIN {IDENTITIES.name} USING (source)"
    parts = []
    for column, kind in IDENTITY.items():
        if _has(table, column):
            known = f"FROM {who.name} {groups} WHERE kind = '{kind}'{some}"
            parts += [
                f"{column} IN (SELECT id {known} AND source IS NULL)",
                f"(source, {column}) IN (SELECT ({source}, id) {known} AND source IS NOT NULL)",
            ]
    parts += _in_texts(table, ids)
    return f"(({' OR '.join(parts) or 'false'}) AND {_where(table, before)})"


def _in_texts(table: Table, ids: Iterable[Id]) -> list[str]:
    texts = [
        f'"{column.name}"::VARCHAR'
        for column in table.columns
        if column.type in {"VARCHAR", "JSON"}
        and column.name not in UNPERSONAL
        and column.name not in IDENTITY
    ]
    by_source: dict[str | None, set[str]] = {}
    for one in ids:
        if len(one.id) >= LONG_ENOUGH:
            by_source.setdefault(one.source, set()).update(spellings(one.id))
    if not texts:
        return []
    line = f"concat_ws(chr(10), {', '.join(texts)})"
    return [
        f"(regexp_matches({line}, {literal(pattern)})"
        + (f" AND source = {literal(source)})" if source is not None else ")")
        for source, words in by_source.items()
        for pattern in patterns(words)
    ]


def spellings(text: str) -> set[str]:
    """How an id may stand in a JSON text or a URL, hexadecimal digits in either case."""
    as_json = msgspec.json.encode(text).decode()[1:-1]
    ascii_only = "".join(
        char if char.isascii() else _escaped_utf16(char) for char in as_json
    )  # fmt: skip
    escaped = {
        ascii_only,
        urllib.parse.quote(text, safe=""),
        urllib.parse.quote(text, safe="!'()*"),  # encodeURIComponent of browsers
        urllib.parse.quote_plus(text),  # forms
    }
    lower = {_HEX.sub(lambda found: found[1] + found[2].lower(), one) for one in escaped}
    upper = {_HEX.sub(lambda found: found[1] + found[2].upper(), one) for one in escaped}
    return {text, as_json, *lower, *upper}


def _escaped_utf16(char: str) -> str:
    pairs = char.encode("utf-16-be")
    return "".join(f"\\u{pairs[at]:02x}{pairs[at + 1]:02x}" for at in range(0, len(pairs), 2))


def patterns(words: Iterable[str]) -> list[str]:
    """Regular expressions that together find every one of `words`."""
    found: list[str] = []
    some: list[str] = []
    for word in sorted(words):
        if some and sum(map(len, some)) + len(word) > PATTERN_CHARS:
            found.append("|".join(some))
            some = []
        some.append(re.sub(r"[\x00-\x7f]", _quoted, word))
    return [*found, "|".join(some)] if some else found


def _quoted(found: re.Match[str]) -> str:
    char = found[0]
    return char if char.isalnum() else f"\\x{{{ord(char):x}}}"
