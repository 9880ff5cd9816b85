"""vaix single-event posts through one collector, against nginx answering 204 to the same posts.

What is measured is the whole product as it is served: key checked, validated, enriched, durable
before the reply, with the worker following and loading. Both servers get the same requests from
the same wrk, in turns, within one run; the ratio is what counts, since machines are shared.

    python -m bench.http [--seconds 6] [--rounds 3]
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench import machine

CONNECTIONS = (32, 64, 512)
THREADS = 2
"""wrk's: one for each core."""
AT_LEAST = {32: 0.15, 64: 0.24, 512: 0.40}
P99_MS_AT_64 = 12.0
IDLE_MB = 200
LOADED_MB = 450

AGENTS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36",
)
PAGES = ("/home", "/live", "/sports/football", "/sports/tennis", "/casino", "/promotions")


def lua_requests(host: str) -> list[bytes]:
    """256 different posts, as bytes."""
    requests = []
    for number in range(256):
        body = json.dumps({
            "user_id": str(100_000 + number * 37 % 5000),
            "event_type": "clicks:event",
            "data": {
                "event_id": str(1018561959 + number * 101),
                "position": number % 20,
                "location": ("highlights:recommended", "widget:popular")[number % 2],
                "page": PAGES[number % len(PAGES)],
            },
        })  # fmt: skip
        agent = AGENTS[number % len(AGENTS)].format(100 + number % 30)
        requests.append(
            f"POST /api/tracker/events HTTP/1.1\r\nHost: {host}\r\n"
            f"Authorization: Bearer bench-key\r\nx-vaix-client-id: bench\r\n"
            f"Origin: https://shop.example\r\nUser-Agent: {agent}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
        )
    return requests


def lua(host: str) -> str:
    """A wrk script that sends those posts in turn."""
    table = ",\n".join(json.dumps(request.decode()) for request in lua_requests(host))
    return (
        f"local requests = {{{table}}}\nlocal turn = 0\n"
        "request = function()\n  turn = turn % #requests + 1\n  return requests[turn]\nend\n"
    )


@dataclass
class Run:
    rate: float
    p50_ms: float
    p99_ms: float
    refused: int


@dataclass
class Result:
    connections: int
    nginx: list[Run] = field(default_factory=list)
    footfall: list[Run] = field(default_factory=list)
    memory_mb: float = 0.0

    @property
    def ratio(self) -> float:
        """Of the medians of the rounds."""
        return statistics.median(r.rate for r in self.footfall) / statistics.median(
            r.rate for r in self.nginx
        )


