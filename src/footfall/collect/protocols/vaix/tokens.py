"""`x-vaix-authentication-method: iam`: signed tokens (RFC 7519) instead of configured ones.

The issuer's public keys come from `keysets`. Which source a token belongs to is a question of
its issuer, audience and subject. Time is the request's, so that decoding stays pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from footfall.collect.contract import Reason, Refusal
from footfall.collect.keysets import KeySets, PublicKey
from footfall.model import Micros
from footfall.settings import Source

if TYPE_CHECKING:
    from footfall.collect.protocols.vaix.settings import Vaix

CLOCK_SKEW_S = 60
"""How far an issuer's clock may be ahead of ours. None is granted to a token's end."""
MOST_CHARACTERS = 16 << 10

Issued = tuple[Source, "Vaix"]
"""A source that takes signed tokens, with its settings."""

UNKNOWN = "The token is not known here: its signature, issuer, audience or subject does not fit."
EXPIRED = "The token has expired; get a new one from its issuer."


class Claims(msgspec.Struct, frozen=True):
    """What a verified token says."""

    location: str
    """Of the key set that verified it."""
    issuer: str
    audiences: tuple[str, ...]
    subject: str | None
    expires: float
    """Seconds since 1970."""
    not_before: float


class _Payload(msgspec.Struct):
    iss: str
    exp: float
    aud: str | list[str] = []
    sub: str | None = None
    nbf: float = 0.0


class _Header(msgspec.Struct):
    alg: str
    kid: str | None = None


def source_of(
    token: str, candidates: Sequence[Issued], key_sets: KeySets, now: Micros
) -> Source | Refusal:
    """The source that a token gives access to, or why it gives none.

    `candidates` are tried in the order of the configuration.
    """
    digest = hashlib.sha256(token.encode()).digest()
    known: tuple[Claims, ...] = key_sets.remembered(digest) or ()
    if not known:
        known = tuple(
            claims
            for location in dict.fromkeys(str(vaix.iam_jwks) for _, vaix in candidates)
            if (claims := _verify(token, location, candidates, key_sets)) is not None
        )
        if known:
            key_sets.remember(digest, known)
    for claims in known:
        for source, vaix in candidates:
            if _fits(claims, vaix):
                return _in_time(claims, source, now)
    return _unknown()


def _fits(claims: Claims, vaix: Vaix) -> bool:
    return (
        vaix.iam_jwks == claims.location
        and vaix.iam_issuer == claims.issuer
        and vaix.iam_audience in claims.audiences
        and (not vaix.iam_subjects or claims.subject in vaix.iam_subjects)
    )


def _in_time(claims: Claims, source: Source, now: Micros) -> Source | Refusal:
    seconds = now / 1_000_000
    if claims.expires <= seconds:
        return Refusal(reason=Reason.KEY_EXPIRED, detail=EXPIRED, source=source)
    if claims.not_before > seconds + CLOCK_SKEW_S:
        return Refusal(
            reason=Reason.KEY_UNKNOWN, detail="The token is not valid yet.", source=source
        )
    return source


def _verify(
    token: str, location: str, candidates: Sequence[Issued], key_sets: KeySets
) -> Claims | None:
    """What a token says, if it names this location's issuer and its key signed it."""
    if len(token) > MOST_CHARACTERS or token.count(".") != 2:
        return None
    try:
        header = _part(token, 0, _Header)
        payload = _part(token, 1, _Payload)
    except (ValueError, RecursionError):
        return None
    issuers = {vaix.iam_issuer for _, vaix in candidates if vaix.iam_jwks == location}
    if payload.iss not in issuers:
        return None  # before any key is asked for: strangers cannot make us fetch
    key = key_sets.key(location, header.kid)
    if key is None or header.alg not in key.algorithms or not _signed(token, header.alg, key):
        return None
    return Claims(
        location=location,
        issuer=payload.iss,
        audiences=(payload.aud,) if isinstance(payload.aud, str) else tuple(payload.aud),
        subject=payload.sub,
        expires=payload.exp,
        not_before=payload.nbf,
    )


def _part(token: str, index: int, kind: Any) -> Any:
    from jwt.utils import base64url_decode  # noqa: PLC0415 - only servers with iam load it

    return msgspec.json.decode(base64url_decode(token.split(".")[index]), type=kind)


def _signed(token: str, algorithm: str, key: PublicKey) -> bool:
    from jwt import PyJWS, PyJWTError  # noqa: PLC0415 - only servers with iam load it

    try:
        PyJWS().decode_complete(token, key.key, algorithms=[algorithm])
    except (PyJWTError, ValueError, TypeError):
        return False
    return True


def _unknown() -> Refusal:
    return Refusal(reason=Reason.KEY_UNKNOWN, detail=UNKNOWN)
