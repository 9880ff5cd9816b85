"""Groups, order, isolation and bounds between decoding and the journal."""

from __future__ import annotations

import asyncio
import json
from uuid import uuid4

import msgspec
import pytest
import structlog
from echo import bodies
from served import source

from footfall.collect import correlate
from footfall.collect.agents import Agent
from footfall.collect.contract import (
    Cors,
    Draft,
    Intent,
    Protocol,
    Reason,
    Refusal,
    Reply,
    Request,
)
from footfall.collect.enrich import Enricher, Tools
from footfall.collect.ids import EventIds
from footfall.collect.intake import Intake
from footfall.errors import JournalFailed, JournalUnavailable
from footfall.journal.contract import Change, Outcome, Position, Unit
from footfall.journal.engines.memory import MemoryJournal
from footfall.metrics import DROPPED, EVENTS, Tally
from footfall.model import Reject
from footfall.settings import Limits

SITE = source()
OK = Reply(204)
PROTOCOL = Protocol(
    name="test", routes=(), decode=None, refuse=None, cors=Cors(request_headers=())
)  # fmt: skip


class Controlled(MemoryJournal):
    """Commits when it is let, fails as it is told, and remembers the sizes of its groups."""

    def __init__(self):
        super().__init__()
        self.go = asyncio.Event()
        self.go.set()
        self.fault = None
        self.groups = []

    async def transact(self, units):
        self.groups.append(len(units))
        await self.go.wait()
        if self.fault is not None:
            raise self.fault
        return await super().transact(units)


class Desk:
    """An intake at work, and what it answered, in the order of the answers."""

    def __init__(self, journal=None, agent=None, **limits):
        self.journal = journal or Controlled()
        self.tally = Tally()
        tools = Tools(parse_agent=lambda _text: agent or Agent())
        self.intake = Intake(
            self.journal, Enricher(tools, 10), Limits(**limits), EventIds(), self.tally
        )
        self.answers = []

    async def __aenter__(self):
        self._task = asyncio.create_task(self.intake.run())
        return self

    async def __aexit__(self, *_exc):
        assert not self._task.done(), "the intake ended by itself"
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def take(self, name, intent=None, protocol=PROTOCOL, answer=None, **request):
        body = str(name).encode()
        request = Request(
            method="POST", path="/", body=request.pop("body", body), received_at=1 << 50,
            new_uuid=lambda: str(uuid4()), **request,
        )  # fmt: skip
        self.intake.take(
            protocol,
            request,
            intent or intent_of(name),
            answer or (lambda settled: self.answers.append((name, settled))),
        )

    async def drained(self):
        await asyncio.wait_for(self.intake.drained(), 10)

    async def stored(self):
        batch = await self.journal.read(Position(0, 0), 1 << 30)
        return b"".join(record.events for _, record in batch.records)

    async def rejects(self):
        batch = await self.journal.read(Position(0, 0), 1 << 30)
        return b"".join(record.rejects for _, record in batch.records)

    def statuses(self):
        return {
            name: settled.status if isinstance(settled, Reply) else settled.reason
            for name, settled in self.answers
        }


def intent_of(name, **more):
    draft = Draft(type="t", properties={"body": str(name)})
    return msgspec.structs.replace(Intent(source=SITE, drafts=(draft,), reply=OK), **more)


def run(test):
    with structlog.testing.capture_logs() as logs:
        asyncio.run(test(logs))


def test_what_arrives_during_a_commit_is_the_next_group():
    async def test(_logs):
        async with Desk() as desk:
            desk.journal.go.clear()
            desk.take(0)
            await asyncio.sleep(0.01)
            for number in range(1, 50):
                desk.take(number)
            await asyncio.sleep(0.01)
            assert desk.answers == []
            desk.journal.go.set()
            await desk.drained()
            assert desk.journal.groups == [1, 49]
            assert [name for name, _ in desk.answers] == list(range(50))
            assert bodies(await desk.stored()) == [str(number) for number in range(50)]

    run(test)


def test_groups_are_bounded():
    async def test(_logs):
        async with Desk(group_requests=10) as desk:
            for number in range(25):
                desk.take(number)
            await desk.drained()
            assert desk.journal.groups == [10, 10, 5]
            assert [name for name, _ in desk.answers] == list(range(25))

    run(test)


