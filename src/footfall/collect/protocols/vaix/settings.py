"""What an operator sets per source for vaix: `[source.vaix]`."""

from __future__ import annotations

from dataclasses import dataclass

from footfall.errors import SettingsError
from footfall.settings import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Vaix:
    """`[source.vaix]`"""

    client_ids: tuple[str, ...] = setting(
        (),
        'Values of x-vaix-client-id that belong to this source; "*" is every one.',
        example='["my-brand"]',
        needed="every vaix request is refused (403)",
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
        "`iss` of the signed tokens that are taken; with iam_audience and one iam_jwks_… it "
        "turns on the authentication method iam.",
        example='"https://auth.example.com/"',
    )
    iam_audience: str | None = setting(
        None, "`aud` that signed tokens must have.", example='"api.vaix.ai"'
    )
    iam_jwks_url: str | None = setting(
        None,
        "The issuer's public keys, as a JSON Web Key Set at an https URL.",
        example='"https://auth.example.com/.well-known/jwks.json"',
    )
    iam_jwks_file: str | None = setting(
        None, "The issuer's public keys, as a JSON Web Key Set or a PEM file.", check="file"
    )
    iam_subjects: tuple[str, ...] = setting(
        (), "`sub` of the signed tokens that belong to this source; empty is every one."
    )

    def __post_init__(self) -> None:
        places = [place for place in (self.iam_jwks_url, self.iam_jwks_file) if place]
        together = (self.iam_issuer, self.iam_audience, places)
        if (any(together) and not all(together)) or len(places) > 1:
            raise SettingsError(
                "iam_issuer, iam_audience and one of iam_jwks_url and "
                "iam_jwks_file must be set together."
            )
        if self.iam_jwks_url and not self.iam_jwks_url.startswith("https://"):
            raise SettingsError("iam_jwks_url must be an https URL.")

    @property
    def iam_jwks(self) -> str | None:
        """Where the issuer's public keys stand, for `footfall.collect.keysets`."""
        return self.iam_jwks_url or self.iam_jwks_file

    def key_set_locations(self) -> tuple[str, ...]:
        """The key sets that `footfall.collect.keysets` should watch for this source."""
        return (self.iam_jwks,) if self.iam_jwks else ()
