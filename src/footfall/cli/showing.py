"""`footfall session`, `profile`: all that is known of one of them, at a glance.

Asked as `asking` asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from footfall.cli.asking import asking
from footfall.cli.configuration import Configuration, config_option, data_option
from footfall.cli.output import print_mapping, print_table
from footfall.errors import ProfileUnknown, SessionUnknown
from footfall.stream import words as streams

Row = Mapping[str, Any]


@click.command()
@click.argument("session_id", metavar="SID")
@click.option("--json", "as_json", is_flag=True, help="As one JSON array.")
@config_option
@data_option
def session(session_id: str, as_json: bool, config: Path | None, data: str | None) -> None:
    """Show a session: what it came to, and its events.

    Of a media session the metrics as of now, and what became of its events: the account counts
    them by type and the ignored ones by reason.

    \b
    footfall session 3f1c… --json | jq .[0].media_sessions[0].account
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    asyncio.run(_session(Configuration.of(config, {"server.data": data}), session_id, as_json))


@click.command()
@click.argument("profile_id", metavar="ID")
@click.option("--source", metavar="ID", help="Of this source, or identity group, only.")
@click.option(
    "--format",
    "fmt",
    type=click.Choice(["text", "json"]),
    default="text",
    help="json is one array, a profile an item.",
)
@config_option
@data_option
def profile(
    profile_id: str, source: str | None, fmt: str, config: Path | None, data: str | None
) -> None:
    """Show a profile: traits and consents with their history, aliases, visits, newest events.

    An id that another profile took over leads to that profile.

    \b
    footfall profile bfb3-bf0c8c8d3387 --source shop
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    configuration = Configuration.of(config, {"server.data": data})
    asyncio.run(_profile(configuration, profile_id, source, as_json=fmt == "json"))


async def _session(configuration: Configuration, session_id: str, as_json: bool) -> None:
    async with asking(configuration) as (service, _):
        found = await service.session(session_id)
    if not found:
        raise SessionUnknown("No session that is kept here has this id.")
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for tables in found:
        for name, rows in tables.items():
            if name == "events":
                _print_steps(rows)
            elif name == "timeline":
                _print_timeline(rows)
            elif name == "later_events":
                _print_more(rows, "later")
            else:
                for row in rows:
                    click.secho(name, bold=True)
                    print_mapping(_said(row), "  ")


async def _profile(
    configuration: Configuration, profile_id: str, source: str | None, *, as_json: bool
) -> None:
    async with asking(configuration) as (service, _):
        every = await service.profile(profile_id)
    found = [one for one in every if source is None or source in _places(one)]
    if not found:
        where = f" of {source}" if source and every else ""
        raise ProfileUnknown(f"No profile{where} that is kept here has this id.")
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    for one in found:
        _print_profile(profile_id, one)


def _places(one: Mapping[str, Any]) -> Sequence[str]:
    return [*one["sources"], *(row["source"] for row in one["profiles"])]


def _print_profile(asked: str, one: Mapping[str, Any]) -> None:
    for row in one["profiles"]:
        click.secho("profile", bold=True)
        if row["profile_id"] != asked:
            click.echo(
                f"  {click.style(row['profile_id'], bold=True)} took over what was asked for."
            )
        shared = {"shared by": list(one["sources"])} if len(one["sources"]) > 1 else {}
        print_mapping(_said({**row, **shared}), "  ")
    _print_rows("traits", one["traits"], ("name", "value", "occurred_at", "type"))
    consents = [
        {**row, "said": "granted" if row["granted"] else "refused"} for row in one["consents"]
    ]
    _print_rows("consents", consents, ("name", "said", "until", "occurred_at", "type"))
    _print_rows("aliases", one["aliases"], ("alias", "profile_id", "received_at", "reason"))
    _print_rows("visits", one["visits"], ("began_at", "source", "session_id"))
    _print_rows("events", one["events"], ("occurred_at", "source", "type", "session_id", "page"))
    _print_more(one["earlier_events"], "earlier")


def _print_rows(title: str, rows: Sequence[Row], names: Sequence[str]) -> None:
    """Some columns of rows as a table below its title; nothing where there are none."""
    if rows:
        click.secho(title, bold=True)
        print_table(names, [[_cell(row[name]) for name in names] for row in rows])


def _print_timeline(rows: Sequence[Row]) -> None:
    """Events of any protocol; those of streams have no page, and a word on what happened."""
    if all(row["protocol"] != streams.PROTOCOL for row in rows):
        _print_rows("events", rows, ("occurred_at", "protocol", "type", "page"))
        return
    told = [{**row, "what": streams.words(row) or row["page"]} for row in rows]
    _print_rows("events", told, ("occurred_at", "protocol", "type", "what"))


def _print_more(number: int, what: str) -> None:
    if number:
        click.echo(f"and {number} {what} events: see footfall query.")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else _text(value)


def _text(value: Any) -> str:
    """As JSON has it; a moment without its quotes."""
    return msgspec.json.encode(value).decode().strip('"')


def _print_steps(steps: Sequence[Row]) -> None:
    """Each event on a line: when, what, the state after it, what it changed or why nothing."""
    click.secho("events", bold=True)
    cells = []
    for one in steps:
        changed = ", ".join(f"{name} {number:+g}" for name, number in one["changed"].items())
        cells.append([_cell(one["at"]), one["type"], one["after"], one["ignored"] or changed])
    print_table(["at", "type", "state", "changed, or why nothing"], cells)


def _said(row: Row) -> dict[str, Any]:
    """Without what there is nothing to say of."""
    return {name: _plain(value) for name, value in row.items() if value not in (None, [], {})}


def _plain(value: Any) -> Any:
    """The same whether it came over the socket, as JSON, or not."""
    if isinstance(value, Mapping):
        return _said(value)
    return _text(value) if isinstance(value, datetime) else value
