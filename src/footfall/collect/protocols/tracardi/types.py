"""The event types that say something of a person, and where in their properties it stands.

Types and properties as the vendor documents them, one page each
(http://docs.tracardi.com/events/internal/sign-in/,
https://docs.tracardi.com/events/internal/identification/), with the spellings that clients use.
Data only: `traits` reads events by it.
"""

from __future__ import annotations

from collections.abc import Mapping

_E_MAIL = ("email.main=email.main", "email.main=email")
_PHONE = ("phone.main=phone.main", "phone.main=phone")
_PERSON = (
    *_E_MAIL,
    *_PHONE,
    "firstname",
    "firstname=first_name",
    "lastname",
    "lastname=last_name",
    "name",
)
_ADDRESS = (
    "address.country=country",
    "address.country=address.country",
    "address.town=town",
    "address.town=city",
    "address.town=address.town",
    "address.postcode=postcode",
    "address.postcode=address.postcode",
    "address.street=street",
    "address.street=address.street",
)
_PROFILE = (
    *_PERSON,
    "email.business",
    "email.private",
    "phone.business",
    "phone.mobile",
    "gender",
    "birthday",
    "language",
    "job.position=position",
    "job.company=company",
    *_ADDRESS,
)

TRAITS: Mapping[str, tuple[str, ...]] = {
    "sign-in": ("login", *_PERSON),
    "sign-up": ("login", *_PROFILE),
    "identification": ("login", *_PROFILE),
    "profile-update": _PROFILE,
    "profile-details": _PROFILE,
    "contact-details": (*_PERSON, *_ADDRESS),
    "contact-form-submitted": _PERSON,
    "newsletter-subscribe": _PERSON,
    "newsletter-subscription": _PERSON,
    "message-subscribed": _PERSON,
    "lead-created": _PROFILE,
    "checkout-started": (*_PERSON, *_ADDRESS),
    "checkout-completed": (*_PERSON, *_ADDRESS),
    "order-completed": (*_PERSON, *_ADDRESS),
    "language-set": ("language",),
    "interest-language": ("language",),
}
"""By event type: "trait=path" or "trait", as in the settings."""


def kind_of(event_type: str) -> str:
    """An event type as types are compared: without case, spaces as hyphens."""
    return event_type.lower().replace(" ", "-")


def path_of(entry: str) -> tuple[str, tuple[str, ...]]:
    """The trait of an entry, and the way to its value: ``"email.main=email"``."""
    trait, _, path = entry.partition("=")
    return trait.strip(), tuple((path or trait).strip().split("."))