def test_no_answer_before_it_is_durable():
    async def test(_logs):
        class Asking(MemoryJournal):
            async def transact(self, units):
                results = await super().transact(units)
                await asyncio.sleep(0.01)
                assert desk.answers == []
                return results

        async with Desk(Asking()) as desk:
            desk.take("a")
            await desk.drained()
            assert desk.answers == [("a", OK)]

    run(test)


def test_a_unit_that_fails_fails_alone():
    async def test(logs):
        def fail(_intent, _states, _events):
            raise RuntimeError("in deciding")

        def nonsense(_intent, _states, events):
            return Outcome(events=events, reply="not a reply")

        async with Desk() as desk:
            desk.take("before")
            desk.take("fails", intent_of("fails", decide=fail))
            bad = Draft(type="t", properties={"body": object()})
            desk.take("cannot be written", Intent(source=SITE, drafts=(bad,), reply=OK))
            desk.take("says nothing", intent_of("says nothing", decide=nonsense))
            desk.take("after")
            await desk.drained()
            assert desk.journal.groups == [4]  # what cannot be written does not come so far
            assert desk.statuses() == {
                "before": 204,
                "fails": Reason.INTERNAL_ERROR,
                "cannot be written": Reason.INTERNAL_ERROR,
                "says nothing": Reason.INTERNAL_ERROR,
                "after": 204,
            }
            assert bodies(await desk.stored()) == ["before", "says nothing", "after"]
            assert len([entry for entry in logs if entry["log_level"] == "error"]) == 3

    run(test)


def test_a_refusal_may_depend_on_the_state():
    async def test(_logs):
        def decide(_intent, states, _events):
            if "k" in states:
                return Outcome(reply=Refusal(reason=Reason.SESSION_NOT_FOUND, detail="Twice."))
            return Outcome(reply=OK, changes=(Change("k", b"", 1 << 60),))

        async with Desk() as desk:
            desk.take("first", intent_of("first", keys=("k",), decide=decide))
            desk.take("second", intent_of("second", keys=("k",), decide=decide))
            await desk.drained()
            assert desk.journal.groups == [2]
            assert desk.statuses() == {"first": 204, "second": Reason.SESSION_NOT_FOUND}
            assert await desk.stored() == b""

    run(test)


def test_an_answer_that_fails_keeps_no_other_from_its_own():
    async def test(logs):
        def fail(_settled):
            raise RuntimeError("a closed connection, say")

        async with Desk() as desk:
            desk.take("a")
            desk.take("b", answer=fail)
            desk.take("c")
            await desk.drained()
            desk.take("d")
            await desk.drained()
            assert desk.statuses() == {"a": 204, "c": 204, "d": 204}
            assert bodies(await desk.stored()) == ["a", "b", "c", "d"]
            assert [entry["event"] for entry in logs] == ["reply failed"]

    run(test)


def test_a_fault_before_the_queue_is_answered():
    async def test(logs):
        async with Desk() as desk:
            desk.intake._new_event_id = None
            desk.take("a")
            assert desk.statuses() == {"a": Reason.INTERNAL_ERROR}
            assert [entry["event"] for entry in logs] == ["preparing a request failed"]

    run(test)


# What waits is bounded


def test_too_many_waiting():
    async def test(_logs):
        async with Desk(queue_requests=3) as desk:
            desk.journal.go.clear()
            desk.take("in flight")
            await asyncio.sleep(0.01)
            for number in range(5):
                desk.take(number)
            assert desk.statuses() == {3: Reason.OVERLOADED, 4: Reason.OVERLOADED}
            desk.journal.go.set()
            await desk.drained()
            desk.take("after")
            await desk.drained()
            assert desk.statuses()["after"] == 204
            assert bodies(await desk.stored()) == ["in flight", "0", "1", "2", "after"]

    run(test)


def test_too_many_bytes_waiting():
    async def test(_logs):
        async with Desk(queue_bytes=1000) as desk:
            desk.journal.go.clear()
            desk.take("large", body=b"x" * 900)
            await asyncio.sleep(0.01)
            desk.take("too much", body=b"x" * 101)
            desk.take("fits", body=b"x" * 100)
            assert desk.statuses() == {"too much": Reason.OVERLOADED}
            desk.journal.go.set()
            await desk.drained()
            assert desk.intake._bytes == 0
            desk.take("large again", body=b"x" * 1000)
            await desk.drained()
            assert desk.statuses()["large again"] == 204

    run(test)


