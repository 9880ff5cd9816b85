"""`footfall serve`: check the settings, then become the supervisor.

This process stays for as long as the server runs, so nothing heavy is imported here.
"""

from __future__ import annotations

from pathlib import Path

import click

from footfall import supervisor
from footfall.cli.configuration import Configuration, config_option, data_option


@click.command()
@config_option
@data_option
@click.option("--host", metavar="H", help="Address for tracking [127.0.0.1].")
@click.option("--port", type=int, metavar="N", help="Port for tracking, 0 for a free one [8080].")
@click.option(
    "--console-port", type=int, metavar="N", help="Port for the console, 0 for a free one [8081]."
)
@click.option("--workers", type=int, metavar="N", help="Processes that take requests [1].")
@click.option(
    "--dev",
    is_flag=True,
    help='Add source "dev": key dev-key, every protocol, every origin. Loopback only.',
)
@click.pass_context
def serve(  # noqa: PLR0917 - click passes options by name
    ctx: click.Context,
    config: Path | None,
    data: str | None,
    host: str | None,
    port: int | None,
    console_port: int | None,
    workers: int | None,
    dev: bool,
) -> None:
    """Take tracking requests in, and answer questions about them.

    One line is printed when requests are accepted. SIGHUP reads the sources anew without dropping
    a connection; SIGTERM and Ctrl+C end cleanly.

    \b
    footfall serve --dev
    footfall serve --config /etc/footfall.toml --data /var/lib/footfall --workers 2
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    configuration = Configuration.of(
        config,
        {
            "server.data": data,
            "server.host": host,
            "server.port": port,
            "server.console_port": console_port,
            "server.workers": workers,
        },
        dev=dev,
    )
    configuration.check_apart()
    ctx.exit(
        supervisor.serve(
            configuration.server_only(),
            config=configuration.file,
            overrides=configuration.overrides,
            say=click.echo,
            reread=configuration.check_apart,
        )
    )
