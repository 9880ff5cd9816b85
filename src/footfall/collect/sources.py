"""The sources that a request may belong to: an immutable snapshot, replaced whole on reload.

Keys are compared as SHA-256 digests in constant time; the keys themselves are nowhere.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable

from footfall.collect.keysets import KeySets
from footfall.settings import Limits, Source


class Sources:
    """Sources by key, and what else decoding looks at: limits, key sets, the directory's secret.

    `key_sets` outlives the snapshots: whoever makes them has it `watch` what their sources name.
    """

    def __init__(
        self,
        sources: Iterable[Source],
        *,
        limits: Limits | None = None,
        key_sets: KeySets | None = None,
        secret: bytes = b"",
    ) -> None:
        """`secret`: the key of keyed hashes, the same for all processes and starts."""
        self.all = tuple(sources)
        self.limits = limits or Limits()
        self.key_sets = key_sets or KeySets()
        self.secret = secret
        self._by_id = {source.id: source for source in self.all}
        self._taking: dict[str, tuple[Source, ...]] = {}
        # Looked up under a secret of this process, so that how far a look-up got says nothing
        # about the digests that are stored.
        self._secret = secrets.token_bytes(32)
        self._by_mark: dict[bytes, tuple[bytes, Source]] = {}
        for source in self.all:
            for text in source.key_sha256:
                digest = bytes.fromhex(text)
                self._by_mark[self._mark(digest)] = (digest, source)

    def _mark(self, digest: bytes) -> bytes:
        return hashlib.blake2b(digest, key=self._secret, digest_size=16).digest()

    def by_key(self, key: str) -> Source | None:
        """The source that a presented key belongs to."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        known = self._by_mark.get(self._mark(digest))
        if known is None or not hmac.compare_digest(known[0], digest):
            return None
        return known[1]

    def by_id(self, source_id: str) -> Source | None:
        """The source of a name."""
        return self._by_id.get(source_id)

    def taking(self, protocol: str) -> tuple[Source, ...]:
        """The sources that take a protocol."""
        found = self._taking.get(protocol)
        if found is None:
            found = tuple(source for source in self.all if protocol in source.protocols)
            self._taking[protocol] = found
        return found
