"""`footfall query`, `tail`, `status`: asked of whoever holds the data directory.

That is the running server, over its control socket. Where no server runs, the command takes the
directory's lock and is that server for as long as it needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import sys
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from footfall.cli.configuration import Configuration, config_option, data_option
from footfall.cli.output import one_line, print_mapping, print_table
from footfall.control.client import Control
from footfall.data import DataDirectory
from footfall.errors import DataDirectoryInUse

if TYPE_CHECKING:
    from footfall.control.contract import Service

_START_SECONDS = 5.0
"""How long a server that has just been started is waited for."""


@click.command()
@click.argument("sql")
@click.option(
    "--format",
    "fmt",
    type=click.Choice(["table", "json", "csv", "parquet"]),
    default="table",
    help="json is one array of objects; parquet wants to be redirected to a file.",
)
@config_option
@data_option
def query(sql: str, fmt: str, config: Path | None, data: str | None) -> None:
    """Ask in SQL; docs/tables.md has the tables. "-" reads the SQL from standard input.

    What has been acknowledged is there within seconds; times are UTC.

    \b
    footfall query "SELECT type, count(*) FROM events GROUP BY ALL"
    footfall query "FROM events WHERE source = 'shop'" --format parquet > shop.parquet
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    if sql == "-":
        sql = sys.stdin.read()
    if fmt == "parquet" and sys.stdout.isatty():
        raise click.UsageError("Parquet is not for a terminal: redirect it to a file.")
    configuration = Configuration.of(config, {"server.data": data})
    asyncio.run(_query(configuration, sql, fmt))


@click.command()
@click.option("--follow/--no-follow", default=True, help="Go on with what comes [follow].")
@click.option("--source", metavar="ID", help="Of this source only.")
@click.option("--type", "kind", metavar="TYPE", help="Of this type only; leaves rejects out.")
@click.option("--json", "as_json", is_flag=True, help="The records as they are, one a line.")
@click.option(
    "--from",
    "start",
    metavar="WHERE",
    help='"start", "now", or a position as --json shows them [now; start with --no-follow].',
)
@config_option
@data_option
def tail(  # noqa: PLR0917 - click passes options by name
    follow: bool,
    source: str | None,
    kind: str | None,
    as_json: bool,
    start: str | None,
    config: Path | None,
    data: str | None,
) -> None:
    """Show events and rejects as they are made durable.

    \b
    footfall tail --source shop
    footfall tail --no-follow --json | jq .event.type
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    configuration = Configuration.of(config, {"server.data": data})
    wanted = Wanted(source, kind)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            _tail(configuration, follow=follow, start=start, wanted=wanted, as_json=as_json)
        )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@config_option
@data_option
def status(as_json: bool, config: Path | None, data: str | None) -> None:
    """Show how things stand: journal, lake, what is outstanding.

    \b
    footfall status --data /var/lib/footfall
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    asyncio.run(_status(Configuration.of(config, {"server.data": data}), as_json=as_json))


class Wanted:
    """Which events and rejects `tail` shows."""

    def __init__(self, source: str | None, kind: str | None) -> None:
        self._source = source
        self._kind = kind

    def __contains__(self, record: Mapping[str, Any]) -> bool:
        said = record.get("event") or record.get("reject") or {}
        right_source = self._source is None or said.get("source") == self._source
        return right_source and (self._kind is None or said.get("type") == self._kind)


@contextlib.asynccontextmanager
async def asking(configuration: Configuration) -> AsyncIterator[tuple[Service, bool]]:
    """The service of the data directory, and whether it is a running server's."""
    directory = DataDirectory.open(configuration.server_only().server.data)
    control = Control(directory.control)
    async with contextlib.AsyncExitStack() as stack:
        if await _server_answers(control, directory, stack):
            yield control, True
            return
        from footfall.app.worker import open_service  # noqa: PLC0415 - the whole server

        whole = configuration.whole(check_files=False)
        yield await stack.enter_async_context(open_service(whole)), False


async def _server_answers(
    control: Control, directory: DataDirectory, stack: contextlib.AsyncExitStack
) -> bool:
    """True where a server answers; False with the directory's lock held by `stack`.

    Whoever holds the lock without answering may be a server that is starting, or another command.
    """
    deadline = time.monotonic() + _START_SECONDS
    while True:
        if control.answers():
            return True
        try:
            stack.enter_context(directory.lock())
        except DataDirectoryInUse as error:
            if time.monotonic() > deadline:
                raise DataDirectoryInUse(f"{error} It does not answer commands.") from None
            await asyncio.sleep(0.1)
        else:
            return False


async def _query(configuration: Configuration, sql: str, fmt: str) -> None:
    async with asking(configuration) as (service, _):
        pieces = service.query(sql, "csv" if fmt == "table" else fmt)
        if fmt == "table":
            _print_csv(b"".join([piece async for piece in pieces]))
            return
        out = sys.stdout.buffer
        last = b""
        async for piece in pieces:
            out.write(piece)
            last = piece or last
        if fmt == "json" and not last.endswith(b"\n"):
            out.write(b"\n")
        out.flush()


def _print_csv(text: bytes) -> None:
    header, *rows = csv.reader(io.StringIO(text.decode(), newline=""))
    print_table(header, rows)


async def _tail(
    configuration: Configuration, *, follow: bool, start: str | None, wanted: Wanted, as_json: bool
) -> None:
    async with asking(configuration) as (service, live):
        if follow and not live:
            click.echo("No server runs here: this is what the journal holds.", err=True)
            follow = False
        lines = service.tail(follow=follow, start=start or ("now" if follow else "start"))
        async for some in lines:
            for line in filter(None, some.splitlines()):
                record = msgspec.json.decode(line)
                if record in wanted:
                    click.echo(line if as_json else _told(record))


def _told(record: Mapping[str, Any]) -> str:
    """One line for people: when, where, what, who."""
    if "reject" in record:
        reject = record["reject"]
        parts = [
            _time(reject["received_at"]),
            reject.get("source") or "-",
            reject["protocol"],
            click.style(f"refused {reject['status']} {reject['reason']}", fg="yellow"),
            one_line(reject["detail"]),
        ]
        return "  ".join(parts)
    event = record["event"]
    told = [
        f"{name}={event[name]}"
        for name in ("session_id", "profile_id", "user_id", "page", "location")
        if event.get(name) is not None
    ]
    kind = click.style(one_line(event["type"]), bold=True)
    when = _time(event["received_at"])
    return "  ".join([when, event["source"], event["protocol"], kind, one_line(" ".join(told))])


def _time(micros: int) -> str:
    moment = datetime.fromtimestamp(micros // 1_000_000, UTC).replace(
        microsecond=micros % 1_000_000
    )
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _status(configuration: Configuration, *, as_json: bool) -> None:
    async with asking(configuration) as (service, live):
        found = {"server": "runs" if live else "does not run", **await service.status()}
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        print_mapping(found)
