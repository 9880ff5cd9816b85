"""A request under ``/stream``: what it asks for, or how it is refused, in the order of the checks.

Pure: bytes of a request in, a `Call` or a finished `Answer` out. What is asked for is answered by
`endpoint`; what a session holds is not looked at here.

https://developers.broadpeak.io/docs/session-tracking-api
"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import lru_cache
from urllib.parse import quote, unquote, unquote_plus
from uuid import uuid4

import msgspec

from footfall.settings import Service
from footfall.stream import problems
from footfall.stream.problems import Problem
from footfall.stream.services import (
    FOREIGN,
    HostRefused,
    folder_of_channel,
    origin_of,
    path_of,
)

PREFIX = "/stream/"
METHODS = "GET, HEAD, OPTIONS"
SCHEMA = "schema/session-tracking.json"
"""Below `PREFIX`. No service is called `schema`."""
SUBTITLES = "empty.webvtt"
"""Below `PREFIX`: what stands in for subtitles while ads play."""
AD = "ad/"
"""Below a service with server-side tracking: segments of ads."""
CREATIVE = re.compile(r"creative/([0-9a-f]{32})/([^/]+)\Z")
"""Below a service: files of prepared creatives (`creatives`, `prepared`)."""
WORKFLOWS = frozenset({"1.0", "2.0"})
_OURS = frozenset({"bk-ml", "response"})
"""Beside everything that begins with `bpkio_`: no ad server hears of these parameters."""

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Location"),
)
NO_STORE = (b"cache-control", b"no-store")
CACHED = (b"cache-control", b"public, max-age=86400")

_OF_CHANNELS = re.compile(r"(?:master|[0-9]{1,4})\.m3u8\Z")
"""Paths of a channel's own playlists (`channels`)."""
_SESSION = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")
_NOT_IN_HEADERS = re.compile(r"[^!-~]")
_MANIFESTS = frozenset({"m3u8", "m3u", "mpd"})
_SAFE_IN_VALUE = "-._~/:@!$'()*,;"
"""What a parameter's value may hold as it is; `&`, `+`, `#`, `%`, `?` and `=` not."""
PATHS_KEPT = 4096
"""Paths of which is remembered what they stand for: few, and each is asked for all the time."""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """One HTTP answer, but for its length."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""


class Call(msgspec.Struct, frozen=True, gc=False):
    """A call of a session: of a playlist or manifest, or of its tracking."""

    service: Service
    path: str
    """Below the service, as it was encoded."""
    url: str
    """The address at the origin."""
    session_id: str
    workflow: str = ""
    """`bk-ml`; nothing: the playlist is asked for, not its tracking."""
    parameters: tuple[tuple[str, str], ...] = ()
    """Ad parameters, in order: all but those that are ours."""
    multivariant: str = ""
    """`bpkio_multivariant`: the path of the playlist that named this one."""
    multivariant_url: str = ""
    """Its address at the origin."""
    handed_on: str = ""
    """The query that every playlist of this session is asked for with, beside its own."""
    chosen: str = ""
    """What of that tells streams at one path apart."""

    @property
    def dash(self) -> bool:
        """Whether it is a DASH manifest."""
        return self.path.lower().endswith(".mpd")


class Segment(msgspec.Struct, frozen=True, gc=False):
    """A call of an ad's segment, where the server tracks."""

    service: Service
    token: str


class File(msgspec.Struct, frozen=True, gc=False):
    """A call of a file of a prepared creative."""

    key: str
    name: str


class Fixed(msgspec.Struct, frozen=True, gc=False):
    """A call of what is the same for everybody: `SCHEMA` or `SUBTITLES`."""

    name: str


