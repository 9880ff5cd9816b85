"""The lake opened: DuckLake on a local directory, a thread that writes, one that parses, readers.

    DIR/catalog.ducklake   the catalogue: a DuckDB file; which rows are where, and the newest rows
    DIR/data/              Parquet, by table and day
    DIR/scratch/           spilled intermediates and results on their way out; emptied at the start

It knows nothing of the journal (`loader`), of users' SQL (`query`) or of what is done when
(`maintenance`). One process at a time can have a lake open.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

import duckdb
import structlog

from footfall.errors import DataDirectoryTooNew, LakeUnavailable
from footfall.lake import tables
from footfall.lake.gate import Gate

T = TypeVar("T")
log = structlog.get_logger(__name__)

DAYS = "year(received_at), month(received_at), day(received_at)"
OPTIONS = (
    # Smaller inserts go into the catalogue, not into a file of their own: 50 ms at most.
    ("data_inlining_row_limit", "500", "500"),
    ("parquet_compression", "zstd", "zstd"),
    ("parquet_version", "2", "V2"),
)
"""DuckLake's options: name, value, and how DuckLake keeps that value."""
READERS = 4
"""Queries at once; more wait, and their waiting counts as their time."""
SCRATCH_SIZE = "16GB"
"""Most that queries may spill to disk."""


