"""A disk that is full, fails a sync, or stalls, under the whole server: 503, nothing lost, life."""

from __future__ import annotations

import contextlib
import subprocess
import time

import pytest
from load import Load
from running import HERE, Running, eventually, patched

pytestmark = pytest.mark.slow

FAULTY = patched(HERE.parent / "faults" / "faulty_disk.py")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own, of 64 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(place):
    """Take all the space that is left."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 16)):
            pass
    return ballast


def test_a_full_disk(small_disk, tmp_path):
    server = Running(tmp_path, "--workers", 2, data=small_disk / "data", command=patched("quick"))
    try:
        server.announced()
        with Load(server.port, clients=4, pause=0.03, padding=20_000) as load:
            load.wait_for(50)
            ballast = fill(small_disk)
            # What was allocated for the log before is used up first.
            load.wait_for_answer(503, 20)
            not_ready = server.get("/readyz")
            assert not_ready.status == 503
            assert b"full" in not_ready.body
            assert server.get("/healthz").status == 200
            # New counters, and several loads and ticks, on the full disk.
            assert server.request("GET", "/v1/playouts/tracking/session").status == 401
            assert server.get("/metrics").status == 200
            time.sleep(3)
            assert all("retry-after: " in head for head in load.heads)
            assert set(load.answers.values()) == {204, 503}
            ended = server.log("child ended")
            assert not [line for line in ended if line["child"].startswith("collector")]

            ballast.unlink()
            load.wait_for(50)
            load.stop()
            assert eventually(lambda: server.get("/readyz").status == 200, "ready again")
            eventually(lambda: server.status()["lake"]["behind_bytes"] == 0, "it loads again")
        assert server.stop() == 0
        load.check(server.data)
    finally:
        server.end()


def test_a_log_that_cannot_grow(start, tmp_path):
    """The same as far as the log goes, where no file system can be mounted."""
    server = start("--workers", 2, command=FAULTY)
    with Load(server.port) as load:
        load.wait_for(100)
        full = faults(tmp_path) / "full"
        full.touch()
        load.wait_for_answer(503, 100)
        assert (
            b"full"
            in eventually(
                lambda: (found := server.get("/readyz")).status == 503 and found, "not ready"
            ).body
        )
        acknowledged = len(load.acknowledged)
        load.wait_for_answer(503, 100)
        assert len(load.acknowledged) == acknowledged, "acknowledged and not stored"
        full.unlink()
        load.wait_for(100)
        assert server.get("/readyz").status == 200
        load.stop()
    assert all("retry-after: " in head for head in load.heads)
    assert server.log("child ended") == []
    load.check(server.data)


def faults(folder):
    made = folder / "faults"
    made.mkdir(exist_ok=True)
    return made


@pytest.mark.parametrize("role", ["collector", "worker"])
def test_a_sync_that_fails(start, tmp_path, role):
    """Nobody retries it: everybody ends, the log is verified, and everybody begins again."""
    server = start("--workers", 2, command=FAULTY)
    with Load(server.port) as load:
        load.wait_for(200)
        before = {child.pid for child in server.children()}
        (faults(tmp_path) / f"sync-fails.{role}").touch()
        eventually(lambda: len(server.log("journal verified")) == 2, "the log is verified")
        eventually(
            lambda: (
                len(server.children()) == 3
                and not before & {child.pid for child in server.children()}
            ),
            "all have begun again",
        )
        load.wait_for(200)
        load.stop()
    assert 75 in {line["code"] for line in server.log("child ended")}
    if role == "collector":
        assert 503 in load.answers.values()
    assert set(load.answers.values()) <= {204, 503}
    assert server.get("/readyz").status == 200
    load.check(server.data)


def test_a_disk_that_stalls(start, tmp_path):
    """Answers within `queue_seconds`, a bounded queue, and everything in order afterwards."""
    (tmp_path / "footfall.toml").write_text(
        "[server.limits]\nqueue_seconds = 1\nqueue_requests = 50\n"
    )
    server = start(command=FAULTY)
    stall = faults(tmp_path) / "sync-stalls.collector"
    with Load(server.port, clients=100, pause=0.01) as load:
        load.wait_for(500)
        stall.touch()
        begun = time.monotonic()
        load.wait_for_answer(503, 300)
        assert time.monotonic() - begun < 30  # of a stall that would last for ever
        not_ready = eventually(
            lambda: (found := server.get("/readyz")).status == 503 and found, "not ready"
        )
        assert b"stalled" in not_ready.body
        assert server.get("/healthz").status == 200
        lines = server.get("/metrics").body.decode().splitlines()
        queued = [line for line in lines if line.startswith("footfall_queue_requests ")]
        assert float(queued[0].split()[1]) <= 50
        assert server.status()["running"]  # questions are answered all the while
        acknowledged = len(load.acknowledged)
        time.sleep(0.5)
        assert len(load.acknowledged) == acknowledged, "acknowledged and not durable"
        stall.unlink()
        load.wait_for(200)
        eventually(lambda: server.get("/readyz").status == 200, "ready again")
        load.stop()
    assert all("retry-after: " in head for head in load.heads)
    assert set(load.answers.values()) == {204, 503}
    assert server.log("child ended") == []
    load.check(server.data)


def test_a_stop_while_the_disk_stalls_still_ends(start, tmp_path):
    (tmp_path / "footfall.toml").write_text("[server.limits]\nshutdown_seconds = 1\n")
    server = start(command=FAULTY)
    (faults(tmp_path) / "sync-stalls.collector").touch()
    with Load(server.port, clients=4) as load:
        eventually(lambda: server.get("/readyz").status == 503, "not ready")
        assert server.stop() == 0
    (counted,) = server.query("SELECT count(*) AS n FROM events")
    assert counted["n"] >= len(load.acknowledged)
