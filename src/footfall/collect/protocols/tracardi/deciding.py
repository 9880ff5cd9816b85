"""What a request changes, decided under the journal's lock, and the events that say so.

`identity` says whose it is; here its events are gone through in order: which are new, which may
be kept with a person's ids, what they say of the profile, and which two profiles they prove to be
one. Everything that was decided stands on the events as `Facts`, so that whoever follows the
journal needs nothing else. Pure; called again with more of the state where it needs more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from footfall.collect import consent
from footfall.collect.contract import Intent, Reply
from footfall.collect.protocols.tracardi import answers, traits
from footfall.collect.protocols.tracardi.consents import remembered, taken_back, withdrawn
from footfall.collect.protocols.tracardi.expected import begins, goes_on
from footfall.collect.protocols.tracardi.identity import (
    DAY,
    ERA_LASTS,
    REMEMBER_EVENTS,
    Alias,
    Asked,
    Look,
    Person,
    Profile,
    Session,
    Unasked,
    Value,
    era,
    era_key,
    identify,
    joined,
    may_merge,
    merged,
    point_key,
    profile_key,
    session_key,
    with_consents,
    with_traits,
    write,
)
from footfall.collect.protocols.tracardi.leading import leads
from footfall.collect.protocols.tracardi.settings import Tracardi
from footfall.collect.protocols.tracardi.traits import Consents, Said
from footfall.journal.contract import Change, More, Outcome, States
from footfall.model import Event, Facts, Micros
from footfall.settings import Source

NO_DEBUGGING = "options.debugger has no effect: this source does not allow it."
NO_WHOLE = "options.profile has no effect: this source does not allow it."


class Sent(msgspec.Struct, gc=False):
    """`Intent.payload`: what a request holds beside its events' own fields."""

    who: Asked
    plain: bool
    """Nothing in it depends on more than the session and the profile that it names."""
    said: Sequence[Said | None]
    """By event, as everything below that is a sequence."""
    permits: Sequence[bool | None]
    """What is said of consent, where the profile's consents count too; else empty."""
    in_session: Sequence[bool]
    """Whether each is kept as part of the session."""
    event_keys: Sequence[str | None]
    """Of the client's own event ids."""
    session_facts: Facts | None
    """Context and properties that the session takes over."""
    carrier: bool
    """The one event is no event of the client's: it is there to carry facts, if there are any."""
    debugger: bool
    whole: bool
    warnings: list[str]
    secret: bytes
    more: list[str]
    """Keys that were asked for besides, while it is decided."""


def decide(intent: Intent, states: States, events: Sequence[Event]) -> Outcome | More:
    """Events, changes and the answer; or the keys that it takes besides."""
    sent: Sent = intent.payload
    if sent.plain and events:
        if sent.who.sent is None:
            changes = begins(intent.keys, sent.who, states, intent.source.of(Tracardi))
        else:
            changes = goes_on(intent.keys, sent.who, states, sent.more)
        if isinstance(changes, More):
            sent.more.extend(changes.keys)
            return changes
        if changes is not None and True not in [event.withheld for event in events]:
            who = sent.who
            told = {"id": who.sent or who.fresh}
            # None of these ids is the client's own.
            task = events[0].event_id
            reply = answers.taken(task, who.session_id, told, (), sent.warnings)
            sent.more.clear()
            return Outcome(events, (), changes, reply)
    look = Look(states, {*intent.keys, *sent.more}, sent.who.group, sent.who.issued)
    try:
        outcome = _Decision(intent, sent, look, events).outcome()
    except Unasked as unasked:
        sent.more.append(unasked.key)
        return More((unasked.key,))
    except Exception:
        sent.more.clear()
        raise
    sent.more.clear()  # whoever decides it again begins anew
    return outcome


