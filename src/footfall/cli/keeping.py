"""`footfall backup` and `footfall restore`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from footfall.cli.asking import asking
from footfall.cli.configuration import Configuration, config_option, data_option
from footfall.cli.output import progress
from footfall.data import DataDirectory
from footfall.lake.backup import restore as restore_backup
from footfall.privacy import audit


@click.command()
@click.argument("destination", metavar="DEST", type=click.Path(file_okay=False, path_type=Path))
@config_option
@data_option
def backup(destination: Path, config: Path | None, data: str | None) -> None:
    """Write a backup into the new or empty directory DEST, while the server goes on.

    What was acknowledged before the command began is in it.

    \b
    footfall backup /backups/2026-11-20
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    configuration = Configuration.of(config, {"server.data": data})
    asyncio.run(_backup(configuration, destination.absolute()))
    click.echo(f"Backup written to {destination}")


@click.command()
@click.argument(
    "backup_directory", metavar="SRC", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option(
    "--erasures",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A newer erasures.jsonl: say which erasures the backup is older than.",
)
@config_option
@data_option
def restore(
    backup_directory: Path, erasures: Path | None, config: Path | None, data: str | None
) -> None:
    """Make a data directory, new or empty, from the backup SRC.

    Every file is compared with what the backup says of it before it counts. Who was erased since
    the backup was taken is in it again: `footfall forget --repeat-audit` erases them once more.

    \b
    footfall restore /backups/2026-11-20 --data /var/lib/footfall
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    configuration = Configuration.of(config, {"server.data": data})
    path = Path(configuration.server_only().server.data)
    with progress("Restoring") as tell:
        for step in restore_backup(backup_directory, path):
            tell(step._asdict())
    restored = DataDirectory.open(path).path
    click.echo(f"Restored to {restored}")
    _tell_erasures(restored, erasures)


def _tell_erasures(restored: Path, given: Path | None) -> None:
    """Say who is in the data again, as far as that is known."""
    if given is None:
        click.echo(
            "Who was erased after this backup was taken is in it again. Where there is a newer "
            "erasures.jsonl, run: footfall forget --repeat-audit FILE",
            err=True,
        )
        return
    known = {entry.erasure_id for entry in audit.entries(restored / "erasures.jsonl")}
    later = [entry for entry in audit.entries(given) if entry.erasure_id not in known]
    if not later:
        click.echo("No erasure is later than this backup.", err=True)
        return
    people = sum(len(entry.subjects) for entry in later)
    click.echo(
        f"{len(later)} erasures of {people} ids are later than this backup, the first of "
        f"{later[0].done_at}: their data is here again. Before it is served, run:\n"
        f"footfall forget --repeat-audit {given} --data {restored}",
        err=True,
    )


async def _backup(configuration: Configuration, destination: Path) -> None:
    async with asking(configuration) as (service, _):
        with progress("Backing up") as tell:
            async for step in service.backup(str(destination)):
                tell(step)
