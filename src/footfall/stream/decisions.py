"""What is to be decided, and for whom: what `deciding` is given by those who know the stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from footfall.model import Micros
from footfall.settings import Service
from footfall.stream import contexts
from footfall.stream.contract import Pod
from footfall.stream.events import Mode, Sender
from footfall.stream.ladder import Content

PREROLL = "preroll"
"""Id of the pod of a live pre-roll."""


class Client(msgspec.Struct, frozen=True):
    """Whose request it is that decides or begins something."""

    sender: Sender
    headers: Mapping[str, str]
    """By names in lower case."""
    address: str
    """Whole; it is never stored."""


class Late(NamedTuple):
    """Where ads may begin once content of their break has been served."""

    deadline: Micros
    """Server's clock: decided until then, it is not late."""
    from_us: Callable[[], Micros]
    """A segment boundary that nobody has been shown yet; asked for when it is late."""


class Filling(msgspec.Struct, frozen=True):
    """A live break to be decided."""

    template: str
    """Address of the ad server, as in the settings."""
    mode: Mode
    parameters: tuple[tuple[str, str], ...]
    """The ad parameters of the call that decides."""
    start_us: Micros
    at_us: Micros
    """Where ads may begin at the earliest."""
    late: Late
    end_of: Callable[[Pod], Micros]
    """Where content comes back from an earlier pod."""
    content: Content
    planned_us: int | None = None
    limit_us: int | None = None
    signal_id: str = ""
    upid: str = ""


class Whole(msgspec.Struct, frozen=True):
    """A VOD to be decided."""

    template: str
    parameters: tuple[tuple[str, str], ...]
    boundaries: Sequence[Micros]
    """Starts of the reference rendition's segments, and its end."""
    content: Content


def mode_of(pod: Pod, service: Service) -> Mode:
    """What kind of decision a pod is."""
    if pod.id == contexts.WHOLE:
        return "vod"
    if pod.id == PREROLL:
        return "preroll"
    return "channel" if service.kind == "channel" else "replacement"
