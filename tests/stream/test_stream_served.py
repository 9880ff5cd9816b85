"""Streams as `footfall serve` serves them: real processes, a real origin and ad server on loopback."""

from __future__ import annotations

import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from running import eventually
from stream_rig import MASTER, Live, date, segments, vod_text

pytestmark = pytest.mark.slow

SOURCE = '[[source]]\nid = "site"\nprotocols = ["vaix"]\nconsent = "implied"\n'
AD = """<Ad id="{name}"{sequence}><InLine><AdSystem>t</AdSystem><AdTitle>{name}</AdTitle>
<Error><![CDATA[{base}/error?ad={name}&code=[ERRORCODE]]]></Error>
<Impression><![CDATA[{base}/beacon?event=impression&ad={name}]]></Impression>
<Creatives><Creative id="c-{name}"><Linear><Duration>00:00:0{seconds}</Duration>
<TrackingEvents><Tracking event="complete"><![CDATA[{base}/beacon?event=complete&ad={name}]]>
</Tracking></TrackingEvents><MediaFiles><MediaFile delivery="streaming" width="1" height="1"
type="application/vnd.apple.mpegurl"><![CDATA[{base}/ads/{name}/{seconds}/master.m3u8]]></MediaFile>
</MediaFiles></Linear></Creative></Creatives></InLine></Ad>"""


class Outside:
    """An origin and an ad server."""

    def __init__(self):
        self.texts = {}
        self.lock = threading.Lock()
        self.vast_calls, self.vmap_calls, self.beacons, self.errors = [], [], [], []
        self.headers = []
        outside = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                target = urlsplit(self.path)
                query = parse_qs(target.query)
                body = outside.answer(target.path, query, self.headers)
                self.send_response(404 if body is None else 200)
                data = (body or "").encode()
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, path, query, headers):
        with self.lock:
            if path == "/vast":
                self.vast_calls.append(query)
                self.headers.append({name.lower(): value for name, value in headers.items()})
                time.sleep(0.1)
                return f"<VAST version='4.0'>{self.ad('one', 4, 1)}{self.ad('two', 2, 2)}</VAST>"
            if path == "/vmap":
                self.vmap_calls.append(query)
                self.headers.append({name.lower(): value for name, value in headers.items()})
                return self.vmap()
            if path == "/beacon":
                self.beacons.append((query["event"][0], query["ad"][0]))
                return ""
            if path == "/error":
                self.errors.append((query["ad"][0], query["code"][0]))
                return ""
            if path.startswith("/ads/"):
                return self.creative(path)
            return self.texts.get(path)

    def ad(self, name, seconds, sequence=0):
        told = f' sequence="{sequence}"' if sequence else ""
        return AD.format(name=name, seconds=seconds, sequence=told, base=self.base)

    def vmap(self):
        def one(at, name, ads):
            return (
                f'<vmap:AdBreak timeOffset="{at}" breakType="linear" breakId="{name}">'
                f'<vmap:AdSource><vmap:VASTAdData><VAST version="3.0">{ads}</VAST>'
                "</vmap:VASTAdData></vmap:AdSource></vmap:AdBreak>"
            )

        mid = self.ad("gone", 2, 1) + self.ad("mid", 2, 2)
        return (
            '<vmap:VMAP xmlns:vmap="http://www.iab.net/videosuite/vmap" version="1.0">'
            f"{one('start', 'pre', self.ad('pre', 4))}{one('00:00:10', 'mid', mid)}</vmap:VMAP>"
        )

    def creative(self, path):
        _, _, name, seconds, file = path.split("/")
        if name == "gone":
            return None
        if file == "master.m3u8":
            return MASTER
        return vod_text(float(seconds), ".ts", f"{file[0]}")

    def film(self):
        self.texts["/vod/master.m3u8"] = MASTER
        for name in ("video", "sound"):
            self.texts[f"/vod/{name}.m3u8"] = vod_text(20, ".ts", name[0])

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def outside():
    made = Outside()
    made.film()
    yield made
    made.close()


def services(outside, *extra):
    base = f'source = "site"\nprivate_addresses = true\norigin = "{outside.base}'
    return "\n".join(
        [
            SOURCE,
            f'[[service]]\nid = "films"\nkind = "vod"\n{base}/vod/"',
            f'ad_server = "{outside.base}/vmap?app=$arg_app"',
            f'[[service]]\nid = "tv"\nkind = "live"\n{base}/live/"',
            f'ad_server = "{outside.base}/vast?d=$AD_BREAK_DURATION_MS"',
            f'[[service]]\nid = "counted"\nkind = "vod"\ntracking = "server"\n{base}/vod/"',
            f'ad_server = "{outside.base}/vmap"',
            *extra,
        ]
    )


def serve(start, tmp_path, text):
    (tmp_path / "footfall.toml").write_text(text)
    return start("--workers", 2, dev=False)


def playlists(server, master):
    """Addresses of a session's media playlists: video, sound."""
    answer = server.get(master)
    assert answer.status == 307
    first = server.get(answer.headers["location"])
    lines = first.body.decode().splitlines()
    return answer.headers["location"], lines[3], lines[1].split('URI="')[1].rstrip('"')