class Requests:
    """Reads requests by the services that there are."""

    def __init__(self, services: Mapping[str, Service], new_session: Callable[[], str]) -> None:
        """`new_session` gives the id of a session that begins."""
        self._services = services
        self._new_session = new_session
        self._origins: dict[tuple[str, str], str | Problem] = {}

    def read(
        self, method: str, raw_path: str, query: str
    ) -> Call | Segment | File | Fixed | Answer:
        """What a request asks for; an `Answer` where that is settled at once.

        `raw_path` begins with `PREFIX` and is as it was encoded; `query` without question mark.
        """
        if method == "OPTIONS":
            return PREFLIGHT
        if method not in {"GET", "HEAD"}:
            return refusal(problems.METHOD)
        below = raw_path[len(PREFIX) :]
        if below in {SCHEMA, SUBTITLES}:
            return Fixed(below)
        name, _, path = below.partition("/")
        service = self._services.get(unquote(name) if "%" in name else name)
        if service is None:
            return refusal(problems.SERVICE_UNKNOWN)
        if service.tracking == "server" and path.startswith(AD) and not _is_named(path):
            return Segment(service, path[len(AD) :])
        if found := CREATIVE.match(path):
            return File(found[1], found[2])
        return self._call(service, path, query)

    def _call(self, service: Service, path: str, query: str) -> Call | Answer:
        ours: dict[str, str] = {}
        parameters: list[tuple[str, str]] = []
        twice: set[str] = set()
        for name, value in pairs(query):
            if name.startswith("bpkio_") or name in _OURS:
                if name in ours:
                    twice.add(name)
                ours[name] = value
            else:
                parameters.append((name, value))
        wrong = _wrong(service, ours, twice)
        if wrong is not None:
            return refusal(wrong)
        multivariant = ours.get("bpkio_multivariant", "")
        url = self._origin(service, path)
        parent = self._origin(service, multivariant) if multivariant else ""
        if isinstance(url, Problem):
            return refusal(url)
        if isinstance(parent, Problem):
            return refusal(parent)
        if folder_of_channel(service) is not None and not _OF_CHANNELS.match(path):
            return refusal(problems.CHANNEL_UNKNOWN)
        # What a multivariant playlist of ours names is a playlist, whatever its file is called.
        if not multivariant and not is_manifest(path):
            return _beside(path, url, query)
        session_id = ours.get("bpkio_sessionid")
        if session_id is None:
            return _opening(service, path, query, self._new_session())
        handed_on = _query((*service.origin_query, *service.stream_query), parameters)
        chosen = _query(service.stream_query, sorted(parameters))
        own = ours.get("bpkio_query", "")
        return Call(
            service,
            path,
            asked_with(f"{url}?{own}" if own else url, handed_on),
            session_id,
            ours.get("bk-ml", ""),
            tuple(parameters),
            multivariant,
            asked_with(parent, handed_on),
            handed_on,
            chosen,
        )

    def _origin(self, service: Service, path: str) -> str | Problem:
        """The address that a path stands for; remembered, since finding out takes its time."""
        found = self._origins.get((service.id, path))
        if found is None:
            found = address_of(service, path)
            if len(self._origins) >= PATHS_KEPT:
                self._origins.clear()
            self._origins[service.id, path] = found
        return found


def address_of(service: Service, path: str) -> str | Problem:
    """The absolute address that a path below a service stands for."""
    try:
        return origin_of(service, path)
    except HostRefused:
        return problems.HOST_REFUSED
    except ValueError:
        return problems.PATH_UNKNOWN


@lru_cache(PATHS_KEPT)
def spelled(service: Service, url: str) -> str:
    """An address as `Call.url` has it for who was sent to `playlist_address`, without its query.

    Playlists write a host in capitals, name the port that goes without saying, or do not encode.
    """
    address = url.partition("#")[0].partition("?")[0]
    try:
        return origin_of(service, path_of(service, address))
    except ValueError:
        return address


def _wrong(service: Service, ours: Mapping[str, str], twice: Collection[str]) -> Problem | None:
    """The first thing that is wrong with a call's parameters."""
    if "bk-ml" in twice or ours.get("bk-ml", "1.0") not in WORKFLOWS:
        return problems.WORKFLOW_UNKNOWN
    session_id = ours.get("bpkio_sessionid")
    if session_id is not None and ("bpkio_sessionid" in twice or not _SESSION.match(session_id)):
        return problems.SESSION_MALFORMED
    if ours.get("bpkio_serviceid", service.id) != service.id:
        return problems.SERVICE_CONTRADICTED
    return None


def _query(names: Collection[str], parameters: Iterable[tuple[str, str]]) -> str:
    """Those of a session's parameters that the settings name, as a query."""
    if not names:
        return ""
    return "&".join(
        f"{quote(name, safe='')}={_value(value)}" for name, value in parameters if name in names
    )


