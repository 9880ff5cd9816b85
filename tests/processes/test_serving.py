"""What a running server answers, counts and logs, over all its processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from pathlib import Path

import pytest
from load import read_answer, vaix
from prometheus_client.parser import text_string_to_metric_families
from running import eventually, patched

pytestmark = pytest.mark.slow


def samples(server, **headers):
    """Every number of /metrics, by name and labels."""
    answer = server.get("/metrics", headers=headers)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def memory(pid):
    """Resident memory in MiB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) >> 10


def test_one_line_and_from_then_on_requests_are_taken(start):
    server = start(ready=False)
    server.announced()
    # The very first connection, without a second try.
    assert server.get("/readyz").body == b"ready\n"
    assert server.get("/healthz").body == b"ok\n"
    welcome = server.get("/")
    assert welcome.status == 200
    assert f"http://127.0.0.1:{server.port}/api/tracker/events".encode() in welcome.body
    assert server.get("/nothing").status == 404
    assert [child.name for child in server.children()] == ["collector-0", "worker"]
    print({child.name: f"{memory(child.pid)} MiB" for child in server.children()})
    print({"supervisor": f"{memory(server.pid)} MiB"})
    assert server.stop() == 0
    assert server.read_line() == "", "more than one line was printed"


def test_two_collectors_serve_and_are_counted_together(start):
    server = start("--workers", 2)
    served = set()

    async def one(number):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(vaix(number))
        status, _ = await read_answer(reader)
        writer.close()
        return status

    async def many(numbers):
        return await asyncio.gather(*map(one, numbers))

    def both_have_served():
        """Whichever is idle accepts; the kernel does not share connections out evenly."""
        numbers = range(len(served), len(served) + 100)
        assert set(asyncio.run(many(numbers))) == {204}
        served.update(numbers)
        counted = [
            any(value for name, value in events_of(server.data, f"collector-{index}"))
            for index in range(2)
        ]
        return all(counted)

    eventually(both_have_served, "both collectors take events")
    server.request("POST", "/api/tracker/events", b"{}", {"Authorization": "Bearer wrong-key"})

    def counted():
        found = samples(server)
        return found if found["footfall_events_total", "dev", "vaix"] == len(served) else None

    # The other collector writes its numbers down once a second.
    found = eventually(counted, "all events are counted")
    assert found["footfall_requests_total", "204", "vaix"] == len(served)
    refused = {key: value for key, value in found.items() if key[0] == "footfall_refused_total"}
    assert sum(refused.values()) == 1
    assert found["footfall_commit_seconds_count",] > 0
    eventually(
        lambda: samples(server)["footfall_loaded_events_total",] == len(served), "all is loaded"
    )
    rows = server.query("SELECT count(*) AS n FROM events")
    assert rows == [{"n": len(served)}]


def events_of(directory, child):
    """What one child has counted of events, from its own file."""
    from prometheus_client.mmap_dict import MmapedDict

    values = MmapedDict.read_all_values_from_file(directory / "metrics" / f"counter_{child}.db")
    return [(key, value) for key, value, *_ in values if '"footfall_events_total"' in key]


def test_counts_go_on_when_a_collector_is_started_again(start):
    server = start()
    for number in range(3):
        assert post(server, number).status == 204
    eventually(lambda: samples(server)["footfall_events_total", "dev", "vaix"] == 3, "3 counted")
    first = server.child("collector-0")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: server.child("collector-0") != first, "another collector")
    eventually(lambda: answers(server), "it serves")
    assert post(server, 4).status == 204
    eventually(lambda: samples(server)["footfall_events_total", "dev", "vaix"] == 4, "4 counted")


def answers(server):
    try:
        return server.get("/readyz").status == 200
    except OSError:
        return False


def post(server, number, **headers):
    return server.request(
        "POST", "/api/tracker/events",
        json.dumps({
            "event_type": "clicks:event",
            "data": {"page": "/p", "location": "a:b", "event_id": str(number)},
        }),
        {"Authorization": "Bearer dev-key", "x-vaix-client-id": "demo",
         "Content-Type": "application/json", **headers},
    )  # fmt: skip


