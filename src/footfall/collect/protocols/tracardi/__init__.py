"""Tracardi's event collection: `POST /track`, as its JavaScript client and its users' systems do.

The vendor's documentation is at https://docs.tracardi.com (Tracker payload, Event payload,
Integration); what it leaves open is settled in ``docs/protocol-tracardi.md``.

``settings``  `[source.tracardi]`
``content``   what a payload holds, and everything that is wrong with it
``moments``   its dates
``flags``     its options that say what is to be stored and answered
``types``     which events say something of a person, and where: a table
``traits``    what they say
``consents``  which consents count, and what they come to
``identity``  whose a request is: the state's keys and values, and the table
``leading``   which other ids are to lead to a profile for as long as it is known
``expected``  what most requests are, decided at once
``deciding``  what a request changes, under the journal's lock
``answers``   the answers
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from footfall.collect import consent, wire
from footfall.collect.contract import (
    Cors,
    Draft,
    Intent,
    Protocol,
    Reason,
    Refusal,
    Request,
    Route,
)
from footfall.collect.protocols.tracardi import flags, traits
from footfall.collect.protocols.tracardi.answers import UNKNOWN_SOURCE, refuse
from footfall.collect.protocols.tracardi.content import (
    Fault,
    Item,
    Options,
    Payload,
    Times,
    device_id,
    read,
)
from footfall.collect.protocols.tracardi.deciding import NO_DEBUGGING, NO_WHOLE, Sent, decide
from footfall.collect.protocols.tracardi.flags import Flags
from footfall.collect.protocols.tracardi.identity import (
    DAY,
    Asked,
    era_key,
    event_key,
    profile_key,
    session_key,
)
from footfall.collect.protocols.tracardi.issued import ProfileIds
from footfall.collect.protocols.tracardi.moments import micros
from footfall.collect.protocols.tracardi.settings import Tracardi
from footfall.collect.protocols.tracardi.traits import Rules, Said
from footfall.collect.sources import Sources
from footfall.model import Facts, Micros
from footfall.settings import Source

NAME = "tracardi"
CARRIER = "visit-started"
"""Type of the line that says what happened where a request has no events."""
MOST_WARNINGS = 100

NOT_JSON = "Content-Type must be application/json, in UTF-8 if it names a charset, or be left out."


# Whose


class Entry(NamedTuple):
    """A source, and what follows from its settings."""

    source: Source
    settings: Tracardi
    group: str
    rules: Rules
    era_key: str
    ids: ProfileIds
    remembers: bool
    """Whether the profile's consents count."""


class Routing:
    """The sources by what `source.id` says."""

    __slots__ = ("_known", "_sources")

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._known: dict[str, Entry] = {}

    def of(self, named: str) -> Entry | None:
        """The source whose key or whose name it is; None where that takes no Tracardi."""
        found = self._known.get(named)
        if found is None:
            source = self._sources.by_key(named) or self._sources.by_id(named)
            if source is None or NAME not in source.protocols:
                return None
            settings = source.of(Tracardi)
            remembers = source.consent != "none" and bool(source.privacy.consents)
            group = settings.identity or source.id
            lasts = round(settings.remember_profiles_days * DAY)
            ids = ProfileIds(self._sources.secret, group, lasts)
            rules = Rules(settings)
            found = Entry(source, settings, group, rules, era_key(group), ids, remembers)
            self._known[named] = found  # only keys and names of sources: there are few
        return found


@functools.lru_cache(maxsize=4)
def routing(sources: Sources) -> Routing:
    """Of one snapshot of the sources; made anew after a reload."""
    return Routing(sources)


class Head(NamedTuple):
    """What the head alone has settled."""

    is_json: bool
    context: Mapping[str, Any]
    """Shared by the events of all requests with this head."""
    origin: str | None
    profile_less: str | None
    """As the query has it."""


def _look(request: Request, _sources: Sources) -> Head:
    headers = request.headers
    query = dict(wire.query(request.query)) if request.query else {}
    return Head(
        wire.is_json_type(headers.get(b"content-type")),
        wire.sent_by(headers),
        request.header(b"origin"),
        query.get("profile_less"),
    )


