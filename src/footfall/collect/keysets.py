"""Public keys of those who issue tokens: read from files at the start, from URLs in the background.

A location is a file or an https URL, holding a JSON Web Key Set (RFC 7517) or one public key as
PEM. Looking a key up never waits: until a URL has been fetched its keys are unknown. Public keys
only: symmetric ones are passed over, whatever a set says. What tokens must say is not known here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import msgspec
import structlog

from footfall.errors import SettingsError

if TYPE_CHECKING:
    from footfall.settings import Source

log = structlog.get_logger()

REFRESH_SECONDS = 600.0
"""Between two fetches of a URL."""
SOONEST_SECONDS = 30.0
"""Between two fetches when unknown keys are asked for: strangers choose what they ask for."""
FETCH_SECONDS = 10.0
MOST_BYTES = 256 << 10
MOST_KEYS = 64
MOST_REDIRECTS = 3
MOST_REMEMBERED = 10_000

RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
EC_ALGORITHMS = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
RSA_BITS = 2048

Fetch = Callable[[str], Awaitable[bytes]]
"""Gives what stands at a URL, or raises `OSError` or `ValueError`."""


class PublicKey(msgspec.Struct, frozen=True):
    """One key, and the algorithms that it may verify."""

    kid: str | None
    key: Any
    algorithms: tuple[str, ...]


class KeySets:
    """The key set of every location that is watched."""

    def __init__(self, locations: Iterable[str] = (), *, fetch: Fetch | None = None) -> None:
        self._fetch = fetch or fetch_https
        self._keys: dict[str, tuple[PublicKey, ...]] = {}
        self._urls: tuple[str, ...] = ()
        self._wanted = asyncio.Event()
        self._remembered: dict[bytes, Any] = {}
        self.watch(locations)

    def watch(self, locations: Iterable[str]) -> None:
        """Keep to these locations from now on: read the files, leave URLs to `run`.

        Keys that URLs gave already stay. Raises `SettingsError` where a file cannot be read.
        """
        wanted = tuple(dict.fromkeys(locations))
        urls = tuple(location for location in wanted if is_url(location))
        keys = {url: self._keys[url] for url in urls if url in self._keys}
        for location in wanted:
            if location not in urls:
                keys[location] = _read_file(location)
        self._keys, self._urls = keys, urls
        self._remembered.clear()
        if any(url not in keys for url in urls):
            self._wanted.set()

    def key(self, location: str, kid: str | None) -> PublicKey | None:
        """The key of this id; without an id the only key, if there is just one.

        Asking for an unknown key has the URL fetched soon.
        """
        keys = self._keys.get(location, ())
        if kid is None and len(keys) == 1:
            return keys[0]
        found = next((key for key in keys if key.kid == kid), None) if kid is not None else None
        if found is None:
            self._wanted.set()
        return found

    def remember(self, digest: bytes, verified: Any) -> None:
        """Keep what came of verifying with the present keys; forgotten when any key changes."""
        if len(self._remembered) >= MOST_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[digest] = verified

    def remembered(self, digest: bytes) -> Any:
        """What `remember` kept, or None."""
        return self._remembered.get(digest)

    async def refresh(self) -> None:
        """Fetch every URL once. One that fails keeps the keys that it gave before."""
        for url in self._urls:
            try:
                keys = parse(await self._fetch(url))
            except Exception as error:  # noqa: BLE001 - somebody else's server must not end ours
                log.warning("key set not fetched", url=url, error=str(error))
                continue
            if self._ids(url) != _ids(keys):
                self._remembered.clear()
            self._keys[url] = keys

    async def run(self) -> None:
        """Keep the URLs' keys fresh until cancelled."""
        while True:
            self._wanted.clear()
            await self.refresh()
            await asyncio.sleep(SOONEST_SECONDS)
            try:
                async with asyncio.timeout(REFRESH_SECONDS - SOONEST_SECONDS):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    def _ids(self, url: str) -> list[bytes]:
        return _ids(self._keys.get(url, ()))


def locations(sources: Iterable[Source]) -> tuple[str, ...]:
    """Every key set that the protocols' settings of some sources name.

    A protocol's settings name one by a method `key_set_locations() -> tuple[str, ...]`.
    """
    found: dict[str, None] = {}
    for source in sources:
        for settings in source.protocol_settings.values():
            name_them = getattr(settings, "key_set_locations", None)
            if name_them is not None:
                found.update(dict.fromkeys(name_them()))
    return tuple(found)


def is_url(location: str) -> bool:
    """Whether a location is fetched rather than read."""
    return "://" in location


