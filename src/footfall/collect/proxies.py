"""Whose word is taken for a client's address and scheme: trusted proxies', nobody else's.

One header is believed, the one that the operator's proxies set; a proxy passes the other one
through as the client sent it, so believing both would let clients choose their address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address, ip_network


class Proxies:
    """Trusted networks, and the header that they set."""

    def __init__(self, networks: Iterable[str], header: str) -> None:
        self._networks = tuple(ip_network(network, strict=False) for network in networks)
        self.any = bool(self._networks)
        """Whether anybody is trusted at all."""
        self._forwarded = header == "forwarded"
        self.trusted = lru_cache(maxsize=1024)(self._trusted)

    def _trusted(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(parsed, "ipv4_mapped", None)
        return any((mapped or parsed) in network for network in self._networks)

    def client(self, peer: str, scheme: str, headers: Mapping[bytes, bytes]) -> tuple[str, str]:
        """Address and scheme of the client of a request that came from `peer`.

        The chain of addresses is read from its near end; the first that is not a trusted proxy's
        is the client's.
        """
        if not self.trusted(peer):
            return peer, scheme
        hops = _forwarded(headers) if self._forwarded else _x_forwarded(headers)
        for address, said_scheme in reversed(hops):
            try:
                parsed = ip_address(address)
            except ValueError:
                break  # "unknown", or obfuscated: what came so far is all that is known
            peer = str(getattr(parsed, "ipv4_mapped", None) or parsed)
            scheme = said_scheme or scheme
            if not self.trusted(peer):
                break
        return peer, scheme


def _x_forwarded(headers: Mapping[bytes, bytes]) -> list[tuple[str, str | None]]:
    scheme = headers.get(b"x-forwarded-proto", b"").decode("latin-1").strip().lower()
    return [
        (_address(hop), scheme if scheme in {"http", "https"} else None)
        for hop in headers.get(b"x-forwarded-for", b"").decode("latin-1").split(",")
    ]


def _forwarded(headers: Mapping[bytes, bytes]) -> list[tuple[str, str | None]]:
    """`Forwarded: for="[2001:db8::1]:4711";proto=https, for=…` (RFC 7239)."""
    hops = []
    for hop in headers.get(b"forwarded", b"").decode("latin-1").split(","):
        pairs = {}
        for pair in hop.split(";"):
            name, _, value = pair.partition("=")
            pairs[name.strip().lower()] = value.strip().strip('"')
        proto = pairs.get("proto", "").lower()
        hops.append((_address(pairs.get("for", "")), proto if proto in {"http", "https"} else None))
    return hops


def _address(text: str) -> str:
    """The address of `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`."""
    text = text.strip()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    if text.count(":") == 1:
        return text.partition(":")[0]
    return text
