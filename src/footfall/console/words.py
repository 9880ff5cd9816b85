"""Values in the words and figures that people read: numbers, sizes, ages, times, JSON.

All times are UTC. Escaping is the templates' matter.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

CELL_CHARACTERS = 2_000
_UNITS = ("kB", "MB", "GB", "TB")


def number(value: float | None) -> str:
    """1234567 as "1,234,567"."""
    return "-" if value is None else f"{value:,}"


def percent(share: float | None) -> str:
    """A share of 0 to 1 as "12.5 %"."""
    return "-" if share is None else f"{share * 100:.1f}".removesuffix(".0") + " %"


def size(value: float) -> str:
    """Bytes in decimal units: "12.3 MB"."""
    if value < 1000:
        return f"{value:.0f} B"
    for unit in _UNITS:
        value /= 1000
        if value < 999.5 or unit == _UNITS[-1]:
            return f"{value:.1f} {unit}" if value < 99.95 else f"{value:.0f} {unit}"
    raise AssertionError


def span(seconds: float, digits: int = 1) -> str:
    """A duration in its two largest units: "1 h 05 min", "12.3 s"; seconds alone with `digits`."""
    if seconds < 0:
        return f"-{span(-seconds, digits)}"
    if seconds < 60:
        return f"{seconds:.{digits}f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def every(seconds: int) -> str:
    """What something is counted by: "minute", "30 minutes", "hour", "3 hours", "day"."""
    if seconds in (60, 3600, 86_400):
        return {60: "minute", 3600: "hour", 86_400: "day"}[seconds]
    return f"{seconds // 60} minutes" if seconds < 3600 else f"{seconds // 3600} hours"


def moment(value: datetime) -> str:
    """To the millisecond: "2026-01-31 18:30:05.123"."""
    return value.isoformat(" ", "milliseconds").removesuffix("+00:00")


def second(value: datetime) -> str:
    """To the second, where room is scarce: "2026-01-31 18:30:05"."""
    return value.isoformat(" ", "seconds").removesuffix("+00:00")


def iso(value: datetime) -> str:
    """For machines, whole."""
    return value.isoformat().replace("+00:00", "Z")


def clock(value: datetime) -> str:
    return value.strftime("%H:%M")


def pretty(value: msgspec.Raw | bytes) -> str:
    """JSON over several lines; as it is where it is no JSON that is understood here."""
    raw = bytes(value)
    try:
        return msgspec.json.format(raw, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return raw.decode("utf-8", "replace")


def plain(value: msgspec.Raw | bytes) -> str:
    """JSON as a value in a line: a text without its quotes, the rest as it is written."""
    raw = bytes(value)
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = raw.decode("utf-8", "replace")
    return cell(found if isinstance(found, str) else raw.decode("utf-8", "replace"))


def pairs(value: msgspec.Raw | bytes | None) -> list[tuple[str, Any]]:
    """A JSON object's names and values; nothing of what is none."""
    found = msgspec.json.decode(bytes(value)) if value is not None else None
    return list(found.items()) if isinstance(found, dict) else []


def cell(value: Any) -> str:
    """A value of anybody's query, on one line if it can be, and cut where it is long."""
    if isinstance(value, datetime):
        moment_text = value.replace(tzinfo=None).isoformat(" ")
        text = moment_text if value.tzinfo in (None, UTC) else f"{moment_text} {value.tzinfo}"
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, dict | list | tuple):
        text = _as_json(value)
    elif isinstance(value, bytes):
        text = f"0x{value[:CELL_CHARACTERS].hex()}"
    else:
        text = str(value)
    return text if len(text) <= CELL_CHARACTERS else text[:CELL_CHARACTERS] + "…"


def _as_json(value: Any) -> str:
    try:
        return msgspec.json.encode(value, enc_hook=str).decode()
    except (TypeError, ValueError):
        return str(value)


FILTERS = {
    shown.__name__: shown
    for shown in (
        *(number, percent, size, span, every, moment, second, iso, clock),
        *(pretty, plain, pairs, cell),
    )
}
"""For the templates, by these names."""
