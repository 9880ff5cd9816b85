"""`footfall serve` as a user runs it: a process of its own, looked at from outside."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

FOOTFALL = (sys.executable, "-m", "footfall.cli")
HERE = Path(__file__).parent
LINE = re.compile(
    r"Footfall accepts requests on (https?)://127\.0\.0\.1:(\d+), "
    r"console on http://127\.0\.0\.1:\d+\S*\n"
)
PATIENCE = 60
"""Seconds after which something that should come about has not."""


def patched(patch):
    """The command that serves with a file of `patches`, or another."""
    file = patch if isinstance(patch, Path) else HERE / "patches" / f"{patch}.py"
    return (sys.executable, str(HERE / "served_with.py"), str(file), "serve")


class Child(NamedTuple):
    pid: int
    started: int
    name: str


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def eventually(look, what, seconds=PATIENCE):
    """The first true value of `look()`."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return found


def process_status(pid):
    """State, parent and start of a process; None where there is none of that number."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return fields[0], int(fields[1]), int(fields[19])


def is_alive(child):
    """Whether it still runs: the same process, not a later one that was given its number."""
    status = process_status(child.pid)
    return status is not None and status[0] != "Z" and status[2] == child.started


class Running:
    """A server and the folder that it was started in."""

    def __init__(self, folder, *arguments, command=(*FOOTFALL, "serve"), dev=True, data=None):
        self.folder = folder
        self.data = data or folder / "data"
        self.log_file = folder / "log"
        flags = [*(["--dev"] if dev else []), "--port", "0", "--console-port", "0"]
        with self.log_file.open("a") as log:
            self.process = subprocess.Popen(
                [*command, *flags, "--data", str(self.data), *map(str, arguments)],
                cwd=folder, stdout=subprocess.PIPE, stderr=log, bufsize=0,
            )  # fmt: skip
        self.printed = b""
        self.pid = self.process.pid
        self.known = set()

    def read_line(self, seconds=PATIENCE):
        """The next line that it prints; empty when it has ended."""
        while b"\n" not in self.printed:
            assert select.select([self.process.stdout], [], [], seconds)[0], self.log_text()
            more = self.process.stdout.read(4096)
            if not more:
                break
            self.printed += more
        line, newline, self.printed = self.printed.partition(b"\n")
        return (line + newline).decode()

    def announced(self):
        """Wait until it says that it accepts requests."""
        line = self.read_line()
        found = LINE.fullmatch(line)
        assert found, line + self.log_text()
        self.scheme, self.port = found[1], int(found[2])
        self.children()
        return self

    @property
    def url(self):
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def children(self):
        """Its child processes that were started and have not ended."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            status = process_status(entry.name)
            if status and status[1] == self.pid and status[0] != "Z":
                # Between its fork and its start a child still has its parent's command line.
                with contextlib.suppress(OSError, IndexError, ValueError, TypeError):
                    orders = (entry / "cmdline").read_bytes().split(b"\0")[-2]
                    name = json.loads(orders)["name"]
                    found.append(Child(int(entry.name), status[2], name))
        self.known.update(found)
        return sorted(found, key=lambda child: child.name)

    def child(self, name):
        """The process id of a child, once it runs."""
        return eventually(
            lambda: next((c.pid for c in self.children() if c.name == name), None), name
        )

    def signal(self, number):
        self.process.send_signal(number)

    def ended(self):
        """The exit code, once it and its children are gone."""
        self.children()
        code = self.process.wait(PATIENCE)
        eventually(lambda: not any(map(is_alive, self.known)), "the children end")
        return code

    def stop(self):
        self.children()
        self.signal(signal.SIGTERM)
        return self.ended()

    def kill(self):
        """kill -9; the children are left to themselves."""
        self.children()
        self.process.kill()
        self.process.wait()

    def end(self):
        """Whatever has happened: leave nothing behind."""
        self.kill()
        self.process.stdout.close()
        with contextlib.suppress(AssertionError):
            eventually(lambda: not any(map(is_alive, self.known)), "the children end", 10)
        for child in filter(is_alive, self.known):
            os.kill(child.pid, signal.SIGKILL)

    def log_text(self):
        return self.log_file.read_text()

    def log(self, event=None):
        """The lines of the log, read as what they have to be."""
        lines = [json.loads(line) for line in self.log_text().splitlines()]
        return [line for line in lines if event in (None, line["event"])]

    def request(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            return send(connection, method, path, body, headers)
        finally:
            connection.close()

    def get(self, path, headers=None):
        return self.request("GET", path, headers=headers)

    def query(self, sql):
        return query(self.data, sql)

    def status(self):
        return json.loads(run("status", "--json", "--data", self.data).stdout)


def send(connection, method, path, body=None, headers=None):
    connection.request(method, path, body, headers or {})
    reply = connection.getresponse()
    return Answer(reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read())


def run(*arguments, cwd=None, check=True):
    """A command to its end."""
    done = subprocess.run(
        [*FOOTFALL, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def query(data, sql):
    """Rows as objects; asked of the server where one runs, else of the directory."""
    return json.loads(run("query", "--format", "json", "--data", data, sql).stdout)
