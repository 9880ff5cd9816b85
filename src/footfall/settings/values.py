"""One value at a time: from TOML or the environment to the type that a setting declares.

What is wrong is raised as `ValueError`, worded to follow the setting's name: "must be a whole
number from 0 to 65535, not true". It knows nothing of lines or of other settings: that is
`reading` and `rules`.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
import types
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Union, get_args, get_origin
from urllib.parse import urlsplit

from footfall.settings.declared import Declared, declared
from footfall.settings.fields import Settings

_SHA256 = re.compile(r"[0-9A-Fa-f]{64}")
_PLACE = re.compile(r"(properties|context)(\.[^.]+){1,16}")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_HOST = re.compile(r"(?!-)[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_BESIDE_ADDRESSES = re.compile(r"[\x00-\x20\x7f\\]")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_DEFAULT_PORTS = {"http": 80, "https": 443}


def convert(setting: Declared, value: object, folder: Path) -> Any:
    """A TOML value as the setting's type. Relative names of files are taken from `folder`."""
    if value is None and _without_none(setting.kind) is not setting.kind:
        return None
    if setting.check == "moment" and isinstance(value, datetime):
        value = value.isoformat()  # TOML has moments of its own, without quotes
    shaped = _shape(setting, setting.kind, value)
    if setting.check is None:
        return shaped
    check = CHECKS[setting.check]
    if isinstance(shaped, tuple):
        return tuple(check(item, folder) for item in shaped)
    return check(shaped, folder)


def from_text(setting: Declared, text: str) -> object:
    """What the text of an environment variable stands for, ready for `convert`.

    No text at all unsets what may be unset.
    """
    kind = _without_none(setting.kind)
    if not text and kind is not setting.kind:
        return None
    if kind is bool:
        return _BOOLEANS.get(text.strip().lower(), text)
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return text
    if get_origin(kind) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def unreadable_files(settings: Settings) -> list[str]:
    """A sentence for every file that the settings name and that cannot be read."""
    return [
        f"{name} names {path}, {why}"
        for name, path in _named_files(settings)
        if (why := unreadable(Path(path)))
    ]


def unreadable(path: Path) -> str:
    """Why a file cannot be read; empty where it can."""
    if not path.exists():
        return "which does not exist"
    if not path.is_file():
        return "which is not a file"
    return "" if os.access(path, os.R_OK) else "which this user may not read"


def bounds(setting: Declared) -> str:
    """The limits of a number in words: "from 0 to 65535 seconds", or empty."""
    unit = f" {setting.unit}" if setting.unit else ""
    low, high = setting.low, setting.high
    if low is not None and high is not None:
        return f"from {_plain(low)} to {_plain(high)}{unit}"
    if low is not None:
        return f"of at least {_plain(low)}{unit}"
    return f"of at most {_plain(high)}{unit}" if high is not None else ""


def expected(setting: Declared) -> str:
    """What a setting takes, in words: "a whole number from 0 to 65535"."""
    kind = _without_none(setting.kind)
    if setting.allowed:
        choice = "one of " + ", ".join(f'"{name}"' for name in setting.allowed)
        return f"a list of texts, each {choice}" if get_origin(kind) is tuple else choice
    return f"{_kind_words(kind)} {bounds(setting)}".strip()


def _shape(setting: Declared, kind: Any, value: object) -> Any:
    """The value in the type's shape and within the setting's limits."""
    kind = _without_none(kind)
    if get_origin(kind) is tuple:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list):
            raise ValueError(_must(setting, value))
        return tuple(_shape(setting, get_args(kind)[0], item) for item in items)
    if get_origin(kind) is dict:
        if not isinstance(value, dict):
            raise ValueError(_must(setting, value))
        item_kind = get_args(kind)[1]
        return {name: _item(setting, item_kind, name, item) for name, item in value.items()}
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ValueError(_must(setting, value))
    if not _within(setting, value):
        raise ValueError(_must(setting, value))
    return value


def _item(setting: Declared, kind: Any, name: str, value: object) -> Any:
    try:
        return _shape(setting, kind, value)
    except ValueError as error:
        raise ValueError(f'{error} for "{name}"') from None


def _within(setting: Declared, value: Any) -> bool:
    if setting.allowed and isinstance(value, str):
        return value in setting.allowed
    if isinstance(value, int | float):
        if not math.isfinite(value):
            return False
        low_enough = setting.high is None or value <= setting.high
        return low_enough and (setting.low is None or value >= setting.low)
    return True


def _must(setting: Declared, value: object) -> str:
    return f"must be {expected(setting)}, not {_shown(value)}"


def _shown(value: object) -> str:
    """A value as the operator wrote it, roughly: lists and tables only by their kind."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 80 else "a text of that length"
    if isinstance(value, list):
        return "a list with other items" if value else "an empty list"
    return "a table" if isinstance(value, dict) else str(value)


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def _without_none(kind: Any) -> Any:
    """`int` for `int | None`."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(part for part in get_args(kind) if part is not types.NoneType)
    return kind


def _kind_words(kind: Any) -> str:
    if get_origin(kind) is dict:
        return f"a table of {_PLURALS[get_origin(get_args(kind)[1]) or get_args(kind)[1]]}"
    if get_origin(kind) is tuple:
        return f"a list of {_PLURALS[get_args(kind)[0]]}"
    return _SINGULARS[kind]


_SINGULARS: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text in quotes",
}
_PLURALS: Mapping[Any, str] = {
    int: "whole numbers",
    float: "numbers",
    str: "texts",
    tuple: "lists of texts",
}


