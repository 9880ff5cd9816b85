"""Server-side tracking: what each request owes, once over all processes, sent only when durable."""

from __future__ import annotations

import asyncio
import json
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall.errors import JournalUnavailable
from footfall.journal.contract import Position
from footfall.journal.engines.memory import MemoryJournal
from footfall.settings import Service
from footfall.stream import beacons, events, macros, owed, telling, told
from footfall.stream.ad_tokens import TOKEN_CHARACTERS, AdSegment, Tokens
from footfall.stream.beacons import Beacons, Viewer
from footfall.stream.contract import SLATE, Ad, Beacon, Context, Details, Placed, Pod
from footfall.stream.fetch import BeaconOutcome

SECOND = 1_000_000
START = 1_767_268_800 * SECOND
KINDS = (
    "impression", "creativeView", "start", "firstQuartile", "midpoint", "thirdQuartile", "complete",
)  # fmt: skip
SERVICE = Service(id="tv", source="site", kind="live", tracking="server")
SENT = BeaconOutcome("sent", 200, 5.0)


def tracker(kind, ad="a", **more):
    return Beacon(kind, f"https://t.example/{ad}/{kind}", **more)


def make(*lengths, name="slot:1:x", kinds=KINDS, extra=(), around=True) -> Pod:
    """A pod of ads a, b, …; a length below 0 is a slate of that length."""
    placed, ads, at = [], [], START
    for letter, length in zip("abcdef", lengths, strict=False):
        ad_id = letter if length > 0 else SLATE
        placed.append(Placed(ad_id, f"https://c.example/{letter}.m3u8", at, abs(length) * SECOND))
        trackers = (*(tracker(kind, letter) for kind in kinds), *extra) if length > 0 else ()
        ads.append(Ad(ad_id, sequence=len(ads) + 1, beacons=trackers))
        at += placed[-1].duration_us
    breaks = (tracker("breakStart", "pod"), tracker("breakEnd", "pod")) if around else ()
    pod = Pod(name, START, 0, True, None, START, at, tuple(placed))
    said = telling.pod(pod, Details(tuple(ads), breaks), by_server=True)
    return msgspec.structs.replace(pod, told=told.pack(said))


def segments(pod: Pod, ad=0, each_s=2) -> list[AdSegment]:
    """The segments of an ad, of 2 s and a shorter last one."""
    length = pod.ads[ad].duration_us // 1000
    starts = list(range(0, length, round(each_s * 1000)))
    return [
        AdSegment("s", pod.id, ad, n, len(starts), begin, min(begin + each_s * 1000, length), f"https://c.example/{ad}/{n}.ts")
        for n, begin in enumerate(starts)
    ]  # fmt: skip


class World:
    """A journal, processes over it, and the servers that hear beacons."""

    def __init__(self, *pods: Pod) -> None:
        self.clock = START
        self.journal = MemoryJournal(lambda: self.clock)
        self.context: Context | None = Context(START, pods=pods)
        self.heard: list[tuple[str, dict]] = []
        self.answers: list[BeaconOutcome | Exception] = []
        self.down = False
        self.slow = 0.0
        self._number = 0

    def process(self) -> Beacons:
        return Beacons(
            known=self._known,
            commit=self._commit,
            record=events.Events(self._id),
            caller=self,
            now=lambda: self.clock,
            seconds=3,
        )

    async def _known(self, _service, session_id, _pod):
        return self.context if session_id == "s" else None

    def _id(self, now):
        self._number += 1
        return f"id-{self._number}"

    async def _commit(self, unit):
        await asyncio.sleep(0)
        if self.down:
            raise JournalUnavailable("down")
        (found,) = await self.journal.transact([unit])
        if isinstance(found, Exception):
            raise found
        return found

    async def beacon(self, url, *, service, timeout, headers):
        assert (service, timeout) == (SERVICE, 3)
        if self.slow:
            await asyncio.sleep(self.slow)
        self.heard.append((url, headers))
        answer = self.answers.pop(0) if self.answers else SENT
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def urls(self) -> list[str]:
        """What was heard, as ad/type."""
        return [url.removeprefix("https://t.example/") for url, _ in self.heard]

    async def said(self, kind=None) -> list[dict]:
        batch = await self.journal.read(Position(0, 0))
        found = [json.loads(line) for _, one in batch.records for line in one.events.splitlines()]
        return [one["properties"] for one in found if kind in {None, one["type"]}]


