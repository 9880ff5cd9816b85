"""Whatever a few visitors send in whatever order: one profile a session, and no update is lost.

Visitors lose cookies and profiles, keep stale and forged ids, take other people's, sign in on each
other's devices and repeat themselves; requests are decided in groups of any size. What the journal
says, read from its beginning as its followers read it, has to come to what the state says.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tracked import NOW, SECOND, SECRET, facts, payload, request, source

from footfall.collect.agents import Agent
from footfall.collect.contract import Intent
from footfall.collect.enrich import Enricher, Tools
from footfall.collect.ids import EventIds
from footfall.collect.intake import Intake
from footfall.collect.protocols import tracardi
from footfall.collect.protocols.tracardi import identity
from footfall.collect.protocols.tracardi.issued import ProfileIds
from footfall.collect.sources import Sources
from footfall.journal.contract import Position
from footfall.journal.engines.local import LocalJournal
from footfall.journal.engines.memory import MemoryJournal
from footfall.metrics import Tally
from footfall.settings import Limits

SITE = source(identification={"sign-in": ("email.main", "phone.main")})
SOURCES = Sources([SITE], secret=SECRET)
FORGED = ("forged-1", "forged-2")

EVENTS = st.lists(
    st.one_of(
        st.just({"type": "page-view"}),
        st.fixed_dictionaries(
            {"type": st.just("sign-in")},
            optional={
                "properties": st.fixed_dictionaries(
                    {},
                    optional={
                        "email": st.sampled_from(["a@x.example", "b@x.example"]),
                        "phone": st.sampled_from(["1", "2"]),
                        "firstname": st.sampled_from(["Ann", "Bob"]),
                    },
                )
            },
        ),
        st.fixed_dictionaries(
            {
                "type": st.just("consent-granted"),
                "properties": st.dictionaries(
                    st.sampled_from(["ads", "mail"]), st.booleans(), max_size=2
                ),
            }
        ),
        st.fixed_dictionaries(
            {"type": st.just("repeated"), "id": st.sampled_from(["e1", "e2", "e3"])}
        ),
        st.fixed_dictionaries(
            {
                "type": st.just("flagged"),
                "options": st.dictionaries(
                    st.sampled_from(["saveEvent", "saveSession", "save"]), st.booleans()
                ),
            }
        ),
    ),
    max_size=3,
)
STEPS = st.fixed_dictionaries(
    {
        "visitor": st.integers(0, 2),
        "session": st.sampled_from(["keep", "keep", "keep", "new", "none", "another's"]),
        "profile": st.sampled_from(["keep", "keep", "lost", "first", "forged", "another's"]),
        "device": st.booleans(),
        "events": EVENTS,
        "options": st.dictionaries(
            st.sampled_from(["saveSession", "saveEvents", "saveProfile"]),
            st.booleans(),
            max_size=1,
        ),
        "profile_less": st.sampled_from([False] * 5 + [True]),
        "with_next": st.booleans(),
        "later_s": st.sampled_from([0, 1, 100_000]),
    }
)


class Visitor:
    """What one visitor's browser holds."""

    def __init__(self, name):
        self.name = name
        self.numbers = itertools.count()
        self.session = f"{name}-0"
        self.first = self.profile = None

    def sends(self, step, others):
        other = others[(others.index(self) + 1) % len(others)]
        if step["session"] == "new":
            self.session = f"{self.name}-{next(self.numbers) + 1}"
        session = {"none": None, "another's": other.session}.get(step["session"], self.session)
        profile = {
            "keep": self.profile,
            "lost": None,
            "first": self.first,
            "forged": FORGED[len(self.name) % 2],
            "another's": other.profile,
        }[step["profile"]]
        return payload(
            *step["events"],
            session=session,
            profile=profile,
            device=self.name if step["device"] else None,
            options=step["options"],
            profile_less=step["profile_less"],
        )

    def learns(self, told):
        self.profile = told["profile"]["id"] or self.profile
        self.first = self.first or self.profile


