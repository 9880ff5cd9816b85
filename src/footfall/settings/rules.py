"""What must hold between settings: the list `RULES`, one function per rule.

Each looks at the values that could be read and gives the place and the end of a sentence for
everything that breaks it. Values that could not be read are absent and were reported before.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from footfall.settings.lines import Place

Extensions = Mapping[str, type | None]
"""By protocol name: the dataclass of its table in ``[[source]]``, or None where it has none."""

Problem = tuple[Place, str]

_ID_WORDS = '1 to 64 letters, digits, "-", "_" and ".", beginning with a letter or digit'
SOURCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Draft:
    """Values by name, before they are made into `Settings`."""

    server: Mapping[str, Any]
    """Complete: defaults stand where nothing was given, or what was given could not be read."""
    sources: list[dict[str, Any]]
    given: list[frozenset[str]]
    """By source: the protocols' tables that the file has."""
    extensions: Extensions | None
    dev: bool


def broken(draft: Draft) -> Iterator[Problem]:
    """Everything that breaks a rule."""
    for rule in RULES:
        yield from rule(draft)


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, or all of them."""
    names = list(known)
    close = difflib.get_close_matches(name, names, 1)
    if close:
        return f'; did you mean "{close[0]}"?'
    return "; known here: " + ", ".join(names) if names else ""


def source_ids(draft: Draft) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, source in enumerate(draft.sources):
        name = source.get("id")
        if name is None:
            continue
        place = ("source", index, "id")
        if not SOURCE_ID.fullmatch(name):
            yield place, f'must be {_ID_WORDS}, not "{name}"'
        if name in first:
            yield place, f'"{name}" names source {first[name] + 1} already'
        if draft.dev and name == "dev":
            yield place, 'is "dev", which --dev adds itself; choose another'
        first.setdefault(name, index)


def keys(draft: Draft) -> Iterator[Problem]:
    owners: dict[str, int] = {}
    for index, source in enumerate(draft.sources):
        for digest in source.get("key_sha256", ()):
            if digest in owners:
                owner = draft.sources[owners[digest]].get("id", owners[digest] + 1)
                whose = "itself" if owners[digest] == index else f"source {owner}"
                yield (
                    ("source", index, "key_sha256"),
                    f"has {digest[:12]}… which {whose} has already: a key names one source",
                )
            owners.setdefault(digest, index)


def protocols(draft: Draft) -> Iterator[Problem]:
    if draft.extensions is None:
        return
    for index, source in enumerate(draft.sources):
        taken = source.get("protocols")
        if taken is None:
            continue
        if not taken:
            yield ("source", index, "protocols"), "is empty: name at least one protocol"
        for name in taken:
            if name not in draft.extensions:
                hint = nearest(name, draft.extensions)
                yield ("source", index, "protocols"), f'has "{name}", which is unknown{hint}'
        for name in sorted(draft.given[index]):
            if name in draft.extensions and name not in taken:
                yield (
                    ("source", index, name),
                    f'is set, but protocols does not list it: add "{name}" or take it out',
                )


def purposes(draft: Draft) -> Iterator[Problem]:
    for index, source in enumerate(draft.sources):
        privacy = source.get("privacy")
        if privacy is not None and not privacy.tcf_purposes:
            yield (
                ("source", index, "privacy", "tcf_purposes"),
                "is empty: name at least one purpose that must have consent",
            )


def tls(draft: Draft) -> Iterator[Problem]:
    pair = ("tls_certificate", "tls_key")
    for name, other in (pair, pair[::-1]):
        if draft.server[name] and not draft.server[other]:
            yield ("server", name), f"needs server.{other} as well"


def ports(draft: Draft) -> Iterator[Problem]:
    port, console = (draft.server[name] for name in ("port", "console_port"))
    if port and port == console:
        yield ("server", "console_port"), f"is {port}, which tracking has: choose another"


def dev_hosts(draft: Draft) -> Iterator[Problem]:
    if not draft.dev:
        return
    for name in ("host", "console_host"):
        host = draft.server[name]
        if not is_loopback(host):
            yield (
                ("server", name),
                f'is "{host}": --dev has a known key and serves loopback only (127.0.0.1)',
            )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


RULES: tuple[Callable[[Draft], Iterator[Problem]], ...] = (
    source_ids,
    keys,
    protocols,
    purposes,
    tls,
    ports,
    dev_hosts,
)
