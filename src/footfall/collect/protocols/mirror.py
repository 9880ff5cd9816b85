"""The customer's own API: ordinary requests, copied here by a web server's mirror, as events.

What it is for: a tracking session ties together what one person did, and some of that is plain
API calls that no tracker reports. nginx's `mirror` copies each request to this endpoint and
throws the answer away; ``docs/protocol-mirror.md`` has the configuration. Bodies are never kept.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import unquote, urlsplit

from footfall.collect import wire
from footfall.collect.contract import (
    Draft,
    Intent,
    Protocol,
    Reason,
    Refusal,
    Reply,
    Request,
    Route,
)
from footfall.collect.sources import Sources
from footfall.settings import Source, setting

EVENT = "request"
RECORDED = Reply(204)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    """`[source.mirror]`"""

    peers: tuple[str, ...] = setting(
        (),
        "Networks whose requests belong to this source without a key.",
        check="network",
        example='["10.1.0.0/16"]',
        dev=("127.0.0.0/8", "::1/128"),
    )
    keep_query: bool = setting(
        False, "Keep the query of the request's URI; it often holds personal data."
    )


def decode(request: Request, sources: Sources) -> Intent | Refusal:
    """Whose request it is, then what it was."""
    source = _source(request, sources)
    if isinstance(source, Refusal):
        return source
    draft = _draft(request, source.of(Mirror))
    return Intent(source=source, drafts=(draft,), reply=RECORDED)


def _source(request: Request, sources: Sources) -> Source | Refusal:
    """By key, else by address. The path may name the source, and must where several fit.

    An address counts also where a key is sent that is not ours: a copied request carries the
    headers of the original, whose API may have keys of its own under the same name.
    """
    named = request.params.get("source")
    key = request.header(b"x-api-key")
    source = sources.by_key(key) if key else None
    if source is not None:
        if "mirror" not in source.protocols:
            return Refusal(
                reason=Reason.PROTOCOL_NOT_ALLOWED,
                detail="This key's source does not take the protocol mirror; "
                "add it to its protocols.",
                source=source,
            )
        if named in {None, source.id}:
            return source
        return Refusal(
            reason=Reason.KEY_UNKNOWN,
            detail="The key in X-API-Key belongs to another source than the path names.",
        )
    fitting = [
        candidate
        for candidate in sources.taking("mirror")
        if named in {None, candidate.id} and _is_peer(request.client_ip, candidate)
    ]
    if len(fitting) == 1:
        return fitting[0]
    return _nobody(several=bool(fitting), with_key=bool(key))


def _nobody(*, several: bool, with_key: bool) -> Refusal:
    if several:
        return Refusal(
            reason=Reason.KEY_MISSING,
            detail="Several sources list this address; name one in the path: /mirror/its-id.",
        )
    if with_key:
        return Refusal(
            reason=Reason.KEY_UNKNOWN,
            detail="The key in X-API-Key is not known here, and no source lists this address.",
        )
    return Refusal(
        reason=Reason.KEY_MISSING,
        detail="The header X-API-Key is missing, and no source lists this address in its peers.",
    )


def _is_peer(client_ip: str, source: Source) -> bool:
    networks = _networks(source.of(Mirror).peers)
    if not networks:
        return False
    try:
        address = ip_address(client_ip)
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in networks)


@functools.lru_cache(maxsize=1024)
def _networks(peers: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(peer, strict=False) for peer in peers)


def _draft(request: Request, mirror: Mirror) -> Draft:
    method = request.header(b"x-original-method") or request.method
    path, query = _path_and_query(request)
    properties: dict[str, Any] = {"method": method[:32], "path": path}
    host = request.header(b"x-original-host") or request.header(b"host")
    if host:
        properties["host"] = host[: wire.HEADER_CHARACTERS]
    if mirror.keep_query and query:
        properties["query"] = query
    context: Mapping[str, Any] | None = wire.sent_by(request.headers) or None
    return Draft(type=EVENT, page=path, properties=properties, context=context)


def _path_and_query(request: Request) -> tuple[str, str]:
    """Of the original request, where the web server passes its URI on, else of this one."""
    uri = request.header(b"x-original-uri")
    if not uri:
        return request.path, request.query
    try:
        parts = urlsplit(uri if "://" in uri.partition("?")[0] else f"//host{uri}")
    except ValueError:  # brackets that are no IPv6 address
        path, _, query = uri.partition("?")
        return unquote(path) or "/", query
    return unquote(parts.path) or "/", parts.query


def refuse(refusal: Refusal) -> Reply:
    """For whoever reads the web server's log: nobody else gets to see it."""
    status = wire.STATUS[refusal.reason]
    return wire.refusal_json(refusal, {"error": refusal.detail, "status": status})


PROTOCOL = Protocol(
    name="mirror",
    routes=(Route("/mirror", ()), Route("/mirror/{source}", ())),
    decode=decode,
    refuse=refuse,
    settings=Mirror,
)
