"""The pages that are made from the program itself: `python -m footfall.cli.reference NAME`.

    python -m footfall.cli.reference settings > docs/settings.md

NAME is settings, commands or errors. A test checks that the pages in docs/ are current.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping

import click

from footfall.cli import cli
from footfall.collect.protocols import installed
from footfall.errors import by_code
from footfall.settings.documentation import page

WIDTH = 96


def settings() -> str:
    """`docs/settings.md`."""
    return page({protocol.name: protocol.settings for protocol in installed()})


def commands() -> str:
    """`docs/commands.md`: the help of every command."""
    parts = [_COMMANDS]
    for context in _contexts(click.Context(cli, info_name="footfall", **cli.context_settings)):
        help_text = context.command.get_help(context)
        parts.append(f"\n## {context.command_path}\n\n```text\n{help_text}\n```\n")
    return "".join(parts)


def errors() -> str:
    """`docs/errors.md`: every code with its remedy."""
    rows = [
        f"| `{code}` | {_meaning(kind)} | {kind.remedy} |\n" for code, kind in by_code().items()
    ]
    return _ERRORS + "".join(rows)


PAGES: Mapping[str, Callable[[], str]] = {
    "settings": settings,
    "commands": commands,
    "errors": errors,
}


def _contexts(context: click.Context) -> Iterator[click.Context]:
    """A context for the command and every one below it, as wide as the page."""
    context.terminal_width = WIDTH
    yield context
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            yield from _contexts(click.Context(command, info_name=name, parent=context))


def _meaning(kind: type) -> str:
    """What a code stands for: its docstring's first paragraph, else its name in words."""
    if kind.__doc__:
        return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
    words = "".join(f" {c.lower()}" if c.isupper() else c for c in kind.__name__).strip()
    return words[0].upper() + words[1:] + "."


_COMMANDS = """\
# Commands

<!-- Made by `python -m footfall.cli.reference commands`; a test checks that it is current. -->

Commands take `--config FILE` or `--data DIR` and work whether or not a server runs on that data
directory: a running server is asked over its control socket; where none runs, the command holds
the directory for as long as it needs. Output that goes to a pipe is plain. Exit codes: 0, 1 for a
fault (its code is in [errors.md](errors.md)), 2 for a command line that is not understood.
"""

_ERRORS = """\
# Error codes

<!-- Made by `python -m footfall.cli.reference errors`; a test checks that it is current. -->

What an operator can meet, on the command line and in the log. Codes never change their meaning.
Refusals of requests have reasons instead, told to the client and kept in `rejects`.

| code | what is the case | what to do |
|---|---|---|
"""


if __name__ == "__main__":
    sys.stdout.write(PAGES[sys.argv[1]]())
