"""Sources that share their profiles: the lake groups them as the state does, whoever says what."""

from __future__ import annotations

import json
import signal

import pytest
from running import eventually, run

pytestmark = pytest.mark.slow

SETTINGS = """
[[source]]
id = "a"
protocols = ["tracardi"]
[source.tracardi]
identity = "g"

[[source]]
id = "b"
protocols = ["tracardi"]
[source.tracardi]
identity = "g"
[source.tracardi.identification]
sign-in = ["email.main"]
"""
GROUPS = "FROM identities ORDER BY source"
PROFILES = "SELECT source, profile_id, visits, aliases FROM profiles"


def track(server, source, session, *events):
    """The profile id that it is told."""
    body = {"source": {"id": source}, "session": {"id": session}, "events": list(events)}
    headers = {"Content-Type": "application/json"}
    answer = server.request("POST", "/track", json.dumps(body), headers)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)["profile"]["id"]


def profile_of(data, profile_id):
    return json.loads(run("profile", profile_id, "--format", "json", "--data", data).stdout)


def test_a_backend_that_begins_no_visit_is_in_its_group(start, tmp_path):
    (tmp_path / "footfall.toml").write_text(SETTINGS)
    server = start(dev=False)
    ids = [track(server, "a", session, {"type": "page-view"}) for session in ("w1", "w2")]
    proof = {"type": "sign-in", "properties": {"email": "Ann@example.com"}}
    for session in ("w1", "w2"):
        track(server, "b", session, proof)
    merged = track(server, "a", "w1")
    (other,) = set(ids) - {merged}
    one = {"source": "g", "profile_id": merged, "visits": 2, "aliases": [other]}
    assert server.query(PROFILES) == [one]
    (found,) = profile_of(server.data, other)
    assert found["sources"] == ["a", "b"]
    assert found["profiles"][0]["source"] == "g"
    assert len(found["events"]) == 4
    server.stop()
    # Without the settings, the lake remembers.
    done = run("query", "--format", "json", "--data", server.data, PROFILES, cwd=tmp_path.parent)
    assert json.loads(done.stdout) == [one]


def test_a_reload_regroups_and_a_source_that_goes_stays_in_its_group(start, tmp_path):
    file = tmp_path / "footfall.toml"
    file.write_text(SETTINGS)
    server = start(dev=False)
    assert server.query(GROUPS) == [{"source": s, "identity": "g"} for s in "ab"]
    first = SETTINGS.split("\n\n", maxsplit=1)[0]
    file.write_text(first.replace('"g"', '"h"'))
    server.signal(signal.SIGHUP)
    wanted = [{"source": "a", "identity": "h"}, {"source": "b", "identity": "g"}]
    eventually(lambda: server.query(GROUPS) == wanted, "the group is another")
    assert server.log("child ended") == []
