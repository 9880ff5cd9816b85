"""Live streams through the real server: playlists a second on one core, and memory of sessions.

    python -m bench.stream [--seconds 5] [--rounds 3] [--sessions 10000]

One collector of `footfall serve` has a core to itself; wrk, the origin and the ad server share the
other. nginx, on the collector's core in turns with it, gives the very text of one session as a
file: the least that serving it takes. Sessions are known before, as those of viewers are who keep
polling; the list goes on all the while, a segment every 4 s.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from bench import machine
from bench.http import Run, free_port, wait_for, wrk
from bench.stream_origin import AD_S, ADS, COUNT, SEGMENT_S, SEGMENTS, VARIANTS

AT_LEAST = 3000
"""Playlists a second."""
CONNECTIONS = 64
ROLE = '"role": "collector"'
"""In a collector's command line."""
BREAK_S = ADS * AD_S
LONG_BREAK_S = 3600
"""Long enough for all sessions to begin within it."""
HEAD = (
    "Host: 127.0.0.1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, "
    "like Gecko) Chrome/140.0.0.0 Safari/537.36\r\nAccept: */*\r\nOrigin: https://www.example.com"
    "\r\nReferer: https://www.example.com/\r\nAccept-Language: en\r\n"
)
GZIP = "Accept-Encoding: gzip, deflate, br\r\n"


class Case(NamedTuple):
    name: str
    sessions: int
    in_break: bool
    zipped: bool = False


CASES = (
    Case("outside breaks", 200, False),
    Case("outside breaks", 1000, False),
    Case("in a break", 200, True),
    Case("in a break", 1000, True),
    Case("in a break, gzip", 1000, True, True),
)


class Timed(NamedTuple):
    run: Run
    core: float
    """Answers in a second of the server's own processor time: others may use the core as well."""


class Measured(NamedTuple):
    case: Case
    size: int
    fetched: list[float]
    """How many playlists a second the origin was asked for meanwhile."""
    ours: list[Timed]
    theirs: list[Timed]


@contextlib.contextmanager
def origin() -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "bench.stream_origin", str(port)]
    with subprocess.Popen(command) as process:
        try:
            wait_for(port)
            yield port
        finally:
            process.terminate()


@contextlib.contextmanager
def served(folder: Path, origin_port: int) -> Iterator[tuple[int, int]]:
    """`footfall serve` with one live service and one collector: port, and pid of the collector."""
    folder.mkdir()
    port = free_port()
    base = f"http://127.0.0.1:{origin_port}"
    config = folder / "footfall.toml"
    config.write_text(
        f"""[server]
data = "{folder}/data"
port = {port}
console_port = 0
workers = 1
[[source]]
id = "bench"
protocols = []
[[service]]
id = "live"
source = "bench"
kind = "live"
origin = "{base}/live/"
ad_server = "{base}/vast?cb=$CACHE_BUSTER"
private_addresses = true
"""
    )
    command = [str(Path(sys.executable).with_name("footfall")), "serve", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            print(process.stdout.readline().strip(), file=sys.stderr)
            wait_for(port)
            found = machine.processes(process.pid)
            yield port, next(pid for pid, line in found.items() if ROLE in line)
        finally:
            process.terminate()
            process.wait(60)


def pin(pid: int, core: int) -> None:
    """A process with all its threads, to one core."""
    if (os.cpu_count() or 1) > 1:
        subprocess.run(
            ["taskset", "-apc", str(core), str(pid)], check=True, stdout=subprocess.DEVNULL
        )


def request(folder: str, session: int, *, zipped: bool = False, tracking: bool = False) -> str:
    """A call of a viewer's: viewers are spread over the variants."""
    name = VARIANTS[session % len(VARIANTS)][0]
    more = "&bk-ml=1.0" if tracking else ""
    return (
        f"GET /stream/live/{folder}/{name}.m3u8?bpkio_sessionid={folder}-{session:07d}"
        f"&bpkio_serviceid=live&bpkio_multivariant={folder}/master.m3u8&app=tv&uid=u{session}{more}"
        f" HTTP/1.1\r\n{HEAD}{GZIP if zipped else ''}\r\n"
    )


def lua(requests: Sequence[str]) -> str:
    quoted = ",\n".join('"' + one.replace("\r\n", "\\r\\n") + '"' for one in requests)
    return (
        f"local requests = {{{quoted}}}\nlocal turn = 0\n"
        "request = function()\n  turn = turn % #requests + 1\n  return requests[turn]\nend\n"
    )


def ask(port: int, requests: Sequence[str], connections: int = 32) -> bytes:
    """Each once; the body of the last answer. Anything but 200 ends the benchmark."""
    last = b""

    async def one(share: Sequence[str]) -> None:
        nonlocal last
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for text in share:
            writer.write(text.encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                sys.exit(f"no 200: {head!r}")
            length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])
            last = await reader.readexactly(length)
        writer.close()

    async def all_of_them() -> None:
        shares = [requests[n::connections] for n in range(connections)]
        await asyncio.gather(*(one(share) for share in shares if share))

    asyncio.run(all_of_them())
    return last