def viewer(**headers) -> Viewer:
    values = macros.Values(
        session="s", service="tv", headers=headers or {"user-agent": "TV/1"}, address="192.0.2.7",
    )  # fmt: skip
    return Viewer(events.Sender(source="site", service="tv", session_id="s"), values)


async def play(process: Beacons, *asked: AdSegment, close=True) -> None:
    for one in asked:
        await process.asked(SERVICE, one, viewer())
    if close:
        await process.close(5)


# What is owed


def due(pod: Pod, asked: AdSegment) -> list[str]:
    owes = owed.owed(pod, told.read(pod), asked)
    return [one.url.removeprefix("https://t.example/") for one in owes]


def test_each_segment_owes_what_it_contains():
    pod = make(9, 10)
    assert [due(pod, one) for one in segments(pod)] == [
        ["pod/breakStart", "a/impression", "a/creativeView", "a/start"],
        ["a/firstQuartile"],
        ["a/midpoint"],
        ["a/thirdQuartile"],
        ["a/complete"],
    ]
    assert due(pod, segments(pod, 1)[0]) == ["b/impression", "b/creativeView", "b/start"]
    assert due(pod, segments(pod, 1)[-1]) == ["b/complete", "pod/breakEnd"]


def test_a_slate_neither_begins_nor_ends_the_break_and_owes_nothing():
    pod = make(-5, 10, -5, around=True)
    assert due(pod, segments(pod, 1)[0])[0] == "pod/breakStart"
    assert due(pod, segments(pod, 1)[-1])[-1] == "pod/breakEnd"
    assert owed.place(pod, 0) is None
    assert owed.place(pod, 1) == events.Place(pod.id, "b", 1)
    assert owed.place(pod, 3) is owed.place(pod, -1) is None


def test_one_segment_may_owe_everything():
    pod = make(2)
    assert due(pod, segments(pod)[0]) == [
        "pod/breakStart", *(f"a/{kind}" for kind in KINDS), "pod/breakEnd",
    ]  # fmt: skip


def test_progress_is_owed_where_it_is_and_never_beyond_the_end():
    extra = (
        tracker("progress", "5", offset_ms=5000), tracker("progress", "90", offset_percent=90.0),
        tracker("progress", "no", offset_ms=10_001), tracker("progress", "none"),
    )  # fmt: skip
    pod = make(10, kinds=(), extra=extra, around=False)
    assert [due(pod, one) for one in segments(pod)] == [[], [], ["5/progress"], [], ["90/progress"]]


def test_what_only_a_viewer_does_is_never_owed():
    kinds = ("mute", "pause", "skip", "acceptInvitation", "close", "viewable", "IMPRESSION")
    pod = make(2, kinds=kinds, around=False)
    assert due(pod, segments(pod)[0]) == ["a/IMPRESSION"]


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 60), st.integers(300, 11_000), st.integers(-300, 300))
def test_over_all_segments_of_any_rendition_everything_is_owed_once(length, each_ms, off_ms):
    """However a rendition is cut, and if it is a little longer or shorter than the ad."""
    extra = tuple(tracker("progress", str(n), offset_percent=float(n)) for n in (0, 1, 33, 99, 100))
    pod = make(length, extra=extra)
    whole = max(length * 1000 + off_ms, 1)
    starts = list(range(0, whole, each_ms))
    found = []
    for n, begin in enumerate(starts):
        end = min(begin + each_ms, whole)
        found += due(pod, AdSegment("s", pod.id, 0, n, len(starts), begin, end, "x"))
    wanted = [f"a/{kind}" for kind in KINDS] + [
        one.url.removeprefix("https://t.example/") for one in extra
    ]
    assert sorted(found) == sorted([*wanted, "pod/breakStart", "pod/breakEnd"])


# Once, in order, when durable


