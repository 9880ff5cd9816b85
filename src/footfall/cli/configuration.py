"""--config and --data, and the settings that they and the environment come to."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from footfall.errors import FootfallError, SettingsError
from footfall.settings import Settings, load

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_FILE = Path("footfall.toml")
_BETWEEN_PROBLEMS = "\0"


@dataclass(frozen=True)
class Configuration:
    """Where settings come from, beside the environment."""

    file: Path | None
    overrides: Mapping[str, object] = field(default_factory=dict)
    """By dotted name, as `footfall.settings.load` takes them."""
    dev: bool = False

    @classmethod
    def of(
        cls, config: Path | None, overrides: Mapping[str, object], *, dev: bool = False
    ) -> Configuration:
        """From a command's options: without a file, the default one where it exists."""
        if config is None and DEFAULT_FILE.is_file():
            config = DEFAULT_FILE
        given = {name: value for name, value in overrides.items() if value is not None}
        return cls(config, given, dev)

    def server_only(self) -> Settings:
        """`[server]`, checked; the sources are left out, as are the protocols they need."""
        return self._load(None, check_files=False)

    def whole(self, *, check_files: bool = True) -> Settings:
        """Everything, checked against the protocols that are installed; imports them."""
        from footfall.collect.protocols import installed  # noqa: PLC0415 - heavy

        extensions = {protocol.name: protocol.settings for protocol in installed()}
        return self._load(extensions, check_files=check_files)

    def check_apart(self) -> None:
        """Check everything in a process of its own: raises what `whole` raises.

        What the protocols load would stay in the memory of a process that runs for months.
        """
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os._exit(self._check_and_write(writing))
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as pipe:
            problems = pipe.read()
        _, status = os.waitpid(child, 0)
        if problems:
            raise SettingsError(*problems.split(_BETWEEN_PROBLEMS))
        if status:
            raise FootfallError("The settings could not be checked: their reader failed.")

    def _check_and_write(self, descriptor: int) -> int:
        """In the child: problems go to the pipe; the exit code."""
        try:
            self.whole()
        except SettingsError as error:
            with os.fdopen(descriptor, "w", encoding="utf-8") as pipe:
                pipe.write(_BETWEEN_PROBLEMS.join(map(str, error.args)))
            return 0
        except BaseException:  # noqa: BLE001 - the child must end here, whatever happens
            return 1
        return 0

    def _load(self, extensions: Mapping[str, type | None] | None, *, check_files: bool) -> Settings:
        return load(
            self._text(),
            os.environ,
            extensions=extensions,
            dev=self.dev,
            overrides=self.overrides,
            path=self.file,
            check_files=check_files,
        )

    def _text(self) -> str:
        if self.file is None:
            return ""
        try:
            return self.file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise SettingsError(f"{self.file}: not UTF-8 at byte {error.start}") from None


def config_option(function: F) -> F:
    """`--config FILE`"""
    return click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Settings; without it, footfall.toml of this folder where there is one.",
    )(function)


def data_option(function: F) -> F:
    """`--data DIR`"""
    return click.option(
        "--data",
        type=click.Path(file_okay=False),
        metavar="DIR",
        help="The data directory, instead of server.data of the settings.",
    )(function)
