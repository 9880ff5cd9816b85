"""Which network addresses may be connected to, and connections to none but those.

A host's name is resolved once for each connection, every address that it has is judged, and the
connection goes to the very address that was judged: a name that means another address a moment
later gains nothing. Certificates are still checked against the name. Not for what the settings
say of names: that is `services.allows`.
"""

from __future__ import annotations

import asyncio
import importlib.util
import ipaddress
import socket
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence

import httpcore

if importlib.util.find_spec("sniffio") is None:
    # httpcore tries to import it several times in every call, and each time the whole path is
    # searched. This is what importing takes as "not there".
    sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, as text; raises `OSError` where there are none."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MOST_TRIED = 4
"""Addresses of one host that are tried one after another."""

_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' and some clouds' own
        "127.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "::1/128",
        "fc00::/7",
        "fec0::/10",
    )
)
"""What `private_addresses` of a service opens. Link-local addresses are not among them: clouds
give a machine its credentials there."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class AddressRefused(Exception):  # noqa: N818 - it names what is the case
    """Every address of a host is one that may not be connected to."""


class Network(httpcore.AsyncNetworkBackend):
    """Connects to addresses that may be connected to."""

    def __init__(self, *, private: bool, resolve: Resolve | None = None) -> None:
        """`private`: addresses of private and loopback networks may be."""
        self._private = private
        self._resolve = resolve or resolved
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises `AddressRefused`, `httpcore.ConnectError` or `httpcore.ConnectTimeout`."""
        addresses = await self._addresses(host, port)
        left = timeout
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for tried, address in enumerate(addresses):
            # An address that swallows everything must leave time for the next one.
            share = None if left is None else left / (len(addresses) - tried)
            began = asyncio.get_running_loop().time()
            try:
                return await self._inner.connect_tcp(
                    address, port, share, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            if left is not None:
                left = max(0.0, left - (asyncio.get_running_loop().time() - began))
        raise failure

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            every = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"its name is not known ({error})") from error
        allowed = [text for text in every if may_connect(text, private=self._private)]
        if every and not allowed:
            raise AddressRefused(every[0])
        return allowed[:MOST_TRIED]


async def resolved(host: str, port: int) -> list[str]:
    """The addresses of a host, in the system's order, each once."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def may_connect(text: str, *, private: bool) -> bool:
    """Whether an address is public; with `private`, one of a private network may be as well."""
    try:
        address = _meant(ipaddress.ip_address(text))
    except ValueError:
        return False
    if any(address in network for network in _PRIVATE):
        return private
    return address.is_global and not (
        address.is_multicast or address.is_link_local or address.is_reserved
    )


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where it stands for one."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
