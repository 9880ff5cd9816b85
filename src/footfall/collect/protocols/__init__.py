"""One vendor, one module, each with a `PROTOCOL`: found by listing this folder."""

from __future__ import annotations

import importlib
import pkgutil

from footfall.collect.contract import Protocol


def installed() -> tuple[Protocol, ...]:
    """Every protocol of this folder, by name."""
    modules = (
        importlib.import_module(f"{__name__}.{found.name}")
        for found in pkgutil.iter_modules(__path__)
    )
    return tuple(sorted((module.PROTOCOL for module in modules), key=lambda p: p.name))
