"""The services of the settings: whose they are, whom they may ask, where their addresses lie.

To a player, everything lies below its service. What is in the origin's folder has its path there;
what is elsewhere, on another host or above the folder, has ``_/<scheme>/<host>/<path>``, and its
host must be one that the settings name. Paths and addresses are as they are encoded.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from footfall.model import Micros
from footfall.settings import Service, Settings, Slot, Source
from footfall.settings.development import OWN
from footfall.settings.values import is_host, seconds_of

FOREIGN = "_/"
"""What the path of an address begins with that is not in the origin's folder."""
SCHEMES = {"http": 80, "https": 443}
"""Of addresses that may be asked, with their own ports."""
SECOND = 1_000_000
CHANNELS = "http://channel.invalid/"
"""Below it channels have their playlists (`channels`); the name is reserved to exist nowhere."""

_IN_PATHS = "/%:@!$&'()*+,;=~-._"
_IN_QUERIES = _IN_PATHS + "?[]"
_MOST_LAYERS = 5
"""How often a path may be encoded over: an honest one is once, rarely twice."""
_NOT_IN_SEGMENTS = re.compile(r"[/\\\x00-\x1f\x7f]")
_NOT_IN_ADDRESSES = re.compile(r"[\x00-\x20\x7f\\]")
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_AUTHORITY = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:@]+))(?::(?P<port>\d+))?")


class HostRefused(ValueError):  # noqa: N818 - it names what is the case
    """An address on a host that the service may not ask."""


class Services:
    """The services of the settings, by id."""

    def __init__(self, settings: Settings, base: str) -> None:
        """`base`: scheme, host and port at which this server answers itself."""
        self.by_id: Mapping[str, Service] = {
            service.id: _in_folder(resolved(service, base)) for service in settings.services
        }
        self._sources = {source.id: source for source in settings.sources}

    def get(self, name: str) -> Service | None:
        return self.by_id.get(name)

    def source_of(self, service: Service) -> Source:
        """The source whose events a service's sessions are."""
        return self._sources[service.source]


def resolved(service: Service, base: str) -> Service:
    """The service with the server's own address, ``http://127.0.0.1:8080``, for `OWN`."""
    changed: dict[str, Any] = {
        field.name: _resolved(getattr(service, field.name), base)
        for field in dataclasses.fields(service)
    }
    return dataclasses.replace(service, **changed)


def folder_of_channel(service: Service) -> str | None:
    """The folder in which a channel's own playlists lie, which no network has; else None."""
    return f"{CHANNELS}{service.id}/" if service.kind == "channel" else None


def _in_folder(service: Service) -> Service:
    folder = folder_of_channel(service)
    return service if folder is None else dataclasses.replace(service, origin=folder)


def slot_window(slot: Slot) -> tuple[Micros, Micros]:
    """When a slot begins and ends."""
    start = seconds_of(slot.start)
    end = seconds_of(slot.end) if slot.end else start + (slot.duration_seconds or 0)
    return start * SECOND, end * SECOND


def allows(service: Service, host: str) -> bool:
    """Whether a service may ask a host; `host` without port, an IPv6 address without brackets."""
    names, domains, every = _allowed(service)
    host = _plain(host)
    return every or host in names or any(host.endswith(domain) for domain in domains)


def origin_of(service: Service, path: str, query: str = "") -> str:
    """The absolute address that a path below the service stands for.

    Raises `ValueError` where the path leads out of the origin's folder or is no path at all,
    `HostRefused` where it is on a host that the service may not ask.
    """
    if _is_hostile(path):
        raise ValueError("The path is empty, or has '..', encoded slashes or the like in it.")
    if path.startswith(FOREIGN):
        address = _foreign(service, path.removeprefix(FOREIGN))
    elif service.origin:
        address = service.origin.rstrip("/") + "/" + quote(path, safe=_IN_PATHS)
    else:
        raise ValueError("The service has no origin.")
    return f"{address}?{quote(query, safe=_IN_QUERIES)}" if query else address


