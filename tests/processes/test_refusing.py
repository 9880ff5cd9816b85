"""What a server does not start with, and how it says so: in words, with an exit code, at once."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest
from running import FOOTFALL

pytestmark = pytest.mark.slow


def refused(folder, *arguments):
    """The standard error of a server that does not come about."""
    done = subprocess.run(
        [*FOOTFALL, "serve", *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == "", "it said that it accepts requests"
    assert "Traceback" not in done.stderr
    return done.stderr


PORTS = ("--port", "0", "--console-port", "0")


@pytest.mark.parametrize("flag", ["--port", "--console-port"])
def test_a_port_that_is_taken(tmp_path, flag):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(tmp_path, "--dev", *PORTS, flag, port)
    assert f"127.0.0.1:{port} ({flag}) cannot be listened on" in said
    assert "F203" in said


def test_an_address_that_is_not_this_machines(tmp_path):
    said = refused(tmp_path, "--host", "192.0.2.1", *PORTS)
    assert "192.0.2.1:0 (--port) cannot be listened on" in said


def test_a_directory_that_is_held(start, tmp_path):
    server = start()
    said = refused(tmp_path, "--dev", *PORTS, "--data", server.data)
    assert f"in use by process {server.pid}" in said
    assert "F201" in said


def test_dev_mode_for_others_than_this_machine(tmp_path):
    said = refused(tmp_path, "--dev", *PORTS, "--host", "0.0.0.0")
    assert "--dev" in said
    assert os.listdir(tmp_path) == []


def test_a_directory_that_holds_something_else(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.tex").write_text("")
    said = refused(tmp_path, "--dev", *PORTS, "--data", "data")
    assert "F206" in said
    assert os.listdir(tmp_path / "data") == ["thesis.tex"]


def test_a_directory_of_a_later_release(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "VERSION").write_text("999\n")
    assert "F202" in refused(tmp_path, "--dev", *PORTS, "--data", "data")


def test_a_child_that_cannot_start_is_not_tried_for_ever(tmp_path):
    """A file that is there and is not what it should be shows only in the collector."""
    (tmp_path / "footfall.toml").write_text("[server]\ngeoip = 'countries.mmdb'\n")
    (tmp_path / "countries.mmdb").write_text("not a database")
    said = refused(tmp_path, "--dev", *PORTS)
    assert "is no MaxMind database" in said
    assert said.count("child ended") == 1


def test_a_certificate_that_is_none(tmp_path):
    (tmp_path / "footfall.toml").write_text(
        "[server]\ntls_certificate = 'cert.pem'\ntls_key = 'key.pem'\n"
    )
    (tmp_path / "cert.pem").write_text("not a certificate")
    (tmp_path / "key.pem").write_text("not a key")
    said = refused(tmp_path, "--dev", *PORTS)
    assert "tls_certificate" in said
