"""The command line: thin commands, each naming what it does and asking others to do it.

``configuration``  --config and --data, and what they come to
``serve``          footfall serve
``settings``       footfall check, footfall source new
``asking``         footfall query, tail, status: asked of the server, else done here
``showing``        footfall session, profile: asked likewise
``erasing``        footfall forget, export
``keeping``        footfall backup, restore
``importing``      footfall import
``replaying``      footfall replay
``streams``        footfall stream check
``output``         tables and progress, on a terminal and in a pipe
``reference``      the pages docs/settings.md, docs/commands.md and docs/errors.md

A command's module is imported when the command is run: `footfall serve` stays in memory for as
long as it serves, and needs little of this.
"""

from __future__ import annotations

import errno
import importlib
import keyword
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

import footfall
from footfall.errors import FootfallError, SystemRefused

COMMANDS: Mapping[str, str] = {
    "serve": "serve",
    "check": "settings",
    "source": "settings",
    "query": "asking",
    "tail": "asking",
    "session": "showing",
    "profile": "showing",
    "status": "asking",
    "forget": "erasing",
    "export": "erasing",
    "backup": "keeping",
    "restore": "keeping",
    "import": "importing",
    "replay": "replaying",
    "stream": "streams",
}
"""Every command, with the module that has it under its name."""


class Commands(click.Group):
    """The group of `COMMANDS`. A fault of any kind is told in words, without a traceback.

    Exit codes: 0, 1 for a fault, 2 for a command line that is not understood.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"footfall.cli.{COMMANDS[cmd_name]}")
        function = f"{cmd_name}_" if keyword.iskeyword(cmd_name) else cmd_name
        command: click.Command = getattr(module, function)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse what is no text, wherever it would have gone: into JSON, SQL, a file's name."""
        for argument in args:
            try:
                argument.encode()
            except UnicodeEncodeError:
                shown = os.fsencode(argument).decode(errors="backslashreplace")
                raise click.UsageError(f"An argument is not UTF-8: {shown}", ctx) from None
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as fault:
            if os.environ.get("FOOTFALL_DEBUG") == "1":
                raise
            if isinstance(fault, OSError) and fault.errno == errno.EPIPE:
                raise  # click ends quietly when nobody reads any more
            error = _named(fault)
            click.secho(str(error), err=True, fg="red", color=ctx.color)
            click.echo(f"{error.code}: {error.remedy}", err=True)
            ctx.exit(1)


def _named(fault: Exception) -> FootfallError:
    if isinstance(fault, FootfallError):
        return fault
    if isinstance(fault, OSError) and fault.strerror:
        where = f"{fault.filename}: " if fault.filename else ""
        return SystemRefused(f"{where}{fault.strerror}.")
    return FootfallError(f"{type(fault).__name__}: {fault}")


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="FOOTFALL_DEBUG=1 shows the traceback of a fault. NO_COLOR=1 turns colours off.",
)
@click.version_option(footfall.__version__, "-V", "--version", prog_name="footfall")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Session and event tracking on one's own machine.

    \b
    footfall serve --dev             try it: tracking on 127.0.0.1:8080, key dev-key
    footfall source new shop         a source for real use, with a fresh key
    footfall check                   is footfall.toml right?
    footfall serve                   serve
    footfall query "SELECT …"        ask
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def main() -> None:
    """The program `footfall`."""
    # Texts of clients may hold what the terminal's encoding has not.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    cli(prog_name="footfall")