@pytest.mark.slow
def test_a_stalled_journal_holds_nobody_for_ever():
    async def test(logs):
        def fail(_settled):
            raise RuntimeError("a closed connection, say")

        async with Desk(queue_seconds=0.3) as desk:
            desk.journal.go.clear()
            desk.take("no ears", answer=fail)
            desk.take("in flight")
            await asyncio.sleep(0.01)
            desk.take("no ears either", answer=fail)
            desk.take("waiting")
            while len(desk.answers) < 2:
                await asyncio.sleep(0.05)
            assert desk.statuses() == {
                "in flight": Reason.OVERLOADED,
                "waiting": Reason.OVERLOADED,
            }
            assert all("may or may not" in settled.detail for _, settled in desk.answers)
            desk.take("fresh")
            desk.journal.go.set()
            await desk.drained()
            assert desk.intake._bytes == 0
            assert desk.statuses()["fresh"] == 204
            assert len(desk.answers) == 3, "nobody is answered twice"
            # What was being written when its client was told so was written; the rest was not.
            assert bodies(await desk.stored()) == ["no ears", "in flight", "fresh"]
            assert {entry["event"] for entry in logs} == {"reply failed"}

    run(test)


# The journal's faults


def test_what_cannot_be_stored_is_never_a_success_and_there_is_life_after():
    async def test(logs):
        async with Desk() as desk:
            desk.journal.fault = JournalUnavailable("no space on /var/lib/secret")
            for number in range(3):
                desk.take(number)
                await desk.drained()
            assert set(desk.statuses().values()) == {Reason.JOURNAL_UNAVAILABLE}
            assert all("secret" not in settled.detail for _, settled in desk.answers)
            assert [entry["event"] for entry in logs] == ["commits fail"], "said once"
            desk.journal.fault = None
            desk.take("after")
            await desk.drained()
            assert desk.statuses()["after"] == 204
            assert desk.intake.failed is None
            assert bodies(await desk.stored()) == ["after"]
            desk.journal.fault = JournalUnavailable("no space on /var/lib/secret")
            desk.take("again")
            await desk.drained()
            assert len(logs) == 2, "said again after it had been well"

    run(test)


def test_a_failed_sync_is_for_good():
    async def test(_logs):
        async with Desk(group_requests=1) as desk:
            desk.journal.go.clear()
            desk.take("unknown")
            await asyncio.sleep(0.01)
            desk.take("waiting")
            desk.journal.fault = JournalFailed("sync")
            desk.journal.go.set()
            await desk.drained()
            assert desk.intake.failed == "sync"
            assert desk.intake.has_failed.is_set()
            desk.journal.fault = None
            desk.take("after")
            desk.intake.keep(a_reject())
            assert set(desk.statuses().values()) == {Reason.JOURNAL_UNAVAILABLE}
            details = {name: settled.detail for name, settled in desk.answers}
            assert "may or may not" in details["unknown"]
            assert "Nothing was stored" in details["waiting"]
            assert "Nothing was stored" in details["after"]
            assert desk.journal.groups == [1], "nothing was tried after it"
            assert await desk.stored() == b""

    run(test)


def test_an_engines_own_fault_is_a_500_and_not_the_end():
    async def test(logs):
        async with Desk() as desk:
            desk.journal.fault = ZeroDivisionError()
            desk.take("a")
            await desk.drained()
            desk.journal.fault = None
            desk.take("b")
            await desk.drained()
            assert desk.statuses() == {"a": Reason.INTERNAL_ERROR, "b": 204}
            assert logs[0]["event"] == "commit failed"

    run(test)


# Rejects


def a_reject(body="b"):
    return Reject(
        received_at=1, protocol="test", reason="key_unknown", detail="d", status=401, body=body
    )


def test_rejects_are_kept_where_there_is_room():
    async def test(_logs):
        async with Desk(queue_requests=10) as desk:
            desk.journal.go.clear()
            desk.take("in flight")
            await asyncio.sleep(0.01)
            for _ in range(20):
                desk.intake.keep(a_reject())
            for number in range(10):
                desk.take(number)
            desk.journal.go.set()
            await desk.drained()
            # Half of the queue is for those who wait for an answer.
            assert len((await desk.rejects()).splitlines()) == 5
            assert list(desk.statuses().values()).count(204) == 6

    run(test)


