"""Addresses of ad segments where the server tracks: who asks for which segment of which ad.

A token holds all that is needed to send its player on, and a signature by the data directory's
secret: nobody can make this server redirect elsewhere, or report ads that were not spliced.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

import msgspec

SIGNATURE_BYTES = 12
TOKEN_CHARACTERS = 8_000
"""Longest token: what most servers and players take as an address."""
_PURPOSE = b"footfall stream ad segment 1"


class AdSegment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One segment of one rendition of an ad at its place."""

    session_id: str
    pod: str
    ad: int
    """Its place in `Pod.ads`."""
    segment: int
    """From 0."""
    of: int
    """How many the ad has in this rendition."""
    begin_ms: int
    """From the ad's start."""
    end_ms: int
    address: str
    """Where it really is."""


class Tokens:
    """Makes and reads them; any process of one data directory reads what another made."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.digest(secret, _PURPOSE, "sha256")
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode: Callable[[bytes], AdSegment] = msgspec.msgpack.Decoder(AdSegment).decode

    def token(self, service: str, segment: AdSegment) -> str:
        """For `/stream/{service}/ad/{token}`. The same segment always has the same."""
        said = self._encode(segment)
        return urlsafe_b64encode(self._signed(service, said) + said).rstrip(b"=").decode("ascii")

    def read(self, service: str, token: str) -> AdSegment | None:
        """None: it is not one of ours, or of another service."""
        if len(token) > TOKEN_CHARACTERS or not token.isascii():
            return None
        try:
            data = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (ValueError, binascii.Error):
            return None
        said = data[SIGNATURE_BYTES:]
        if not hmac.compare_digest(data[:SIGNATURE_BYTES], self._signed(service, said)):
            return None
        return self._decode(said)

    def _signed(self, service: str, said: bytes) -> bytes:
        return hmac.digest(self._key, service.encode() + b"\0" + said, "sha256")[:SIGNATURE_BYTES]
