"""Outgoing HTTP, with its limits: playlists, ads and creatives are fetched, beacons are sent.

Only hosts that a service's settings name are asked, at addresses that `network` lets through, and
so is every target of a redirect. One call has one limit of time over everything, and one of size,
on what is sent and on what that inflates to. Cookies are neither kept nor sent, and proxies of the
environment are not used: they would connect to whatever they like.

httpcore, which is httpx without its client, since only there the address that is connected to can
be chosen, and how far a request got be known.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal
from weakref import WeakValueDictionary

import httpcore
import httpx
import msgspec

from footfall.settings import Service
from footfall.settings.values import is_host
from footfall.stream.bodies import IncomingBody
from footfall.stream.contract import FetchError
from footfall.stream.network import AddressRefused, Network, Resolve
from footfall.stream.services import SCHEMES, allows

MOST_REDIRECTS = 5
CONNECTIONS = 512
"""Most to all hosts together; idle ones are kept up to `KEPT`, for `KEPT_SECONDS`."""
CONNECTIONS_PER_HOST = 128
"""So that a host that answers slowly leaves connections for others."""
KEPT = 64
KEPT_SECONDS = 15.0
DISCARDED_BYTES = 64 << 10
"""A body that nobody wants is read up to here, so that its connection can be used again."""
USER_AGENT = "footfall"

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SHOWN_CHARACTERS = 200


class Validators(msgspec.Struct, frozen=True, gc=False):
    """What an answer may be asked for again by, "only if it changed"."""

    etag: str = ""
    last_modified: str = ""

    def headers(self) -> dict[str, str]:
        found = {"if-none-match": self.etag, "if-modified-since": self.last_modified}
        return {name: value for name, value in found.items() if value}


class Fetched(msgspec.Struct, frozen=True, gc=False):
    """An answer of status 2xx; or 304, where `conditional` was given: then without a body."""

    status: int
    headers: Mapping[str, str]
    """By name in lower case."""
    body: bytes
    """Inflated."""
    url: str
    """As it was asked for."""
    final_url: str
    """After redirects: what relative addresses in the body are relative to."""

    @property
    def validators(self) -> Validators:
        return Validators(self.headers.get("etag", ""), self.headers.get("last-modified", ""))


class BeaconOutcome(msgspec.Struct, frozen=True, gc=False):
    """What came of a beacon."""

    outcome: Literal["sent", "failed", "uncertain"]
    """sent: it was answered, with whatever `status`. failed: no byte of it left, so that it may be
    sent again. uncertain: it left, wholly or in part, and was not answered; or it was answered
    by a redirect that led nowhere. It may have been counted, and is not sent again."""
    status: int | None = None
    latency_ms: float = 0.0
    kind: str = ""
    """Of the `FetchError`, where it was not sent. Sending again what was "refused" is in vain."""
    reason: str = ""


class _Progress:
    """How far a call got."""

    def __init__(self) -> None:
        self.sent = False
        """A byte of a request was, or was about to be, handed to a connection."""
        self.status: int | None = None
        """Of the last answer, once that is known to be no redirect that is followed."""

    async def trace(self, name: str, _info: Mapping[str, Any]) -> None:
        """What httpcore calls at each step."""
        if name == "http11.send_request_headers.started":
            self.sent = True


class Fetcher:
    """Outgoing HTTP of one process."""

    def __init__(
        self, *, resolve: Resolve | None = None, certificates: ssl.SSLContext | None = None
    ) -> None:
        """`resolve`: how hosts become addresses. `certificates`: whose are trusted."""
        self._resolve = resolve
        self._certificates = certificates
        self._pools: dict[bool, httpcore.AsyncConnectionPool] = {}
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def get(
        self,
        url: str,
        *,
        service: Service,
        timeout: float,  # noqa: ASYNC109 - it is over redirects too, and becomes a `FetchError`
        limit_bytes: int,
        headers: Mapping[str, str] | None = None,
        conditional: Validators | None = None,
    ) -> Fetched:
        """What stands at an address. Raises `FetchError`.

        `timeout` in seconds. `headers` are sent as they are, but for bytes that no header may have.
        """
        sent = {**(headers or {}), **(conditional.headers() if conditional else {})}
        extensions = {"timeout": {"connect": timeout}}
        async with (
            _faults(url, timeout),
            self._answer(url, service, sent, extensions) as (answer, final),
        ):
            if answer.status != 304 or not conditional:
                _expect_success(answer.status, final)
            names = _names(answer.headers)
            body = IncomingBody(_shown(final), names.get("content-encoding", ""), limit_bytes)
            body.expect(names.get("content-length", ""))
            async for chunk in answer.aiter_stream():
                body.add(chunk)
            return Fetched(answer.status, names, body.whole(), url, str(final))

    async def beacon(
        self,
        url: str,
        *,
        service: Service,
        timeout: float,  # noqa: ASYNC109 - as in `get`
        headers: Mapping[str, str] | None = None,
    ) -> BeaconOutcome:
        """Ask for an address whose answer does not matter; never raises `FetchError`."""
        progress = _Progress()
        began = time.perf_counter()
        fault = FetchError("", "")
        extensions = {"timeout": {"connect": timeout}, "trace": progress.trace}
        try:
            async with (
                _faults(url, timeout),
                self._answer(url, service, headers or {}, extensions) as (answer, _final),
            ):
                progress.status = answer.status
                await _discard(answer)
        except FetchError as error:
            fault = error
        latency_ms = (time.perf_counter() - began) * 1000
        if progress.status is not None:
            return BeaconOutcome("sent", progress.status, latency_ms)
        outcome: Literal["uncertain", "failed"] = "uncertain" if progress.sent else "failed"
        return BeaconOutcome(outcome, None, latency_ms, fault.kind, fault.detail)

    async def close(self) -> None:
        """Close every connection."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            await pool.aclose()

    @contextlib.asynccontextmanager
    async def _answer(
        self,
        url: str,
        service: Service,
        headers: Mapping[str, str],
        extensions: dict[str, Any],
    ) -> AsyncIterator[tuple[httpcore.Response, httpx.URL]]:
        """The answer that redirects lead to, its body unread, and its address."""
        here, came_from = _parsed(url), ""
        for _ in range(MOST_REDIRECTS + 1):
            _check(here, service, came_from)
            async with self._asked(here, service, headers, extensions) as answer:
                target = _names(answer.headers).get("location", "")
                if answer.status not in _REDIRECTS or not target:
                    yield answer, here
                    return
                await _discard(answer)
            came_from = f"{_shown(here)} redirects to "
            here = _joined(here, target)
        raise FetchError("status", f"{_shown(url)} redirects more than {MOST_REDIRECTS} times", 302)

    @contextlib.asynccontextmanager
    async def _asked(
        self,
        url: httpx.URL,
        service: Service,
        headers: Mapping[str, str],
        extensions: dict[str, Any],
    ) -> AsyncIterator[httpcore.Response]:
        """The answer of one server."""
        host = url.raw_host.decode("ascii")
        turn = self._turns.get(host) or asyncio.Semaphore(CONNECTIONS_PER_HOST)
        self._turns[host] = turn
        try:
            async with (
                turn,
                self._pool(private=service.private_addresses).stream(
                    "GET",
                    httpcore.URL(
                        scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                    ),
                    headers=_sent_headers(url, headers),
                    extensions=extensions,
                ) as answer,
            ):
                yield answer
        except AddressRefused as error:
            raise FetchError(
                "refused",
                f"{host} is at {error}, which is no public address; if that is meant, set "
                f"private_addresses of service {service.id}",
            ) from None

    def _pool(self, *, private: bool) -> httpcore.AsyncConnectionPool:
        """Connections to private addresses have a pool of their own.

        Else a service that must not use them could be given one that another service opened.
        """
        if private not in self._pools:
            self._certificates = self._certificates or httpx.create_ssl_context()
            self._pools[private] = httpcore.AsyncConnectionPool(
                ssl_context=self._certificates,
                max_connections=CONNECTIONS,
                max_keepalive_connections=KEPT,
                keepalive_expiry=KEPT_SECONDS,
                network_backend=Network(private=private, resolve=self._resolve),
            )
        return self._pools[private]


