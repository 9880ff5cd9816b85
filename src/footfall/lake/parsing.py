# ruff: noqa: S608 - every statement here is put together from our own tables
"""Journal lines into rows: the statements by which DuckDB reads them, made from the tables.

What is kept of an event that was withheld is decided here, in both ways of reading: what says who
somebody was does not get as far as a table. Running the statements is `loading`'s matter.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from footfall.lake.tables import EVENTS, REJECTS, Table

RECORDS = "journal_records"
"""Under this name a statement sees the records that have lines for its table."""
SPLIT_LINES = f"""
    SELECT partition, position, committed_at, unnest(string_split(lines, chr(10))) AS line
    FROM {RECORDS}
"""
FIRST_YEAR, LAST_YEAR = -62_135_596_800_000_000, 253_402_300_799_999_999
"""Moments of the years 1 to 9999, which is what Python and most readers of Parquet can hold."""
JOURNALLED = ("partition", "position")
"""Columns of `events` that the record gives and not the line."""
BESIDES = {
    "client_id": ("VARCHAR", "CASE WHEN item.client_id_given THEN item.event_id END"),
    "about": ("VARCHAR", "CASE WHEN item.facts IS NOT NULL THEN item.profile_id END"),
    "stored": ("BOOLEAN", "coalesce(item.stored, true)"),
    "withheld": ("BOOLEAN", "coalesce(item.withheld, false)"),
    "facts": ("JSON", "item.facts"),
}
"""What storing an event must know besides its columns: type, and how it is had of a line."""
ONLY_JOURNALLED = {
    "client_id_given": "BOOLEAN",
    "stored": "BOOLEAN",
    "withheld": "BOOLEAN",
    "facts": "JSON",
}
"""Fields of a journalled event that are no columns."""
WITHHELD = {
    **dict.fromkeys(("user_id", "profile_id", "session_id", "ip", "properties", "context"), "NULL"),
    "page": "split_part(split_part(item.page, '?', 1), '#', 1)",
    "event_id": "CASE WHEN item.client_id_given THEN uuid()::VARCHAR ELSE item.event_id END",
}
"""What stands in a column of `events` instead where the event was withheld."""


USUAL = {
    "client_id": "NULL",
    "about": "NULL",
    "stored": "true",
    "withheld": "false",
    "facts": "NULL",
}
"""`BESIDES` of events that have none of it."""
MARKS = tuple(f'"{name}"'.encode() for name in ONLY_JOURNALLED)
"""Without any of these in them, the lines of events have none of it."""


def is_usual(lines: Iterable[bytes]) -> bool:
    """Whether reading events by their columns alone reads all of them: it takes a tenth less."""
    return not any(mark in some for some in lines for mark in MARKS)


def structure(table: Table, *, usual: bool = False) -> str:
    """How DuckDB is to read a line of JSON: names to types. A journalled moment is a number."""
    types = {
        column.name: "BIGINT" if column.type == "TIMESTAMP" else column.type
        for column in table.columns
        if column.name not in JOURNALLED
    }
    return json.dumps(types | (ONLY_JOURNALLED if table is EVENTS and not usual else {}))


def staging_table(table: Table, name: str, *, checked: bool) -> str:
    """The statement that makes it: the table's own columns, and what storing must know besides."""
    columns = [
        f"{column.name} {column.type}{' NOT NULL' if checked and column.required else ''}"
        for column in table.columns
    ]
    columns += [f"{name} {kind}" for name, kind, _ in _besides(table)]
    columns += ["committed_at BIGINT", "bad_line VARCHAR"]
    return f"CREATE OR REPLACE TABLE {name} ({', '.join(columns)})"


def _besides(table: Table) -> Iterable[tuple[str, str, str]]:
    if table is EVENTS:
        return [(name, kind, value) for name, (kind, value) in BESIDES.items()]
    return []


def _values(table: Table, *, usual: bool = False) -> Iterable[tuple[str, str]]:
    """By name an expression for each column of the staging table, from `item`, the parsed line."""
    for column in table.columns:
        value = f"item.{column.name}"
        if column.name in JOURNALLED:
            value = f"{column.name}::{column.type}"
        elif column.type == "TIMESTAMP":
            within = f"{value} BETWEEN {FIRST_YEAR} AND {LAST_YEAR}"
            value = f"make_timestamp(CASE WHEN {within} THEN {value} END)"
        elif table is EVENTS and column.name in WITHHELD and not usual:
            value = f"CASE WHEN item.withheld THEN {WITHHELD[column.name]} ELSE {value} END"
        yield column.name, value
    for name, _, value in _besides(table):
        yield name, USUAL[name] if usual else value


def _parse_statement(table: Table, *, usual: bool = False) -> str:
    values = ", ".join(value for _, value in _values(table, usual=usual))
    read_as = structure(table, usual=usual)
    return (
        f"SELECT {values}, NULL, NULL FROM ("
        f"SELECT partition, position, json_transform(line, '{read_as}') AS item "
        f"FROM ({SPLIT_LINES}) WHERE line <> '')"
    )


def _parse_carefully_statement(table: Table) -> str:
    """Line by line: what cannot be parsed, or lacks what it must have, becomes a bad line.

    Of a bad line that was withheld nothing is kept but that there was one.
    """
    columns = ", ".join(f"{value} AS {name}" for name, value in _values(table))
    names = ", ".join(name for name, _ in _values(table))
    required = " AND ".join(f"{c.name} IS NOT NULL" for c in table.columns if c.required)
    kept = "line"
    if table is EVENTS:
        kept = "CASE WHEN withheld OR contains(line, '\"withheld\":true') THEN '' ELSE line END"
    return (
        f"SELECT {names}, committed_at, CASE WHEN {required} THEN NULL ELSE {kept} END FROM ("
        f"SELECT committed_at, line, {columns} "
        f"FROM (SELECT *, try(json_transform(line, '{structure(table)}')) AS item "
        f"FROM ({SPLIT_LINES}) WHERE line <> ''))"
    )


PARSE = {table.name: _parse_statement(table) for table in (EVENTS, REJECTS)}
PARSE_USUAL = {table.name: _parse_statement(table, usual=True) for table in (EVENTS, REJECTS)}
PARSE_CAREFULLY = {table.name: _parse_carefully_statement(table) for table in (EVENTS, REJECTS)}