def test_the_client_is_whom_a_trusted_proxy_names(start, tmp_path):
    (tmp_path / "footfall.toml").write_text("[server]\ntrusted_proxies = ['127.0.0.0/8']\n")
    server = start()
    assert post(server, 1, **{"X-Forwarded-For": "203.0.113.9, 198.51.100.23"}).status == 204
    assert post(server, 2, Forwarded="for=192.0.2.1").status == 204
    rows = server.query(
        "SELECT json_extract_string(properties, '$.event_id') AS n, ip FROM events ORDER BY n"
    )
    # The nearest hop that is not trusted; the header that nobody set is not believed.
    assert rows == [{"n": "1", "ip": "198.51.100.0"}, {"n": "2", "ip": "127.0.0.0"}]
    # Metrics are for the networks that were named, however near the proxy is.
    assert server.get("/metrics", {"X-Forwarded-For": "203.0.113.9"}).status == 403
    assert server.get("/metrics", {"X-Forwarded-For": "127.0.0.7"}).status == 200


def test_nobody_is_believed_who_is_not_trusted(start):
    server = start()
    assert post(server, 1, **{"X-Forwarded-For": "203.0.113.9"}).status == 204
    assert server.query("SELECT ip FROM events") == [{"ip": "127.0.0.0"}]
    assert server.get("/metrics", {"X-Forwarded-For": "203.0.113.9"}).status == 200


def test_metrics_are_for_the_networks_that_are_named(start, tmp_path):
    (tmp_path / "footfall.toml").write_text("[server]\nmetrics_from = ['10.0.0.0/8']\n")
    answer = start().get("/metrics")
    assert answer.status == 403
    assert b"server.metrics_from" in answer.body


SECRETS = {
    "address": "203.0.113.77",
    "user": "person-4711@example.com",
    "agent": "Secret-Agent/7.7",
    "token": "token-that-nobody-knows",
    "page": "/diagnosis/very-private",
    "referer": "https://private.example/inbox",
}


def test_the_log_holds_nothing_of_what_clients_send(start, tmp_path):
    """Good, bad and hopeless requests; a damaged start, a reload, an end: one JSON a line."""
    (tmp_path / "footfall.toml").write_text("[server]\ntrusted_proxies = ['127.0.0.0/8']\n")
    server = start(command=patched("blunder"))
    about = {
        "X-Forwarded-For": SECRETS["address"],
        "User-Agent": SECRETS["agent"],
        "Referer": SECRETS["referer"],
    }
    click = {"Authorization": "Bearer dev-key", "x-vaix-client-id": "demo", **about}
    session = server.request(
        "POST", "/v1/playouts/tracking/session", json.dumps({"user_id": SECRETS["user"]}),
        {"X-API-Key": "dev-key", "Content-Type": "application/json", **about},
    )  # fmt: skip
    assert session.status == 200
    session_id = json.loads(session.body)["session_id"]
    body = {
        "event_type": "clicks:event", "user_id": SECRETS["user"],
        "data": {"page": SECRETS["page"], "location": "a:b", "event_id": "1"},
    }  # fmt: skip
    carried = {**click, "X-JAY-TRACKING": session_id, "Content-Type": "application/json"}
    path = "/api/tracker/events"
    assert server.request("POST", path, json.dumps(body), carried).status == 204
    assert server.request("POST", path, SECRETS["user"], carried).status == 400
    assert server.request("POST", path, json.dumps({SECRETS["user"]: 1}), carried).status == 422
    wrong = {**carried, "Authorization": f"Bearer {SECRETS['token']}"}
    assert server.request("POST", path, json.dumps(body), wrong).status == 401
    assert server.request("POST", f"/{SECRETS['user']}", b"", about).status == 404
    faulty = server.request("POST", path, json.dumps(body), {**carried, "x-fault": "1"})
    assert faulty.status == 500
    asyncio.run(raw(server.port, f"\x16\x03{SECRETS['user']}\r\n\r\n".encode()))
    asyncio.run(raw(server.port, f"GET /?{SECRETS['user']} HTTP/9.9\r\n\r\n".encode()))
    assert len(server.query("FROM rejects")) == 4
    server.stop()

    text = server.log_text()
    for secret in (*SECRETS.values(), session_id, "dev-key", "demo"):
        assert secret not in text
    lines = server.log()
    assert all({"event", "level", "timestamp", "process"} <= line.keys() for line in lines)
    # The fault of one request can be found again, by what its sender was told.
    (fault,) = server.log("decoding failed")
    assert fault["request_id"].encode() in faulty.body
    assert fault["exception"][0] == "builtins.RuntimeError"
    assert any(place.endswith(" blunder") for place in fault["exception"])


async def raw(port, data):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    writer.write_eof()
    await reader.read()
    writer.close()