class Run:
    """All steps against one journal, and what came of them."""

    def __init__(self, journal, clock):
        self.journal = journal
        self.clock = clock
        tools = Tools(parse_agent=lambda _agent: Agent())
        self._intake = Intake(journal, Enricher(tools, 1), Limits(), EventIds(), Tally())
        self.told: list[tuple[dict, dict]] = []
        """Every payload and its answer."""

    async def go(self, steps):
        visitors = [Visitor(name) for name in ("a", "bb", "ccc")]
        group = []
        for step in steps:
            self.clock.now += step["later_s"] * SECOND + 1
            visitor = visitors[step["visitor"]]
            group.append((visitor, visitor.sends(step, visitors)))
            if not step["with_next"]:
                await self._decide(group)
                group = []
        await self._decide(group)

    async def _decide(self, group):
        units = []
        for _, body in group:
            self.clock.now += 1
            asked = request(body, at=self.clock.now)
            intent = tracardi.decode(asked, SOURCES)
            assert isinstance(intent, Intent)
            units.append(self._intake._prepare(tracardi.PROTOCOL, asked, intent)[0])
        for (visitor, body), outcome in zip(group, await self.journal.transact(units), strict=True):
            assert not isinstance(outcome, Exception), outcome
            told = json.loads(outcome.reply.body)
            visitor.learns(told)
            self.told.append((body, told))

    async def check(self):
        batch = await self.journal.read(Position(0, 0), 1 << 30)
        events = [json.loads(line) for _, r in batch.records for line in r.events.splitlines()]
        into = {}
        for event in events:
            for alias, reason in facts(event).get("aliases", {}).items():
                assert alias not in into
                assert reason
                into[alias] = event["profile_id"]

        def now(profile_id):
            while profile_id in into:
                profile_id = into[profile_id]
            return profile_id

        self._no_forged_id(events, into)
        self._one_profile_a_session(events, now)
        self._no_event_twice(events)
        await self._nothing_lost(events, now, into)

    def _no_forged_id(self, events, into):
        named = {event.get("profile_id") for event in events} | into.keys() | {*into.values()}
        named |= {told["profile"]["id"] for _, told in self.told}
        assert not named & {*FORGED}

    def _one_profile_a_session(self, events, now):
        found = {}
        pairs = [(e.get("session_id"), e.get("profile_id")) for e in events]
        pairs += [(facts(e).get("visit"), e.get("profile_id")) for e in events]
        pairs += [(told["session"]["id"], told["profile"]["id"]) for _, told in self.told]
        for session_id, profile_id in pairs:
            if session_id is not None and profile_id is not None:
                assert found.setdefault(session_id, now(profile_id)) == now(profile_id)

    def _no_event_twice(self, events):
        last = {}
        for event in events:
            if event.get("client_id_given"):
                at, before = event["received_at"], last.get(event["event_id"])
                assert before is None or at - before >= identity.REMEMBER_EVENTS
                last[event["event_id"]] = at
        sent = [one for body, _ in self.told for one in body["events"] if "id" not in one]
        kept = [e for e in events if not e.get("client_id_given") and e["type"] != "visit-started"]
        assert [e["type"] for e in kept] == [one["type"] for one in sent]

    async def _nothing_lost(self, events, now, into):
        traits, consents, visits = {}, {}, {}
        for event in events:
            said, profile_id = facts(event), now(event.get("profile_id"))
            if "visit" in said:
                visits.setdefault(profile_id, []).append(said["visit"])
            traits.setdefault(profile_id, {}).update(said.get("traits", {}))
            consents.setdefault(profile_id, {}).update(said.get("consents", {}))
        issued = {told["profile"]["id"] for _, told in self.told} - {None}
        for profile_id in {now(one) for one in issued}:
            known = await self._known(profile_id)
            assert type(known) is identity.Known
            assert {name: value for name, (value, _) in known.traits.items()} == traits[profile_id]
            assert {
                name: [granted, until] for name, (granted, until, _) in known.consents.items()
            } == consents[profile_id]
            assert known.visits == len(visits[profile_id]) == len(set(visits[profile_id]))
            assert set(known.aliases) == {alias for alias in into if now(alias) == profile_id}
        for alias in into:
            assert await self._known(alias) == identity.Alias(now(alias))

    async def _known(self, profile_id):
        key = identity.profile_key("site", profile_id)
        value = (await self.journal.get([key])).get(key)
        if value is None:
            return ProfileIds(SECRET, "site", identity.DAY * 730).known(profile_id, self.clock())
        return identity.read_profile(value)


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@contextmanager
def memory(clock):
    yield MemoryJournal(clock=clock)


@contextmanager
def local(clock):
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "journal"
        LocalJournal.recover(directory)
        journal = LocalJournal(directory, clock=clock)
        journal.open()
        try:
            yield journal
        finally:
            journal.close()


def holds(engine, steps):
    clock = Clock()
    with engine(clock) as journal:
        run = Run(journal, clock)

        async def scenario():
            await run.go(steps)
            await run.check()

        asyncio.run(scenario())


@pytest.mark.slow
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, min_size=1, max_size=25))
def test_any_interleaving_in_memory(steps):
    holds(memory, steps)


@pytest.mark.slow
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, min_size=1, max_size=25))
def test_any_interleaving_on_disk(steps):
    holds(local, steps)


@pytest.mark.long
@settings(max_examples=5000, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, min_size=1, max_size=60))
def test_very_many_interleavings(steps):
    holds(memory, steps)