def test_a_whole_ad_is_reported_in_order_and_recorded():
    async def work():
        world = World(make(10))
        await play(world.process(), *segments(world.context.pods[0]))
        assert world.urls == ["pod/breakStart", *(f"a/{kind}" for kind in KINDS), "pod/breakEnd"]
        asked = await world.said("ad-segment")
        assert [(one["segment"], one["of"]) for one in asked] == [(n, 5) for n in range(5)]
        dues, came = await world.said("beacon-due"), await world.said("beacon")
        assert [one["beacon"] for one in dues] == [one["beacon"] for one in came]
        assert (
            [one["number"] for one in dues]
            == [one["number"] for one in came]
            == [0, 2, 3, 4, 5, 6, 7, 8, 1]
        )
        assert {(one["outcome"], one["status"], one["host"]) for one in came} == {
            ("sent", 200, "t.example")
        }
        assert asked[0] == {
            "service": "tv", "pod": "slot:1:x", "ad_id": "a", "position": 1, "segment": 0, "of": 5,
        }  # fmt: skip

    asyncio.run(work())


def test_what_is_asked_twice_or_of_two_processes_at_once_is_reported_once():
    async def work():
        world = World(make(10, 10))
        one, two = world.process(), world.process()
        every = [*segments(world.context.pods[0]), *segments(world.context.pods[0], 1)]
        await asyncio.gather(
            *(
                process.asked(SERVICE, asked, viewer())
                for asked in every
                for process in (one, two, one)
            )
        )
        await one.close(5)
        await two.close(5)
        assert len(world.urls) == len(set(world.urls)) == 2 * len(KINDS) + 2
        assert len(await world.said("ad-segment")) == len(every)

    asyncio.run(work())


def test_who_jumps_over_the_middle_is_not_counted_there():
    async def work():
        world = World(make(10))
        parts = segments(world.context.pods[0])
        await play(world.process(), parts[0], parts[4])
        assert world.urls == [
            "pod/breakStart", "a/impression", "a/creativeView", "a/start", "a/complete", "pod/breakEnd",
        ]  # fmt: skip

    asyncio.run(work())


def test_nothing_is_sent_before_it_is_durable():
    async def work():
        world = World(make(2))
        process, seen = world.process(), []
        commit = world._commit

        async def watched(unit):
            seen.append(list(world.urls))
            return await commit(unit)

        process._commit = watched
        await process.asked(SERVICE, segments(world.context.pods[0])[0], viewer())
        assert seen == [[]]
        assert len(await world.said("beacon-due")) == len(KINDS) + 2
        await process.close(5)
        assert len(world.urls) == len(KINDS) + 2

    asyncio.run(work())


def test_a_process_that_dies_leaves_its_beacons_uncertain_and_nobody_repeats_them():
    async def work():
        world = World(make(2))
        world.slow = 60
        first, (asked,) = world.process(), segments(world.context.pods[0])
        await first.asked(SERVICE, asked, viewer())
        for task in first._senders:
            task.cancel()
        world.slow = 0
        await play(world.process(), asked)
        assert world.urls == []
        assert await world.said("beacon") == []

    asyncio.run(work())


def test_a_context_that_began_anew_has_beacons_of_its_own():
    async def work():
        world = World(make(2, kinds=("impression",), around=False))
        (asked,) = segments(world.context.pods[0])
        await play(world.process(), asked)
        world.context = Context(START + 1, pods=world.context.pods)
        await play(world.process(), asked, asked)
        assert world.urls == ["a/impression"] * 2

    asyncio.run(work())


@pytest.mark.parametrize("change", [{"session_id": "t"}, {"pod": "gone"}, {"ad": 1}, {"ad": 2}])
def test_what_was_not_spliced_owes_nothing(change):
    async def work():
        world = World(make(4, -4))
        (asked, *_) = segments(world.context.pods[0])
        await play(world.process(), msgspec.structs.replace(asked, **change))
        assert world.urls == await world.said() == []

    asyncio.run(work())


# The calls


