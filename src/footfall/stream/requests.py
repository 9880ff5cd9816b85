"""A request under ``/stream``: what it asks for, or how it is refused, in the order of the checks.

Pure: bytes of a request in, a `Call` or a finished `Answer` out. What is asked for is answered by
`endpoint`; what a session holds is not looked at here.

https://developers.broadpeak.io/docs/session-tracking-api
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Mapping
from urllib.parse import quote, unquote, unquote_plus, urlsplit
from uuid import uuid4

import msgspec

from footfall.settings import Service
from footfall.stream import problems
from footfall.stream.problems import Problem

PREFIX = "/stream/"
METHODS = "GET, HEAD, OPTIONS"
SCHEMA = "schema/session-tracking.json"
"""Below `PREFIX`. No service is called `schema`."""
SUBTITLES = "empty.webvtt"
"""Below `PREFIX`: what stands in for subtitles while ads play."""
AD = "ad/"
"""Below a service with server-side tracking: segments of ads."""
FOREIGN = "_/"
"""Below a service: playlists that lie elsewhere, `_/https/host/path`."""
WORKFLOWS = frozenset({"1.0", "2.0"})
_OURS = frozenset({"bk-ml", "response"})
"""Beside everything that begins with `bpkio_`: no ad server hears of these parameters."""

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Location"),
)
NO_STORE = (b"cache-control", b"no-store")
CACHED = (b"cache-control", b"public, max-age=86400")

_SESSION = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")
_MANIFESTS = frozenset({"m3u8", "m3u", "mpd"})
_SAFE_IN_VALUE = "-._~/:@!$'()*,;"
"""What a parameter's value may hold as it is; `&`, `+`, `#`, `%`, `?` and `=` not."""


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
    session_id: str
    workflow: str = ""
    """`bk-ml`; nothing: the playlist is asked for, not its tracking."""
    parameters: tuple[tuple[str, str], ...] = ()
    """Ad parameters, in order: all but those that are ours."""
    multivariant: str = ""
    """`bpkio_multivariant`: the path of the playlist that named this one."""
    origin_query: str = ""
    """`bpkio_query`: the query that this playlist's address has at the origin."""

    @property
    def dash(self) -> bool:
        """Whether it is a DASH manifest."""
        return self.path.lower().endswith(".mpd")

    @property
    def url(self) -> str:
        """The address at the origin."""
        base, query = origin_address(self.service, self.path), self.origin_query
        handed_on = self.service.origin_query
        if handed_on:
            given = {name.partition("=")[0] for name in query.split("&")}
            for name, value in self.parameters:
                if name in handed_on and name not in given:
                    pair = f"{quote(name, safe='')}={quote(value, safe=_SAFE_IN_VALUE)}"
                    query = f"{query}&{pair}" if query else pair
        return f"{base}?{query}" if query else base


class Segment(msgspec.Struct, frozen=True, gc=False):
    """A call of an ad's segment, where the server tracks."""

    service: Service
    token: str


class Fixed(msgspec.Struct, frozen=True, gc=False):
    """A call of what is the same for everybody: `SCHEMA` or `SUBTITLES`."""

    name: str


def read(
    method: str,
    raw_path: str,
    query: str,
    services: Mapping[str, Service],
    new_session: Callable[[], str],
) -> Call | Segment | Fixed | Answer:
    """What a request asks for; an `Answer` where that is settled at once.

    `raw_path` begins with `PREFIX` and is as it was encoded; `query` without its question mark.
    `new_session` gives the id of a session that begins.
    """
    if method == "OPTIONS":
        return PREFLIGHT
    if method not in {"GET", "HEAD"}:
        return refusal(problems.METHOD)
    below = raw_path[len(PREFIX) :]
    if below in {SCHEMA, SUBTITLES}:
        return Fixed(below)
    name, _, path = below.partition("/")
    service = services.get(unquote(name) if "%" in name else name)
    if service is None:
        return refusal(problems.SERVICE_UNKNOWN)
    if service.tracking == "server" and path.startswith(AD):
        return Segment(service, path[len(AD) :])
    return _call(service, path, query, new_session)