def _entry(payload: Payload, head: Head, sources: Sources) -> Entry | None:
    """The source, if it may be written to from here."""
    entry = routing(sources).of(payload.source.id)
    if entry is None or head.origin is None:
        return entry
    origins = entry.source.origins
    return entry if not origins or head.origin in origins or "*" in origins else None


# What


def decode(request: Request, sources: Sources) -> Intent | Refusal:
    """Content type, JSON and shape, then the source: the order in which they answer."""
    head = request.once(_look, sources)
    if not head.is_json:
        fault = Fault("", NOT_JSON, "content_type", ("body",))
        return Refusal(reason=Reason.CONTENT_TYPE_NOT_VALID, detail=NOT_JSON, problems=(fault,))
    payload = read(request.body, sources.limits)
    if isinstance(payload, list):
        return _not_valid(payload)
    entry = _entry(payload, head, sources)
    if entry is None:
        return Refusal(reason=Reason.KEY_UNKNOWN, detail=UNKNOWN_SOURCE)
    return _intent(request, payload, entry, head, sources.secret)


def _asked(request: Request, payload: Payload, entry: Entry, wanted: Flags) -> Asked:
    session = payload.session.id if payload.session is not None else None
    profile = payload.profile.id if payload.profile is not None else None
    ids, at, new_uuid = entry.ids, request.received_at, request.new_uuid
    return Asked(
        entry.group,
        session or new_uuid(),
        profile,
        device_id(payload),
        wanted.profile_less,
        wanted.save_profile,
        "" if profile is not None else ids.issue(new_uuid(), at),
        at,
        ids,
        new_uuid,
    )


def _intent(request: Request, payload: Payload, entry: Entry, head: Head, secret: bytes) -> Intent:
    source, group, items = entry.source, entry.group, payload.events or ()
    warnings: list[str] = []
    wanted = flags.read(payload, head.profile_less, warnings)
    who = _asked(request, payload, entry, wanted)
    session_facts = None
    if payload.context or payload.properties:
        session_facts = Facts(
            context=payload.context or None, properties=payload.properties or None
        )
    said = _said(items, entry.rules, warnings)
    event_keys = _event_keys(items, source.id)
    plain = bool(items) and wanted is flags.PLAIN
    plain = plain and not (said or event_keys or entry.remembers)
    first_facts = session_facts
    if plain and who.sent is None:
        first_facts = Facts(
            who.session_id,
            entry.settings.identity,
            payload.context or None,
            payload.properties or None,
        )
    drafts = _drafts(payload, wanted, who, head.context, first_facts)
    permits = [consent.said(request, source, d) for d in drafts] if entry.remembers else ()
    debugger = wanted.debugger and _leave(entry.settings, warnings, NO_DEBUGGING)
    whole = wanted.whole and _leave(entry.settings, warnings, NO_WHOLE)
    del warnings[MOST_WARNINGS:]
    keys: tuple[str, ...] = (session_key(group, who.session_id), entry.era_key)
    if who.sent is not None and not plain:
        keys += (profile_key(group, who.sent),)
    sent = Sent(
        who,
        plain,
        said,
        permits,
        wanted.in_session if items else (wanted.save_session,),
        event_keys,
        session_facts,
        not items,
        debugger,
        whole,
        warnings,
        secret,
        [],
    )
    if event_keys:
        keys += tuple([key for key in event_keys if key is not None])
    return Intent(source=source, drafts=drafts, keys=keys, payload=sent, decide=decide)


