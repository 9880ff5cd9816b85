"""Tracardi over several processes on one journal, and over kill -9: what was told stays true."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import json
import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from load import LOST
from running import PATIENCE, eventually, patched, query, run

RECORDING = Path(__file__).parents[1] / "traffic" / "tracardi-client-082.jsonl"
pytestmark = pytest.mark.slow


def track(session, *events, profile=None, **more):
    """A request, as bytes to send."""
    payload = {
        "source": {"id": "dev"},
        "session": {"id": session},
        "profile": {"id": profile} if profile else None,
        "events": list(events),
        **more,
    }
    body = json.dumps(payload).encode()
    head = (
        "POST /track HTTP/1.1\r\nHost: t.example\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def answer(reader):
    """The status of an answer, and its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = int(head.partition("content-length:")[2].partition("\r\n")[0])
    return int(head[9:12]), json.loads(await reader.readexactly(length))


async def asked(port, request):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await answer(reader)
    finally:
        writer.close()


def told(port, requests):
    """The profile ids that requests are told, all sent at once, each on a connection of its own."""

    async def scenario():
        return await asyncio.gather(*(asked(port, one) for one in requests))

    answers = asyncio.run(scenario())
    assert {status for status, _ in answers} == {200}
    return [body["profile"]["id"] for _, body in answers]


def rows(server):
    """Every line of the journal that the lake has by now: none is missing."""
    eventually(lambda: not server.status()["lake"]["behind_bytes"], "all is loaded")
    return server.query("SELECT session_id, profile_id, type, event_id FROM events")


def test_first_requests_at_once_over_several_processes_are_one_profile(start):
    server = start("--workers", 3)
    for number in (2, 20, 200):
        session = f"first-of-{number}"
        event = {"type": "page-view"}
        ids = told(server.port, [track(session, event) for _ in range(number)])
        assert len(set(ids)) == 1, number
        # And the next visit of that many tabs at once.
        again = [track(f"{session}-again", event, profile=ids[0]) for _ in range(number)]
        assert set(told(server.port, again)) == {ids[0]}
    found = collections.defaultdict(set)
    for row in rows(server):
        found[row["session_id"]].add(row["profile_id"])
    assert len(found) == 6
    assert all(len(profiles) == 1 for profiles in found.values())
    tails = {row["event_id"][-17:] for row in rows(server)}
    assert len(tails) == 3, "of every process one: else nothing was tested"


def test_two_people_at_once_over_several_processes_are_merged_once(start):
    server = start("--workers", 2)
    for pair in range(10):
        proof = {"type": "sign-in", "properties": {"email": f"{pair}@example.com"}}
        first = told(server.port, [track(f"{pair}-{n}", {"type": "x"}) for n in range(4)])
        assert len(set(first)) == 4
        signed_in = told(server.port, [track(f"{pair}-{n}", proof) for n in range(4)])
        after = told(server.port, [track(f"{pair}-{n}", {"type": "y"}) for n in range(4)])
        assert len(set(after)) == 1
        assert after[0] in first
        assert set(signed_in) <= set(first)


def test_the_recorded_client_is_two_profiles_and_three_sessions(start):
    server = start()
    replayed = run(
        "replay", RECORDING, "--to", server.url, "--source", "my-source=dev", "--no-wait"
    )
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    found = rows(server)
    assert len({row["profile_id"] for row in found}) == 2
    assert len({row["session_id"] for row in found}) == 3


class Visitors:
    """Clients that come and go, lose what they were told, and remember all of it for the test."""

    def __init__(self, port, *, clients=6, seed=0):
        self.port = port
        """May be changed while they run."""
        self.told = {}
        """By session: the profile id that was told last."""
        self.acknowledged = []
        """Event ids, each with what it was sent in: ``(event id, session, profile told)``."""
        self._random = random.Random(seed)
        self._names = itertools.count()
        self._clients = clients
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stop.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "a client still waits"

    def wait_for(self, more):
        goal = len(self.acknowledged) + more
        eventually(lambda: len(self.acknowledged) >= goal, f"{more} more acknowledged")

    async def _run(self):
        await asyncio.gather(*(self._visitor() for _ in range(self._clients)))

    async def _visitor(self):
        profile = None
        while not self._stop.is_set():
            session = f"s{next(self._names)}"
            for _ in range(self._random.randrange(1, 6)):
                event_id = f"e{next(self._names)}"
                event = {"type": "x", "id": event_id}
                sent = profile if self._random.random() < 0.7 else None
                found = await self._until_told(track(session, event, profile=sent))
                if found is None:
                    return
                profile = found
                before = self.told.setdefault(session, profile)
                assert before == profile, "a session was told two profiles"
                self.acknowledged.append((event_id, session, profile))

    async def _until_told(self, request):
        """Send it again until it is answered: that is what the event's id is for."""
        while not self._stop.is_set():
            with contextlib.suppress(*LOST):
                status, body = await asked(self.port, request)
                if status == 200:
                    return body["profile"]["id"]
                assert status == 503
            await asyncio.sleep(0.02)
        return None


def check(visitors, server):
    """What was told is true now, and every acknowledged event is there once."""
    assert visitors.acknowledged, "nothing was acknowledged, so nothing was tested"
    sessions = list(visitors.told)[-300:]
    now = told(server.port, [track(session) for session in sessions])
    assert now == [visitors.told[session] for session in sessions]
    stored = collections.defaultdict(list)
    for row in rows(server):
        stored[row["event_id"]].append((row["session_id"], row["profile_id"]))
    for event_id, session, profile in visitors.acknowledged:
        assert stored[event_id] == [(session, profile)]
    assert all(len(found) == 1 for found in stored.values())


TIMES = [
    pytest.param(4, marks=pytest.mark.timeout(300)),
    pytest.param(50, marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
]


@pytest.mark.parametrize("times", TIMES)
def test_what_was_told_is_true_after_kill_9_of_everything(start, times):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    server = start()
    with Visitors(server.port, seed=seed) as visitors:
        for _ in range(times):
            visitors.wait_for(40)
            time.sleep(chance.uniform(0, 0.2))
            server.kill()
            server = start()
            visitors.port = server.port
        visitors.wait_for(40)
        visitors.stop()
    check(visitors, server)


@pytest.mark.parametrize("times", TIMES)
def test_what_was_told_is_true_after_kill_9_of_a_collector(start, times):
    seed = random.randrange(1 << 32)
    print("seed", seed)
    chance = random.Random(seed)
    server = start("--workers", 2, command=patched("quick"))
    with Visitors(server.port, seed=seed) as visitors:
        for _ in range(times):
            visitors.wait_for(40)
            time.sleep(chance.uniform(0, 0.2))
            os.kill(server.child(f"collector-{chance.randrange(2)}"), signal.SIGKILL)
        visitors.wait_for(40)
        visitors.stop()
    check(visitors, server)


def test_the_directory_alone_tells_whose_each_session_was(start):
    server = start()
    (first,) = told(server.port, [track("s1", {"type": "x"})])
    rows(server)
    server.kill()
    (row,) = query(server.data, "SELECT profile_id FROM events")
    assert row["profile_id"] == first
    server = start()
    assert told(server.port, [track("s1"), track("s2", profile=first)]) == [first, first]
