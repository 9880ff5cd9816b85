"""The control socket: what a service gives comes out of the client as if it were there."""

from __future__ import annotations

import asyncio
import contextlib
import stat

import httpx
import pytest

from footfall.control import Control, control_app, control_socket, serving, tail_line
from footfall.control.contract import CONTENT_TYPES
from footfall.errors import FootfallError, QueryRefused, QueryTimeout, ServerNotRunning, by_code

pytestmark = pytest.mark.slow


class Fake:
    """A service of fixed answers."""

    def __init__(self) -> None:
        self.asked = []
        self.tail_ended = asyncio.Event()

    async def query(self, sql, fmt):
        self.asked.append((sql, fmt))
        if sql == "refused":
            raise QueryRefused("No.")
        if sql == "fault":
            raise KeyError("x")
        if sql == "empty":
            return
        yield b'[{"a":1},'
        if sql == "breaks":
            raise QueryTimeout("Too slow.")
        yield b'{"a":2}]'

    async def tail(self, *, follow, start):
        self.asked.append((follow, start))
        try:
            yield tail_line("event", (0, 7), b'{"type":"x"}')
            if start == "0:9":
                raise FootfallError("Gone.")
            yield tail_line("reject", (0, 8), b'{"reason":"\xc3\xa4\xe2\x80\xa8"}') * 2
            if follow:
                await asyncio.Event().wait()
        finally:
            self.tail_ended.set()

    async def status(self):
        return {"journal": {"ok": True, "bytes": 12}}

    async def backup(self, destination):
        self.asked.append(destination)
        if destination == "/refused":
            raise FootfallError("Not there.")
        yield {"done": 0, "total": 1, "what": "x"}
        if destination == "/breaks":
            raise FootfallError("Disk full.")
        yield {"done": 1, "total": 1, "what": "x"}


def ask(tmp_path, question, name="control.sock"):
    """Run a question against a served fake: `question(control, fake)`."""

    async def run():
        fake = Fake()
        async with serving(fake, tmp_path / name):
            return await asyncio.wait_for(question(Control(tmp_path / name), fake), 20)

    return asyncio.run(run())


async def all_of(stream):
    return [item async for item in stream]


@pytest.mark.parametrize("fmt", sorted(CONTENT_TYPES))
def test_a_query_gives_its_bytes(tmp_path, fmt):
    async def question(control, fake):
        assert b"".join(await all_of(control.query("SELECT 1", fmt))) == b'[{"a":1},{"a":2}]'
        assert b"".join(await all_of(control.query("empty", fmt))) == b""
        assert fake.asked[0] == ("SELECT 1", fmt)

    ask(tmp_path, question)


def test_an_error_is_the_same_error_on_both_sides(tmp_path):
    async def question(control, _fake):
        with pytest.raises(QueryRefused, match=r"^No\.$") as caught:
            await all_of(control.query("refused", "json"))
        assert caught.value.remedy == QueryRefused.remedy
        with pytest.raises(FootfallError, match="Not there"):
            await all_of(control.backup("/refused"))

    ask(tmp_path, question)


def test_half_a_result_is_never_a_whole_one(tmp_path):
    async def question(control, _fake):
        with pytest.raises(ServerNotRunning, match="broke off"):
            await all_of(control.query("breaks", "json"))

    ask(tmp_path, question)


def test_a_fault_is_told_without_its_insides(tmp_path):
    async def question(control, _fake):
        with pytest.raises(FootfallError, match="The server failed") as caught:
            await all_of(control.query("fault", "json"))
        assert "KeyError" not in str(caught.value)

    ask(tmp_path, question)


def test_lines_come_one_by_one_and_an_error_ends_them(tmp_path):
    async def question(control, _fake):
        lines = await all_of(control.tail(follow=False, start="start"))
        assert lines == [
            b'{"event":{"type":"x"},"position":"0:7"}\n',
            b'{"reject":{"reason":"\xc3\xa4\xe2\x80\xa8"},"position":"0:8"}\n',
            b'{"reject":{"reason":"\xc3\xa4\xe2\x80\xa8"},"position":"0:8"}\n',
        ]
        with pytest.raises(FootfallError, match="Gone"):
            await all_of(control.tail(follow=False, start="0:9"))
        progress = control.backup("/breaks")
        assert (await anext(progress))["done"] == 0
        with pytest.raises(FootfallError, match="Disk full"):
            await anext(progress)

    ask(tmp_path, question)


def test_a_follower_that_leaves_is_noticed(tmp_path):
    async def question(control, fake):
        lines = control.tail(follow=True, start="now")
        assert b"event" in await anext(lines)
        assert not fake.tail_ended.is_set()
        await lines.aclose()
        await fake.tail_ended.wait()

    ask(tmp_path, question)


def test_a_follower_does_not_hold_up_the_stop(tmp_path):
    async def run():
        fake = Fake()
        control = Control(tmp_path / "control.sock")
        async with serving(fake, tmp_path / "control.sock"):
            lines = control.tail(follow=True, start="now")
            await anext(lines)
        await asyncio.wait_for(fake.tail_ended.wait(), 20)
        with contextlib.suppress(ServerNotRunning):
            await all_of(lines)

    asyncio.run(asyncio.wait_for(run(), 30))


def test_status_and_backup(tmp_path):
    async def question(control, fake):
        assert await control.status() == {"journal": {"ok": True, "bytes": 12}}
        progress = await all_of(control.backup("/there"))
        assert progress[-1] == {"done": 1, "total": 1, "what": "x"}
        assert fake.asked == ["/there"]

    ask(tmp_path, question)


def test_the_socket_is_its_owners_and_goes_with_the_server(tmp_path):
    path = tmp_path / "control.sock"
    control = Control(path)
    assert not control.answers()

    async def question(control, _fake):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await asyncio.to_thread(control.answers)

    ask(tmp_path, question)
    assert not path.exists()
    assert not control.answers()


def test_a_socket_that_a_killed_server_left_is_replaced(tmp_path):
    path = tmp_path / "control.sock"
    control_socket(path).close()
    assert path.exists()
    assert not Control(path).answers()

    async def question(control, _fake):
        assert await control.status()

    ask(tmp_path, question)


def test_nobody_there_is_said_so(tmp_path):
    with pytest.raises(ServerNotRunning):
        asyncio.run(Control(tmp_path / "control.sock").status())


def test_paths_may_be_longer_than_addresses(tmp_path):
    folder = tmp_path / ("x" * 120)
    folder.mkdir()

    async def question(control, _fake):
        assert await asyncio.to_thread(control.answers)
        assert await control.status()

    ask(folder, question)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/query", b"{}"),
        ("/query", b'{"sql": "x", "format": "xml"}'),
        ("/query", b"no"),
        ("/backup", b'{"destination": "relative"}'),
    ],
)
def test_what_is_not_understood_is_said_so(path, body):
    async def post():
        transport = httpx.ASGITransport(control_app(Fake()))
        async with httpx.AsyncClient(transport=transport, base_url="http://footfall") as client:
            return await client.post(path, content=body)

    answer = asyncio.run(post())
    assert answer.status_code == 400
    assert answer.json()["code"] == "F000"


def test_codes_are_unique():
    kinds = list(by_code().values())
    waiting, every = [FootfallError], {FootfallError}
    while waiting:
        below = set(waiting.pop().__subclasses__())
        every |= below
        waiting += below
    assert len(kinds) == len({kind for kind in every if kind.__module__ == "footfall.errors"})