def test_the_ad_server_hears_of_the_viewer_and_macros_are_filled():
    async def work():
        url = "https://t.example/?[SERVERSIDE]&[ADPLAYHEAD]&[PODSEQUENCE]&[ASSETURI]&[BREAKPOSITION]&[UNHEARDOF]"
        world = World(make(8, kinds=(), extra=(Beacon("midpoint", url),), around=False))
        await play(world.process(), *segments(world.context.pods[0]))
        ((called, headers),) = world.heard
        assert (
            called
            == "https://t.example/?1&00%3A00%3A04.000&1&https%3A%2F%2Fc.example%2Fa.m3u8&2&-1"
        )
        assert headers["X-Device-User-Agent"] == "TV/1"
        assert headers["X-Forwarded-For"] == "192.0.2.7"

    asyncio.run(work())


class Case(NamedTuple):
    answers: list
    calls: int
    outcome: str


FAILED = BeaconOutcome("failed", None, 1.0, "unreachable", "no answer")
REFUSED = BeaconOutcome("failed", None, 0.0, "refused", "not allowed")
UNCERTAIN = BeaconOutcome("uncertain", None, 3000.0, "timeout", "3 s")


@pytest.mark.parametrize(
    "case",
    [
        Case([SENT], 1, "sent"),
        Case([BeaconOutcome("sent", 500, 1.0)], 1, "sent"),
        Case([FAILED, SENT], 2, "sent"),
        Case([FAILED, FAILED, SENT], 3, "sent"),
        Case([FAILED] * 3, 3, "failed"),
        Case([FAILED, UNCERTAIN], 2, "uncertain"),
        Case([UNCERTAIN], 1, "uncertain"),
        Case([REFUSED], 1, "failed"),
        Case([RuntimeError("a fault")], 1, "uncertain"),
    ],
)
def test_a_beacon_is_repeated_only_while_no_byte_of_it_was_sent(case, monkeypatch):
    monkeypatch.setattr(beacons, "REPEATS_AFTER_S", (0.001, 0.002))

    async def work():
        world = World(make(2, kinds=("impression",), around=False))
        world.answers = list(case.answers)
        await play(world.process(), *segments(world.context.pods[0]))
        assert len(world.heard) == case.calls
        (came,) = await world.said("beacon")
        assert came["outcome"] == case.outcome

    asyncio.run(work())


def test_a_host_that_is_slow_does_not_keep_others_waiting():
    async def work():
        slow = Beacon("impression", "https://slow.example/impression")
        world = World(make(4, kinds=("impression", "complete"), extra=(slow,), around=False))
        process, hear = world.process(), world.beacon

        async def beacon(url, **given):
            if "slow" in url:
                await asyncio.sleep(30)
            return await hear(url, **given)

        world.beacon = beacon
        await play(process, *segments(world.context.pods[0]), close=False)
        await asyncio.sleep(0.05)
        assert world.urls == ["a/impression", "a/complete"]
        await process.close(0)

    asyncio.run(work())


def test_what_finds_no_room_is_recorded_as_failed(monkeypatch):
    monkeypatch.setattr(beacons, "MOST_QUEUED", 4)

    async def work():
        world = World(make(10))
        world.slow = 0.01
        await play(world.process(), *segments(world.context.pods[0]))
        came = await world.said("beacon")
        assert len(came) == len(await world.said("beacon-due")) == len(KINDS) + 2
        full = [one for one in came if one["outcome"] == "failed"]
        assert full
        assert len(world.urls) == len(came) - len(full)

    asyncio.run(work())


def test_an_end_records_what_was_not_sent():
    async def work():
        world = World(make(2))
        world.slow = 60
        process = world.process()
        await play(process, *segments(world.context.pods[0]), close=False)
        await asyncio.sleep(0.01)
        await process.close(0.01)
        came = await world.said("beacon")
        # The first one was on its way.
        assert [one["beacon"] for one in came] == [*KINDS, "breakEnd"]
        assert {one["outcome"] for one in came} == {"lost"}
        assert world.urls == []

    asyncio.run(work())


# While the journal takes nothing


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(beacons, "WAIT_STEP_S", 0.005)


def test_beacons_wait_for_the_journal_and_come_in_order(quick):
    async def work():
        world = World(make(10))
        process, parts = world.process(), segments(world.context.pods[0])
        world.down = True
        await play(process, *parts[:3], close=False)
        assert world.urls == []
        world.down = False
        await play(process, *parts[3:], close=False)  # behind those that wait
        await asyncio.sleep(0.05)
        await process.close(5)
        assert world.urls == ["pod/breakStart", *(f"a/{kind}" for kind in KINDS), "pod/breakEnd"]

    asyncio.run(work())