def path_of(service: Service, address: str) -> str:
    """The path below the service that stands for an absolute address; its query is left out.

    Raises `ValueError` and `HostRefused` as `origin_of` does, which gives the address again, its
    host in lower case and its own port left out.
    """
    if _NOT_IN_ADDRESSES.search(address):
        raise ValueError("The address has spaces or the like in it.")
    parts = urlsplit(address)
    if parts.scheme not in SCHEMES:
        raise ValueError("The address is neither http nor https.")
    authority = _checked(service, parts.scheme, parts.netloc)
    whole = parts.path or "/"
    if "/." in whole:
        whole = _without_dots(whole)
    folder = _folder(service)
    full = f"{parts.scheme}://{authority}{whole}"
    path = full.removeprefix(folder)
    if not folder or path == full or path.startswith(FOREIGN):
        path = f"{FOREIGN}{parts.scheme}/{quote(authority, safe=':')}{whole}"
    if _is_hostile(path):
        raise ValueError("The path is empty, or has '..', encoded slashes or the like in it.")
    return path


def _without_dots(path: str) -> str:
    """An absolute path without "." and ".." (RFC 3986, 5.2.4); `urljoin` takes "//x" for a host."""
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments:
        if segment == "..":
            del kept[max(1, len(kept) - 1) :]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/".join(kept)


def _resolved(value: object, base: str) -> object:
    if isinstance(value, str) and value.startswith(OWN):
        return base + value.removeprefix(OWN)
    return tuple(_resolved(item, base) for item in value) if isinstance(value, tuple) else value


@lru_cache(maxsize=1024)
def _allowed(service: Service) -> tuple[frozenset[str], tuple[str, ...], bool]:
    """Hosts by name, the ends of hosts that are allowed with all below them, whether all are."""
    addresses = (
        service.origin,
        *service.assets,
        service.ad_server,
        service.preroll_ad_server,
        service.slate,
        *(slot.replacement for slot in service.slots),
    )
    names = {urlsplit(address).hostname or "" for address in addresses if address}
    names |= {host.removeprefix("*.") for host in service.hosts}
    domains = tuple(host[1:] for host in service.hosts if host.startswith("*."))
    return frozenset(_plain(name) for name in names if name != "*"), domains, "*" in service.hosts


def _plain(host: str) -> str:
    """A host in its one spelling."""
    if ":" in host:
        try:
            return str(ipaddress.IPv6Address(host))
        except ValueError:
            return host
    return host.lower().removesuffix(".")


@lru_cache(maxsize=1024)
def _folder(service: Service) -> str:
    """The origin's folder as `path_of` spells addresses; nothing where there is no origin."""
    if not service.origin:
        return ""
    parts = urlsplit(service.origin)
    path = f"{parts.path.rstrip('/')}/"
    return f"{parts.scheme}://{_checked(service, parts.scheme, parts.netloc)}{path}"


def _foreign(service: Service, rest: str) -> str:
    """The address of ``<scheme>/<host>/<path>``."""
    scheme, _, rest = rest.partition("/")
    authority, slash, path = rest.partition("/")
    if scheme not in SCHEMES or not slash:
        raise ValueError("After _/ comes http or https, then a host, then a path.")
    authority = _checked(service, scheme, unquote(authority))
    return f"{scheme}://{authority}/{quote(path, safe=_IN_PATHS)}"


def _checked(service: Service, scheme: str, authority: str) -> str:
    """Host and port in their one spelling, if the service may ask the host."""
    match = _AUTHORITY.fullmatch(authority)
    host = _plain(match["six"] or match["name"]) if match else ""
    if not match or not is_host(host) or (":" in host) != bool(match["six"]):
        raise ValueError("The address names no host, or more than a host and its port.")
    port = int(match["port"] or SCHEMES[scheme])
    if not 0 < port < 1 << 16:
        raise ValueError("The address has a port that there cannot be.")
    if not allows(service, host):
        raise HostRefused(f"{host} is not among the hosts that service {service.id} may ask.")
    name = f"[{host}]" if ":" in host else host
    return name if port == SCHEMES[scheme] else f"{name}:{port}"


def _is_hostile(path: str) -> bool:
    """Whether a path is none, or may mean another one to whoever takes it apart later.

    Servers differ in how often they decode, and in whether ``..;x`` is ``..``.
    """
    if not path or _LONE_PERCENT.search(path) or "\\" in path:
        return True
    return any(_is_hostile_segment(segment) for segment in path.split("/"))


def _is_hostile_segment(segment: str) -> bool:
    for _ in range(_MOST_LAYERS):
        if _NOT_IN_SEGMENTS.search(segment) or segment.partition(";")[0] in {".", ".."}:
            return True
        decoded = unquote(segment)
        if decoded == segment:
            return False
        segment = decoded
    return True
