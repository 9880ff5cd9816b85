"""Sends recorded traffic to a server, as the clients that were recorded would send it now.

A recording is JSON lines, one request each (`Recorded`). What a client learns from replies is
followed: the session id of a ``Location`` stands in the place of ``{sid}``, and an id that was
recorded in a reply is replaced, from then on, by the one that the server gives. Requests go one
after another in the order of the file, at the recorded times, faster, or without waiting.

It is no load generator: it asks whether the server answers as the recorded clients need.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from footfall.errors import RecordingNotValid, TargetUnreachable

SESSION = "{sid}"
REPLY_SECONDS = 30.0
_SHOWN_CHARACTERS = 300


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded request, and what its client was content with."""

    at_ms: float
    """Since the recording began."""
    method: str
    path: str
    """With its query, percent-encoded; ``{sid}`` is the session id that the server gave last."""
    headers: dict[str, str]
    body: Any = None
    """A JSON value; None for no body."""
    reply_status: int
    reply_profile: str | None = None
    """The id that the reply had in ``profile.id``."""
    reply_ids: dict[str, str] = {}
    """Further ids of the reply's JSON, by dotted path: ``{"session_id": "6d0c…"}``."""

    @property
    def learned_ids(self) -> Mapping[str, str]:
        """Every recorded id of the reply, by its dotted path."""
        profile = {"profile.id": self.reply_profile} if self.reply_profile else {}
        return {**profile, **self.reply_ids}


@dataclass(frozen=True)
class Answered:
    """One request that was sent, and how it was answered."""

    number: int
    """From 1, as the lines of the recording."""
    method: str
    path: str
    expected: int
    got: int
    text: str
    """The start of the reply's body."""

    @property
    def as_expected(self) -> bool:
        """The same status; for a preflight every 2xx, between which clients cannot tell."""
        if self.method == "OPTIONS" and 200 <= self.expected < 300:
            return 200 <= self.got < 300
        return self.got == self.expected


@dataclass(frozen=True)
class Clock:
    """The time, and how to let it pass; tests have their own."""

    now: Callable[[], float] = time.time
    """Seconds since 1970."""
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def read_recording(lines: Iterable[bytes], name: str) -> list[Recorded]:
    """The requests of a recording. Raises `RecordingNotValid` with the line that is wrong."""
    recording = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            recording.append(msgspec.json.decode(line, type=Recorded))
        except msgspec.MsgspecError as error:
            raise RecordingNotValid(f"{name}:{number}: {error}") from None
    if not recording:
        raise RecordingNotValid(f"{name}: holds no request")
    return recording


@dataclass
class Client:
    """What the recorded clients know by now, and thus would send."""

    recording: Sequence[Recorded]
    renamed: Mapping[str, str]
    """Values of bodies and headers that become others: the recorded source's id, say."""
    now_ms: int
    """What the first request's `playerTime.ts` becomes."""
    _session: str | None = None
    _ids: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = next((ts for one in self.recording for ts in _timestamps(one.body)), None)
        self._shift_ms = 0 if first is None else self.now_ms - int(first)

    def request(self, recorded: Recorded, base_url: str) -> httpx.Request:
        """The request as it would be sent now."""
        body = None if recorded.body is None else msgspec.json.encode(self._value(recorded.body))
        return httpx.Request(
            recorded.method,
            base_url.rstrip("/") + self.path(recorded),
            headers={name: self._text(value) for name, value in recorded.headers.items()},
            content=body,
            extensions={
                "timeout": dict.fromkeys(("connect", "read", "write", "pool"), REPLY_SECONDS)
            },
        )

    def path(self, recorded: Recorded) -> str:
        """The path with the ids of now. Before any session, ``{sid}`` stays, and gets its 404."""
        path = self._with_ids(recorded.path)
        return path if self._session is None else path.replace(SESSION, self._session)

    def learn(self, recorded: Recorded, response: httpx.Response) -> None:
        """Take from a reply what its client would take from it."""
        location = response.headers.get("location")
        if response.status_code == 201 and location:
            self._session = httpx.URL(location).path.rstrip("/").rpartition("/")[2]
        if not recorded.learned_ids:
            return
        try:
            reply = msgspec.json.decode(response.content)
        except msgspec.MsgspecError:
            return
        for path, recorded_id in recorded.learned_ids.items():
            given = _at(reply, path)
            if isinstance(given, str) and given:
                self._ids[recorded_id] = given

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return [self._value(item) for item in value]
        if isinstance(value, dict):
            moved = {name: self._value(item) for name, item in value.items()}
            if any(True for _ in _own_timestamp(value)):
                moved["playerTime"]["ts"] += self._shift_ms
            return moved
        return value

    def _text(self, text: str) -> str:
        return self.renamed.get(text) or self._with_ids(text)

    def _with_ids(self, text: str) -> str:
        """Every recorded id in a text, all at once: an id that is given may be one of them."""
        if not self._ids:
            return text
        pattern = "|".join(map(re.escape, self._ids))
        return re.sub(pattern, lambda found: self._ids[found[0]], text)


def replay(
    recording: Sequence[Recorded],
    base_url: str,
    *,
    renamed: Mapping[str, str],
    speed: float | None = 1.0,
    transport: httpx.BaseTransport,
    clock: Clock | None = None,
) -> Iterator[Answered]:
    """Send a recording; gives each request with its answer as soon as it is there.

    `speed`: how many times faster than recorded; None does not wait at all. `transport`: sends
    exactly what it is given, so that nothing is added that was not recorded. Raises
    `TargetUnreachable` when nobody answers.
    """
    clock = clock or Clock()
    client = Client(recording, renamed, now_ms=int(clock.now() * 1000))
    begun = clock.monotonic()
    for number, recorded in enumerate(recording, 1):
        if speed is not None:
            due = begun + (recorded.at_ms - recording[0].at_ms) / 1000 / speed
            clock.sleep(max(0.0, due - clock.monotonic()))
        request = client.request(recorded, base_url)
        response = _sent(transport, request)
        client.learn(recorded, response)
        yield Answered(
            number=number,
            method=recorded.method,
            path=request.url.raw_path.decode("ascii"),
            expected=recorded.reply_status,
            got=response.status_code,
            text=response.text[:_SHOWN_CHARACTERS],
        )


def _sent(transport: httpx.BaseTransport, request: httpx.Request) -> httpx.Response:
    try:
        response = transport.handle_request(request)
        response.read()
    except httpx.TransportError as error:
        raise TargetUnreachable(f"{request.method} {request.url}: {error}") from None
    return response


def _own_timestamp(value: Mapping[str, Any]) -> Iterator[float]:
    """`playerTime.ts` of an event, where it is a number."""
    time_ = value.get("playerTime")
    ts = time_.get("ts") if isinstance(time_, dict) else None
    if isinstance(ts, int | float) and not isinstance(ts, bool):
        yield ts


def _timestamps(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        yield from _own_timestamp(value)
    elif isinstance(value, list):
        for item in value:
            yield from _timestamps(item)


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    return value
