"""`footfall forget` and `footfall export`, with a server and without, and one that is killed."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from remains import holders
from running import FOOTFALL, eventually, patched, run

from footfall.cli.erasing import named_people

pytestmark = pytest.mark.slow

ANNA = "anna-5d41402abc4b2a76"
BERT = "bert-7d793037a0760186"


def click(server, user, **data):
    body = {
        "event_type": "clicks:event",
        "user_id": user,
        "data": {"page": "/home", "location": "widget:recommended", "event_id": "1"} | data,
    }
    headers = {
        "Authorization": "Bearer dev-key",
        "x-vaix-client-id": "demo",
        "Content-Type": "application/json",
    }
    answer = server.request("POST", "/api/tracker/events", json.dumps(body), headers)
    assert answer.status in {204, 422}, answer


def visited(server):
    for n in range(20):
        click(server, ANNA, event_id=f"a{n}", note="a line\u2028of text")
        click(server, BERT, event_id=f"b{n}")
    click(server, ANNA, page=7)  # refused, with its body


def users(data):
    rows = json.loads(
        run("query", "--format", "json", "--data", data,
            "SELECT user_id, count(*) AS n FROM events GROUP BY ALL ORDER BY ALL").stdout
    )  # fmt: skip
    return {row["user_id"]: row["n"] for row in rows}


@pytest.mark.parametrize("command", ["forget", "export"])
def test_a_source_that_is_mistyped_is_said(start, command):
    server = start()
    click(server, ANNA)
    mistyped = (command, "--user", ANNA, "--source", "shpo", "--data", server.data)
    for after in (server.stop, lambda: None):  # with a server and without
        done = run(*mistyped, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert 'There is no source "shpo" here; there are dev.' in " ".join(done.stderr.split())
        after()
    assert users(server.data) == {ANNA: 1}
    # No settings name it any more, but something is kept of it.
    run(command, "--user", ANNA, "--source", "dev", "--data", server.data)


def test_with_a_server_and_then_without(start, tmp_path):
    server = start()
    visited(server)
    first = json.loads(run("export", "--user", ANNA, "--data", server.data).stdout)
    assert len(first["events"]) == 20
    assert len(first["rejects"]) == 1
    done = run("forget", "--user", ANNA, "--data", server.data)
    receipt = json.loads(done.stdout)
    assert receipt["rows"]["events"] == 20
    assert receipt["rows"]["rejects"] == 1
    assert "Forgetting" in done.stderr
    assert users(server.data) == {BERT: 20}
    assert holders(server.data, ANNA) == []
    assert ANNA not in server.log_text()
    click(server, ANNA)  # begins anew
    assert users(server.data) == {ANNA: 1, BERT: 20}
    server.stop()
    people = tmp_path / "people.jsonl"
    people.write_text(f'{{"user": "{ANNA}"}}\n\n{{"user": "{BERT}"}}\n')
    out = tmp_path / "out"
    run("export", "--file", people, "--output", out, "--data", server.data)
    files = sorted(out.iterdir())
    assert [len(json.loads(file.read_text())["events"]) for file in files] == [1, 20]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    files[0].write_text("whole")
    files[1].unlink()
    run("export", "--file", people, "--output", out, "--data", server.data)
    assert files[0].read_text() == "whole", "made again"
    assert len(json.loads(files[1].read_text())["events"]) == 20
    ids = tmp_path / "ids"
    ids.write_text(f"{ANNA}\n{BERT}\n")
    run("forget", "--file", ids, "--kind", "user", "--data", server.data)
    assert users(server.data) == {}
    assert holders(server.data, ANNA, BERT) == []
    assert len((server.data / "erasures.jsonl").read_text().splitlines()) == 2


def test_a_worker_that_is_killed_in_the_middle_goes_on_when_it_is_back(start):
    server = start(command=patched(Path(__file__).parent / "hanging.py"))
    visited(server)
    command = [*FOOTFALL, "forget", "--user", ANNA, "--data", str(server.data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as asking:
        eventually((server.data.parent / "hanging").exists, "it hangs")
        (left,) = (server.data / "erasures").glob("*.json")
        assert ANNA in left.read_text()
        os.kill(server.child("worker"), signal.SIGKILL)
        assert asking.wait(60) == 1
        assert b"F204" in asking.stdout.read()
    eventually(lambda: not list((server.data / "erasures").iterdir()), "it goes on")
    assert users(server.data) == {BERT: 20}
    assert holders(server.data, ANNA) == []
    assert len((server.data / "erasures.jsonl").read_text().splitlines()) == 1


def test_a_backup_that_is_restored_says_who_is_in_it_again(start, tmp_path):
    server = start()
    visited(server)
    run("backup", tmp_path / "backup", "--data", server.data)
    run("forget", "--user", ANNA, "--data", server.data)
    audit = server.data / "erasures.jsonl"
    again = tmp_path / "again"
    done = run("restore", tmp_path / "backup", "--data", again, "--erasures", audit)
    assert "1 erasures of 1 ids are later than this backup" in done.stderr
    assert users(again) == {ANNA: 20, BERT: 20}
    run("forget", "--repeat-audit", audit, "--data", again)
    assert users(again) == {BERT: 20}
    assert holders(again, ANNA) == []


def test_an_id_may_have_characters_that_end_lines_elsewhere(tmp_path):
    file = tmp_path / "people.jsonl"
    file.write_bytes('{"user": "a\u2028b\x85c"}\r\n\n{"profile": "d"}\n'.encode())
    people = {"profiles": (), "users": ("u",), "sessions": (), "source": None}
    assert named_people(file=file, kind=None, **people) == [
        {"user": "u"}, {"user": "a\u2028b\x85c"}, {"profile": "d"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "Name whom"),
        (("--file", "latin", "--kind", "user"), "latin is not UTF-8, from byte 3 on.\nF504"),
        (("--repeat-audit", "latin"), "latin is not UTF-8, from byte 3 on.\nF503"),
        (("--user", "x", "--resume"), "Name whom"),
        (("--user", ""), "F504"),
        (("--file", "people"), "line 1"),
    ],
)
def test_what_is_not_understood(tmp_path, arguments, told):
    (tmp_path / "people").write_text("4711\n")
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")
    done = run("forget", *arguments, "--data", tmp_path / "none", cwd=tmp_path, check=False)
    assert done.returncode != 0
    assert told in done.stderr + done.stdout
