"""The folder of prepared creatives: wanted, ready, failed; what is served of it, what is deleted."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from footfall.stream.ladder import Profile, Rung
from footfall.stream.prepared import (
    IN_USE_SECONDS,
    QUEUED_MOST,
    RETRY_SECONDS,
    TYPES,
    Store,
    job_of,
)

PROFILE = Profile("ts", 4, (Rung(640, 360, 800_000, "25", "avc", "aac"),))
NOW = 1_800_000_000.0


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    return Store(tmp_path / "creatives", now=clock)


def job(name="a", **changed):
    return job_of("tv", f"https://ads.test/{name}.mp4", PROFILE, hls=False, **changed)


def ready(store, one, size=10):
    folder = store.workspace() / "out"
    folder.mkdir()
    (folder / "index.m3u8").write_text("#EXTM3U\n")
    (folder / "v0-0.ts").write_bytes(b"x" * size)
    store.publish(one, folder)


def test_a_key_is_made_of_address_and_profile():
    other = Profile("fmp4", 4, PROFILE.rungs)
    keys = {
        job().key,
        job("b").key,
        job_of("tv", "https://ads.test/a.mp4?x=1", PROFILE, hls=False).key,
        job_of("tv", "https://ads.test/a.mp4", other, hls=False).key,
    }
    assert len(keys) == 4
    assert job_of("radio", "https://ads.test/a.mp4", PROFILE, hls=False).key == job().key


def test_the_same_job_is_queued_once_by_whoever_wants_it(store, tmp_path):
    first, second = job(), job("b")
    assert store.queue(first)
    assert Store(tmp_path / "creatives").queue(first)
    assert store.queue(second)
    os.utime(tmp_path / "creatives/queue" / f"{second.key}.json", (1, 1))
    assert store.jobs() == [second, first]
    assert store.is_queued(first.key)
    store.done(first)
    store.done(first)
    assert store.jobs() == [second]
    assert stat.S_IMODE((tmp_path / "creatives/queue").stat().st_mode) == 0o700


def test_the_queue_is_bounded(store):
    for i in range(QUEUED_MOST):
        assert store.queue(job(str(i)))
    assert not store.queue(job("one more"))
    assert store.queue(job("0"))


def test_what_is_no_job_leaves_the_queue(store, tmp_path):
    store.queue(job())
    (tmp_path / "creatives/queue/rubbish.json").write_text("{")
    assert store.jobs() == [job()]
    assert not (tmp_path / "creatives/queue/rubbish.json").exists()


def test_nothing_is_there_before_anything_was_wanted(store, tmp_path):
    assert store.jobs() == []
    assert not store.is_ready(job().key)
    assert store.file(job().key, "index.m3u8") is None
    assert list(store.shrink(0)) == []
    store.clean()
    store.touch(job().key)
    assert not (tmp_path / "creatives").exists()


def test_what_is_published_is_served_and_no_longer_queued(store):
    store.queue(job())
    store.fail(job(), "so")
    store.queue(job())
    ready(store, job())
    assert store.is_ready(job().key)
    assert not store.is_queued(job().key)
    assert store.failure(job().key) is None
    assert store.file(job().key, "v0-0.ts").read_bytes() == b"x" * 10
    assert store.file(job().key, "v0-1.ts") is None
    ready(store, job(), size=99)  # twice is once
    assert store.file(job().key, "v0-0.ts").stat().st_size == 10


def test_a_creative_that_is_not_whole_is_replaced(store, tmp_path):
    (tmp_path / "creatives/ready" / job().key).mkdir(parents=True)
    assert not store.is_ready(job().key)
    ready(store, job())
    assert store.is_ready(job().key)


@pytest.mark.parametrize(
    "name",
    [
        "index.m3u8", "v0.m3u8", "a1.m3u8", "v0-init.mp4", "v5-0.ts", "a0-1234.m4s",
    ],
)  # fmt: skip
def test_names_that_are_served(store, tmp_path, name):
    ready(store, job())
    (tmp_path / "creatives/ready" / job().key / name).write_text("it")
    assert store.file(job().key, name).read_text() == "it"
    assert name.rpartition(".")[2] in TYPES


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "job.json", "../job.json", "v0-0.ts/", "/etc/passwd", "v0-0.ts\n", "V0.m3u8",
        "v0-0.ts\0", "v0-12345.ts", "x0.m3u8", "v0-0.exe", "v0-init.ts", "v0-٣.ts", "./v0-0.ts",
        "index.m3u8/../job.json", "..\\job.json", "%2e%2e/job.json", ".index.m3u8",
    ],
)  # fmt: skip
def test_names_that_never_are(store, name):
    ready(store, job())
    assert store.file(job().key, name) is None


@pytest.mark.parametrize(
    "key",
    ["", "..", ".", "../queue", "a" * 31, "A" * 32, "a" * 32 + "\n", "a" * 31 + "/", "٣" * 32],
)
def test_keys_that_never_are(store, tmp_path, key):
    ready(store, job())
    (tmp_path / "creatives/index.m3u8").write_text("no")
    (tmp_path / "creatives/ready/index.m3u8").write_text("no")
    assert store.file(key, "index.m3u8") is None


def test_a_failure_holds_for_ten_minutes(store, clock):
    store.queue(job())
    store.fail(job(), "there is no picture in it")
    assert not store.is_queued(job().key)
    assert store.failure(job().key).reason == "there is no picture in it"
    clock.now += RETRY_SECONDS - 1
    assert store.failure(job().key) is not None
    clock.now += 1
    assert store.failure(job().key) is None
    clock.now = NOW - 1  # a clock that was put back
    assert store.failure(job().key) is None


def test_the_least_recently_used_goes_first(store, clock):
    for name in ("a", "b", "c"):
        ready(store, job(name), size=1000)
        clock.now += 100
    clock.now += 2 * IN_USE_SECONDS
    store.file(job("a").key, "v0-0.ts")
    clock.now += 2 * IN_USE_SECONDS
    store.touch(job("c").key)
    gone = list(store.shrink(3000))
    assert gone == [job("b").key]
    assert not store.is_ready(job("b").key)
    assert store.is_ready(job("a").key)
    assert list(store.shrink(0)) == [job("a").key]
    assert store.is_ready(job("c").key)


def test_what_is_in_use_stays_however_much_it_is(store, clock):
    ready(store, job(), size=10_000)
    clock.now += IN_USE_SECONDS - 1
    assert list(store.shrink(0)) == []
    clock.now += 1
    assert list(store.shrink(0)) == [job().key]


def test_rubbish_of_a_process_that_died_is_removed(store, tmp_path):
    (store.workspace() / "half").write_text("x")
    store.queue(job())
    old = tmp_path / "creatives/queue/.x.json.1"
    old.write_text("{")
    os.utime(old, (1, 1))
    store.clean()
    assert not (tmp_path / "creatives/work").exists()
    assert not old.exists()
    assert store.jobs() == [job()]


def test_old_failures_are_forgotten(store, clock, tmp_path):
    store.fail(job(), "so")
    path = tmp_path / "creatives/failed" / f"{job().key}.json"
    os.utime(path, (NOW, NOW))
    clock.now += 2 * 86_400
    list(store.shrink(0))
    assert not path.exists()


def test_processes_that_queue_at_once_leave_one_job(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from footfall.stream.prepared import Store, job_of\n"
        "from footfall.stream.ladder import Profile, Rung\n"
        "store = Store(Path(sys.argv[1]))\n"
        "for i in range(50):\n"
        "    for n in range(4):\n"
        "        assert store.queue(job_of('s', f'https://x.test/{n}', Profile('ts', 4, (Rung(),)),"
        " hls=False))\n"
    )
    several = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    assert [one.wait(60) for one in several] == [0, 0]
    assert len(Store(tmp_path).jobs()) == 4
    assert len(os.listdir(tmp_path / "queue")) == 4
