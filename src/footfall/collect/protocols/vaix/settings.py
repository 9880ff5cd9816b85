"""What an operator sets per source for vaix: `[source.vaix]`."""

from __future__ import annotations

from dataclasses import dataclass

from footfall.collect.keysets import is_url
from footfall.errors import SettingsError
from footfall.settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Vaix:
    """`[source.vaix]`"""

    client_ids: tuple[str, ...] = setting(
        (),
        'Values of x-vaix-client-id that belong to this source; "*" is every one.',
        example='["my-brand"]',
        dev=("*",),
    )
    event_types: dict[str, tuple[str, ...]] = setting(  # noqa: RUF009 - it gives a field
        {},
        "Further event types, each with the fields that `data` must have, dotted where nested. "
        "Every clicks:… and impressions:… needs page and location without their being listed.",
        example='{"transactions:deposit" = ["amount", "payment.method"]}',
    )
    lenient: bool = setting(
        False,
        "Take events without page, locations without a colon and numbers as user_id, as some "
        "clients send them; what was waived is kept in context.deviations.",
    )
    iam_issuer: str | None = setting(
        None,
        "`iss` of the signed tokens that are taken; with iam_audience and iam_jwks it turns on "
        "the authentication method iam.",
        example='"https://auth.example.com/"',
    )
    iam_audience: str | None = setting(
        None, "`aud` that signed tokens must have.", example='"api.vaix.ai"'
    )
    iam_jwks: str | None = setting(
        None,
        "The issuer's public keys: a file (JSON Web Key Set or PEM) or an https URL.",
        example='"https://auth.example.com/.well-known/jwks.json"',
    )
    iam_subjects: tuple[str, ...] = setting(
        (), "`sub` of the signed tokens that belong to this source; empty is every one."
    )

    def __post_init__(self) -> None:
        together = (self.iam_issuer, self.iam_audience, self.iam_jwks)
        if any(together) and not all(together):
            raise SettingsError(
                "[source.vaix]: iam_issuer, iam_audience and iam_jwks must be set together."
            )
        if self.iam_jwks and is_url(self.iam_jwks) and not self.iam_jwks.startswith("https://"):
            raise SettingsError("[source.vaix]: iam_jwks must be a file or an https URL.")

    def key_set_locations(self) -> tuple[str, ...]:
        """The key sets that `footfall.collect.keysets` should watch for this source."""
        return (self.iam_jwks,) if self.iam_jwks else ()