def test_a_film_over_two_processes(start, tmp_path, outside):
    server = serve(start, tmp_path, services(outside))
    master, video, sound = playlists(server, "/stream/films/master.m3u8?app=tv%26radio")
    targets = [video, sound, f"{master}&bk-ml=2.0"] * 8
    headers = {"User-Agent": "Player/1"}
    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(lambda target: server.get(target, headers), targets))
    assert {one.status for one in answers} == {200}
    bodies = {one.body for one in answers}
    assert len(bodies) == 3
    assert outside.vmap_calls == [{"app": ["tv&radio"]}]
    assert outside.headers[0]["user-agent"] == "Player/1"
    lists = [body.decode() for body in bodies if body.startswith(b"#EXTM3U")]
    found = {
        tuple(name.removeprefix("v").removeprefix("s") for name in names(one)) for one in lists
    }
    assert found == {("pre0", "pre1", "0", "1", "2", "3", "4", "mid0", "5", "6", "7", "8", "9")}
    told = json.loads(next(body for body in bodies if body.startswith(b"{")))
    assert [(one["id"], one["starttime_ms"], one["duration_ms"]) for one in told["adpods"]] == [
        ("pre", 0, 4000),
        ("mid", 14_000, 2000),
    ]
    eventually(lambda: outside.errors, "the error address is called")
    time.sleep(0.2)
    assert outside.errors == [("gone", "401")]
    rows = eventually(
        lambda: server.query("select outcome, count(*) n from ad_breaks group by all order by 1"),
        "the lake has the decisions",
    )
    assert rows == [{"outcome": "filled", "n": 1}, {"outcome": "partial", "n": 1}]


def names(text):
    """Segments by name, those of ads with their ad's."""
    found = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            parts = line.removesuffix(".ts").split("/")
            own = parts[-3] + parts[-1][1:] if "/ads/" in line else parts[-1]
            found.append(own)
    return found


def test_a_live_break_over_two_processes(start, tmp_path, outside):
    world = SimpleNamespace(texts={})
    live = Live(world)

    def publish():
        outside.texts["/live/master.m3u8"] = MASTER
        for uri, text in world.texts.items():
            outside.texts[f"/live/{uri.rpartition('/')[2]}"] = text

    publish()
    server = serve(start, tmp_path, services(outside))
    sessions = [playlists(server, "/stream/tv/master.m3u8") for _ in range(4)]

    def lists():
        targets = [one for session in sessions for one in session[1:] for _ in range(4)]
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(server.get, targets))
        assert {one.status for one in answers} == {200}
        return [one.body.decode() for one in answers]

    assert all(segments(one)[-1][1:] == "14" for one in lists())
    live.cue_out(15, 6)
    for segments_more in (1, 2):  # as an origin does: a list that leaps has been shown by others
        live.go_on(segments_more)
        publish()
        time.sleep(0.6)
        spliced = lists()
    assert len(outside.vast_calls) == len(sessions)
    assert {call["d"][0] for call in outside.vast_calls} == {"6000"}
    assert {tuple(names(one)[-4:])[1:] for one in spliced} == {("one0", "one1", "two0")}
    assert {f"#EXT-X-PROGRAM-DATE-TIME:{date(live.at(15))}" in one for one in spliced} == {True}
    live.go_on(2)
    publish()
    time.sleep(0.6)
    assert {tuple(names(one)[-2:]) for one in lists()} == {("v18", "v19"), ("a18", "a19")}
    told = {server.get(f"{session[0]}&bk-ml=1.0").body for session in sessions}
    for body in told:
        (pod,) = json.loads(body)["adpods"]
        assert pod["starttime_ms"] == live.at(15) // 1000
        assert [one["adid"] for one in pod["ads"]] == ["one", "two"]


def test_beacons_are_fired_once_by_requests_for_segments(start, tmp_path, outside):
    server = serve(start, tmp_path, services(outside))
    _, video, sound = playlists(server, "/stream/counted/master.m3u8")
    ours = [
        line
        for target in (video, sound)
        for line in server.get(target).body.decode().splitlines()
        if line.startswith("/stream/counted/ad/")
    ]
    assert len(ours) == 6
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(server.get, ours * 3))
    assert {one.status for one in answers} == {307}
    assert all(one.headers["location"].startswith(f"{outside.base}/ads/") for one in answers)
    wanted = sorted((event, ad) for event in ("complete", "impression") for ad in ("mid", "pre"))
    eventually(lambda: len(outside.beacons) >= 4, "the beacons come")
    time.sleep(0.3)
    assert sorted(outside.beacons) == wanted


def test_services_come_and_go_with_a_reload(start, tmp_path, outside):
    file = tmp_path / "footfall.toml"
    server = serve(start, tmp_path, SOURCE)
    missing = server.get("/stream/films/master.m3u8")
    assert (missing.status, missing.headers["content-type"]) == (404, "application/problem+json")
    file.write_text(services(outside))
    server.signal(signal.SIGHUP)

    def statuses():
        return {server.get("/stream/films/master.m3u8").status for _ in range(20)}

    eventually(lambda: statuses() == {307}, "the service is there, in every process")
    _, video, _ = playlists(server, "/stream/films/master.m3u8")
    assert server.get(video).status == 200
    file.write_text(SOURCE)
    server.signal(signal.SIGHUP)
    eventually(lambda: statuses() == {404}, "it is gone, in every process")
    assert server.stop() == 0
