"""`footfall import`: profiles of an existing Tracardi."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import click

from footfall.cli.asking import asking
from footfall.cli.configuration import Configuration, config_option, data_option
from footfall.cli.output import progress

LINES = 1000
"""Taken over at once, as one record of the journal."""
FAULTS_SHOWN = 20


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", required=True, metavar="ID", help="The source that they belong to.")
@config_option
@data_option
def import_(file: Path, source: str, config: Path | None, data: str | None) -> None:
    """Take over profiles from Tracardi, so that known visitors stay known.

    FILE has one profile a line, as JSON: as Tracardi stores them, or search hits around them. Ids,
    the ids that lead to them, traits and consents are taken over. What is known here already
    stands, so a repeat of the same file changes nothing and goes on where an earlier one stopped.

    \b
    footfall import profiles.jsonl --source shop
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    configuration = Configuration.of(config, {"server.data": data})
    with file.open("rb") as lines:
        counts = asyncio.run(_import(configuration, lines, file.stat().st_size, source))
    faults = counts.pop("faults")
    click.echo(", ".join(f"{number} {what}" for what, number in counts.items()))
    for number, why in faults[:FAULTS_SHOWN]:
        click.echo(f"line {number}: {why}", err=True)
    if len(faults) > FAULTS_SHOWN:
        click.echo(f"and {len(faults) - FAULTS_SHOWN} further lines", err=True)
    if faults:
        raise click.ClickException(f"Lines not taken over: {len(faults)}. All others were.")


async def _import(
    configuration: Configuration, lines: BinaryIO, size: int, source: str
) -> dict[str, Any]:
    total: dict[str, Any] = {"new": 0, "changed": 0, "same": 0, "faults": []}
    async with asking(configuration) as (service, _):
        with progress("Importing") as tell:
            done = 0
            for first, some in _pieces(lines):
                _add(total, await service.import_profiles(source, some), first)
                done += sum(map(len, some))
                tell({"done": done, "total": size, "what": lines.name})
    return total


def _pieces(lines: BinaryIO) -> Iterable[tuple[int, list[bytes]]]:
    """The number of each piece's first line, from 1, and its lines."""
    first = 1
    while some := list(itertools.islice(lines, LINES)):
        yield first, some
        first += len(some)


def _add(total: dict[str, Any], counts: Mapping[str, Any], first: int) -> None:
    for what in ("new", "changed", "same"):
        total[what] += counts[what]
    total["faults"] += [(first + number, why) for number, why in counts["faults"]]
