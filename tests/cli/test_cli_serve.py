"""footfall serve as an operator starts it: the whole server, in processes of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FOOTFALL = [sys.executable, "-m", "footfall.cli"]
TRAFFIC = Path(__file__).parents[1] / "traffic"


def footfall(folder, *arguments):
    return subprocess.run(
        [*FOOTFALL, *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server in dev mode: its process, its URL and its folder."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "footfall.toml").write_text("# sources come later\n")
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*FOOTFALL, "serve", "--dev", "--port", "0", "--console-port", "0"],
            cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    line = process.stdout.readline()
    url = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert url, (folder / "log").read_text()
    yield process, url[0], folder
    process.terminate()
    try:
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.stdout.close()


@pytest.mark.parametrize("name", ["vaix-backend", "jay-browser"])
def test_recorded_clients_are_served(server, name):
    _, url, folder = server
    result = footfall(folder, "replay", TRAFFIC / f"{name}.jsonl", "--to", url, "--no-wait")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_supervisor_stays_small(server):
    process, _, _ = server
    with Path(f"/proc/{process.pid}/status").open() as status:
        kilobytes = int(re.search(r"VmRSS:\s+(\d+)", status.read())[1])
    assert kilobytes < 24_000


def test_a_second_server_on_the_directory_is_refused(server):
    process, _, folder = server
    result = footfall(folder, "serve", "--dev", "--port", "0", "--console-port", "0")
    assert result.returncode == 1
    assert f"in use by process {process.pid}" in result.stderr
    assert "F201" in result.stderr


def test_a_port_that_is_taken_is_said_so(server, tmp_path):
    _, url, _ = server
    result = footfall(
        tmp_path, "serve", "--dev", "--port", url.rpartition(":")[2], "--console-port", "0"
    )
    assert result.returncode == 1
    assert "F203" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("", ["--dev", "--host", "0.0.0.0"], "command line: --host"),
        ("[server]\nprot = 1\n", [], "footfall.toml:2: server.prot is not a setting"),
        ("[[source]]\nid = 'a'\nprotocols = 'jya'\n", [], 'did you mean "jay"?'),
        ("[server]\ngeoip = 'no.mmdb'\n", [], "which does not exist"),
    ],
)
def test_settings_that_are_wrong_start_nothing(tmp_path, text, arguments, said):
    (tmp_path / "footfall.toml").write_text(text)
    result = footfall(tmp_path, "serve", "--port", "0", *arguments)
    assert result.returncode == 1
    assert said in result.stderr
    assert "F101" in result.stderr
    assert os.listdir(tmp_path) == ["footfall.toml"]


def test_sources_are_read_anew_and_a_mistake_changes_nothing(server):
    """SIGHUP: the sources of the file count from then on; a broken file is told and passed over."""
    process, url, folder = server
    file = folder / "footfall.toml"
    made = footfall(folder, "source", "new", "late", "--protocol", "vaix")
    key = made.stderr.rpartition(": ")[2].strip()

    def replayed():
        return footfall(
            folder, "replay", TRAFFIC / "vaix-backend.jsonl", "--to", url, "--no-wait",
            "--source", f"Bearer dev-key=Bearer {key}",
        )  # fmt: skip

    assert replayed().returncode == 1
    file.write_text("[server")
    process.send_signal(signal.SIGHUP)
    assert "Not reloaded" in process.stdout.readline()
    assert "footfall.toml:1: not valid TOML" in process.stdout.readline()
    assert replayed().returncode == 1

    file.write_text(made.stdout.replace("client_ids = []", "client_ids = '*'"))
    process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 30
    while replayed().returncode != 0:
        assert time.monotonic() < deadline, "the new source was not taken up"