def _network(text: str, _folder: Path) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        try:
            meant = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValueError(
                f'must be networks such as "10.0.0.0/8" or "::1/128", not "{text}"'
            ) from None
        raise ValueError(f'has an address where a network is meant: write "{meant}"') from None
    return text


def _origin(text: str, _folder: Path) -> str:
    """An origin as browsers send it: in lower case, without the scheme's own port."""
    if text == "*":
        return text
    wrong = f'must be origins such as "https://www.example.com", or "*", not "{text}"'
    try:
        parts = urlsplit(text.lower())
        port = parts.port
    except ValueError:
        raise ValueError(wrong) from None
    if not parts.scheme or not parts.hostname or "@" in parts.netloc or "*" in parts.netloc:
        raise ValueError(wrong)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    own_port = port is None or port == _DEFAULT_PORTS.get(parts.scheme)
    origin = f"{parts.scheme}://{host}" if own_port else f"{parts.scheme}://{host}:{port}"
    if parts.path or parts.query or parts.fragment:
        raise ValueError(f'has more than scheme, host and port: write "{origin}"')
    return origin


def _sha256(text: str, _folder: Path) -> str:
    if not _SHA256.fullmatch(text):
        # The text is not shown: it may well be the key itself.
        raise ValueError(
            "must be the SHA-256 of a key, 64 hexadecimal digits; "
            "`footfall source new` makes a key and its SHA-256"
        )
    return text.lower()


def _place(text: str, _folder: Path) -> str:
    if not _PLACE.fullmatch(text):
        raise ValueError(
            f'must be a dotted path that begins with "properties." or "context.", not "{text}"'
        )
    return text


def _name(text: str, _folder: Path) -> str:
    """Of a header or cookie, as HTTP allows it."""
    if not _TOKEN.fullmatch(text):
        raise ValueError(f'must be a name of letters, digits and "-", not "{text}"')
    return text


def _url(text: str, _folder: Path) -> str:
    """An address that is fetched. Its query may hold macros, which are not looked at."""
    wrong = f'must be an address such as "https://www.example.com/x", not "{text}"'
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(wrong) from None
    if "@" in parts.netloc:
        # The text is not shown: what stands before the @ may be a password.
        raise ValueError("must not hold a name or password before its host")
    if parts.scheme not in _DEFAULT_PORTS or not host or not is_host(host):
        raise ValueError(wrong)
    if parts.fragment or _BESIDE_ADDRESSES.search(text):
        raise ValueError(f'must be an address without "#", "\\" and spaces, not "{text}"')
    return text


def _address_of_folder(text: str, folder: Path) -> str:
    """An address that paths are put after: it ends with a slash."""
    address = _url(text, folder)
    if "?" in address:
        raise ValueError(
            f'must be a folder, without "?" and what follows: write "{text.partition("?")[0]}"'
        )
    return address if address.endswith("/") else f"{address}/"


def _host(text: str, _folder: Path) -> str:
    """A host in lower case, a host and all below it as ``*.example.com``, or ``*``."""
    host = text.lower().removesuffix(".")
    if host == "*" or is_host(host.removeprefix("*.")):
        return host
    meant = _named_host(host)
    if meant:
        raise ValueError(f'has more than the host\'s name: write "{meant}"; all its ports may do')
    raise ValueError(f'must be hosts such as "ads.example.com" or "*.example.com", not "{text}"')


def is_host(text: str) -> bool:
    """Whether it is a host's name in ASCII, or an address without brackets."""
    text = text.lower()
    if ":" not in text:
        return len(text) <= 253 and bool(_HOST.fullmatch(text))
    try:
        return ipaddress.IPv6Address(text).scope_id is None
    except ValueError:
        return False


def _named_host(text: str) -> str:
    """The host of an address or of ``host:port``; empty where there is none."""
    try:
        host = urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        return ""
    return host if is_host(host) else ""


def _moment(text: str, _folder: Path) -> str:
    """A moment of ISO 8601, as ``2026-11-20T18:00:00Z``."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f'must be a moment such as "2026-11-20T18:00:00Z", not "{text}"') from None
    if moment.tzinfo is None:
        raise ValueError(f'has no time zone: write "{moment.isoformat()}Z" if it is in UTC')
    if moment.microsecond:
        raise ValueError("has a fraction of a second: whole seconds are taken")
    try:
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:
        raise ValueError(f'must be a moment of our times, not "{text}"') from None


def seconds_of(moment: str) -> int:
    """Seconds since 1970 of a moment as "moment" leaves it."""
    return int(datetime.fromisoformat(moment).timestamp())


def _file(text: str, folder: Path) -> str:
    """Only the path: whether it can be read is asked by `unreadable_files`."""
    return str(folder / text)


CHECKS: Mapping[str, Callable[[str, Path], str]] = {
    "network": _network,
    "origin": _origin,
    "sha256": _sha256,
    "file": _file,
    "place": _place,
    "name": _name,
    "url": _url,
    "folder": _address_of_folder,
    "host": _host,
    "moment": _moment,
}
"""The rules that a setting can name, each giving the text in its one spelling."""


def _named_files(settings: Settings) -> Iterator[tuple[str, str]]:
    tables: list[tuple[str, Any]] = [("server", settings.server)]
    for source in settings.sources:
        tables += [
            (f"source {source.id}: {protocol}", table)
            for protocol, table in source.protocol_settings.items()
        ]
    for where, table in tables:
        for name, setting in declared(type(table)).items():
            value = getattr(table, name)
            if setting.check == "file" and value is not None:
                for path in (value,) if isinstance(value, str) else value:
                    yield f"{where}.{name}", path