@contextlib.asynccontextmanager
async def _faults(url: str, seconds: float) -> AsyncIterator[None]:
    """The limit of time, and whatever goes wrong with a call as a `FetchError`."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except (TimeoutError, httpcore.TimeoutException):
        raise FetchError("timeout", f"{_shown(url)} took longer than {seconds:g} s") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        raise FetchError(
            "unreachable", f"{_shown(url)} did not answer: {error or type(error).__name__}"
        ) from error


def _parsed(url: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise FetchError("refused", f"{_shown(url)} is no address") from None


def _joined(url: httpx.URL, target: str) -> httpx.URL:
    try:
        return url.join(target)
    except (httpx.InvalidURL, ValueError):
        raise FetchError(
            "refused", f"{_shown(url)} redirects to {_shown(target)}, which is no address"
        ) from None


def _check(url: httpx.URL, service: Service, came_from: str) -> None:
    """Refuse what must not be asked. `came_from` is the beginning of the sentence."""
    host = url.raw_host.decode("ascii")
    shown = f"{came_from}{_shown(url)}"
    if url.scheme not in SCHEMES or not is_host(host):
        raise FetchError("refused", f"{shown} is no http or https address")
    if url.userinfo:
        raise FetchError("refused", f"{shown} has a name or password in it")
    if url.port is not None and not 0 < url.port < 1 << 16:
        raise FetchError("refused", f"{shown} has a port that there cannot be")
    if not allows(service, host):
        raise FetchError(
            "refused",
            f"{shown} is on a host that service {service.id} may not ask; if that is meant, add "
            f'"{host}" to its hosts',
        )


def _expect_success(status: int, url: httpx.URL) -> None:
    if not 200 <= status < 300:
        raise FetchError("status", f"{_shown(url)} answered {status}", status)


def _sent_headers(url: httpx.URL, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    sent = {"accept": "*/*", "accept-encoding": "gzip", "user-agent": USER_AGENT}
    sent |= {name.lower(): value for name, value in headers.items()}
    sent["host"] = url.netloc.decode("ascii")
    return [(name.encode("ascii"), _clean(value)) for name, value in sent.items()]


def _clean(value: str) -> bytes:
    """A header's value without what would end it: values may come from strangers."""
    if not value.isprintable():
        value = "".join(character for character in value if character.isprintable())
    return value.strip().encode("latin-1", "replace")


def _names(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by name in lower case; of a name that is repeated, the last."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


async def _discard(answer: httpcore.Response) -> None:
    """Read a body that nobody wants, if it is short."""
    read = 0
    async for chunk in answer.aiter_stream():
        read += len(chunk)
        if read > DISCARDED_BYTES:
            return


def _shown(url: str | httpx.URL) -> str:
    """An address for people: without its query, which may hold what is personal or secret."""
    text = str(url).partition("?")[0].partition("#")[0]
    scheme, separator, rest = text.partition("://")
    authority, slash, path = rest.partition("/")
    authority = authority.rpartition("@")[2]
    return f"{scheme}{separator}{authority}{slash}{path}"[:_SHOWN_CHARACTERS]
