"""Which SQL users may run: one SELECT over the documented tables, judged by its parse tree.

DuckDB itself parses; here its tree is walked and everything that is not known to be harmless is
refused. That the lake's DuckDB can reach no file outside its directory (`lake`) is a second wall
behind this one, not a replacement: behind it stand the lake's own files and tables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import duckdb

from footfall.errors import QueryRefused
from footfall.lake.lake import literal
from footfall.lake.tables import TABLES

SQL_CHARACTERS = 100_000
"""Longest query."""
TABLE_FUNCTIONS = frozenset(
    {"generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest"}
)
"""Functions that may stand in FROM: those that make rows of their arguments and nothing else."""
FORBIDDEN_FUNCTIONS = frozenset(
    {
        # what stands outside the rows: settings, other people's queries, sequences, the log
        "current_query", "currval", "current_setting", "getenv", "getvariable", "get_block_size",
        "nextval", "pg_get_constraintdef", "pg_get_viewdef", "setseed", "stats", "write_log",
        # what only takes time
        "pg_sleep", "sleep_ms",
    }
)  # fmt: skip
ALSO = "WITH, VALUES, FROM, DESCRIBE, SUMMARIZE, SHOW TABLES"
NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
REFERENCES = frozenset(
    {"BASE_TABLE", "TABLE_FUNCTION", "SUBQUERY", "JOIN", "EMPTY", "EXPRESSION_LIST", "PIVOT"}
    | {"SHOW_REF"}
)
HARMLESS = re.compile(r".*(_MODIFIER|_TYPE_INFO)|ORDER_DEFAULT|ASCENDING|DESCENDING")
PLAIN_NAME = re.compile(r"\w+")
NAMES = frozenset(table.name for table in TABLES)


def allowed(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The SELECT to run for a user's SQL, without a final semicolon or comment.

    Raises `QueryRefused` with what is wrong and how to mend it.
    """
    if len(sql) > SQL_CHARACTERS:
        raise QueryRefused(f"The query is longer than {SQL_CHARACTERS} characters.")
    try:
        node = _parse(connection, sql)
        if _is_show_tables(node):
            return _table_list()
        _Walk(_relations(connection)).check(node, frozenset())
    except RecursionError:
        raise QueryRefused("The query is nested too deeply; use WITH to take it apart.") from None
    return _without_end(sql)


def _parse(connection: duckdb.DuckDBPyConnection, sql: str) -> Mapping[str, Any]:
    options = ", ".join(f"skip_{what} := true" for what in ("null", "empty", "default"))
    try:
        row = connection.execute(
            f"SELECT json_serialize_sql($1::VARCHAR, {options})", [sql]
        ).fetchone()
    except duckdb.Error as error:
        raise QueryRefused(f"The query cannot be parsed: {error}") from error
    assert row is not None
    tree = json.loads(row[0])
    if tree["error"]:
        if tree["error_type"] == "parser":
            raise QueryRefused(f"The query cannot be parsed: {tree['error_message']}")
        raise QueryRefused(f"Only a SELECT can be run here (also {ALSO}).")
    statements = tree.get("statements", [])
    if len(statements) != 1:
        raise QueryRefused(f"There are {len(statements)} statements; send exactly one SELECT.")
    if statements[0].get("named_param_map"):
        raise QueryRefused("A parameter stands in the query; write its value instead.")
    node: Mapping[str, Any] = statements[0]["node"]
    return node


def _relations(connection: duckdb.DuckDBPyConnection) -> frozenset[str]:
    """Every name that stands for a table or view already, in lower case."""
    rows = connection.execute(
        "SELECT lower(table_name) FROM duckdb_tables() "
        "UNION SELECT lower(view_name) FROM duckdb_views()"
    ).fetchall()
    return frozenset(name for (name,) in rows)