def parse(content: bytes) -> tuple[PublicKey, ...]:
    """The usable public keys of a key set, or the one in a PEM. Raises `ValueError`."""
    if content.lstrip().startswith(b"-----BEGIN"):
        return (_pem(content),)
    try:
        entries = msgspec.json.decode(content)["keys"]
    except (msgspec.DecodeError, KeyError, TypeError, RecursionError):
        raise ValueError("neither a JSON object with `keys` nor a PEM") from None
    if not isinstance(entries, list) or len(entries) > MOST_KEYS:
        raise ValueError(f"`keys` must be a list of at most {MOST_KEYS} keys")
    keys = tuple(key for entry in entries if (key := _jwk(entry)) is not None)
    if not keys:
        raise ValueError("no public key for signatures in it")
    return keys


def _ids(keys: Iterable[PublicKey]) -> list[bytes]:
    """What tells one set from another: the keys themselves, since a `kid` may be used again."""
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - see `_pem`
        Encoding,
        PublicFormat,
    )

    return [
        key.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        + (key.kid or "").encode()
        for key in keys
    ]


def _read_file(location: str) -> tuple[PublicKey, ...]:
    try:
        return parse(Path(location).read_bytes()[:MOST_BYTES])
    except (OSError, ValueError) as error:
        raise SettingsError(f"{location}: no key set could be read: {error}") from None


def _pem(content: bytes) -> PublicKey:
    # Imported here and below: only servers that verify tokens pay its memory and start-up time.
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - as said above
        load_pem_public_key,
    )

    key = load_pem_public_key(content)
    algorithms = _algorithms(key)
    if not algorithms:
        raise ValueError("a public key of RSA (2048 bits or more), EC or Ed25519 is needed")
    return PublicKey(None, key, algorithms)


def _jwk(entry: Any) -> PublicKey | None:
    """One entry of a set; None where it is not a public key for signatures that we can use."""
    from jwt import PyJWK, PyJWTError  # noqa: PLC0415 - see `_pem`

    if not isinstance(entry, dict) or entry.get("kty") not in {"RSA", "EC", "OKP"}:
        return None
    if entry.get("use", "sig") != "sig":
        return None
    try:
        key = PyJWK({**entry, "alg": None}).key
    except (PyJWTError, ValueError, TypeError, KeyError):
        return None
    if not hasattr(key, "verify"):
        key = key.public_key()  # a private key by mistake; its public half is all we keep
    kid, named = entry.get("kid"), entry.get("alg")
    algorithms = tuple(name for name in _algorithms(key) if named in {None, name})
    if not algorithms:
        return None
    return PublicKey(kid if isinstance(kid, str) else None, key, algorithms)


def _algorithms(key: Any) -> tuple[str, ...]:
    from cryptography.hazmat.primitives.asymmetric.ec import (  # noqa: PLC0415 - see `_pem`
        EllipticCurvePublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - see `_pem`
        Ed25519PublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.rsa import (  # noqa: PLC0415 - see `_pem`
        RSAPublicKey,
    )

    if isinstance(key, RSAPublicKey):
        return RSA_ALGORITHMS if key.key_size >= RSA_BITS else ()
    if isinstance(key, EllipticCurvePublicKey):
        name = EC_ALGORITHMS.get(key.curve.name)
        return (name,) if name else ()
    return ("EdDSA",) if isinstance(key, Ed25519PublicKey) else ()


async def fetch_https(url: str) -> bytes:
    """What stands at an https URL, bounded in time and size. Raises `OSError` or `ValueError`.

    Redirects are followed to https only: whoever can read or change what travels in the clear
    could otherwise put a key of their own in place.
    """
    import httpx  # noqa: PLC0415 - only servers that fetch key sets pay for it

    try:
        async with asyncio.timeout(FETCH_SECONDS), httpx.AsyncClient() as client:
            for _ in range(MOST_REDIRECTS + 1):
                if urlsplit(url).scheme != "https":
                    raise ValueError(f"{url} is not https")
                async with client.stream("GET", url) as response:
                    if response.is_redirect:
                        url = urljoin(url, response.headers.get("location", ""))
                        continue
                    if response.status_code != 200:
                        raise ValueError(f"answered {response.status_code}")
                    return await _body(response)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise OSError(str(error) or type(error).__name__) from None
    raise ValueError("redirects too often")


async def _body(response: Any) -> bytes:
    body = b""
    async for part in response.aiter_bytes():
        body += part
        if len(body) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES} bytes")
    return body