# Enrichment and correlation


BOT = Agent(device="bot")


@pytest.mark.parametrize("decided", [False, True])
def test_dropped_events_are_counted_told_and_not_stored(decided):
    dropping = source(bots="drop")

    def decide(_intent, _states, events):
        return Outcome(events=events, reply=OK)

    async def test(_logs):
        async with Desk(agent=BOT) as desk:
            intent = intent_of("x", source=dropping, decide=decide if decided else None)
            desk.take("bot", intent, headers={b"user-agent": b"crawler"})
            desk.take("nothing to drop", msgspec.structs.replace(intent, drafts=()),
                      headers={b"user-agent": b"crawler"})  # fmt: skip
            await desk.drained()
            answers = dict(desk.answers)
            assert answers["bot"].headers == (("X-Footfall-Dropped", "bot"),)
            assert answers["nothing to drop"].headers == ()
            assert await desk.stored() == b""
            assert desk.tally.cell(DROPPED, "test", "bot").number == 1
            assert desk.tally.cell(EVENTS, "test", "site").number == 0

    run(test)


def test_bots_are_kept_where_nothing_else_is_said():
    async def test(_logs):
        async with Desk(agent=BOT) as desk:
            desk.take("bot", headers={b"user-agent": b"crawler"})
            await desk.drained()
            (event,) = map(json.loads, (await desk.stored()).splitlines())
            assert event["device"] == "bot"
            assert desk.tally.cell(EVENTS, "test", "site").number == 1

    run(test)


def test_fields_of_the_client_win_over_those_of_its_request():
    async def test(_logs):
        agent = Agent(device="mobile", os="iOS", browser="Safari", channel="ios")
        async with Desk(agent=agent) as desk:
            headers = {b"user-agent": b"x", b"origin": b"https://shop.example"}
            desk.take("bare", headers=headers, client_ip="192.0.2.77")
            draft = Draft(
                type="t", event_id="mine", occurred_at=5, channel="kiosk", brand="Ours",
                session_id="s", profile_id="p", user_id="u", page="/", location="l",
                playhead_s=1.5, properties={"body": ""}, context={"c": 1},
            )  # fmt: skip
            full = Intent(source=SITE, drafts=(draft,), reply=OK)
            desk.take("full", full, headers=headers, client_ip="192.0.2.77")
            await desk.drained()
            bare, given = map(json.loads, (await desk.stored()).splitlines())
        by_request = {
            "source": "site", "protocol": "test", "type": "t", "received_at": 1 << 50,
            "device": "mobile", "os": "iOS", "browser": "Safari", "ip": "192.0.2.0",
        }  # fmt: skip
        assert len(bare.pop("event_id")) == 36
        assert bare == by_request | {
            "occurred_at": 1 << 50, "channel": "ios", "brand": "https://shop.example",
            "properties": {"body": "bare"},
        }  # fmt: skip
        assert given == by_request | {
            "event_id": "mine", "client_id_given": True, "occurred_at": 5, "channel": "kiosk",
            "brand": "Ours", "session_id": "s", "profile_id": "p", "user_id": "u", "page": "/",
            "location": "l", "playhead_s": 1.5, "properties": {"body": ""}, "context": {"c": 1},
        }  # fmt: skip

    run(test)


LIVE, ENDED = str(uuid4()), str(uuid4())


async def begin_session(desk, session_id, source_id="site"):
    session = correlate.TrackingSession(1, 1 << 60, None)
    change = Change(
        correlate.key(source_id, session_id), msgspec.msgpack.encode(session), 1 << 60
    )  # fmt: skip
    await desk.journal.transact([Unit((), lambda _states: Outcome(changes=(change,)))])


