"""The settings that a dataclass declares, with their types resolved.

Reading, rules and documentation all walk over these, so that a setting is described once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, get_type_hints

REQUIRED = dataclasses.MISSING
"""Stands as `Declared.default` where a setting must be given."""


@dataclasses.dataclass(frozen=True, slots=True)
class Declared:
    """One declared setting, or one table of settings."""

    name: str
    kind: Any
    """Its type: `int`, `str | None`, `tuple[str, ...]`, …, or a dataclass for a table."""
    default: Any
    help: str = ""
    unit: str | None = None
    low: float | None = None
    high: float | None = None
    allowed: tuple[str, ...] = ()
    example: str | None = None
    check: str | None = None
    needed: str | None = None
    dev: Any = ...

    @property
    def is_table(self) -> bool:
        return dataclasses.is_dataclass(self.kind)

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


def declared(kind: type) -> Mapping[str, Declared]:
    """What a dataclass declares, by name, in its order; fields without `setting` are left out."""
    hints = get_type_hints(kind)
    found = {}
    for part in dataclasses.fields(kind):
        hint = hints[part.name]
        if "help" in part.metadata or dataclasses.is_dataclass(hint):
            found[part.name] = Declared(part.name, hint, _default(part), **part.metadata)
    return found


def _default(part: dataclasses.Field[Any]) -> Any:
    if part.default_factory is not dataclasses.MISSING:
        return part.default_factory()
    return part.default