def test_what_waited_too_long_is_recorded_as_lost_and_not_sent(quick):
    async def work():
        world = World(make(2))
        process, (asked,) = world.process(), segments(world.context.pods[0])
        world.down = True
        await play(process, asked, close=False)
        world.clock += beacons.WAIT_US + SECOND
        world.down = False
        await asyncio.sleep(0.05)
        await play(process, asked)
        assert world.urls == []
        came = await world.said("beacon")
        assert [one["outcome"] for one in came] == ["lost"] * (len(KINDS) + 2)

    asyncio.run(work())


def test_no_more_wait_than_there_is_room_for(quick, monkeypatch):
    monkeypatch.setattr(beacons, "MOST_WAITING", 2)

    async def work():
        world = World(make(10))
        process, parts = world.process(), segments(world.context.pods[0])
        world.down = True
        await play(process, *parts, close=False)
        world.down = False
        await asyncio.sleep(0.05)
        await process.close(5)
        assert world.urls == ["a/thirdQuartile", "a/complete", "pod/breakEnd"]

    asyncio.run(work())


def test_a_fault_of_one_request_does_not_stop_others(quick):
    async def work():
        world = World(make(4, kinds=("impression", "complete"), around=False))
        process, parts = world.process(), segments(world.context.pods[0])
        context, world.context = world.context, Context(START, pods=(1,))
        await process.asked(SERVICE, parts[0], viewer())
        world.context = context
        await play(process, parts[1])
        assert world.urls == ["a/complete"]

    asyncio.run(work())


def test_an_outcome_that_cannot_be_recorded_stays_unknown():
    async def work():
        world = World(make(2, kinds=("impression",), around=False))
        process = world.process()
        world.slow = 0.01
        await play(process, *segments(world.context.pods[0]), close=False)
        world.down = True
        await process.close(5)
        world.down = False
        assert world.urls == ["a/impression"]
        assert len(await world.said("beacon-due")) == 1
        assert await world.said("beacon") == []

    asyncio.run(work())


# Tokens

SEGMENT = AdSegment("s", "slot:1:x", 0, 1, 5, 2000, 4000, "https://c.example/a/1.ts?x=1&y=é")
TOKENS = Tokens(b"secret" * 6)


def test_a_token_is_read_by_every_process_of_the_data_directory():
    token = TOKENS.token("tv", SEGMENT)
    assert Tokens(b"secret" * 6).read("tv", token) == SEGMENT
    assert set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert len(token) < 120
    assert token == TOKENS.token("tv", SEGMENT)


def test_a_token_of_elsewhere_is_none():
    token = TOKENS.token("tv", SEGMENT)
    assert TOKENS.read("radio", token) is None
    assert Tokens(b"another secret" * 3).read("tv", token) is None
    for wrong in (
        "",
        "é",
        "a",
        "====",
        "A" * TOKEN_CHARACTERS,
        "A" * (TOKEN_CHARACTERS + 1),
        token[:-2],
        token + "AA",
    ):
        assert TOKENS.read("tv", wrong) is None


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_changed_token_is_refused(data):
    token = TOKENS.token("tv", SEGMENT)
    place = data.draw(st.integers(0, len(token) - 2))
    letter = data.draw(st.sampled_from("ABcd01-_").filter(lambda one: one != token[place]))
    assert TOKENS.read("tv", token[:place] + letter + token[place + 1 :]) is None


def test_the_state_is_small_and_forgotten():
    async def work():
        world = World(make(10))
        await play(world.process(), *segments(world.context.pods[0]))
        key = owed.fired_key("tv", "s", "slot:1:x")
        held = (await world.journal.get([key]))[key]
        assert len(held) < 32
        world.clock += 86_401 * SECOND
        assert not await world.journal.get([key])

    asyncio.run(work())


def test_a_commit_without_anything_new_writes_nothing():
    async def work():
        world = World(make(10))
        asked = segments(world.context.pods[0])[0]
        await play(world.process(), asked)
        before = await world.journal.partitions()
        await play(world.process(), asked)
        assert await world.journal.partitions() == before

    asyncio.run(work())