@pytest.mark.parametrize("decided", [False, True])
@pytest.mark.parametrize(
    "headers",
    [
        {b"cookie": f"a=b; __Secure-jay_tracking={LIVE}".encode()},
        {b"__secure-jay_tracking": LIVE.encode()},
        {b"x-jay-tracking": f"{ENDED}, {LIVE}".encode()},
    ],
)
def test_a_live_tracking_session_is_written_on_what_is_sent_in_it(headers, decided):
    def decide(_intent, _states, events):
        return Outcome(events=events, reply=OK)

    async def test(_logs):
        async with Desk() as desk:
            await begin_session(desk, LIVE)
            intent = intent_of("x", decide=decide if decided else None)
            desk.take("with", intent, headers=headers)
            own = Draft(type="t", session_id="own", properties={"body": ""})
            own_session = msgspec.structs.replace(intent, drafts=(own,))
            desk.take("own", own_session, headers=headers)
            desk.take("without", intent)
            await desk.drained()
            events = [json.loads(line) for line in (await desk.stored()).splitlines()]
            assert [event.get("session_id") for event in events] == [LIVE, "own", None]
            carried = [event["properties"].get("jay_session_id") for event in events]
            assert carried == [LIVE, LIVE, None]

    run(test)


def test_sessions_that_do_not_count():
    async def test(_logs):
        async with Desk() as desk:
            await begin_session(desk, LIVE, "another source")
            for session in (LIVE, ENDED, "no uuid", ""):
                desk.take(session, headers={b"x-jay-tracking": session.encode()})
            await desk.drained()
            taking_none = msgspec.structs.replace(PROTOCOL, takes_tracking_session=False)
            await begin_session(desk, ENDED)
            desk.take("no", protocol=taking_none, headers={b"x-jay-tracking": ENDED.encode()})
            await desk.drained()
            assert b"jay_session_id" not in await desk.stored()
            assert set(desk.statuses().values()) == {204}

    run(test)


def test_other_units_join_the_same_groups_and_get_their_outcomes():
    async def test(_logs):
        async with Desk() as desk:
            desk.journal.go.clear()
            desk.take(0)
            await asyncio.sleep(0.01)
            desk.take(1)
            unit = Unit(("k",), lambda states: Outcome((), (), (Change("k", b"v", 1 << 60),), 7))
            committed = asyncio.create_task(desk.intake.commit(unit))
            plain = asyncio.create_task(desk.intake.commit(Outcome(reply="as it is")))
            await asyncio.sleep(0.01)
            assert not committed.done()
            desk.journal.go.set()
            assert (await committed).reply == 7
            assert (await plain).reply == "as it is"
            assert desk.journal.groups == [1, 3]
            assert await desk.journal.get(["k"]) == {"k": b"v"}

    run(test)


def test_what_cannot_be_committed_is_told_to_who_waits_for_it():
    async def test(_logs):
        async with Desk(queue_requests=1, queue_seconds=0.05) as desk:
            with pytest.raises(ZeroDivisionError):
                await desk.intake.commit(Unit((), lambda _states: 1 / 0))
            desk.journal.fault = JournalUnavailable("disk full")
            with pytest.raises(JournalUnavailable, match="disk full"):
                await desk.intake.commit(Outcome())
            desk.journal.fault = None
            desk.journal.go.clear()
            stuck = asyncio.create_task(desk.intake.commit(Outcome()))
            await asyncio.sleep(0.01)
            waiting = asyncio.create_task(desk.intake.commit(Outcome()))
            await asyncio.sleep(0)
            with pytest.raises(JournalUnavailable, match="Too much"):
                await desk.intake.commit(Outcome())
            for late in (stuck, waiting):
                with pytest.raises(JournalUnavailable, match="too long"):
                    await late
            desk.journal.go.set()
            await desk.drained()
            desk.journal.fault = JournalFailed("the disk refused")
            with pytest.raises(JournalFailed):
                await desk.intake.commit(Outcome())
            with pytest.raises(JournalUnavailable):
                await desk.intake.commit(Outcome())

    run(test)


def test_who_stops_waiting_does_not_stop_the_commit():
    async def test(_logs):
        async with Desk() as desk:
            desk.journal.go.clear()
            change = (Change("k", b"v", 1 << 60),)
            gone = asyncio.create_task(desk.intake.commit(Outcome((), (), change)))
            await asyncio.sleep(0.01)
            gone.cancel()
            await asyncio.sleep(0)
            desk.journal.go.set()
            await desk.drained()
            assert await desk.journal.get(["k"]) == {"k": b"v"}

    run(test)
