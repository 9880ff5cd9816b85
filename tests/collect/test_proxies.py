"""Whose word is taken for a client's address: chains as honest and dishonest hops leave them."""

from __future__ import annotations

import pytest

from footfall.collect.proxies import Proxies

TRUSTED = ("10.0.0.0/8", "192.168.1.1/32", "2001:db8:1::/48", "127.0.0.0/8")


def client(peer, header="x-forwarded-for", networks=TRUSTED, scheme="http", **headers):
    proxies = Proxies(networks, header)
    given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return proxies.client(peer, scheme, given)


@pytest.mark.parametrize(
    ("peer", "chain", "address"),
    [
        # Nobody in front, or nobody trusted: what a stranger says is worth nothing.
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "1.1.1.1", "203.0.113.9"),
        ("", "1.1.1.1", ""),
        ("11.0.0.1", "1.1.1.1", "11.0.0.1"),
        # One and several trusted proxies.
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.2, 192.168.1.1", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9,192.168.1.2", "192.168.1.2"),
        # Spoofed: the client wrote the far end of the chain, the proxies the near one.
        ("10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "10.9.9.9, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "127.0.0.1, 203.0.113.9", "203.0.113.9"),
        # Nothing but proxies: the farthest is all that is known.
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        # Ports and IPv6, as various proxies write them.
        ("10.0.0.1", "203.0.113.9:5123", "203.0.113.9"),
        ("10.0.0.1", "2001:db8:2::7", "2001:db8:2::7"),
        ("10.0.0.1", "[2001:db8:2::7]", "2001:db8:2::7"),
        ("10.0.0.1", "[2001:db8:2::7]:443, 10.0.0.2:80", "2001:db8:2::7"),
        ("2001:db8:1::5", "203.0.113.9", "203.0.113.9"),
        ("2001:db8:9::5", "203.0.113.9", "2001:db8:9::5"),
        # IPv4 seen through a socket for both.
        ("::ffff:10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        ("::ffff:10.0.0.1", "203.0.113.9, ::ffff:10.0.0.2", "203.0.113.9"),
        # Not addresses: what came before them is all that is known.
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9, <script>, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "203.0.113.9, , 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "203.0.113.999", "10.0.0.1"),
        ("10.0.0.1", "[2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "\xe9", "10.0.0.1"),
    ],
)
def test_x_forwarded_for(peer, chain, address):
    headers = {} if chain is None else {"x_forwarded_for": chain}
    assert client(peer, **headers)[0] == address


@pytest.mark.parametrize(
    ("chain", "address", "scheme"),
    [
        ("for=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9", "https"),
        ("For=203.0.113.9; Proto=HTTPS", "203.0.113.9", "https"),
        ('for="203.0.113.9:4711"', "203.0.113.9", "http"),
        ('for="[2001:db8:2::7]:4711";proto=https', "2001:db8:2::7", "https"),
        ("for=203.0.113.9;proto=https, for=10.0.0.2;proto=http", "203.0.113.9", "https"),
        ("for=1.1.1.1, for=203.0.113.9;proto=http", "203.0.113.9", "http"),
        ("for=_hidden;proto=https", "10.0.0.1", "http"),
        ("for=unknown", "10.0.0.1", "http"),
        ("for=203.0.113.9, for=_gateway, for=10.0.0.2", "10.0.0.2", "http"),
        ("proto=https", "10.0.0.1", "http"),
        ("for=203.0.113.9;proto=gopher", "203.0.113.9", "http"),
        # A quote that the client left open must not swallow what the proxy added.
        ('for="1.1.1.1, for=203.0.113.9', "203.0.113.9", "http"),
        ("", "10.0.0.1", "http"),
        (";;=;,", "10.0.0.1", "http"),
    ],
)
def test_forwarded(chain, address, scheme):
    assert client("10.0.0.1", "forwarded", forwarded=chain) == (address, scheme)


def test_only_the_header_that_the_proxies_set_is_believed():
    both = {"forwarded": "for=1.1.1.1;proto=https", "x_forwarded_for": "203.0.113.9"}
    assert client("10.0.0.1", "x-forwarded-for", **both) == ("203.0.113.9", "http")
    assert client("10.0.0.1", "forwarded", **both) == ("1.1.1.1", "https")


@pytest.mark.parametrize(
    ("peer", "said", "scheme"),
    [
        ("10.0.0.1", "https", "https"),
        ("10.0.0.1", " HTTPS ", "https"),
        ("10.0.0.1", "javascript", "http"),
        ("203.0.113.9", "https", "http"),
    ],
)
def test_x_forwarded_proto(peer, said, scheme):
    headers = {"x_forwarded_for": "203.0.113.7", "x_forwarded_proto": said}
    assert client(peer, **headers)[1] == scheme


def test_without_networks_nothing_is_looked_at():
    assert client("10.0.0.1", networks=(), x_forwarded_for="1.1.1.1") == ("10.0.0.1", "http")
    assert not Proxies((), "forwarded").any
    assert Proxies(("10.0.0.0/8",), "forwarded").any


def test_what_is_remembered_is_bounded():
    proxies = Proxies(TRUSTED, "x-forwarded-for")
    for number in range(5000):
        chain = f"203.0.{number // 250}.{number % 250}"
        proxies.client("10.0.0.1", "http", {b"x-forwarded-for": chain.encode()})
    assert proxies.trusted.cache_info().currsize <= 1024
