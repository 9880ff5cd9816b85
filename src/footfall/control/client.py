"""The control socket's client: a `Service` that is somewhere else."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec

from footfall.control.address import socket_address
from footfall.errors import FootfallError, ServerNotRunning, by_code

_TIMEOUT = httpx.Timeout(None, connect=5.0)
"""Only reaching the server is bounded: a query has its own limit there, a tail has none."""


class Control:
    """Asks the server that listens on a data directory's control socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def answers(self) -> bool:
        """Whether somebody listens on the socket now."""
        with contextlib.ExitStack() as stack:
            probe = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            probe.settimeout(5.0)
            try:
                probe.connect(stack.enter_context(socket_address(self._path)))
            except OSError:
                return False
        return True

    async def query(self, sql: str, fmt: str) -> AsyncIterator[bytes]:
        body = {"sql": sql, "format": fmt}
        async with self._asked("POST", "/query", json=body) as response:
            async for piece in response.aiter_bytes():
                yield piece

    async def tail(self, *, follow: bool, start: str) -> AsyncIterator[bytes]:
        params = {"follow": "1" if follow else "0", "from": start}
        async with self._asked("GET", "/tail", params=params) as response:
            async for line in _lines(response):
                _raise_told(line)
                yield line.encode() + b"\n"

    async def session(self, session_id: str) -> Sequence[Mapping[str, Any]]:
        async with self._asked("GET", "/session", params={"id": session_id}) as response:
            found: list[dict[str, Any]] = msgspec.json.decode(await response.aread())
            return found

    async def profile(self, profile_id: str) -> Sequence[Mapping[str, Any]]:
        async with self._asked("GET", "/profile", params={"id": profile_id}) as response:
            found: list[dict[str, Any]] = msgspec.json.decode(await response.aread())
            return found

    async def status(self) -> Mapping[str, Any]:
        async with self._asked("GET", "/status") as response:
            found: dict[str, Any] = msgspec.json.decode(await response.aread())
            return found

    async def import_profiles(self, source: str, lines: Sequence[bytes]) -> Mapping[str, Any]:
        body = {"source": source, "lines": [line.decode("utf-8", "replace") for line in lines]}
        async with self._asked("POST", "/import", json=body) as response:
            found: dict[str, Any] = msgspec.json.decode(await response.aread())
            return found

    async def backup(self, destination: str) -> AsyncIterator[Mapping[str, Any]]:
        body = {"destination": destination}
        async with self._asked("POST", "/backup", json=body) as response:
            async for line in _lines(response):
                _raise_told(line)
                yield msgspec.json.decode(line)

    async def forget(
        self,
        people: Sequence[Mapping[str, str]],
        source: str | None = None,
        *,
        resume: bool = False,
        audit: str | None = None,
    ) -> AsyncIterator[Mapping[str, Any]]:
        body = {"people": people, "source": source, "resume": resume, "audit": audit}
        async for item in self._told("/forget", body):
            yield item

    async def export(
        self, people: Sequence[Mapping[str, str]], source: str | None = None
    ) -> AsyncIterator[Mapping[str, Any]]:
        async for item in self._told("/export", {"people": people, "source": source}):
            yield item

    async def _told(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
        """The items of an answer of JSON lines."""
        async with self._asked("POST", path, json=body) as response:
            async for line in _lines(response):
                _raise_told(line)
                yield msgspec.json.decode(line)

    @contextlib.asynccontextmanager
    async def _asked(self, method: str, path: str, **parts: Any) -> AsyncIterator[httpx.Response]:
        with socket_address(self._path) as address:
            transport = httpx.AsyncHTTPTransport(uds=address)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://footfall", timeout=_TIMEOUT
            ) as client:
                try:
                    async with client.stream(method, path, **parts) as response:
                        if not response.is_success:
                            raise _told_by(await response.aread())
                        yield response
                except httpx.ConnectError:
                    raise ServerNotRunning(f"Nobody answers on {self._path}.") from None
                except httpx.TransportError as error:
                    raise ServerNotRunning(
                        f"The server broke off before it had told everything ({error})."
                    ) from None


async def _lines(response: httpx.Response) -> AsyncIterator[str]:
    """Lines that end in a newline. To httpx, some characters within a JSON text end one too."""
    rest = b""
    async for piece in response.aiter_bytes():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.decode()


def _raise_told(line: str) -> None:
    """An error may end JSON lines."""
    if line.startswith('{"error":'):
        told = msgspec.json.decode(line)["error"]
        if isinstance(told, dict) and "code" in told:
            raise _error(told)


def _told_by(body: bytes) -> FootfallError:
    try:
        return _error(msgspec.json.decode(body, type=dict[str, str]))
    except msgspec.MsgspecError:
        return FootfallError(f"The server failed: {body[:200].decode(errors='replace')}")


def _error(told: Mapping[str, str]) -> FootfallError:
    """The very error that the server met, by its code."""
    kind = by_code().get(told.get("code", ""), FootfallError)
    error = kind(told.get("message", "The server failed without a word."))
    if told.get("remedy"):
        error.remedy = told["remedy"]
    return error