def asked_with(url: str, handed_on: str) -> str:
    """An address with what is handed on; what it says itself stays as it is."""
    if not handed_on or not url:
        return url
    base, _, query = url.partition("?")
    given = {pair.partition("=")[0] for pair in query.split("&")}
    more = [pair for pair in handed_on.split("&") if pair.partition("=")[0] not in given]
    query = "&".join([query, *more] if query else more)
    return f"{base}?{query}" if query else base


def pairs(query: str) -> list[tuple[str, str]]:
    """Names and values of a query, decoded, in order."""
    found = []
    for pair in query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            if "%" in pair or "+" in pair:
                name, value = unquote_plus(name), unquote_plus(value)
            found.append((name, value))
    return found


def is_manifest(path: str) -> bool:
    """Whether a path may be a playlist's or a manifest's; else it is a segment or a key."""
    file = path.rpartition("/")[2]
    _, dot, ending = file.rpartition(".")
    return not dot or ending.lower() in _MANIFESTS


def _is_named(path: str) -> bool:
    """Whether a path is a playlist's or manifest's by its ending, as no segment's token is."""
    return "." in path and path.rpartition(".")[2].lower() in _MANIFESTS


def playlist_address(call: Call, url: str, multivariant: str) -> str:
    """Where a session asks for a playlist that a multivariant playlist names; a path only.

    On a host that the service may not ask, it is left where it is, and plays without ads.
    """
    address, _, query = url.partition("#")[0].partition("?")
    try:
        path = path_of(call.service, address)
    except ValueError:
        return url
    parts = [f"bpkio_sessionid={call.session_id}&bpkio_serviceid={call.service.id}"]
    if multivariant:
        parts.append(f"bpkio_multivariant={_value(multivariant)}")
    if query:
        parts.append(f"bpkio_query={_value(query)}")
    parts += [f"{quote(name, safe='')}={_value(value)}" for name, value in call.parameters]
    return f"{PREFIX}{call.service.id}/{path}?{'&'.join(parts)}"


def refusal(problem: Problem) -> Answer:
    """The answer that tells a problem."""
    allow = ((b"allow", METHODS.encode()),) if problem.allow else ()
    return Answer(
        problem.status,
        (*HEADERS, NO_STORE, (b"content-type", problems.MEDIA_TYPE), *allow),
        problem.body(),
    )


def redirect(status: int, location: str) -> Answer:
    """An empty answer that names where to go on."""
    if _NOT_IN_HEADERS.search(location):
        location = quote(location, safe=string.punctuation)
    return Answer(status, (*HEADERS, NO_STORE, (b"location", location.encode("ascii"))))


def new_session_id() -> str:
    """Eight hexadecimal digits, a hyphen, a UUID of version 4."""
    return f"{secrets.token_hex(4)}-{uuid4()}"


PREFLIGHT = Answer(
    204,
    (
        *HEADERS,
        NO_STORE,
        (b"access-control-allow-methods", METHODS.encode()),
        (b"access-control-allow-headers", b"*"),
        (b"access-control-max-age", b"600"),
    ),
)


def _opening(service: Service, path: str, query: str, session_id: str) -> Answer:
    """307 to the same call with a session; 200 where the client cannot follow redirects."""
    kept = [
        pair for pair in query.split("&") if pair and pair.partition("=")[0] != "bpkio_serviceid"
    ]
    ids = f"bpkio_sessionid={session_id}&bpkio_serviceid={service.id}"
    status = 200 if ("response", "200") in pairs(query) else 307
    return redirect(status, f"{PREFIX}{service.id}/{path}?{'&'.join([ids, *kept])}")


def _beside(path: str, url: str, query: str) -> Answer:
    """What a DASH manifest, which passes unchanged, names beside itself: at the origin.

    Never elsewhere: nobody is to be led to a stranger's host by an address of ours.
    """
    if path.startswith(FOREIGN):
        return refusal(problems.PATH_UNKNOWN)
    return redirect(307, f"{url}?{query}" if query else url)


def _value(text: str) -> str:
    return quote(text, safe=_SAFE_IN_VALUE)
