"""What other servers and the disk can do to a live stream: it goes on, and why is recorded."""

from __future__ import annotations

import asyncio

import pytest
from lists import EPOCH, S
from loopback import response, serving
from rules import broken, read
from stream_feed import Feed, creative, label, master, offered, vast
from stream_site import (
    Network,
    Process,
    clock,
    events,
    now,
    properties,
    run,
    service,
)
from stream_viewer import Viewer

from footfall.errors import JournalUnavailable
from footfall.journal.engines.memory import MemoryJournal
from footfall.stream.contract import FetchError
from footfall.stream.fetch import Fetcher

pytestmark = pytest.mark.slow

BREAK = (100 * S, 20 * S, 120 * S)
FEED = Feed([BREAK], 400 * S)
SLATE = "https://creatives.example/slate/master.m3u8"


class Scene:
    """One process, whose outside does what a test says."""

    def __init__(self, folder, *services, **limits):
        self.journal = MemoryJournal(now)
        self.net = Network()
        self.net.answer = {
            "origin.example": lambda url: FEED.answer(url, now()),
            "ads.example": offered,
            "creatives.example": creative,
        }
        services = services or (service(), service("filled", slate=SLATE))
        self.process = Process(self.journal, self.net, folder, *services, **limits)
        self.viewers = []

    async def viewer(self, name="s", ads="a,d", **more):
        one = Viewer(lambda: self.process, name, ads, **more)
        self.viewers.append(one)
        return await one.open()

    async def watch(self, until_s, *viewers):
        """All of them, about each target duration, up to a moment of the stream."""
        while now() < EPOCH + until_s * S:
            for one in viewers or self.viewers:
                await one.refresh("v1")
                await one.refresh("audio")
                await one.poll()
            await asyncio.sleep(2)

    async def events(self, kind):
        return await events(self.journal, kind)


def shown(viewer, name="v1"):
    """What a session was served: of content and of which ads."""
    return {label(row[0][0]) for row in viewer.followers[name].rows.values()}


async def joined(tmp_path, *services, at_s=80, **limits):
    scene = Scene(tmp_path, *services, **limits)
    await asyncio.sleep(at_s)
    return scene


# The ad server

LOOP = (
    '<VAST version="4.2"><Ad id="w"><Wrapper><AdSystem>t</AdSystem>'
    "<Error>https://beacons.example/wrapper?code=[ERRORCODE]</Error>"
    "<VASTAdTagURI>https://ads.example/loop{}</VASTAdTagURI></Wrapper></Ad></VAST>"
)


def _deeper(url):
    depth = int(url.partition("loop")[2].partition("?")[0] or 0)
    return LOOP.format(depth + 1)


async def _slow(url):
    await asyncio.sleep(2.5)
    return offered(url)