def _call(service: Service, path: str, query: str, new_session: Callable[[], str]) -> Call | Answer:
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
    wrong = _wrong(service, path, ours, twice)
    if wrong is not None:
        return refusal(wrong)
    if not is_manifest(path):
        return _beside(service, path, query)
    session_id = ours.get("bpkio_sessionid")
    if session_id is None:
        return _opening(service, path, query, new_session())
    return Call(
        service,
        path,
        session_id,
        ours.get("bk-ml", ""),
        tuple(parameters),
        ours.get("bpkio_multivariant", ""),
        ours.get("bpkio_query", ""),
    )


def _wrong(
    service: Service, path: str, ours: Mapping[str, str], twice: Collection[str]
) -> Problem | None:
    """The first thing that is wrong with a call."""
    if "bk-ml" in twice or ours.get("bk-ml", "1.0") not in WORKFLOWS:
        return problems.WORKFLOW_UNKNOWN
    session_id = ours.get("bpkio_sessionid")
    if session_id is not None and ("bpkio_sessionid" in twice or not _SESSION.match(session_id)):
        return problems.SESSION_MALFORMED
    if ours.get("bpkio_serviceid", service.id) != service.id:
        return problems.SERVICE_CONTRADICTED
    multivariant = ours.get("bpkio_multivariant", "")
    if not _is_path(service, path) or (multivariant and not _is_path(service, multivariant)):
        return problems.PATH_UNKNOWN
    return None


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


def origin_address(service: Service, path: str) -> str:
    """The absolute address of a path below a service. See `path_of`."""
    if path.startswith(FOREIGN):
        scheme, host, rest = path[len(FOREIGN) :].split("/", 2)
        return f"{scheme}://{host}/{rest}"
    return _folder(service) + path


def path_of(service: Service, url: str) -> tuple[str, str]:
    """The path below the service that stands for an absolute address, and the address' query."""
    address, _, query = url.partition("#")[0].partition("?")
    folder = _folder(service)
    if folder and address.startswith(folder):
        return address[len(folder) :], query
    parts = urlsplit(address)
    return f"{FOREIGN}{parts.scheme}/{parts.netloc}{parts.path or '/'}", query


def playlist_address(call: Call, url: str, multivariant: str) -> str:
    """Where a session asks for a playlist that a multivariant playlist names; a path only."""
    path, query = path_of(call.service, url)
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
    return Answer(status, (*HEADERS, NO_STORE, (b"location", location.encode("latin-1"))))


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


def _beside(service: Service, path: str, query: str) -> Answer:
    """What a DASH manifest, which passes unchanged, names beside itself: at the origin.

    Never elsewhere: nobody is to be led to a stranger's host by an address of ours.
    """
    if path.startswith(FOREIGN) or service.origin is None:
        return refusal(problems.PATH_UNKNOWN)
    return redirect(307, origin_address(service, path) + (f"?{query}" if query else ""))


def _is_path(service: Service, path: str) -> bool:
    """Whether a path stays below the origin, or names another host as `FOREIGN` does."""
    if not path:
        return False
    decoded = unquote(path)
    if any(part in {".", ".."} for part in decoded.split("/")) or _CONTROL.search(decoded):
        return False
    if path.startswith(FOREIGN):
        parts = path[len(FOREIGN) :].split("/", 2)
        return len(parts) == 3 and parts[0] in {"http", "https"} and bool(_HOST.match(parts[1]))
    return service.origin is not None or service.kind == "channel"


_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?\Z|\[[0-9a-fA-F:.]+\](:\d{1,5})?\Z")


def _folder(service: Service) -> str:
    """The origin's address, ended by a slash; nothing for a channel."""
    origin = service.origin or ""
    return origin if not origin or origin.endswith("/") else f"{origin}/"


def _value(text: str) -> str:
    return quote(text, safe=_SAFE_IN_VALUE)