class _Walk:
    """Visits every part of a parse tree; `visible` are the WITH names that hold there."""

    def __init__(self, relations: frozenset[str]) -> None:
        self._taken = relations - NAMES

    def check(self, part: Any, visible: frozenset[str]) -> None:
        if isinstance(part, list):
            for item in part:
                self.check(item, visible)
        elif isinstance(part, dict):
            self._check_part(part, visible)

    def _check_part(self, part: Mapping[str, Any], visible: frozenset[str]) -> None:
        kind = part.get("type")
        if part.get("class") == "CONSTANT":
            return
        if part.get("class") == "FUNCTION":
            self._check_function(part)
        elif "class" not in part and isinstance(kind, str):
            self._check_reference(kind, part, visible)
        visible = self._check_with(part, visible)
        for key, value in part.items():
            if key != "cte_map":
                self.check(value, visible)

    def _check_with(self, part: Mapping[str, Any], visible: frozenset[str]) -> frozenset[str]:
        """The WITH of a node: each name is visible to what follows it, and to itself.

        A name that is taken elsewhere in the database is refused, so that a name means the same
        thing inside and outside its WITH.
        """
        for entry in part.get("cte_map", {}).get("map", ()):
            name = entry["key"].lower()
            if name in self._taken or not PLAIN_NAME.fullmatch(name):
                raise QueryRefused(
                    f"WITH cannot call something {entry['key']!r}; take another name."
                )
            visible |= {name}
            self.check(entry["value"], visible)
        return visible

    def _check_reference(self, kind: str, part: Mapping[str, Any], visible: frozenset[str]) -> None:
        if kind == "BASE_TABLE":
            self._check_table(part, visible)
        elif kind == "TABLE_FUNCTION":
            name = part["function"].get("function_name", "").lower()
            if name not in TABLE_FUNCTIONS:
                raise QueryRefused(
                    f"{name}() cannot stand in FROM here; these can: "
                    f"{', '.join(sorted(TABLE_FUNCTIONS))}."
                )
        elif kind == "SHOW_REF" and "query" not in part:
            raise QueryRefused("SHOW TABLES can be asked alone, not inside another query.")
        elif kind not in NODES | REFERENCES and not HARMLESS.fullmatch(kind):
            raise QueryRefused(f"The query has a part that is not taken here ({kind}).")

    def _check_table(self, part: Mapping[str, Any], visible: frozenset[str]) -> None:
        name = part["table_name"]
        place = [part[key] for key in ("catalog_name", "schema_name") if part.get(key)]
        if part.get("at_clause"):
            raise QueryRefused("Tables can be read as they are now only; leave out AT.")
        if place in ([], ["main"], ["lake"], ["lake", "main"]) and name.lower() in NAMES:
            return
        if not place and name.lower() in visible:
            return
        raise QueryRefused(
            f"There is no table {'.'.join([*place, name])!r} here; there are: "
            f"{', '.join(sorted(NAMES))}."
        )

    def _check_function(self, part: Mapping[str, Any]) -> None:
        name = part.get("function_name", "").lower()
        if name in FORBIDDEN_FUNCTIONS:
            raise QueryRefused(f"{name}() cannot be used here; leave it out.")


def _is_show_tables(node: Mapping[str, Any]) -> bool:
    source = node.get("from_table", {})
    return (
        source.get("type") == "SHOW_REF"
        and "query" not in source
        and source.get("table_name") in ('"tables"', "__show_tables_expanded")
    )


def _table_list() -> str:
    rows = ", ".join(f"({literal(table.name)}, {literal(table.help)})" for table in TABLES)
    return f"SELECT * FROM (VALUES {rows}) AS list(name, help)"  # noqa: S608 - our own text


def _without_end(sql: str) -> str:
    """Cut final semicolons and comments, so that the query can stand in parentheses."""
    raw = sql.encode()  # offsets count bytes
    end = len(raw)
    for offset, _ in reversed(duckdb.tokenize(sql)):  # comments are no tokens
        if raw[offset : offset + 1] != b";":
            break
        end = offset
    return raw[:end].decode()