@pytest.mark.parametrize(
    ("answer", "code", "outcome"),
    [
        pytest.param(_slow, 301, "failed", id="slow"),
        pytest.param(
            lambda _url: FetchError("unreachable", "nobody listens"), 301, "failed", id="down"
        ),
        pytest.param(lambda _url: (500, ""), 300, "failed", id="500"),
        pytest.param(lambda _url: "<html>Sorry</html>", 101, "failed", id="no VAST"),
        pytest.param(lambda _url: b"\x00\xff\xfe", 100, "failed", id="rubbish"),
        pytest.param(lambda _url: '<VAST version="4.2"/>', 303, "empty", id="no ads"),
        pytest.param(lambda _url: "", 303, "empty", id="nothing"),
        pytest.param(lambda _url: LOOP.format(""), 302, "failed", id="a loop of wrappers"),
        pytest.param(_deeper, 302, "failed", id="too many wrappers"),
        pytest.param(
            lambda _url: vast("a") + " " * (3 << 20), 300, "failed", id="3 MB"
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["s", "filled"])
def test_an_ad_server_that_fails_costs_a_break_its_ads(tmp_path, answer, code, outcome, name):
    async def test():
        scene = await joined(tmp_path)
        viewer = await scene.viewer(name)
        scene.net.answer["ads.example"] = answer
        await scene.watch(160)
        assert viewer.wrong == []
        assert shown(viewer) == ({"content"} if name == "s" else {"content", "slate"})
        (made,) = await scene.events("ad-break")
        assert made["properties"]["outcome"] == outcome
        assert properties(await scene.events("ad-error"), "code") == [(code,)]
        assert made["properties"]["reason"]
        asked = [url for url in scene.net.asked if "/vast?" in url]
        assert len(asked) == 1
        wrapped = code == 302
        assert scene.net.called == ["https://beacons.example/wrapper?code=302"] * wrapped

    run(test())


def test_the_limits_of_decisions_are_those_that_are_promised():
    from footfall.settings import Streams

    limits = Streams()
    assert (limits.ad_server_seconds, limits.decision_seconds) == (2.0, 5.0)
    assert (limits.wrappers, limits.answer_bytes, limits.origin_seconds) == (5, 2 << 20, 2.0)
    assert limits.beacon_seconds == 3.0


def test_a_vod_begins_without_ads_when_the_ad_server_is_slow(tmp_path):
    film = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n" + "".join(
        f"#EXTINF:2.000,\n{n}.ts\n" for n in range(5)
    )

    async def test():
        scene = Scene(tmp_path, service(kind="vod"))
        scene.net.answer["origin.example"] = lambda _url: film + "#EXT-X-ENDLIST\n"
        scene.net.answer["ads.example"] = _slow
        began = now()
        told = await scene.process.get("/stream/s/film.m3u8?bpkio_sessionid=x&bk-ml=2.0")
        assert now() - began < 2.2 * S
        assert (told.status_code, told.json()["adpods"]) == (200, [])
        listed = await scene.process.get("/stream/s/film.m3u8?bpkio_sessionid=x")
        assert listed.text.count("#EXTINF") == 5
        assert properties(await scene.events("ad-error"), "code") == [(301,)]
        assert scene.net.count("ads.example") == 1

    run(test())


# Creatives


async def _hangs(_url):
    await asyncio.sleep(60)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        pytest.param(lambda _url: (404, ""), 401, id="404"),
        pytest.param(lambda _url: (500, ""), 401, id="500"),
        pytest.param(_hangs, 402, id="hangs"),
        pytest.param(lambda _url: "rubbish", 405, id="rubbish"),
        pytest.param(lambda url: creative(url).replace("#EXT-X-ENDLIST\n", ""), None, id="no end"),
    ],
)
def test_an_ad_whose_creative_fails_is_left_out_and_the_next_one_plays(tmp_path, answer, code):
    async def test():
        scene = await joined(tmp_path)
        scene.net.answer["creatives.example"] = lambda url: (
            answer(url) if "/a/" in url else creative(url)
        )
        viewer = await scene.viewer()
        await scene.watch(150)
        assert viewer.wrong == []
        if code is None:
            return
        assert shown(viewer) == {"content", "d"}
        (error,) = await scene.events("ad-error")
        assert (error["properties"]["code"], error["properties"]["ad_id"]) == (code, "a")
        assert scene.net.called == [f"https://beacons.example/a/error?code={code}"]

    run(test())


def test_a_creative_that_vanishes_once_it_was_announced_leaves_gaps_and_right_numbers(tmp_path):
    """Its place stays: numbers count its segments, and a player passes over gaps."""

    async def test():
        scene = await joined(tmp_path)
        viewer = await scene.viewer()
        await scene.watch(116)
        assert shown(viewer) == {"content", "a", "d"}
        scene.net.answer["creatives.example"] = lambda _url: (404, "")
        await scene.watch(160)
        late = Process(scene.journal, scene.net, tmp_path, *scene.process.services.values())
        found = await late.get(viewer.addresses["v1"])
        assert found.status_code == 200
        assert viewer.wrong == []
        await late.close()

    run(test())