def stream_folder(break_s: int) -> str:
    """A stream of its own. A break has begun two segments ago, so that who joins is within it."""
    now = int(time.time()) // SEGMENT_S * SEGMENT_S
    return f"{now - 2 * SEGMENT_S if break_s else now}-{break_s}"


class Site(NamedTuple):
    """What runs: ports, and the processes whose time counts."""

    folder: Path
    origin: int
    port: int
    collector: int
    files: int
    nginx: int


def measure(case: Case, site: Site, *, seconds: int, rounds: int) -> Measured:
    stream = stream_folder(BREAK_S if case.in_break else 0)
    requests = [request(stream, n, zipped=case.zipped) for n in range(case.sessions)]
    ask(site.port, [request(stream, n) for n in range(case.sessions)])
    text = ask(site.port, [request(stream, 0)])
    if (b"/ad/" in text) is not case.in_break:
        sys.exit(f"{case.name}: not what it should be\n{text.decode()}")
    (site.folder / "list.m3u8").write_bytes(text)
    ours, theirs = site.folder / "ours.lua", site.folder / "theirs.lua"
    ours.write_text(lua(requests))
    plain = f"GET /list.m3u8 HTTP/1.1\r\n{HEAD}{GZIP if case.zipped else ''}\r\n"
    theirs.write_text(lua([plain]))
    found = Measured(case, len(text), [], [], [])
    for _ in range(rounds):
        found.theirs.append(timed(theirs, site.files, site.nginx, seconds))
        before = fetches(site.origin)
        found.ours.append(timed(ours, site.port, site.collector, seconds))
        found.fetched.append((fetches(site.origin) - before) / seconds)
    return found


def timed(script: Path, port: int, pid: int, seconds: int) -> Timed:
    before = processor_seconds(pid)
    run = wrk(script, port, CONNECTIONS, seconds)
    return Timed(run, run.rate * seconds / (processor_seconds(pid) - before))


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fetches(origin_port: int) -> int:
    return int(ask(origin_port, [f"GET {COUNT} HTTP/1.1\r\n\r\n"]))


@contextlib.contextmanager
def file_server(folder: Path) -> Iterator[tuple[int, int]]:
    """nginx, one worker on the collector's core, giving files; gzip the fastest way."""
    port = free_port()
    conf = folder / "nginx.conf"
    conf.write_text(
        f"""user root; daemon off; worker_processes 1; pid {folder}/nginx.pid;
        error_log {folder}/error.log;
        events {{ worker_connections 4096; }}
        http {{ access_log off; keepalive_requests 100000000; gzip on; gzip_comp_level 1;
          gzip_types *; default_type application/vnd.apple.mpegurl; open_file_cache max=16;
          server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}; }} }}"""
    )
    with subprocess.Popen(["nginx", "-p", str(folder), "-c", str(conf)]) as process:
        try:
            wait_for(port)
            while len(found := list(machine.processes(process.pid))) < 2:
                time.sleep(0.05)  # the port is open before the worker is there
            worker = found[-1]
            pin(worker, 0)
            yield port, worker
        finally:
            process.terminate()


