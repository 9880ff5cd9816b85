"""What an operator sets per source for Tracardi: `[source.tracardi]`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from footfall.collect.protocols.tracardi.types import TRAITS, kind_of, path_of
from footfall.errors import SettingsError
from footfall.settings import setting

DEV_PROOFS = {"sign-in": ("email.main", "phone.main"), "sign-up": ("email.main", "phone.main")}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracardi:
    """`[source.tracardi]`"""

    identity: str | None = setting(
        None,
        "Name of the group of sources that share their sessions and profiles; unset, they are this "
        "source's own. Another source's id shares that source's.",
        example='"shop"',
    )
    bots: bool = setting(
        False, "Take requests of known crawlers, which are otherwise refused with 401."
    )
    debug: bool = setting(
        False,
        "Answer `debugger: true` with the ids of the stored events and `profile: true` with the "
        "whole profile. A source id is public: whoever knows a visitor's ids can then read it.",
        dev=True,
    )
    traits: dict[str, tuple[str, ...]] = setting(  # noqa: RUF009 - it gives a field
        {},
        "Traits that events say of a profile, by event type, instead of what is built in for that "
        'type: "trait=path", the path dotted and into the event\'s properties, or "trait" where '
        "both are the same. Of several paths of one trait the first with a value counts.",
        example='{"newsletter" = ["email.main=email", "newsletter"]}',
    )
    identification: dict[str, tuple[str, ...]] = setting(  # noqa: RUF009 - it gives a field
        {},
        "Traits that events of a type prove, so that two profiles with the same value become one. "
        "A source id is public, so anybody can claim an e-mail address in an event: name only "
        "types that a backend sends, or whose claims do no harm.",
        example='{"sign-in" = ["email.main"]}',
        dev=DEV_PROOFS,
    )
    remember_sessions_days: float = setting(
        90.0,
        "How long a session's profile is known after it was last seen.",
        unit="days",
        low=1,
        high=3650,
    )
    remember_profiles_days: float = setting(
        730.0,
        "How long a profile is known after it was last seen.",
        unit="days",
        low=1,
        high=36_500,
    )

    def __post_init__(self) -> None:
        if self.identity is not None and not _NAME.fullmatch(self.identity):
            raise SettingsError(
                'identity must be 1 to 64 letters, digits, "-", "_" and ".", beginning with a '
                "letter or digit."
            )
        for event_type, entries in self.traits.items():
            for entry in entries:
                trait, separator, path = entry.partition("=")
                if not trait.strip() or (separator and not path.strip()):
                    raise SettingsError(
                        f'traits of "{event_type}" must be such as "email.main=email" or "email".'
                    )
        known = self.by_type()
        for event_type, proofs in self.identification.items():
            traits = {path_of(entry)[0] for entry in known.get(kind_of(event_type), ())}
            for trait in proofs:
                if trait not in traits:
                    raise SettingsError(
                        f'identification of "{event_type}" names "{trait}", which events of that '
                        "type do not say: add it to traits."
                    )
        if self.remember_sessions_days > self.remember_profiles_days:
            raise SettingsError(
                "remember_profiles_days must be at least remember_sessions_days: a session leads "
                "to a profile."
            )

    def by_type(self) -> dict[str, tuple[str, ...]]:
        """Every event type that says traits, as types are compared: this source's over ours."""
        own = {kind_of(name): entries for name, entries in self.traits.items()}
        return {**TRAITS, **own}
