"""The clean stop: what was sent whole before it is answered, and nothing new is taken."""

from __future__ import annotations

import asyncio
import json
import threading
import time

import pytest
from served import PATIENCE, Client, GatedJournal, Served, get, post
from test_fastlane import bodies

from footfall.journal.engines.memory import MemoryJournal
from footfall.settings import Limits


def refused(served) -> bool:
    try:
        served.connect().socket.close()
    except ConnectionError:
        return True
    return False


def test_what_is_in_flight_is_answered_and_nothing_new_is_taken():
    journal = GatedJournal()
    with Served(journal=journal) as served, served.connect() as idle, served.connect() as waiting:
        idle.send(get("/healthz"))
        assert idle.answer().status == 200
        waiting.send(b"".join(post(b"%d" % number) for number in range(10)))
        served.wait_for(lambda: journal.commits)
        served.stop()
        idle.end()
        served.wait_for(lambda: refused(served), "the end of the listening socket")
        journal.open()
        assert bodies(waiting, 9) == [str(number) for number in range(9)]
        last = waiting.answer()
        assert json.loads(last.body)["body"] == "9"
        assert last.closes
        waiting.end()
    assert served.stored() == [str(number) for number in range(10)]
    served.assert_quiet()


def test_an_idle_connection_is_asked_once_more():
    """What lies in the system's buffer at the stop was sent before it."""
    with Served() as served, served.connect() as client:
        client.send(post(b"1"))
        assert bodies(client, 1) == ["1"]
        sent = threading.Event()

        def stop_and_then_hear():
            served.stop()
            for lane in served.server.open_connections:
                lane.shutdown()
            client.send(post(b"just before") + post(b"and this"))
            sent.set()

        served.loop.call_soon_threadsafe(stop_and_then_hear)
        assert sent.wait(PATIENCE)
        assert bodies(client, 2) == ["just before", "and this"]
        client.end()
    assert served.stored() == ["1", "just before", "and this"]


def test_a_request_that_is_still_arriving_may_end():
    with Served() as served, served.connect() as client:
        client.send(post(b"arriving")[:-3])
        served.wait_for(lambda: any(lane._receiving() for lane in served.server.open_connections))
        served.stop()
        served.wait_for(lambda: refused(served))
        client.send(b"ing")
        answer = client.answer()
        assert json.loads(answer.body)["body"] == "arriving"
        assert answer.closes
        client.end()


def test_the_slow_lane_ends_cleanly_too():
    began, go_on = threading.Event(), threading.Event()

    async def app(scope, receive, send):
        began.set()
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-length", b"4")]})  # fmt: skip
        await send({"type": "http.response.body", "body": b"slow"})

    with (
        Served(wrap=lambda _app: app) as served,
        served.connect() as first,
        served.connect() as second,
    ):
        first.send(get("/a") + post(b"behind"))
        second.send(post(b"before") + get("/b"))
        assert began.wait(PATIENCE)
        assert bodies(second, 1) == ["before"]
        served.stop()
        served.wait_for(lambda: refused(served))
        go_on.set()
        assert first.answer().body == b"slow"
        assert bodies(first, 1) == ["behind"]
        first.end()
        answer = second.answer()
        assert (answer.body, answer.closes) == (b"slow", True)
        second.end()
    served.assert_quiet()


@pytest.mark.slow
def test_a_client_that_hangs_on_does_not_hold_up_the_end():
    limits = Limits(shutdown_seconds=1, request_seconds=20)
    with Served(limits=limits) as served:
        hanging = [served.connect() for _ in range(3)]
        hanging[0].send(post(b"never whole")[:-1])
        hanging[1].send(b"GET /t HT")
        hanging[2].send(post(b"x"))
    for client in hanging:
        client.socket.close()


class SluggishJournal(MemoryJournal):
    """Every commit takes its time, as on a slow disk."""

    async def transact(self, units):
        await asyncio.sleep(0.05)
        return await super().transact(units)


@pytest.mark.slow
@pytest.mark.parametrize("round_", range(3))
def test_under_load_everything_sent_before_the_stop_is_answered(round_):
    """Keep-alive clients that send as fast as they can while the server is stopped.

    Each remembers what it had sent whole before the stop began; each of these is answered, each
    answer is stored, and what is stored was sent.
    """
    stopping = threading.Event()
    unanswered: list[str] = []
    answered: list[str] = []

    def client_life(served, name):
        number = 0
        while not stopping.is_set():
            try:
                client: Client = served.connect()
            except ConnectionError:
                return
            with client:
                while True:
                    number += 1
                    body = f"{name}-{number}"
                    try:
                        client.send(post(body.encode()))
                        sent_before = not stopping.is_set()
                        answer = client.answer()
                    except (OSError, EOFError):
                        if sent_before:
                            unanswered.append(body)
                        break
                    answered.append(body)
                    assert json.loads(answer.body)["body"] == body
                    if answer.closes:
                        break

    with Served(journal=SluggishJournal()) as served:
        clients = [
            threading.Thread(target=client_life, args=(served, f"{round_}-{n}")) for n in range(24)
        ]
        for thread in clients:
            thread.start()
        time.sleep(0.5)
        stopping.set()
        served.stop()
        for thread in clients:
            thread.join(PATIENCE)
    assert unanswered == []
    assert len(answered) > 24
    stored = served.stored()
    assert len(stored) == len(set(stored))
    assert set(answered) <= set(stored)
    served.assert_quiet()
