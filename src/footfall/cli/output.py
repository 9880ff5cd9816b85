"""What commands print: for people on a terminal, and plain where it goes to a pipe or a file."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, Protocol

import click

_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][-+]?\d+)?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Progress(Protocol):
    """Told how far long work has come."""

    def __call__(self, step: Mapping[str, Any]) -> None:
        """``{"done": 3, "total": 17, "what": "journal/…"}``"""


def for_people(stream: IO[Any]) -> bool:
    """Whether colours, boxes and moving bars are welcome."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain


def one_line(text: str) -> str:
    """Text of a stranger, so that it cannot move the cursor or break a line."""
    return _CONTROL.sub("�", text)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns, numbers to the right; with a box on a terminal."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    numeric = [_is_numeric(column) for column in zip(*cells, strict=True)] or [False] * len(header)
    if for_people(sys.stdout):
        _print_box(header, cells, numeric)
    else:
        _print_plain(header, cells, numeric)


def print_mapping(mapping: Mapping[str, Any], indent: str = "") -> None:
    """Names and values in two columns; mappings inside are indented below their name."""
    width = max((len(str(name)) for name in mapping), default=0)
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            click.echo(f"{indent}{name}")
            print_mapping(value, indent + "  ")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            click.echo(f"{indent}{name}")
            for item in value:
                print_mapping(item, indent + "  ")
        else:
            click.echo(f"{indent}{name!s:<{width}}  {_words(value)}")


@contextmanager
def progress(title: str) -> Iterator[Progress]:
    """Show how long work goes on, on standard error."""
    if for_people(sys.stderr):
        with _bar(title) as tell:
            yield tell
    else:
        yield _Tenths(title)


class _Tenths:
    """A line for each tenth that is done, for logs."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._told = -1

    def __call__(self, step: Mapping[str, Any]) -> None:
        done, total = step.get("done", 0), step.get("total", 0)
        tenth = 10 * done // total if total else 10
        if tenth > self._told:
            self._told = tenth
            click.echo(f"{self._title}: {done} of {total}", err=True)


@contextmanager
def _bar(title: str) -> Iterator[Progress]:
    from rich import progress as bars  # noqa: PLC0415 - only on a terminal
    from rich.console import Console  # noqa: PLC0415

    with bars.Progress(
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.TextColumn("{task.fields[what]}", markup=False),
        bars.TimeElapsedColumn(),
        console=Console(stderr=True),
    ) as shown:
        task = shown.add_task(title, total=None, what="")

        def tell(step: Mapping[str, Any]) -> None:
            what = one_line(str(step.get("what", "")))
            shown.update(task, completed=step.get("done"), total=step.get("total"), what=what)

        yield tell


def _print_box(
    header: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]
) -> None:
    from rich.console import Console  # noqa: PLC0415 - only on a terminal
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table()
    for name, is_number in zip(header, numeric, strict=True):
        table.add_column(Text(name), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    console.print(table)
    console.print(
        f"{len(rows)} {'row' if len(rows) == 1 else 'rows'}", style="dim", highlight=False
    )


def _print_plain(
    header: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]
) -> None:
    lines = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(line, widths, numeric, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def _is_numeric(column: Sequence[str]) -> bool:
    filled = [cell for cell in column if cell]
    return bool(filled) and all(_NUMBER.fullmatch(cell) for cell in filled)


def _words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(_words, value)) or "-"
    return one_line(str(value))
