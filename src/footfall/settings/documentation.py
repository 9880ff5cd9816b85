"""The settings as a page: rows of what there is, and `docs/settings.md` made of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from footfall.settings.declared import Declared, declared
from footfall.settings.fields import Server, Source
from footfall.settings.reading import environment_name
from footfall.settings.rules import Extensions
from footfall.settings.stream_fields import Service, Slot
from footfall.settings.values import expected


class Row(NamedTuple):
    """One setting as the documentation tells it; every field is text."""

    table: str
    """Its TOML header: ``[server.limits]``, ``[[source]]``, ``[source.vaix]``,
    ``[[service.slot]]``."""
    name: str
    takes: str
    """What it takes, in words: "a whole number from 0 to 65535"."""
    default: str
    """As TOML; "required" where it must be given, "unset" where nothing is meant."""
    help: str
    environment: str
    """Its variable; empty where it has none."""
    example: str


def describe(extensions: Extensions) -> tuple[Row, ...]:
    """Every setting there is, in the order of the file. `extensions` as for `load`."""
    rows = [*_rows(Server, ("server",), "[{}]"), *_rows(Source, ("source",), "[[{}]]")]
    for name, kind in sorted(extensions.items()):
        if kind:
            rows += _rows(kind, ("source", name), "[{}]")
    rows += _rows(Service, ("service",), "[[{}]]")
    rows += _rows(Slot, ("service", "slot"), "[[{}]]")
    return tuple(rows)


def page(extensions: Extensions) -> str:
    """`docs/settings.md`."""
    parts = [_HEAD]
    table = ""
    for row in describe(extensions):
        if row.table != table:
            table = row.table
            parts.append(f"\n## `{table}`\n\n{_INTRODUCTIONS.get(table, '')}\n".rstrip() + "\n")
            parts.append("\n| setting | default | takes | |\n|---|---|---|---|\n")
        example = f" Example: `{row.name} = {row.example}`." if row.example else ""
        parts.append(
            f"| `{row.name}` | {row.default} | {_cell(row.takes)} | {_cell(row.help)}{example} |\n"
        )
    return "".join(parts)


def _rows(kind: type, place: tuple[str, ...], brackets: str) -> Iterator[Row]:
    settings = declared(kind)
    for name, setting in settings.items():
        if not setting.is_table:
            yield Row(
                table=brackets.format(".".join(place)),
                name=name,
                takes=expected(setting),
                default=_default(setting),
                help=setting.help,
                environment=environment_name((*place, name)) if place[0] == "server" else "",
                example=setting.example or "",
            )
    for name, setting in settings.items():
        if setting.is_table:
            yield from _rows(setting.kind, (*place, name), "[{}]")


def _default(setting: Declared) -> str:
    if setting.required:
        return "required"
    return "unset" if setting.default is None else f"`{_toml(setting.default)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_toml(k)} = {_toml(v)}' for k, v in value.items())}}}"
    return str(value).removesuffix(".0")


def _cell(text: str) -> str:
    """Text that cannot end a table cell."""
    return text.replace("|", "\\|")


_HEAD = """\
# Settings

<!-- Made by `python -m footfall.cli.reference settings`; a test checks that it is current. -->

Settings are read from `footfall.toml` (`--config FILE`; without it, `footfall.toml` of the current
folder where there is one), then from the environment, then from the command line; the later wins.
Every setting has a default except the ones marked required, so a file can be as short as

```toml
[[source]]
id = "shop"
key_sha256 = ["…"]      # `footfall source new shop` prints this block with a fresh key
protocols = ["vaix"]
origins = ["https://www.example.com"]
```

`footfall check` names every problem of a file at once, each with its line. `SIGHUP` makes a running
server read its sources and services anew; what stands in `[server]` takes a restart.

- **Environment**: every setting of `[server]` and of its tables can be given as
  `FOOTFALL_SERVER_…`: `FOOTFALL_SERVER_PORT=9000`, `FOOTFALL_SERVER_LIMITS_BODY_BYTES=65536`. Lists
  are separated by commas. A variable of that prefix that names no setting is an error.
- **Files and directories** that the file names are taken from the folder that it stands in; those
  of the environment and the command line from the current one.
- **`footfall serve --dev`** adds a source `dev` with the key `dev-key`, every protocol and every
  origin, and the services of the demo; it serves loopback addresses only.
- **A list of one** may be written without its brackets: `origins = "https://www.example.com"`.
- `[cluster]` is not in this release, and a file with it is refused.
"""

_INTRODUCTIONS = {
    "[server]": "The process: where it listens, where it keeps things.",
    "[server.limits]": "A bound on everything that a stranger controls. Past one, a request is "
    "refused with a status and a reason that names it.",
    "[server.media]": "When media sessions close by themselves, and how their events are ordered. "
    "Times are those of the journal: while no server runs, none passes.",
    "[server.streams]": "Bounds on what streams ask of other servers, and on what they keep.",
    "[[source]]": "One site or app: its keys, who may call, what is kept. Repeat it for each.",
    "[source.privacy]": "Where a source reads consent, and which signals it honours; "
    "[privacy.md](privacy.md) says what comes of it.",
    "[[service]]": "One stream service of broadpeak.io session tracking: what it plays, whom it "
    "asks for ads, whom it may ask at all. The hosts of its origin, assets, ad servers, slate and "
    "slots may be asked without being listed.",
    "[[service.slot]]": "One piece of a channel's schedule, written after its `[[service]]`. Slots "
    "do not overlap.",
}
