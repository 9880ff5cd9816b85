"""From file, environment and flags to `Settings`, or to one error that names every problem.

Each problem is a line of its own: where it stands, which setting, what is wrong, and what would
be right. Later sources win: the environment over the file, flags over the environment.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from footfall.errors import SettingsError
from footfall.settings import rules
from footfall.settings.declared import Declared, declared
from footfall.settings.development import DEV_SERVICES, dev_source
from footfall.settings.fields import Server, Settings, Source
from footfall.settings.lines import Lines, Place
from footfall.settings.rules import Draft, Extensions, nearest
from footfall.settings.stream_fields import Service, Slot
from footfall.settings.values import convert, expected, from_text, unreadable

ENVIRONMENT_PREFIX = "FOOTFALL_SERVER_"

TABLES = ("server", "source", "service")
NOT_IN_THIS_RELEASE = {
    "cluster": "is not in this release, which keeps everything in server.data; take it out",
}


def load(
    text: str,
    environment: Mapping[str, str],
    *,
    extensions: Extensions | None,
    dev: bool = False,
    overrides: Mapping[str, object] | None = None,
    path: Path | None = None,
    check_files: bool = True,
) -> Settings:
    """Settings from a file's text, or `SettingsError` with every problem at once.

    `extensions`: by protocol name, the dataclass of its table in ``[[source]]``, or None where it
    has no settings of its own. None for all of it reads ``[server]`` and leaves sources and
    services out: for the supervisor and for commands, which do not load the protocols.
    `overrides`: flags, as ``{"server.port": 9000}``; those of None are passed over. `path`: the
    file that the text came from; relative names in it are taken from its folder, all others from
    the current one.
    `check_files` off: files that cannot be read are not a problem
    (`footfall.settings.unreadable_files` tells of them).
    """
    name = str(path) if path else "footfall.toml"
    reader = _Reader(text, name, path.parent if path else Path(), check_files=check_files)
    raw = reader.parse()
    reader.put_environment(raw, environment)
    reader.put_overrides(raw, overrides or {})
    draft = Draft(
        server=reader.server(raw),
        sources=reader.sources(raw, extensions),
        services=reader.services(raw),
        given=given_tables(raw),
        extensions=extensions,
        dev=dev,
        unread=reader.faulty,
    )
    for place, message in list(rules.broken(draft)):
        reader.fault(place, message)
    reader.raise_problems()
    return _settings(draft, extensions, dev=dev)


def environment_name(place: tuple[str, ...]) -> str:
    """The variable of a setting: ``FOOTFALL_SERVER_LIMITS_BODY_BYTES``."""
    return "FOOTFALL_" + "_".join(place).upper()


def server_settings(kind: type = Server, place: tuple[str, ...] = ("server",)) -> dict[str, Any]:
    """Every setting of ``[server]`` and its tables: ``{"server.limits.body_bytes": Declared}``."""
    found: dict[str, Any] = {}
    for name, setting in declared(kind).items():
        if setting.is_table:
            found |= server_settings(setting.kind, (*place, name))
        else:
            found[".".join((*place, name))] = setting
    return found


def given_tables(raw: Mapping[str, Any]) -> list[frozenset[str]]:
    """By source, the names under which the file has tables."""
    return [
        frozenset(name for name, value in table.items() if isinstance(value, dict))
        if isinstance(table, dict)
        else frozenset()
        for table in _items(raw, "source")
    ]


def _items(table: Mapping[str, Any], name: str) -> list[Any]:
    """The tables of an array of tables; none where it is something else."""
    listed = table.get(name, [])
    return listed if isinstance(listed, list) else []


def _settings(draft: Draft, extensions: Extensions | None, *, dev: bool) -> Settings:
    server = Server(**draft.server)
    if extensions is None:
        return Settings(server=server, sources=(), dev=dev)
    sources = [Source(**values) for values in draft.sources]
    services = [_service(values) for values in draft.services]
    if dev:
        sources.append(dev_source(extensions))
        services += DEV_SERVICES
    return Settings(server=server, sources=tuple(sources), dev=dev, services=tuple(services))


def _service(values: Mapping[str, Any]) -> Service:
    slots = tuple(Slot(**slot) for slot in values["slots"])
    return Service(**{**values, "slots": slots})


_AFTER_THE_FILE = 1 << 30


class _Reader:
    """Collects values and problems of one file with what overrides it."""

    def __init__(self, text: str, name: str, folder: Path, *, check_files: bool) -> None:
        self._text = text
        self._name = name
        self._folder = folder
        self._check_files = check_files
        self._lines = Lines("")
        self._problems: list[tuple[int, str]] = []
        self.faulty: set[Place] = set()
        """Every place that has a problem."""
        self._from_outside: dict[Place, str] = {}
        self._ids: dict[Place, str] = {}
        """Of the items of arrays of tables, by their places."""

    # -- problems ---------------------------------------------------------------------------

    def fault(self, place: Place, message: str) -> None:
        """Note a problem of the setting at a place; `message` follows its name."""
        self.faulty.add(place)
        outside = self._from_outside.get(place)
        if outside:
            self._problems.append((_AFTER_THE_FILE, f"{outside} {message}"))
            return
        line = self._lines.of(place)
        where = f"{self._name}:{line}" if line else self._name
        self._problems.append((line or 0, f"{where}: {self._shown(place)} {message}"))

    def raise_problems(self) -> None:
        if self._problems:
            in_order = sorted(self._problems, key=lambda problem: problem[0])
            raise SettingsError(*(text for _, text in in_order))

    def _shown(self, place: Place) -> str:
        """A place in words: ``server.limits.body_bytes``, ``source shop: vaix.lenient``,
        ``service tv: slot news: start``.
        """
        words, begin = [], 0
        for at, part in enumerate(place):
            if isinstance(part, int):
                which = self._ids.get(place[: at + 1], f"{part + 1}")
                words.append(f"{place[at - 1]} {which}")
                begin = at + 1
        rest = ".".join(str(part) for part in place[begin:])
        return ": ".join([*words, rest] if rest else words)

    # -- where values come from ---------------------------------------------------------------

    def parse(self) -> dict[str, Any]:
        """The file as TOML has it; a text that is not TOML is one problem with its line."""
        try:
            raw = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            message = str(error)
            line = re.search(r"\(at line (\d+)", message)
            where = line[1] if line else self._text.count("\n") + 1
            raise SettingsError(f"{self._name}:{where}: not valid TOML: {message}") from None
        self._lines = Lines(self._text)
        self._check_tables(raw)
        return raw

    def put_environment(self, raw: dict[str, Any], environment: Mapping[str, str]) -> None:
        known = {environment_name(tuple(n.split("."))): n for n in server_settings()}
        settings = server_settings()
        for variable, text in sorted(environment.items()):
            if variable in known:
                name = known[variable]
                self._put(raw, name, from_text(settings[name], text), f"environment: {variable}")
            elif variable.startswith(ENVIRONMENT_PREFIX):
                hint = nearest(variable, known)
                self._problems.append(
                    (_AFTER_THE_FILE, f"environment: {variable} is not known{hint}")
                )

    def put_overrides(self, raw: dict[str, Any], overrides: Mapping[str, object]) -> None:
        for name, value in overrides.items():
            if value is not None:
                flag = "--" + name.rpartition(".")[2].replace("_", "-")
                self._put(raw, name, value, f"command line: {flag}")

    def _put(self, raw: dict[str, Any], name: str, value: object, origin: str) -> None:
        *tables, last = place = tuple(name.split("."))
        table = raw
        for part in tables:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                return  # reported as a table of the wrong kind
        table[last] = value
        self._from_outside[place] = origin

    # -- tables -------------------------------------------------------------------------------

    def server(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        defaults = {name: setting.default for name, setting in declared(Server).items()}
        values = defaults | self._values(Server, raw.get("server", {}), ("server",))
        data = self._folder_of(("server", "data")) / values["data"]
        return values | {"data": os.path.abspath(data)}  # noqa: PTH100 - resolve() follows links

    def sources(
        self, raw: Mapping[str, Any], extensions: Extensions | None
    ) -> list[dict[str, Any]]:
        tables = self._tables(raw, ("source",))
        return [self._source(table, place, extensions) for place, table in tables]

    def services(self, raw: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Values by name; ``slots`` are such again, of each `Slot`."""
        return [self._service(table, place) for place, table in self._tables(raw, ("service",))]

    def _tables(self, table: Mapping[str, Any], place: Place) -> list[tuple[Place, Any]]:
        """The items of the array of tables at a place, each with its own place.

        `table` is what the array stands in. Problems name an item by its id from now on.
        """
        name = place[-1]
        assert isinstance(name, str)
        if not isinstance(table.get(name, []), list):
            header = ".".join(part for part in place if isinstance(part, str))
            self.fault(place, f"is a list: write [[{header}]] with two brackets")
        found = []
        for index, item in enumerate(_items(table, name)):
            if isinstance(item, dict) and isinstance(item.get("id"), str):
                self._ids[*place, index] = item["id"]
            found.append(((*place, index), item))
        return found

    def _service(self, table: Any, place: Place) -> dict[str, Any]:
        values = self._values(Service, table, place, further={"slot": Slot})
        given = table if isinstance(table, dict) else {}
        slots = self._tables(given, (*place, "slot"))
        return values | {"slots": [self._values(Slot, item, at) for at, item in slots]}

    def _source(self, table: Any, place: Place, extensions: Extensions | None) -> dict[str, Any]:
        known = extensions or {}
        if extensions is None and isinstance(table, dict):
            # Whoever leaves the protocols out cannot judge their tables either.
            table = {name: value for name, value in table.items() if not isinstance(value, dict)}
        values = self._values(Source, table, place, further=known)
        given = table if isinstance(table, dict) else {}
        values["protocol_settings"] = {
            name: self._extension(kind, given.get(name, {}), (*place, name))
            for name, kind in known.items()
            if kind or name in given
        }
        return values

    def _extension(self, kind: type | None, table: Any, place: Place) -> Any:
        if kind is None:
            self.fault(place, "has no settings of its own; take the table out")
            return None
        problems = len(self._problems)
        values = self._values(kind, table, place)
        if len(self._problems) > problems:
            return None
        try:
            return kind(**values)
        except SettingsError as error:  # a rule between settings of the one protocol
            self.fault(place, f"is contradictory: {error}")
            return None

    def _values(
        self, kind: type, table: Any, place: Place, further: Mapping[str, object] | None = None
    ) -> dict[str, Any]:
        """A table's typed values by name; what is left out keeps the dataclass's default."""
        if not isinstance(table, dict):
            self.fault(place, "must be a table")
            return {}
        settings = declared(kind)
        known = [*settings, *(further or ())]
        for name in table:
            if name not in known:
                self.fault((*place, name), f"is not a setting{nearest(name, known)}")
        values: dict[str, Any] = {}
        for name, setting in settings.items():
            if name in table:
                self._put_value(values, setting, table[name], (*place, name))
            elif setting.required:
                self.fault((*place, name), f"is missing: it must be {expected(setting)}")
        return values

    def _put_value(
        self, values: dict[str, Any], setting: Declared, value: object, place: Place
    ) -> None:
        if setting.is_table:
            problems = len(self._problems)
            inner = self._values(setting.kind, value, place)
            if len(self._problems) == problems:
                values[setting.name] = setting.kind(**inner)
            return
        try:
            values[setting.name] = convert(setting, value, self._folder_of(place))
        except ValueError as error:
            self.fault(place, str(error))
            return
        if setting.check == "file" and self._check_files and values[setting.name]:
            self._check_file(values[setting.name], place)

    def _check_file(self, path: str, place: Place) -> None:
        why = unreadable(Path(path))
        if why:
            self.fault(place, f'names "{path}", {why}')

    def _check_tables(self, raw: Mapping[str, Any]) -> None:
        for name in raw:
            if name in NOT_IN_THIS_RELEASE:
                self.fault((name,), NOT_IN_THIS_RELEASE[name])
            elif name not in TABLES:
                self.fault((name,), f"is not a table of this file{nearest(name, TABLES)}")

    def _folder_of(self, place: Place) -> Path:
        """What relative file names at a place are relative to."""
        return Path() if place in self._from_outside else self._folder