def test_a_creative_that_another_process_cannot_get_is_a_gap_there(tmp_path):
    async def test():
        scene = await joined(tmp_path)
        viewer = await scene.viewer()
        await scene.watch(112)
        gone = Network()
        gone.answer = scene.net.answer | {"creatives.example": lambda _url: (404, "")}
        other = Process(scene.journal, gone, tmp_path, *scene.process.services.values())
        listing = read((await other.get(viewer.addresses["v1"])).text)
        assert any(row.gap for row in listing.rows)
        assert {label(row.uri) for row in listing.rows} == {"content", "a", "d"}
        known = read((await scene.process.get(viewer.addresses["v1"])).text)
        assert (listing.sequence, listing.discontinuity_sequence) == (
            known.sequence, known.discontinuity_sequence,
        )  # fmt: skip
        assert [row.duration_us for row in listing.rows] == [row.duration_us for row in known.rows]
        await other.close()

    run(test())


def test_a_creative_host_that_no_setting_names_is_not_asked(tmp_path):
    async def test():
        scene = await joined(tmp_path, service(hosts=("beacons.example",)))
        viewer = await scene.viewer()
        await scene.watch(140)
        assert viewer.wrong == []
        assert shown(viewer) == {"content"}
        assert scene.net.count("creatives.example") == 0
        errors = properties(await scene.events("ad-error"), "code", "ad_id")
        assert errors == [(401, "a"), (401, "d")]
        (made,) = await scene.events("ad-break")
        assert "hosts" in made["properties"]["reason"] or "list" in made["properties"]["reason"]

    run(test())


# The origin


def replaced(scene, change):
    """The origin's media lists, changed by a test from now on."""
    scene.net.answer["origin.example"] = lambda url: (
        master() if "master" in url else change(FEED.answer(url, now()), url)
    )


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        pytest.param(_hangs, 504, id="stalls"),
        pytest.param(lambda _url: FetchError("timeout", "2 s"), 504, id="times out"),
        pytest.param(lambda _url: FetchError("unreachable", "down"), 502, id="down"),
        pytest.param(lambda _url: (404, ""), 404, id="404"),
        pytest.param(lambda _url: (403, ""), 403, id="403"),
        pytest.param(lambda _url: (500, ""), 502, id="500"),
        pytest.param(lambda _url: "<html>", 502, id="rubbish"),
        pytest.param(lambda _url: "#EXTM3U\n", 502, id="an empty list"),
    ],
)
def test_an_origin_that_fails_is_told_of_when_its_last_list_is_too_old(tmp_path, fault, status):
    async def test():
        scene = await joined(tmp_path)
        viewer = await scene.viewer()
        await scene.watch(112)
        pods = [pod["id"] for pod in (await viewer.poll())["adpods"]]
        assert len(pods) == 1
        scene.net.answer["origin.example"] = fault
        stood_in = 0
        for _ in range(12):
            began = now()
            answer = await scene.process.get(viewer.addresses["v1"])
            assert now() - began <= 2.2 * S
            assert answer.headers["cache-control"] == "no-store"
            assert answer.status_code in {200, status}
            stood_in += answer.status_code == 200
            told = await viewer.poll()
            assert [pod["id"] for pod in told["adpods"]] == pods
            await asyncio.sleep(2)
        assert 1 <= stood_in < 6
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        scene.net.answer["origin.example"] = lambda url: FEED.answer(url, now())
        await asyncio.sleep(1)
        await scene.watch(170)
        assert viewer.wrong == []
        recorded = await scene.events("origin-error")
        assert len(recorded) == 1, "once a minute"
        assert recorded[0].get("session_id") is None
        assert recorded[0]["properties"]["reason"] or status == 504

    run(test())


@pytest.mark.parametrize(
    ("fault", "status"),
    [(lambda _url: (404, ""), 404), (lambda _url: FetchError("timeout", ""), 504)],
)
def test_of_an_origin_that_was_never_there_tracking_knows_nothing(tmp_path, fault, status):
    async def test():
        scene = Scene(tmp_path)
        scene.net.answer["origin.example"] = fault
        for workflow in ("1.0", "2.0"):
            target = f"/stream/s/master.m3u8?bpkio_sessionid=x{workflow}"
            told = await scene.process.get(f"{target}&bk-ml={workflow}")
            assert (told.status_code, told.json()["adpods"]) == (200, [])
            assert (await scene.process.get(target)).status_code == status

    run(test())


