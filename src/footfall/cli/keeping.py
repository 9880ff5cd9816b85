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
@config_option
@data_option
def restore(backup_directory: Path, config: Path | None, data: str | None) -> None:
    """Make a data directory, new or empty, from the backup SRC.

    Every file is compared with what the backup says of it before it counts.

    \b
    footfall restore /backups/2026-11-20 --data /var/lib/footfall
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    configuration = Configuration.of(config, {"server.data": data})
    path = Path(configuration.server_only().server.data)
    with progress("Restoring") as tell:
        for step in restore_backup(backup_directory, path):
            tell(step._asdict())
    click.echo(f"Restored to {DataDirectory.open(path).path}")


async def _backup(configuration: Configuration, destination: Path) -> None:
    async with asking(configuration) as (service, _):
        with progress("Backing up") as tell:
            async for step in service.backup(str(destination)):
                tell(step)
