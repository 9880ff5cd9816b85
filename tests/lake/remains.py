"""Looking for what must be gone: in every file, decoded where it is Parquet or a database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import duckdb


def holders(directory: Path, *ids: str) -> list[str]:
    """The files under a directory in which one of the ids stands, and in what form."""
    found = []
    for file in sorted(path for path in directory.rglob("*") if path.is_file()):
        raw = file.read_bytes()
        for wanted in ids:
            if wanted.encode() in raw:
                found.append(f"{file.relative_to(directory)}: raw")
            elif any(wanted in text for text in _decoded(file, raw)):
                found.append(f"{file.relative_to(directory)}: decoded")
    return found


def _decoded(file: Path, raw: bytes):
    if raw[:4] == b"PAR1":
        name = str(file).replace("'", "''")
        with duckdb.connect() as connection:
            rows = connection.execute(f"SELECT to_json(row)::VARCHAR FROM '{name}' AS row")
            yield from (text for (text,) in rows.fetchall())
            for low, high in connection.execute(
                f"SELECT stats_min_value, stats_max_value FROM parquet_metadata('{name}')"
            ).fetchall():
                yield f"{low} {high}"
    elif raw.startswith(b"SQLite format 3"):
        connection = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
        try:
            yield from (line for line in connection.iterdump())
        finally:
            connection.close()