def test_an_origin_that_stops_and_goes_on(tmp_path):
    """Its list stays the same for a while, in the middle of a break."""

    async def test():
        scene = await joined(tmp_path)
        viewer = await scene.viewer()
        await scene.watch(108)
        stopped = now()
        replaced(scene, lambda _text, url: FEED.answer(url, stopped))
        await scene.watch(128)
        replaced(scene, lambda text, _url: text)
        await scene.watch(190)
        assert viewer.wrong == []
        assert shown(viewer) == {"content", "a", "d"}

    run(test())


def test_an_origin_whose_list_jumps_back_for_a_moment(tmp_path):
    async def test():
        scene = await joined(tmp_path)
        viewer = await scene.viewer()
        turn = 0
        while now() < EPOCH + 160 * S:
            turn += 1
            back = 6 * S if turn % 3 == 0 else 0
            replaced(scene, lambda _text, url, back=back: FEED.answer(url, now() - back))
            await asyncio.sleep(0.6)
            await viewer.refresh("v1")
            await viewer.refresh("audio")
            await viewer.poll()
            await asyncio.sleep(1.4)
        assert viewer.wrong == []
        assert shown(viewer) == {"content", "a", "d"}

    run(test())


def test_an_origin_whose_window_grows_and_shrinks(tmp_path):
    wide, narrow = Feed([BREAK], 400 * S, window=25), Feed([BREAK], 400 * S, window=5)

    async def test():
        scene = await joined(tmp_path)
        viewer = await scene.viewer()
        await scene.watch(110)
        scene.net.answer["origin.example"] = lambda url: narrow.answer(url, now())
        await scene.watch(126)
        scene.net.answer["origin.example"] = lambda url: wide.answer(url, now())
        viewer.followers = {}
        await scene.watch(150)
        scene.net.answer["origin.example"] = lambda url: FEED.answer(url, now())
        await scene.watch(200)
        return viewer

    viewer = run(test())
    assert viewer.wrong == []


def test_an_origin_that_drops_its_dates(tmp_path):
    """The stream's clock goes on by what is known of its numbers."""

    def without(text, _url):
        lines = [line for line in text.splitlines(keepends=True) if "PROGRAM-DATE" not in line]
        return "".join(lines)

    async def test():
        scene = await joined(tmp_path)
        viewer = await scene.viewer()
        await scene.watch(92)
        replaced(scene, without)
        await scene.watch(150)
        return viewer, await scene.events("ad-break")

    viewer, made = run(test())
    assert viewer.wrong == []
    assert shown(viewer) == {"content", "a", "d"}
    assert len(made) == 1


def test_an_origin_that_begins_anew(tmp_path):
    """Its numbers go back for good, and those of its sessions with them: no player can go on from
    the list before, but each that comes is one by itself."""
    anew = Feed([], 400 * S)
    anew.first = dict.fromkeys(anew.first, 1)
    anew.parts = {
        name: list(anew._parts(name, starts, [], ())) for name, starts in anew.starts.items()
    }

    async def test():
        scene = await joined(tmp_path)
        viewer = await scene.viewer()
        await scene.watch(108)
        assert viewer.wrong == []
        begun = now()

        def answer(url):
            return anew.answer(url, now()) if "master" in url or now() > begun else ""

        scene.net.answer["origin.example"] = answer
        await asyncio.sleep(30)
        for _ in range(20):
            found = await scene.process.get(viewer.addresses["v1"])
            assert found.status_code == 200
            assert broken(read(found.text)) == []
            told = await viewer.poll()
            assert told is not None
            await asyncio.sleep(2)
        kinds = {one["properties"]["kind"] for one in await scene.events("origin-error")}
        assert kinds == {"jump"}

    run(test())


# The journal


def test_while_the_journal_takes_nothing_the_original_plays_and_tracking_answers(tmp_path):
    async def test():
        scene = await joined(tmp_path)
        viewer = await scene.viewer()
        await scene.watch(96)
        scene.process.state.fault = JournalUnavailable("the disk is full")
        await scene.watch(112)
        assert shown(viewer) == {"content"}
        scene.process.state.fault = None
        late = await scene.viewer()
        await scene.watch(170)
        return viewer, late, await scene.events("ad-break")

    viewer, late, made = run(test())
    assert (viewer.wrong, late.wrong) == ([], [])
    assert len(made) == 2


