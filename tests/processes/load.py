"""Clients that count: each request has a number of its own, and who was told what is remembered.

Afterwards what was acknowledged has to be there once, and nothing may be there twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import threading
import time

from running import PATIENCE, eventually, query

LOST = (OSError, asyncio.IncompleteReadError)


def vaix(number, *, key="dev-key", padding=0):
    """A click whose `data.event_id` is the number, as bytes to send."""
    body = json.dumps({
        "event_type": "clicks:event", "user_id": "visitor",
        "data": {"page": "/home", "location": "widget:recommended", "event_id": str(number),
                 "padding": "x" * padding},
    }).encode()  # fmt: skip
    return (
        f"POST /api/tracker/events HTTP/1.1\r\nHost: t.example\r\nAuthorization: Bearer {key}\r\n"
        "x-vaix-client-id: demo\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def read_answer(reader):
    """Status and head of one answer; its body is read and left."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = head.partition("content-length:")[2].partition("\r\n")[0].strip()
    if length:
        await reader.readexactly(int(length))
    return int(head[9:12]), head


class Load:
    """Clients in a thread of their own, from `with` to its end."""

    def __init__(self, port, *, clients=8, pause=0.002, padding=0, first=0):
        self.port = port
        """May be changed while they run: who connects anew takes the new one."""
        self.sent = {}
        """By number: when the last byte was handed over."""
        self.acknowledged = set()
        self.answers = {}
        """By number: the status of whatever answer there was."""
        self.heads = []
        """Heads of the answers that were not 204."""
        self._clients = clients
        self._pause = pause
        self._padding = padding
        self._numbers = itertools.count(first)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Let each client have its answer, and end."""
        self._stop.set()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "a client still waits"

    def wait_for(self, more):
        """Until so many more are acknowledged."""
        goal = len(self.acknowledged) + more
        eventually(lambda: len(self.acknowledged) >= goal, f"{more} more acknowledged")

    def wait_for_answer(self, status, more=1):
        def count():
            return list(self.answers.values()).count(status)

        goal = count() + more
        eventually(lambda: count() >= goal, f"{more} more answers {status}")

    async def _run(self):
        await asyncio.gather(*(self._client() for _ in range(self._clients)))

    async def _client(self):
        while not self._stop.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            with contextlib.suppress(*LOST):
                await self._talk(reader, writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _talk(self, reader, writer):
        while not self._stop.is_set():
            number = next(self._numbers)
            self.sent[number] = float("inf")  # perhaps in part
            writer.write(vaix(number, padding=self._padding))
            await writer.drain()
            self.sent[number] = time.monotonic()
            status, head = await read_answer(reader)
            self.answers[number] = status
            if status == 204:
                self.acknowledged.add(number)
            else:
                self.heads.append(head)
            if "connection: close" in head:
                return
            await asyncio.sleep(self._pause)

    def unanswered(self, before):
        """What was sent whole before a moment and never got any answer."""
        return [n for n, sent in self.sent.items() if sent < before and n not in self.answers]

    def check(self, data):
        """Everything acknowledged is in the lake once, everything else at most once."""
        rows = query(
            data,
            "SELECT json_extract_string(properties, '$.event_id') AS number, count(*) AS times"
            " FROM events WHERE protocol = 'vaix' GROUP BY ALL",
        )
        stored = {int(row["number"]): row["times"] for row in rows}
        assert self.acknowledged, "nothing was acknowledged, so nothing was tested"
        assert not self.acknowledged - stored.keys(), "acknowledged and lost"
        assert not {n for n, times in stored.items() if times > 1}, "stored twice"
        assert stored.keys() <= self.sent.keys(), "stored and never sent"
        return stored