def wrk(script: Path, port: int, connections: int, seconds: int) -> Run:
    output = subprocess.run(
        ["wrk", f"-t{THREADS}", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script),
         f"http://127.0.0.1:{port}"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return Run(rate, _ms(output, "50%"), _ms(output, "99%"), int(refused[1]) if refused else 0)


def _ms(output: str, percentile: str) -> float:
    number, unit = re.search(rf"{percentile}\s+([\d.]+)(us|ms|s)", output).groups()
    return float(number) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[int]:
    """One worker that answers 204 to everything, without a log."""
    port = free_port()
    conf = folder / "nginx.conf"
    conf.write_text(
        f"""daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
        events {{ worker_connections 4096; }}
        http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/body;
          server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 204; }} }} }}"""
    )
    with subprocess.Popen(["nginx", "-p", str(folder), "-c", str(conf)]) as process:
        try:
            wait_for(port)
            yield port
        finally:
            process.terminate()


@contextlib.contextmanager
def footfall(folder: Path, workers: int = 1) -> Iterator[tuple[int, int, Path]]:
    """`footfall serve` as an operator runs it: (port, pid, data directory)."""
    port = free_port()
    data = folder / "data"
    config = folder / "footfall.toml"
    digest = hashlib.sha256(b"bench-key").hexdigest()
    config.write_text(
        f"""[server]
data = "{data}"
port = {port}
console_port = 0
workers = {workers}
[[source]]
id = "bench"
key_sha256 = "{digest}"
protocols = ["vaix", "jay", "adobe", "tracardi"]
origins = ["https://shop.example"]
[source.vaix]
client_ids = ["bench"]
[source.adobe]
report_suites = ["bench"]
"""
    )
    command = [str(Path(sys.executable).with_name("footfall")), "serve", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            print(process.stdout.readline().strip(), file=sys.stderr)
            wait_for(port)
            yield port, process.pid, data
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def acknowledged(port: int) -> int:
    """Events acknowledged, by the server's own count."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    return int(
        sum(
            float(n)
            for n in re.findall(r"^footfall_events_total\S* ([\d.e+]+)$", text, re.MULTILINE)
        )
    )


def query(data: Path, sql: str) -> list[dict[str, object]]:
    command = [str(Path(sys.executable).with_name("footfall")), "query", sql, "--format", "json",
               "--data", str(data)]  # fmt: skip
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def run(seconds: int, rounds: int) -> tuple[list[Result], dict[str, float]]:
    results = [Result(connections) for connections in CONNECTIONS]
    facts: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="footfall-bench-") as name:
        folder = Path(name)
        script = folder / "post.lua"
        script.write_text(lua("127.0.0.1"))
        with nginx(folder) as nginx_port, footfall(folder) as (port, pid, data):
            time.sleep(3)
            facts["idle_mb"] = machine.resident_mb(pid)
            sent = 0
            for warming in (nginx_port, port):
                wrk(script, warming, 64, 2)
            for result in results:
                for _ in range(rounds):
                    result.nginx.append(wrk(script, nginx_port, result.connections, seconds))
                    result.footfall.append(wrk(script, port, result.connections, seconds))
                    result.memory_mb = max(result.memory_mb, machine.resident_mb(pid))
            ended = time.monotonic()
            time.sleep(1.2)  # the counters are written once a second
            sent = acknowledged(port)
            loaded = 0
            while loaded < sent and time.monotonic() - ended < 60:
                loaded = int(query(data, "select count(*) as n from events")[0]["n"])
            facts["lag_s"] = time.monotonic() - ended - 1.2
            facts["acknowledged"] = sent
            facts["loaded"] = loaded
            facts["loaded_mb"] = max(result.memory_mb for result in results)
    return results, facts


def table(results: list[Result], facts: dict[str, float]) -> str:
    lines = [
        "| connections | nginx, req/s | Footfall, req/s | ratio | at least | p50, ms | p99, ms | nginx p99, ms |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for result in results:
        ours, theirs = result.footfall, result.nginx
        lines.append(
            f"| {result.connections} | {statistics.median(r.rate for r in theirs):,.0f} "
            f"| {statistics.median(r.rate for r in ours):,.0f} | **{result.ratio:.2f}** "
            f"| {AT_LEAST[result.connections]:.2f} "
            f"| {statistics.median(r.p50_ms for r in ours):.2f} "
            f"| {statistics.median(r.p99_ms for r in ours):.2f} "
            f"| {statistics.median(r.p99_ms for r in theirs):.2f} |"
        )
    refused = sum(r.refused for result in results for r in result.footfall)
    lines += [
        "",
        f"- acknowledged {facts['acknowledged']:,.0f}, in the lake {facts['loaded']:,.0f}",
        f"- answers other than 2xx: {refused}",
        f"- the last acknowledged event was queryable {facts['lag_s']:.1f} s after the load ended",
    ]
    idle, loaded = facts["idle_mb"], facts["loaded_mb"]
    lines.append(
        f"- resident memory of all processes: idle {idle:.0f} MB (at most {IDLE_MB}), "
        f"under load {loaded:.0f} MB (at most {LOADED_MB})"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    for tool in ("wrk", "nginx"):
        if shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin") is None:
            sys.exit(
                f"bench.http needs {tool} (Debian package {tool.replace('nginx', 'nginx-light')})"
            )
    os.environ["PATH"] += ":/usr/sbin"
    results, facts = run(arguments.seconds, arguments.rounds)
    print(table(results, facts))


if __name__ == "__main__":
    main()
