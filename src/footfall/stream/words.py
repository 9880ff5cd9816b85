"""Events of streams in a few words, out of their properties: for whoever shows them to people.

Imports nothing of streams: a console needs none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

PROTOCOL = "broadpeak"

Row = Mapping[str, Any]


def words(row: Row) -> str:
    """What an event says; nothing of another protocol's, or of an unknown type.

    `row`: its columns, `properties` as they are or as JSON.
    """
    say = WORDS.get(row["type"])
    if row["protocol"] != PROTOCOL or say is None:
        return ""
    said = row["properties"]
    if isinstance(said, bytes | msgspec.Raw):
        said = msgspec.json.decode(said)
    if not isinstance(said, Mapping):
        return ""
    return ", ".join(part for part in say(said) if part)


def _session(said: Row) -> list[str]:
    workflow = said.get("workflow")
    return [f"{said.get('kind')} {said.get('path')}", f"bk-ml={workflow}" if workflow else ""]


def _ad_break(said: Row) -> list[str]:
    planned, slate = said.get("planned_ms"), said.get("slate_ms")
    of = f" of {_seconds(planned)}" if planned is not None else ""
    return [
        f"{said.get('pod')}: {said.get('outcome')}",
        f"{said.get('ads')} of {said.get('offered')} ads",
        f"{_seconds(said.get('filled_ms'))}{of}",
        f"slate {_seconds(slate)}" if slate else "",
        said.get("reason") or "",
    ]


def _ad(said: Row) -> list[str]:
    title = said.get("title")
    return [_place(said), _seconds(said.get("duration_ms")), f'"{title}"' if title else ""]


def _ad_error(said: Row) -> list[str]:
    which = f" ad {said['ad_id']}" if said.get("ad_id") else ""
    return [f"{said.get('pod')}:{which} {said.get('code')} {said.get('reason')}"]


def _segment(said: Row) -> list[str]:
    return [_place(said), f"segment {int(said.get('segment') or 0) + 1} of {said.get('of')}"]


def _origin_error(said: Row) -> list[str]:
    return [f"{said.get('kind')} {said.get('url')}", said.get("reason") or ""]


def _due(said: Row) -> list[str]:
    return [_place(said), f"{said.get('beacon')} to {said.get('host')}"]


def _beacon(said: Row) -> list[str]:
    status = said.get("status")
    came = f"{said.get('outcome')} {status}" if status else str(said.get("outcome"))
    return [*_due(said), came, said.get("reason") or ""]


def _place(said: Row) -> str:
    return f"{said.get('pod')}: ad {said.get('position')} {said.get('ad_id')}"


def _seconds(milliseconds: Any) -> str:
    return f"{(milliseconds or 0) / 1000:g} s"


WORDS: Mapping[str, Callable[[Row], list[str]]] = {
    "session": _session,
    "ad-break": _ad_break,
    "ad": _ad,
    "ad-error": _ad_error,
    "ad-segment": _segment,
    "beacon-due": _due,
    "beacon": _beacon,
    "origin-error": _origin_error,
}
"""By type of event: `footfall.stream.events` has what each says."""