class Lake:
    """A DuckLake in a directory. `open` before use; closed it can be opened again.

    `memory_mb` bounds what loading and SQL use together, beyond the resting 75 MB or so.
    """

    def __init__(self, directory: Path, *, memory_mb: int, threads: int = 2) -> None:
        self.directory = directory.resolve()
        self.catalog = self.directory / "catalog.ducklake"
        self.data = self.directory / "data"
        self.scratch = self.directory / "scratch"
        self._memory_mb = memory_mb
        self._threads = threads
        self._keepers = 0
        self.gate = Gate()
        """Through which whoever reads with a cursor of its own goes."""
        self._swapping = threading.Lock()
        self._root: duckdb.DuckDBPyConnection | None = None
        self._writer: ThreadPoolExecutor | None = None
        self._stager: tuple[ThreadPoolExecutor, duckdb.DuckDBPyConnection] | None = None
        self._readers: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def open(self) -> None:
        """Open or create it. Raises `DataDirectoryTooNew`, `LakeUnavailable`."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        for directory in (self.data, self.scratch):
            directory.mkdir(parents=True, exist_ok=True)
        root = duckdb.connect(
            config={
                "threads": self._threads,
                "memory_limit": f"{self._memory_mb}MB",
                "temp_directory": str(self.scratch / "spill"),
                "max_temp_directory_size": SCRATCH_SIZE,
                # Give back soon what parsing a batch took.
                "allocator_flush_threshold": "16MB",
                "allocator_bulk_deallocation_flush_threshold": "32MB",
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "allow_community_extensions": False,
            }
        )
        try:
            load_extension(root, "ducklake")
            self._attach(root)
            self._confine(root)
            self._prepare(root)
        except BaseException:
            root.close()
            raise
        self._root = root
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="lake")
        self._stager = (ThreadPoolExecutor(1, thread_name_prefix="lake-stage"), self.cursor())
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="lake-read")

    def _attach(self, root: duckdb.DuckDBPyConnection) -> None:
        root.execute(
            f"ATTACH {literal(f'ducklake:{self.catalog}')} AS lake "
            f"(DATA_PATH {literal(f'{self.data}/')}, OVERRIDE_DATA_PATH true, "
            "METADATA_CATALOG 'catalog')"
        )
        root.execute("USE lake")

    def _confine(self, root: duckdb.DuckDBPyConnection) -> None:
        """Nothing in this DuckDB reaches a file outside the directory, or another setting."""
        root.execute("SET python_enable_replacements = false")
        root.execute("SET TimeZone = 'UTC'")
        # What joins pass on to the tables they read is put into the catalogue's SQL, where a NUL
        # ends a text: an id with one, which anybody may send, would stop loading and erasing.
        root.execute("SET disabled_optimizers = 'join_filter_pushdown'")
        root.execute(f"SET allowed_directories = [{literal(f'{self.directory}/')}]")
        root.execute("SET enable_external_access = false")
        root.execute("SET lock_configuration = true")

    def _prepare(self, root: duckdb.DuckDBPyConnection) -> None:
        """Tables, options and views as this release has them."""
        known = {
            name
            for (name,) in root.execute(
                "SELECT table_name FROM duckdb_tables() WHERE database_name = 'lake'"
            ).fetchall()
        }
        for table in tables.MEDIA_OPEN:
            open_table = table._replace(name=f"memory.main.{table.name}")
            root.execute(tables.create_statement(open_table))
        with self.transaction(root):
            if tables.FACTS.name not in known:
                root.execute(tables.create_statement(tables.FACTS))
                root.execute("INSERT INTO facts VALUES ('format', $1)", [str(tables.FORMAT)])
            self._check_format(root)
            for table in (*tables.TABLES, *tables.PRIVATE):
                if table.view is None and table.name not in known | {tables.FACTS.name}:
                    root.execute(tables.create_statement(table))
                    if table in tables.BY_DAY:
                        root.execute(f"ALTER TABLE {table.name} SET PARTITIONED BY ({DAYS})")
            self._put_options(root)
            self._put_views(root)

    def _check_format(self, root: duckdb.DuckDBPyConnection) -> None:
        row = root.execute("SELECT value FROM facts WHERE name = 'format'").fetchone()
        if row is None or int(row[0]) > tables.FORMAT:
            found = row[0] if row else "none"
            raise DataDirectoryTooNew(
                f"The lake in {self.directory} has format {found}; this release knows up to "
                f"{tables.FORMAT}."
            )

    def _put_options(self, root: duckdb.DuckDBPyConnection) -> None:
        """Kept by DuckLake in the catalogue; set again only where they differ."""
        for name, value, kept in OPTIONS:
            row = root.execute(
                "SELECT value FROM catalog.ducklake_metadata WHERE key = $1 AND scope IS NULL",
                [name],
            ).fetchone()
            if row is None or row[0] != kept:
                root.execute(f"CALL lake.set_option({literal(name)}, {literal(value)})")

    def _put_views(self, root: duckdb.DuckDBPyConnection) -> None:
        """Replace the views when this release words them differently."""
        mark = hashlib.sha256("".join(view.sql() for view in tables.VIEWS).encode()).hexdigest()
        if root.execute(
            "SELECT 1 FROM facts WHERE name = 'views' AND value = $1", [mark]
        ).fetchone():
            return
        for view in tables.VIEWS:
            root.execute(f"CREATE OR REPLACE VIEW {view.name} AS {view.sql()}")
        root.execute("DELETE FROM facts WHERE name = 'views'")
        root.execute("INSERT INTO facts VALUES ('views', $1)", [mark])

    def close(self) -> None:
        """Wait for what is being written, then close. Readers are interrupted."""
        stager, self._stager = self._stager, None
        if stager is not None:
            stager[0].shutdown(wait=True)
            stager[1].close()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.shutdown(wait=True)
        root, self._root = self._root, None
        if root is not None:
            root.interrupt()
            root.close()
        readers, self._readers = self._readers, None
        if readers is not None:
            readers.shutdown(wait=False, cancel_futures=True)

    def reopen(self) -> None:
        """Close and open again: what DuckDB needs after a fault that it calls fatal."""
        self.close()
        self.open()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own to the open lake, `USE lake` done. The caller closes it."""
        if self._root is None:
            raise LakeUnavailable(f"The lake in {self.directory} is closed.")
        cursor = self._root.cursor()
        cursor.execute("USE lake")
        return cursor

    @property
    def readers(self) -> ThreadPoolExecutor:
        """The threads for whatever only reads."""
        if self._readers is None:
            raise LakeUnavailable(f"The lake in {self.directory} is closed.")
        return self._readers

    async def run(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Do `work` in the one thread that writes, after what was asked before it."""
        if self._writer is None or self._root is None:
            raise LakeUnavailable(f"The lake in {self.directory} is closed.")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writer, work, self._root)

    async def stage(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Do `work` in a second thread, beside `run`: for what changes no table of the lake."""
        if self._stager is None:
            raise LakeUnavailable(f"The lake in {self.directory} is closed.")
        thread, connection = self._stager

        def staged(connection: duckdb.DuckDBPyConnection) -> T:
            with self._swapping:
                return work(connection)

        return await asyncio.get_running_loop().run_in_executor(thread, staged, connection)

    async def read(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Do `work`, which only reads the lake, in a reader's thread with a cursor of its own."""
        async with self.gate.reading():
            cursor = self.cursor()
            job = self.readers.submit(work, cursor)
            try:
                return await asyncio.wrap_future(job)
            finally:
                while not job.done() and not job.cancel():  # whoever asked has gone
                    cursor.interrupt()
                    await asyncio.sleep(0.01)
                cursor.close()

    async def exclusively(self, work: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """`run` while nobody reads: queries that began before end first, others wait.

        For what would take files away from under them.
        """
        async with self.gate.closed():
            return await self.run(work)

    def copy_catalog(self, connection: duckdb.DuckDBPyConnection) -> Path:
        """A fresh copy of the catalogue in `scratch`: what is in it, and nothing that was."""
        draft = self.scratch / f"catalog-{uuid.uuid4().hex}"
        connection.execute(f"ATTACH {literal(str(draft))} AS carried")
        try:
            connection.execute("COPY FROM DATABASE catalog TO carried")
        finally:
            connection.execute("DETACH carried")
        return draft

    def renew_catalog(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Put a fresh copy of the catalogue in its place. Only inside `exclusively`.

        A database file keeps what was deleted from it until something else is written there. At
        every moment one whole catalogue stands under the name; a copy that a crash leaves in
        `scratch` goes at the next start.
        """
        draft = self.copy_catalog(connection)
        _sync(draft)
        with self._swapping:
            connection.execute("USE memory")
            connection.execute("DETACH lake")  # writes what its own log still held into the file
            try:
                if self.catalog.with_name(f"{self.catalog.name}.wal").exists():
                    raise LakeUnavailable(f"{self.catalog} could not be closed.")
                draft.rename(self.catalog)
                _sync(self.directory)
            finally:
                draft.unlink(missing_ok=True)
                self._attach(connection)

    @contextlib.contextmanager
    def keep_files(self) -> Iterator[None]:
        """While inside, maintenance deletes no file and trims no journal: for backups."""
        self._keepers += 1
        try:
            yield
        finally:
            self._keepers -= 1

    @property
    def files_kept(self) -> bool:
        return self._keepers > 0

    @contextlib.contextmanager
    def transaction(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Everything inside becomes visible and durable at once, or not at all."""
        started = time.time() - 1.0  # files carry the time of a coarser clock
        connection.execute("BEGIN")
        try:
            yield
            # DuckDB syncs its catalogue but not the Parquet files that the catalogue names.
            sync_new_files(self.data, started)
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(duckdb.Error):
                connection.execute("ROLLBACK")
            raise


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def load_extension(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Load an extension from its wheel, else from DuckDB's own repository.

    From the wheel's file and not by installing it, which would write into the home directory.
    DuckDB checks its signature either way.
    """
    found = importlib.util.find_spec(f"duckdb_extension_{name}")
    if found is not None and found.origin is not None:
        file = (
            Path(found.origin).parent
            / "extensions"
            / f"v{duckdb.__version__}"
            / f"{name}.duckdb_extension"
        )
        if file.is_file():
            connection.execute(f"LOAD {literal(str(file))}")
            return
    try:
        connection.execute(f"INSTALL {name}")
        connection.execute(f"LOAD {name}")
    except duckdb.Error as error:
        raise LakeUnavailable(
            f"DuckDB {duckdb.__version__} has no extension '{name}' here: {error}"
        ) from error


def sync_new_files(directory: Path, since: float) -> None:
    """Make durable what was put into a tree since a moment (seconds since 1970), names included."""
    changed = False
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                sync_new_files(Path(entry.path), since)
            if entry.stat(follow_symlinks=False).st_mtime < since:
                continue
            changed = True
            if entry.is_file(follow_symlinks=False):
                _sync(entry.path)
    if changed:
        _sync(directory)


def _sync(path: str | Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
