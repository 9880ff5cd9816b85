"""What a request says about its sender beyond the protocol, as one list of named steps.

`STEPS` runs in order over a `Visit`. A step's name says what it does: `put_…` fills fields,
`truncate_…` makes one coarser, `drop_…` may give a reason for which the events are not stored.
The outcome depends on a handful of headers only, so it is remembered per such handful.

Not for what the protocol itself carries: a field that the client filled wins over these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Any, Protocol

import msgspec
import structlog

from footfall.collect.agents import Agent
from footfall.collect.contract import DropReason, Request
from footfall.settings import Source

log = structlog.get_logger()

LONGEST = 512
"""Bytes of a user agent or origin that are looked at. Real ones are shorter, matching costs by
length, and what is remembered must not grow with what a stranger sends."""


class Visit(msgspec.Struct):
    """What the steps read (first block) and fill (second block)."""

    client_ip: str
    user_agent: str
    page_origin: str | None
    """`Origin`, else the origin of `Referer`; None where a backend calls."""
    bots: str
    """`Source.bots`."""

    device: str | None = None
    os: str | None = None
    browser: str | None = None
    country: str | None = None
    ip: str | None = None
    brand: str | None = None
    channel: str | None = None
    dropped: DropReason | None = None


class Countries(Protocol):
    """A MaxMind DB reader, as `maxminddb.open_database` gives it."""

    def get(self, ip_address: str) -> Any: ...


class Tools(msgspec.Struct, frozen=True):
    """What the steps look things up in."""

    parse_agent: Callable[[str], Agent]
    countries: Countries | None = None


def put_device(visit: Visit, tools: Tools) -> DropReason | None:
    """Device, system and browser by the user agent."""
    if visit.user_agent:
        agent = tools.parse_agent(visit.user_agent)
        visit.device, visit.os, visit.browser = agent.device, agent.os, agent.browser
        visit.channel = agent.channel
    return None


def drop_bot(visit: Visit, _tools: Tools) -> DropReason | None:
    """Leave out known crawlers where the source says so."""
    return DropReason.BOT if visit.bots == "drop" and visit.device == "bot" else None


def put_country(visit: Visit, tools: Tools) -> DropReason | None:
    """Country by the whole address, which is forgotten with the request."""
    if tools.countries is not None:
        try:
            found = tools.countries.get(visit.client_ip)
        except ValueError:
            return None  # no address: a Unix socket, or a proxy that hides it
        if isinstance(found, Mapping):
            country = found.get("country") or found.get("registered_country") or {}
            visit.country = country.get("iso_code")
    return None


def put_brand(visit: Visit, _tools: Tools) -> DropReason | None:
    """The site that the page belongs to, for requests of browsers."""
    visit.brand = visit.page_origin
    return None


def truncate_ip(visit: Visit, _tools: Tools) -> DropReason | None:
    """Keep the network of the address only: /24 of IPv4, /48 of IPv6."""
    try:
        address = ip_address(visit.client_ip)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped is not None:
        address = mapped
    bits = 24 if address.version == 4 else 48
    visit.ip = str(ip_network((address, bits), strict=False).network_address)
    return None


STEPS: tuple[Callable[[Visit, Tools], DropReason | None], ...] = (
    put_device,
    drop_bot,
    put_country,
    put_brand,
    truncate_ip,
)


class Enricher:
    """Runs `STEPS`, remembering what came of the last `remembered` distinct senders."""

    def __init__(self, tools: Tools, remembered: int) -> None:
        def run(client_ip: str, user_agent: bytes, page_origin: bytes, bots: str) -> Visit:
            visit = Visit(
                client_ip=client_ip,
                user_agent=user_agent.decode("latin-1"),
                page_origin=page_origin.decode("latin-1") or None,
                bots=bots,
            )
            for step in STEPS:
                try:
                    visit.dropped = step(visit, tools)
                except Exception:
                    # A damaged database must not cost events; they go without what it knew.
                    log.exception("enriching failed", step=step.__name__)
                if visit.dropped is not None:
                    break
            return visit

        self._run = lru_cache(maxsize=remembered)(run)

    def __call__(self, request: Request, source: Source) -> Visit:
        """What is known of a request's sender. Shared between requests: look, do not write."""
        headers = request.headers
        user_agent = headers.get(b"user-agent", b"")[:LONGEST]
        return self._run(request.client_ip, user_agent, page_origin(headers)[:LONGEST], source.bots)


def page_origin(headers: Mapping[bytes, bytes]) -> bytes:
    """`Origin`, else the origin of `Referer`, else nothing. An opaque `null` counts as absent."""
    origin = headers.get(b"origin")
    if origin and origin != b"null":
        return origin
    scheme, separator, rest = headers.get(b"referer", b"").partition(b"://")
    if not separator:
        return b""
    host = rest.partition(b"/")[0].partition(b"?")[0].partition(b"#")[0]
    return scheme + separator + host.rpartition(b"@")[2]
