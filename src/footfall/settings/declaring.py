"""How one setting is declared: with everything that validation and documentation say of it."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def setting(
    default: Any,
    help: str,  # noqa: A002 - it is the setting's help
    *,
    unit: str | None = None,
    low: float | None = None,
    high: float | None = None,
    allowed: tuple[str, ...] = (),
    example: str | None = None,
    check: str | None = None,
    needed: str | None = None,
    dev: Any = ...,
) -> Any:
    """One setting.

    `default`: ``...`` where it must be given. `low` and `high` bound a number, both included.
    `example` is a TOML value for the documentation. `check` names a further rule of
    `footfall.settings.values.CHECKS`: "network", "origin", "file", "sha256", "place", "name",
    "url", "folder", "host", "moment".
    `needed` says, as the end of a sentence, what comes of leaving it empty, where that is lawful
    and hardly meant.
    `dev` is the value that source ``dev`` has instead of the default (`footfall serve --dev`).
    """
    metadata = {
        "help": help,
        "unit": unit,
        "low": low,
        "high": high,
        "allowed": allowed,
        "example": example,
        "check": check,
        "needed": needed,
        "dev": dev,
    }
    if default is ...:
        return field(metadata=metadata)
    if isinstance(default, dict):  # a dataclass refuses a default that could be changed
        return field(default_factory=lambda: dict(default), metadata=metadata, hash=False)
    return field(default=default, metadata=metadata)
