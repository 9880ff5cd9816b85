"""footfall import: visitors whom a Tracardi knew are known here, with a server and without."""

from __future__ import annotations

import json

import pytest
from running import run

pytestmark = pytest.mark.slow


def write(file, *profiles):
    file.write_text("".join(json.dumps(profile) + "\n" for profile in profiles))
    return file


def track(server, session, profile):
    body = {
        "source": {"id": "dev"},
        "session": {"id": session},
        "profile": {"id": profile},
        "events": [{"type": "page-view"}],
    }
    headers = {"Content-Type": "application/json"}
    answer = server.request("POST", "/track", json.dumps(body), headers)
    assert answer.status == 200
    return json.loads(answer.body)["profile"]["id"]


def test_known_visitors_stay_known(start, tmp_path):
    server = start()
    assert track(server, "s0", "bf0c") != "bf0c", "nobody has issued it"
    ann = {
        "id": "bf0c",
        "ids": ["bf0c", "old"],
        "metadata": {"time": {"insert": "2023-01-01T00:00:00"}},
        "data": {"pii": {"firstname": "Ann"}},
        "consents": {"marketing": {"revoke": None}},
    }
    file = write(tmp_path / "profiles.jsonl", ann, *({"id": f"p{n}"} for n in range(2500)))
    done = run("import", file, "--source", "dev", "--data", server.data)
    assert done.stdout == "2501 new, 0 changed, 0 same\n"
    done = run("import", file, "--source", "dev", "--data", server.data)
    assert done.stdout == "0 new, 0 changed, 2501 same\n"
    assert track(server, "s1", "bf0c") == "bf0c"
    assert track(server, "s2", "old") == "bf0c"
    [profile] = server.query("SELECT * FROM profiles WHERE profile_id = 'bf0c'")
    assert profile["first_seen_at"].startswith("2023-01-01")
    assert (profile["visits"], profile["events"], profile["aliases"]) == (2, 2, ["old"])
    assert profile["traits"] == {"firstname": "Ann"}
    assert server.query("SELECT count(*) AS n FROM profiles") == [{"n": 2502}]
    assert server.query("SELECT DISTINCT type FROM events") == [{"type": "page-view"}]


def test_without_a_server_and_with_lines_that_cannot_be_taken(start, tmp_path):
    server = start()
    server.stop()
    config = tmp_path / "footfall.toml"
    config.write_text(
        f'[server]\ndata = "{server.data}"\n[[source]]\nid = "shop"\nprotocols = ["tracardi"]\n'
    )
    file = write(tmp_path / "profiles.jsonl", {"id": "a"}, {"ids": ["x"]}, {"id": "b"})
    done = run("import", file, "--source", "shop", "--config", config, check=False)
    assert done.returncode == 1
    assert done.stdout == "2 new, 0 changed, 0 same\n"
    assert "line 2: id, and each of ids, must be a string" in done.stderr
    assert "Lines not taken over: 1." in done.stderr
    rows = run("query", "--format", "json", "--config", config, "SELECT profile_id FROM profiles")
    assert {row["profile_id"] for row in json.loads(rows.stdout)} == {"a", "b"}
    done = run("import", file, "--source", "nobody", "--config", config, check=False)
    assert "F405" in done.stderr
    assert done.returncode == 1