def _drafts(
    payload: Payload,
    wanted: Flags,
    who: Asked,
    sent_by: Mapping[str, Any],
    session_facts: Facts | None,
) -> tuple[Draft, ...]:
    """The events as far as the request alone tells; one carrier where it has none.

    Ids are what they most probably will be: deciding then has nothing to change.
    """
    session_id, profile_id = who.session_id, who.sent or who.fresh
    shared = {**sent_by, **payload.context} if payload.context else sent_by
    if not payload.events:
        return (
            Draft(
                type=CARRIER,
                session_id=session_id if wanted.save_session else None,
                profile_id=profile_id,
                context=shared or None,  # where consent may stand; `deciding` takes it off
                stored=False,
                facts=session_facts if wanted.save_session else None,
            ),
        )
    options, stored, in_session = payload.options, wanted.stored, wanted.in_session
    drafts = []
    for index, item in enumerate(payload.events):
        context = {**shared, **item.context} if item.context else shared
        time = item.time
        if options or item.options or item.tags or (time is not None and _is_more(time)):
            context = _with_own(context, item, options)
        page = context.get("page")
        url = page.get("url") if type(page) is dict else None
        kept = not in_session or in_session[index]
        drafts.append(
            Draft(
                type=item.type,
                event_id=item.id,
                occurred_at=None if time is None else _occurred_at(time),
                session_id=session_id if kept else None,
                profile_id=profile_id,
                page=url if type(url) is str else None,
                properties=item.properties or None,
                context=context or None,
                stored=not stored or stored[index],
                facts=session_facts if kept else None,
            )
        )
        if kept:
            session_facts = None
    return tuple(drafts)


def _with_own(context: Mapping[str, Any], item: Item, shared: Options | None) -> Mapping[str, Any]:
    """An event's context with the parts of the event that the model has no place for.

    Under the vendor's names, unless the client's own context has such a key.
    """
    found = {**context}
    options, times = item.options, item.time
    if shared or options:
        name = "options" if "options" not in context else "event_options"
        found[name] = {**shared, **options} if shared and options else shared or options
    if item.tags:
        found["tags" if "tags" not in context else "event_tags"] = item.tags
    if times is not None and _is_more(times):
        found["times" if "times" not in context else "event_times"] = {
            name: f"{wire.utc_text(moment)}Z"
            for name in ("insert", "update")
            if (given := getattr(times, name)) is not None and (moment := micros(given)) is not None
        }
    return found


def _is_more(times: Times) -> bool:
    """Whether times say more than when it happened."""
    return times.update is not None or (times.create is not None and times.insert is not None)


def _occurred_at(times: Times) -> Micros | None:
    given = times.create or times.insert
    return None if given is None else micros(given)


def _said(items: Sequence[Item], rules: Rules, warnings: list[str]) -> Sequence[Said | None]:
    """By event, what it says of the person; empty where none says anything."""
    said: list[Said | None] = []
    for index, item in enumerate(items):
        rule = rules.of(item.type)
        if rule is not None:
            said = said or [None] * len(items)
            where = f"events.{index}"
            said[index] = traits.read(rule, item.type, item.properties or {}, warnings, where)
    return said


def _event_keys(items: Sequence[Item], source_id: str) -> Sequence[str | None]:
    """By event, the key of the client's own id; empty where no event has one."""
    for item in items:
        if item.id is not None:
            return [None if i.id is None else event_key(source_id, i.id) for i in items]
    return ()


def _leave(settings: Tracardi, warnings: list[str], without: str) -> bool:
    """Whether what is wanted is allowed; what is not is said."""
    if not settings.debug:
        warnings.append(without)
    return settings.debug


# Answers


def _not_valid(faults: Sequence[Fault]) -> Refusal:
    reason = Reason.CONTENT_NOT_VALID
    if faults[0].loc == ("body",):
        reason = Reason.BODY_NOT_VALID
    return Refusal(reason=reason, detail="The payload is not valid.", problems=tuple(faults))


def _takes_bots(source: Source) -> bool:
    return source.of(Tracardi).bots


PROTOCOL = Protocol(
    name=NAME,
    routes=(Route("/track", ("POST",)),),
    decode=decode,
    refuse=refuse,
    cors=Cors(credentials=True, listed=False),
    settings=Tracardi,
    takes_bots=_takes_bots,
    process_time="X-Process-Time",
)
