"""`footfall forget` and `footfall export`: what people may demand of their own data."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from footfall.cli.asking import asking
from footfall.cli.configuration import Configuration, config_option, data_option
from footfall.cli.output import progress
from footfall.errors import (
    AuditNotValid,
    ErasureUnfinished,
    FootfallError,
    PeopleNotNamed,
    SourceUnknown,
)

F = TypeVar("F", bound=Callable[..., Any])

KINDS = ("profile", "user", "session")
NAMED = 40
"""Characters of an id in a file's name."""
People = list[dict[str, str]]
"""``[{"profile": "…"}, {"user": "…"}]``"""


def people_options(function: F) -> F:
    """The choices of people that both commands have."""
    for option in (
        click.option(
            "--kind", type=click.Choice(KINDS), help="What the ids in --file are, one a line."
        ),
        click.option(
            "--file",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            metavar="FILE",
            help='People, one a line: {"user": "ID"} as JSON, or ids of one --kind.',
        ),
        click.option("--source", metavar="ID", help="Of this source only."),
        click.option("--session", "sessions", multiple=True, metavar="ID", help="A session alone."),
        click.option(
            "--user", "users", multiple=True, metavar="ID", help="A person by the customer's id."
        ),
        click.option(
            "--profile", "profiles", multiple=True, metavar="ID", help="A profile, or an alias."
        ),
    ):
        function = option(function)
    return function


@click.command()
@people_options
@click.option("--resume", is_flag=True, help="Go on with what was broken off, and nothing else.")
@click.option(
    "--repeat-audit",
    "audit",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="After a restore: erase once more whom this erasures.jsonl says, where they are here.",
)
@config_option
@data_option
def forget(
    config: Path | None, data: str | None, *, resume: bool, audit: Path | None, **named: Any
) -> None:
    """Erase people: every event, reject, session and trait of theirs, from everywhere.

    What was recorded until now goes, with all that belongs to the same person: a profile's aliases
    and sessions, a user's own profiles and sessions. Who comes again afterwards begins anew. The
    receipt, a line of JSON, names nobody; it says which backups still hold them. Nothing can be
    taken back. docs/privacy.md has the details.

    \b
    footfall forget --user 4711
    footfall forget --file people.jsonl --source shop
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    people = named_people(**named)
    ways = bool(people) + resume + (audit is not None)
    if ways != 1:
        raise click.UsageError("Name whom with --profile, --user, --session or --file (or one of "
                               "--resume, --repeat-audit).")  # fmt: skip
    order = {
        "people": people,
        "source": named["source"],
        "resume": resume,
        "audit": _text(audit, AuditNotValid) if audit else None,
    }
    asyncio.run(_forget(Configuration.of(config, {"server.data": data}), order))


@click.command()
@people_options
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="A file for each person; those that are there already are not made again.",
)
@config_option
@data_option
def export(config: Path | None, data: str | None, *, output: Path | None, **named: Any) -> None:
    """Give everything that is kept about a person, as one JSON document.

    \b
    footfall export --user 4711 > 4711.json
    footfall export --file people.jsonl --output people
    """  # noqa: D301 - \b is click's mark for lines that stay as they are
    people = named_people(**named)
    if not people:
        raise click.UsageError("Name whom with --profile, --user, --session or --file.")
    if output is None and len(people) > 1:
        raise click.UsageError("Several people need --output DIR: one file for each.")
    if output is not None:
        output.mkdir(mode=0o700, parents=True, exist_ok=True)
        people = [one for one in people if not _file(output, one, named["source"]).exists()]
        if not people:
            click.echo("Every file is there already.", err=True)
            return
    asyncio.run(_export(Configuration.of(config, {"server.data": data}), people, named, output))


def named_people(
    *,
    profiles: Iterable[str],
    users: Iterable[str],
    sessions: Iterable[str],
    file: Path | None,
    kind: str | None,
    source: str | None,  # noqa: ARG001 - of the same options
) -> People:
    """Everybody once, in order. Raises `PeopleNotNamed`."""
    found: People = [
        {kind: name}
        for kind, names in zip(KINDS, (profiles, users, sessions), strict=True)
        for name in names
    ]
    found += _listed(file, kind) if file else []
    for name in (name for one in found for name in one.values()):
        if not name:
            raise PeopleNotNamed("An id is empty.")
    return [dict(pair) for pair in dict.fromkeys(tuple(one.items()) for one in found)]


def _listed(file: Path, kind: str | None) -> Iterator[dict[str, str]]:
    # Not splitlines: a text in JSON may have other characters that end lines.
    for number, line in enumerate(_text(file, PeopleNotNamed).split("\n"), 1):
        text = line.strip()
        if not text:
            continue
        if kind is not None:
            yield {kind: text}
            continue
        try:
            one = msgspec.json.decode(text, type=dict[str, str])
        except msgspec.MsgspecError as fault:
            raise PeopleNotNamed(f"{file}, line {number}: {fault}") from None
        if len(one) != 1 or not one.keys() <= set(KINDS):
            raise PeopleNotNamed(f"{file}, line {number}: not one of {', '.join(KINDS)}.")
        yield one


def _text(file: Path, fault: type[FootfallError]) -> str:
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise fault(f"{file} is not UTF-8, from byte {error.start} on.") from None


@contextlib.contextmanager
def _known_source() -> Iterator[None]:
    """A source that nobody knows is a command line that is not understood."""
    try:
        yield
    except SourceUnknown as fault:
        raise click.BadParameter(str(fault), param_hint="--source") from None


async def _forget(configuration: Configuration, order: Mapping[str, Any]) -> None:
    receipts = []
    async with asking(configuration) as (service, _):
        try:
            with _known_source(), progress("Forgetting") as tell:
                async for step in service.forget(**order):
                    tell(step)
                    receipts += [step["receipt"]] if "receipt" in step else []
        except (KeyboardInterrupt, asyncio.CancelledError):
            raise ErasureUnfinished("Broken off; what is gone stays gone.") from None
    for receipt in receipts:
        click.echo(msgspec.json.encode(receipt))
    if not receipts:
        click.echo("Nobody who is to be forgotten is here.", err=True)


async def _export(
    configuration: Configuration, people: People, named: Mapping[str, Any], output: Path | None
) -> None:
    async with asking(configuration) as (service, _):
        with _known_source(), progress("Exporting") as tell:
            writing: _Draft | None = None
            async for step in service.export(people, named["source"]):
                if "text" not in step:
                    tell(step)
                    if writing is not None:
                        writing.finish()
                        writing = None
                elif output is None:
                    sys.stdout.write(step["text"])
                else:
                    file = _file(output, people[step["person"]], named["source"])
                    writing = writing or _Draft(file)
                    writing.write(step["text"])
    sys.stdout.flush()


def _file(output: Path, person: Mapping[str, str], source: str | None) -> Path:
    """Named by the id as far as a name may be, and by its hash."""
    ((kind, name),) = person.items()
    digest = hashlib.sha256(f"{source or ''}\0{kind}\0{name}".encode()).hexdigest()[:12]
    return output / f"{kind}-{re.sub('[^A-Za-z0-9_-]', '_', name)[:NAMED]}-{digest}.json"


class _Draft:
    """A file that appears under its name when it is whole."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._draft = file.with_suffix(".part")
        descriptor = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        self._opened = os.fdopen(descriptor, "w", encoding="utf-8")

    def write(self, text: str) -> None:
        self._opened.write(text)

    def finish(self) -> None:
        self._opened.close()
        self._draft.rename(self._file)
