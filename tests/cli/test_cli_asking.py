"""footfall query, tail, status and backup: of a running server, and where none runs."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import pytest

from footfall.errors import DataDirectoryInUse

EITHER = ("offline", "online")


@pytest.fixture(params=[EITHER[0], pytest.param(EITHER[1], marks=pytest.mark.slow)])
def service(request):
    return request.getfixturevalue(request.param)


def test_a_table_is_aligned_in_a_pipe(run, data, service):
    result = run("query", "SELECT 1", "--data", data.path)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "type           n  note",
        "clicks:event  12",
        'a "b"          7  x�y',
    ]
    assert service.asked == [("SELECT 1", "csv")]


def test_a_table_without_rows_has_its_header(run, data, offline):
    assert run("query", "EMPTY", "--data", data.path).stdout.startswith("type")


@pytest.mark.parametrize(
    ("fmt", "bytes_"), [("json", b'[{"n":12}]'), ("parquet", b"PAR1\xff\x00PAR1")]
)
def test_other_formats_are_passed_on_as_they_are(run, data, service, fmt, bytes_):
    result = run("query", "SELECT 1", "--format", fmt, "--data", data.path)
    assert result.stdout_bytes == bytes_ + (b"\n" if fmt == "json" else b"")


def test_sql_may_come_from_standard_input(run, data, offline):
    assert run("query", "-", "--data", data.path, input="SELECT 2\n").exit_code == 0
    assert offline.asked == [("SELECT 2\n", "csv")]


def test_a_refused_query_says_why(run, data, service):
    result = run("query", "DROP", "--data", data.path)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Only one SELECT is taken.\nF401: ")


def test_a_directory_that_is_not_there_is_not_made(run, tmp_path):
    result = run("query", "SELECT 1", "--data", tmp_path / "no")
    assert result.exit_code == 1
    assert "F205" in result.stderr
    assert not (tmp_path / "no").exists()


def test_the_settings_of_a_file_count_where_no_server_runs(run, data, offline, tmp_path):
    (tmp_path / "footfall.toml").write_text("[server]\nquery_seconds = 7\ndata = 'data'\n")
    assert run("status").exit_code == 0
    (settings,) = offline.opened_with
    assert settings.server.query_seconds == 7
    assert settings.server.data == str(data.path)


@pytest.mark.slow
def test_a_holder_that_does_not_answer_is_named(run, data, monkeypatch):
    monkeypatch.setattr("footfall.cli.asking._START_SECONDS", 0.3)
    with data.lock():
        result = run("status", "--data", data.path)
    assert result.exit_code == 1
    assert DataDirectoryInUse.code in result.stderr


def test_tail_for_people(run, data, service):
    result = run("tail", "--no-follow", "--data", data.path)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "2026-11-20T15:40:53.849Z  shop  vaix  clicks:event  page=/live�[2J",
        "2026-11-20T15:40:53.850Z  -  jay  refused 401 key_unknown  The key is not known.",
    ]
    assert service.asked == [(False, "start")]


def test_tail_as_json_and_of_some_only(run, data, offline):
    def lines(*options):
        result = run("tail", "--no-follow", "--json", *options, "--data", data.path)
        return [json.loads(line) for line in result.stdout.splitlines()]

    event, reject = lines()
    assert event["event"]["type"] == "clicks:event"
    assert event["position"] == "0:0"
    assert reject["reject"]["reason"] == "key_unknown"
    assert lines("--source", "shop") == [event]
    assert lines("--type", "clicks:event") == [event]
    assert lines("--type", "other") == []
    lines("--from", "0:99")
    assert offline.asked[-1] == (False, "0:99")


def test_tail_without_a_server_shows_what_is_kept(run, data, offline):
    result = run("tail", "--data", data.path)
    assert "No server runs here" in result.stderr
    assert offline.asked == [(False, "start")]


@pytest.mark.slow
def test_tail_follows_a_server_from_now(run, data, online):
    assert run("tail", "--data", data.path).exit_code == 0
    assert online.asked == [(True, "now")]


def test_status(run, data, service, request):
    result = run("status", "--data", data.path)
    runs = "runs" if "online" in request.node.callspec.id else "does not run"
    assert result.stdout.splitlines() == [
        f"server      {runs}",
        "journal",
        "  ok     yes",
        "  bytes  12",
        "collectors",
        "  index  0",
        "lag_s       -",
    ]
    found = json.loads(run("status", "--json", "--data", data.path).stdout)
    assert found["server"] == runs
    assert found["journal"] == {"ok": True, "bytes": 12}


def test_a_backup_is_told_in_tenths(run, data, service, tmp_path):
    result = run("backup", "there", "--data", data.path)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "Backup written to there\n"
    told = result.stderr.splitlines()
    assert told[0] == "Backing up: 0 of 20"
    assert told[-1] == "Backing up: 20 of 20"
    assert len(told) == 11
    assert service.asked == [str(tmp_path / "there")]


def test_a_backup_that_fails_is_not_called_written(run, data, service):
    result = run("backup", "full", "--data", data.path)
    assert result.exit_code == 1
    assert "The disk is full." in result.stderr
    assert "written" not in result.stdout


def _backup_of_a_version(folder):
    """The least that is a backup."""
    folder.mkdir()
    (folder / "VERSION").write_bytes(b"1\n")
    entry = {"path": "VERSION", "bytes": 2, "sha256": hashlib.sha256(b"1\n").hexdigest()}
    (folder / "manifest.json").write_text(json.dumps({"files": [entry], "format": 1}))
    return folder


def test_restore_makes_a_data_directory(run, tmp_path):
    backup = _backup_of_a_version(tmp_path / "backup")
    result = run("restore", backup, "--data", "restored")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"Restored to {tmp_path}/restored\n"
    assert "Restoring: 3 of 3" in result.stderr
    again = run("restore", backup, "--data", "restored")
    assert again.exit_code == 1
    assert "F206" in again.stderr


def test_restore_wants_a_whole_backup(run, tmp_path):
    assert run("restore", tmp_path / "no", "--data", tmp_path / "d").exit_code == 2
    backup = _backup_of_a_version(tmp_path / "backup")
    (backup / "VERSION").write_bytes(b"2\n")
    result = run("restore", backup, "--data", tmp_path / "d")
    assert result.exit_code == 1
    assert "F501" in result.stderr
    assert not (tmp_path / "d").exists()


@pytest.mark.slow
def test_a_terminal_gets_a_box_and_no_parquet(data, online):
    """In a pseudo-terminal, as a person would see it."""
    import os
    import pty

    def seen(*arguments):
        master, slave = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "footfall.cli", *arguments, "--data", str(data.path)],
            stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm"},
        ) as process:  # fmt: skip
            os.close(slave)
            text = b""
            while True:
                try:
                    chunk = os.read(master, 65536)
                except OSError:  # the other end is closed
                    break
                text += chunk
            process.wait(30)
        os.close(master)
        return process.returncode, text.decode()

    code, text = seen("query", "SELECT 1")
    assert code == 0
    assert "┃" in text
    assert "2 rows" in text
    code, text = seen("query", "SELECT 1", "--format", "parquet")
    assert code == 2
    assert "redirect it" in text