def test_beacons_wait_for_the_journal_and_are_sent_once(tmp_path):
    async def test():
        scene = await joined(tmp_path, service(tracking="server"))
        viewer = await scene.viewer(ads="d")
        viewer.wrong = []
        addresses = []
        while now() < EPOCH + 118 * S:
            listing = read((await scene.process.get(viewer.addresses["v1"])).text)
            addresses += [
                one for row in listing.rows if "/ad/" in (one := row.uri) and one not in addresses
            ]
            await asyncio.sleep(2)
        assert len(addresses) == 3
        scene.process.state.fault = JournalUnavailable("the disk is full")
        for one in addresses:
            answer = await scene.process.get(one)
            assert answer.status_code == 307
            assert answer.headers["location"].startswith("https://creatives.example/d/v1/")
        await asyncio.sleep(5)
        assert scene.net.called == []
        scene.process.state.fault = None
        await asyncio.sleep(5)
        for one in addresses:
            await scene.process.get(one)
        await asyncio.sleep(5)
        return scene.net.called, await scene.events("beacon")

    called, told = run(test())
    names = ["impression", "start", "firstQuartile", "midpoint", "thirdQuartile", "complete"]
    assert called == [f"https://beacons.example/d/{name}" for name in names]
    assert properties(told, "outcome") == [("sent",)] * 6


# With a network: what only the connection itself can tell


async def _asked(tmp_path, ads_answer, **more):
    """A VOD whose ad server is on loopback, decided in real time: its errors."""
    film = (
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.000,\n0.ts\n#EXTINF:2.000,\n1.ts\n"
        "#EXT-X-ENDLIST\n"
    )

    async def ads(asked):
        if asked.target.startswith("/o/"):
            return response(film.encode())
        found = ads_answer(server, asked)
        return await found if asyncio.iscoroutine(found) else found

    async with serving(ads) as server:
        given = {
            "kind": "vod",
            "origin": server.url("/o/"),
            "ad_server": server.url("/vast"),
            "private_addresses": True,
            "hosts": (),
        }
        journal = MemoryJournal()
        fetcher = Fetcher()
        process = Process(
            journal, fetcher, tmp_path, service(**{**given, **more}), clock=clock(),
            ad_server_seconds=0.3, decision_seconds=1.0, origin_seconds=0.3,
        )  # fmt: skip
        answer = await process.get("/stream/s/film.m3u8?bpkio_sessionid=x")
        assert answer.status_code == 200
        assert "0.ts" in answer.text
        found = await events(journal, "ad-error")
        await process.close()
        return properties(found, "code"), [one["properties"]["reason"] for one in found], server


async def _late(_server, _asked):
    await asyncio.sleep(5)


@pytest.mark.parametrize(
    ("answer", "code", "reason"),
    [
        pytest.param(_late, 301, "time", id="hangs"),
        pytest.param(
            lambda _s, _a: response(b" " * (3 << 20)), 300, "more than 2097152", id="3 MB"
        ),
        pytest.param(
            lambda _s, _a: response(status=302, location="http://other.example/vast"),
            300, "hosts", id="redirects to another host",
        ),
        pytest.param(
            lambda _s, _a: response(status=302, location="http://169.254.169.254/latest"),
            300, "hosts", id="redirects to the machine's own",
        ),
        pytest.param(lambda _s, _a: b"SSH-2.0-x\r\n\r\n", 301, "not answer", id="no HTTP"),
    ],
)  # fmt: skip
def test_what_an_ad_server_does_to_a_connection(tmp_path, answer, code, reason):
    codes, reasons, _ = asyncio.run(_asked(tmp_path, answer))
    assert codes == [(code,)]
    assert reason in reasons[0]


def test_a_redirect_to_a_private_address_is_refused_even_of_a_host_that_is_allowed(tmp_path):
    """Every host may be asked, but none at a link-local address."""

    def answer(_server, _asked):
        return response(status=302, location="http://169.254.169.254/latest")

    codes, reasons, _ = asyncio.run(_asked(tmp_path, answer, hosts=("*",)))
    assert codes == [(300,)]
    assert "no public address" in reasons[0]