class Held(NamedTuple):
    """Memory of the collector, in MB, before and after sessions."""

    sessions: int
    seconds: float
    before: float
    listed: float
    tracked: float
    answer: int
    """Bytes of a tracking answer."""
    state: float
    """Of the journal's state, on the disk."""


def proportional_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1]) / 1000


def hold(sessions: int, port: int, pid: int, data: Path) -> Held:
    """Begin so many sessions within a break, each with a decision; then track each."""
    stream = stream_folder(LONG_BREAK_S)
    ask(port, [request("0-0", 0)])
    before = proportional_mb(pid)
    began = time.monotonic()
    ask(port, [request(stream, n) for n in range(sessions)])
    seconds = time.monotonic() - began
    listed = proportional_mb(pid)
    answer = ask(port, [request(stream, n, tracking=True) for n in range(sessions)])
    tracked = proportional_mb(pid)
    state = sum(file.stat().st_size for file in data.rglob("*state*") if file.is_file()) / 1e6
    return Held(sessions, seconds, before, listed, tracked, len(answer), state)


def table(found: Sequence[Measured], held: Held) -> str:
    lines = [
        (
            f"Lists of {SEGMENTS} segments, {CONNECTIONS} connections; at least {AT_LEAST:,} a "
            "second of one core's time:"
        ),
        "",
        (
            "| list | sessions | bytes | lists per second of the core's time | of the target "
            "| nginx, a file | ratio | lists/s as it was | nginx | p50, ms | p99, ms |"
        ),
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for one in found:
        ours, theirs = (statistics.median(r.core for r in runs) for runs in (one.ours, one.theirs))
        rate, other = (
            statistics.median(r.run.rate for r in runs) for runs in (one.ours, one.theirs)
        )
        lines.append(
            f"| {one.case.name} | {one.case.sessions:,} | {one.size:,} | {ours:,.0f} "
            f"| **{ours / AT_LEAST:.2f}** | {theirs:,.0f} | {ours / theirs:.2f} | {rate:,.0f} "
            f"| {other:,.0f} | {statistics.median(r.run.p50_ms for r in one.ours):.1f} "
            f"| {statistics.median(r.run.p99_ms for r in one.ours):.1f} |"
        )
    refused = sum(each.run.refused for one in found for each in (*one.ours, *one.theirs))
    lines += [
        "",
        f"- answers other than 2xx: {refused}",
        (
            f"- playlists a second that the origin was asked for meanwhile, "
            f"{len(VARIANTS)} variants and their multivariant: "
            f"{max(max(one.fetched) for one in found):.1f} at most"
        ),
        (
            f"- {held.sessions:,} sessions began within a break, each with an ad decision of its own "
            f"({ADS} ads, 12 trackers each): {held.sessions / held.seconds:,.0f} a second"
        ),
        (
            f"- memory of the collector (PSS): {held.before:.0f} MB before, {held.listed:.0f} MB with "
            f"these sessions, {(held.listed - held.before) * 1e6 / held.sessions:,.0f} bytes each; "
            f"{held.tracked:.0f} MB once each was told its session-tracking JSON of "
            f"{held.answer:,} bytes, {(held.tracked - held.before) * 1e6 / held.sessions:,.0f} bytes "
            "each"
        ),
        f"- their state in the journal: {held.state:.1f} MB",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sessions", type=int, default=10_000)
    asked = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin"
    pin(os.getpid(), (os.cpu_count() or 1) - 1)
    with tempfile.TemporaryDirectory(prefix="footfall-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with origin() as origin_port:
            with served(folder / "a", origin_port) as (port, pid), file_server(folder) as nginx:
                pin(pid, 0)
                site = Site(folder, origin_port, port, pid, *nginx)
                found = [
                    measure(case, site, seconds=asked.seconds, rounds=asked.rounds)
                    for case in CASES
                ]
            with served(folder / "b", origin_port) as (port, pid):
                pin(pid, 0)
                held = hold(asked.sessions, port, pid, folder / "b" / "data")
    print(table(found, held))


if __name__ == "__main__":
    main()