class _Decision:
    """One request, while it is decided."""

    def __init__(self, intent: Intent, sent: Sent, look: Look, events: Sequence[Event]) -> None:
        self._source: Source = intent.source
        self._settings = intent.source.of(Tracardi)
        self._sent = sent
        self._look = look
        self._events = events
        self._at = sent.who.at
        self._group = sent.who.group
        self._changes: list[Change] = []
        self._is_changed = False
        self._era = era(look.value(era_key(self._group)))
        self._absorbed: set[str] = set()
        """Profiles that became aliases of this one just now."""

    def outcome(self) -> Outcome:
        sent = self._sent
        dropped = not self._events  # crawlers, where the source keeps nothing of them
        new = [] if dropped else self._new_events()
        person = identify(sent.who, self._look)
        counted = _is_counted(person)
        self._profile = person.profile
        self._is_new = person.is_new
        if not new:
            # What is told must stay true, and that is all: nobody comes into being by a repeat.
            if dropped or person.is_new:
                self._profile = person.profile if counted else None
            else:
                self._keep_session(person, visited=counted)
            return Outcome((), (), tuple(self._changes), self._reply(self._profile, ()))
        self._due = person.profile is not None and sent.who.save_profile and not counted
        told = [self._tell(index) for index in new]
        lines = self._lines(new, told)
        self._keep_session(person, visited=counted or (sent.who.save_profile and not self._due))
        return Outcome(lines, (), tuple(self._changes), self._reply(self._profile, lines))

    # Which events

    def _new_events(self) -> list[int]:
        """Those that were not stored before under their client's ids."""
        keys = self._sent.event_keys
        if not keys:
            return list(range(len(self._events)))
        found, here = [], set[str]()
        for index, key in enumerate(keys):
            if key is not None:
                if key in here or self._look.value(key) is not None:
                    continue
                here.add(key)
                self._change(key, b"", REMEMBER_EVENTS)
            found.append(index)
        return found

    # What each says

    def _tell(self, index: int) -> tuple[bool, Facts | None]:
        """Whether an event is withheld, and what it says of visit and profile."""
        sent = self._sent
        said = sent.said[index] if sent.said else None
        consents = self._counting(index, said)
        before, withheld = self._judge(index, consents)
        profile = self._profile if sent.who.save_profile else None
        if withheld:
            # A revocation is told where there was consent to tell it.
            return True, Facts(consents=consents) if consents and not before else None
        facts: dict[str, Any] = {}
        if before and profile is not None:
            # What was said while it could not be told is why it can be: the history has it all.
            consents = {name: one[:2] for name, one in profile.known.consents.items()}
        if self._due and profile is not None:
            self._due = False
            known = msgspec.structs.replace(profile.known, visits=profile.known.visits + 1)
            profile = Profile(profile.id, known)
            self._become(profile)
            facts["visit"] = sent.who.session_id
            facts["identity"] = self._settings.identity
        if consents:
            facts["consents"] = consents
        if said is not None and profile is not None and said.traits:
            facts["traits"] = said.traits
            self._put_traits(profile, said.traits)
            aliases = self._prove(said)
            if aliases:
                facts["aliases"] = aliases
        return False, Facts(**facts) if facts else None

    def _counting(self, index: int, said: Said | None) -> Consents:
        """The consents that an event gives, as far as they count."""
        sent, profile = self._sent, self._profile
        if said is None or not said.consents or profile is None or not sent.who.save_profile:
            return {}
        if sent.permits:
            refused = sent.permits[index] is False
            return withdrawn(said.consents, self._at) if refused else said.consents
        if self._events[index].withheld:
            return taken_back(said.consents, profile.known, self._at)
        return said.consents

    def _judge(self, index: int, consents: Consents) -> tuple[bool, bool]:
        """Whether nothing could be told of the profile before the event, whatever this request
        refuses; and whether the event is withheld, with the consents that it gives.
        """
        sent = self._sent
        if not sent.permits:
            self._put_consents(consents)
            return False, self._events[index].withheld
        permit = sent.permits[index]
        before = consent.withheld(self._source, permit or None, self._remembered())
        self._put_consents(consents)
        return before, consent.withheld(self._source, permit, self._remembered())

    def _remembered(self) -> bool | None:
        profile = self._profile
        return None if profile is None else remembered(profile.known, self._source, self._at)

    def _put_consents(self, consents: Consents) -> None:
        profile = self._profile
        if not consents or profile is None:
            return
        always = self._source.privacy.consents
        known = with_consents(profile.known, consents, self._at, always)
        self._become(Profile(profile.id, known))

    def _put_traits(self, profile: Profile, found: Mapping[str, Value]) -> None:
        self._become(Profile(profile.id, with_traits(profile.known, found, self._at)))

    def _become(self, profile: Profile) -> None:
        self._profile = profile
        self._is_changed = True

    # Who is one

    def _prove(self, said: Said) -> dict[str, str]:
        """Take in what an event proves; the ids that lead to this profile from now on, and why."""
        aliases: dict[str, str] = {}
        for trait in said.proofs:
            digest = traits.point(self._sent.secret, trait, said.traits[trait])
            profile = self._profile
            if digest is None or profile is None:
                continue
            proven = profile.known.points.get(trait)
            if proven is not None and proven != digest:
                continue  # somebody else on this device: each keeps what is theirs
            other = self._look.pointed(point_key(self._group, trait, digest))
            points = {**profile.known.points, trait: digest}
            own = Profile(profile.id, msgspec.structs.replace(profile.known, points=points))
            if other is None or other.id == own.id or other.id in self._absorbed:
                if proven is None or other is None:
                    self._become(own)
            elif may_merge(own.known, other.known):
                self._merge(own, other, _reason(trait, said.kind), aliases)
        return aliases

    def _merge(self, own: Profile, other: Profile, reason: str, aliases: dict[str, str]) -> None:
        if self._is_new:  # nobody was told its id: it never was another
            self._is_new = False
            self._become(Profile(other.id, joined(other.known, own.known)))
            return
        winner, loser = merged(own, other)
        aliases[loser.id] = reason
        self._absorbed.add(loser.id)
        into = write(Alias(winner.id))
        for alias in (loser.id, *loser.known.aliases):
            self._change(profile_key(self._group, alias), into, self._profile_time())
        self._era = max(self._at, self._era + 1)
        self._change(era_key(self._group), write(self._era), ERA_LASTS)
        self._become(winner)

    # What is written

    def _lines(
        self, new: Sequence[int], told: Sequence[tuple[bool, Facts | None]]
    ) -> tuple[Event, ...]:
        """The events as they are journalled."""
        sent = self._sent
        profile_id = None if self._profile is None else self._profile.id
        session_facts = sent.session_facts
        lines = []
        for index, (withheld, of_event) in zip(new, told, strict=True):
            facts = of_event
            event = self._events[index]
            in_session = not sent.in_session or sent.in_session[index]
            if session_facts is not None and in_session and not withheld:
                facts = _with_session(facts, session_facts)
                session_facts = None
            if sent.carrier:
                if facts is None:
                    continue
                event = msgspec.structs.replace(event, context=None)  # it was read for consent
            # A tracking session may have been written where the client wants no session kept.
            session_id = event.session_id if in_session else None
            if (
                event.profile_id != profile_id
                or event.session_id != session_id
                or event.withheld is not withheld
                or event.facts is not facts
            ):
                event = msgspec.structs.replace(
                    event,
                    profile_id=profile_id,
                    session_id=session_id,
                    withheld=withheld,
                    facts=facts,
                )
            lines.append(event)
        return tuple(lines)

    def _keep_session(self, person: Person, *, visited: bool) -> None:
        """Bring the state up to date: the session, the profile, the device's stale id."""
        sent, session, profile = self._sent, person.session, self._profile
        who = sent.who
        is_old = session is not None and self._at - session.written_at >= DAY
        if profile is None:
            if session is None or is_old:
                self._put_session(session or Session(None, self._at, False))
            return
        if (
            session is None
            or is_old
            or session.profile_id != profile.id
            or session.visited is not visited
        ):
            self._put_session(Session(profile.id, self._at, visited))
            self._is_changed = True
        if person.pointer is not None:
            self._change(person.pointer, profile.id.encode(), self._profile_time())
        if self._is_changed and who.save_profile:
            key = profile_key(self._group, profile.id)
            self._change(key, write(profile.known), self._profile_time())
            for trait, digest in profile.known.points.items():
                key = point_key(self._group, trait, digest)
                self._change(key, profile.id.encode(), self._profile_time())
            if (led := leads(who, profile, self._look)) is not None:
                self._change(*led, self._profile_time())

    def _put_session(self, session: Session) -> None:
        renewed = msgspec.structs.replace(session, written_at=self._at, era=self._era)
        key = session_key(self._group, self._sent.who.session_id)
        days = self._settings.remember_sessions_days
        self._change(key, write(renewed), round(days * DAY))

    def _profile_time(self) -> Micros:
        return round(self._settings.remember_profiles_days * DAY)

    def _change(self, key: str, value: bytes, lives: Micros) -> None:
        self._changes.append(Change(key, value, self._at + lives))

    def _reply(self, profile: Profile | None, lines: Sequence[Event]) -> Reply:
        sent = self._sent
        told: dict[str, Any] = {"id": None if profile is None else profile.id}
        if sent.whole and profile is not None:
            told = answers.whole(profile)
        ids: Sequence[str] = ()
        if sent.debugger:
            ids = [line.event_id for line in lines if line.stored]
        return answers.taken(sent.who.new_uuid(), sent.who.session_id, told, ids, sent.warnings)


def _is_counted(person: Person) -> bool:
    """Whether the session was counted as a visit of the profile that it has now."""
    session = person.session
    if session is None or session.profile_id is None or person.profile is None:
        return False
    return session.visited and not person.is_new


def _reason(trait: str, kind: str) -> str:
    """Why two profiles are one, for whoever looks at it later; never with the value."""
    what = {"email": "e-mail", "phone": "telephone number"}.get(trait.partition(".")[0], "value")
    return f"the same {what} ({trait}), proven by {kind}"


def _with_session(facts: Facts | None, session: Facts) -> Facts:
    if facts is None:
        return session
    return msgspec.structs.replace(facts, context=session.context, properties=session.properties)
