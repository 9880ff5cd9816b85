"""Several processes: what one decides all serve, and what one takes with it is nobody's again."""

from __future__ import annotations

import asyncio

from lists import EPOCH, S
from rules import read
from stream_feed import Feed, label, offered
from stream_site import Process, decisions, events, now, properties, run, service
from stream_stage import SERVICES, Stage, join, judged, watch
from stream_viewer import Viewer

from footfall.journal.engines.memory import MemoryJournal
from footfall.stream.requests import Requests, new_session_id

BREAK = (100 * S, 20 * S, 120 * S)


def staged(folder, *breaks, processes=3, services=SERVICES, **more):
    """Inside of `run`: a stage, and its journal."""
    feed = Feed(breaks or [BREAK], 600 * S, **more)
    journal = MemoryJournal(now)
    return Stage(feed, [journal] * processes, folder, services), journal


def seen(viewer):
    return {label(row[0][0]) for row in viewer.followers["v1"].rows.values()}


def test_a_break_of_unknown_length_is_decided_once_however_long_it_is(tmp_path):
    """Its ads are over and have left the list, and it still goes on."""

    async def test():
        stage, journal = staged(tmp_path, (100 * S, None, 240 * S))
        viewers = await join(
            stage,
            [("plain", "a", "1.0", 80, 200), ("plain", "", "1.0", 80, 200)],
            EPOCH + 270 * S,
        )
        found = await events(journal)
        await stage.close()
        return stage, viewers, found

    stage, viewers, found = run(test())
    judged(viewers, stage, found)
    assert len(decisions(found)) == 2


def test_a_late_decision_is_served_by_processes_that_no_longer_wait_for_it(tmp_path):
    async def test():
        stage, _ = staged(tmp_path, (100 * S, 40 * S, 140 * S))

        async def late(url):
            await asyncio.sleep(1.9)
            return offered(url)

        for one in stage.networks:
            one.answer["ads.example"] = late
        viewers = await join(stage, [("plain", "a,d", "1.0", 80, 90)] * 4, EPOCH + 180 * S)
        await stage.close()
        return viewers

    viewers = run(test())
    assert [one.wrong for one in viewers] == [[]] * 4
    assert [list(one.ends()) for one in viewers] == [[]] * 4
    assert [seen(one) for one in viewers] == [{"content", "a", "d"}] * 4


def test_renditions_of_other_target_durations_count_discontinuities_alike(tmp_path):
    """Subtitles have longer segments; the break returns just behind the start of an ad."""

    async def test():
        stage, journal = staged(tmp_path, (100 * S, 40 * S, 112 * S), (200 * S, None, 213 * S))
        viewers = await join(
            stage,
            [("plain", "a,d", "1.0", 80, 200), ("filled", "a,e", "1.0", 80, 200)],
            EPOCH + 270 * S,
        )
        found = await events(journal)
        await stage.close()
        return stage, viewers, found

    judged(*_three(run(test())))


def _three(given):
    stage, viewers, found = given
    return viewers, stage, found


def test_a_process_that_dies_takes_its_decision_with_it(tmp_path):
    async def test():
        stage, journal = staged(tmp_path, processes=2)

        async def never(_url):
            await asyncio.sleep(3600)

        for one in stage.networks:
            one.answer["ads.example"] = never
        await asyncio.sleep(80)
        viewer = await Viewer(stage.any, "plain", "a").open()
        await watch(stage, viewer, EPOCH + 100.5 * S)
        for _ in range(3):
            if stage.asked():
                break
            await viewer.refresh("v1")
            await asyncio.sleep(0.5)
        assert stage.asked().total() == 1
        (dead,) = (one for one in stage.processes if one.decider._jobs)
        await dead.decider.close()
        (left,) = (one for one in stage.processes if one is not dead)
        viewer.processes = lambda: left
        await watch(stage, viewer, EPOCH + 140 * S)
        assert viewer.wrong == []
        assert seen(viewer) == {"content"}
        assert stage.asked().total() == 1
        made = await events(journal, "ad-break")
        await stage.close()
        return made

    assert properties(run(test()), "outcome", "calls") == [("lost", 0)]


def test_what_a_process_had_promised_a_beacon_server_nobody_sends_again(tmp_path):
    async def test():
        stage, journal = staged(tmp_path, processes=2, services=(service(tracking="server"),))
        await asyncio.sleep(80)
        first, second = stage.processes
        viewer = await Viewer(lambda: first, "s", "d").open()
        addresses = []
        while now() < EPOCH + 112 * S:
            listing = read((await first.get(viewer.addresses["v1"])).text)
            addresses += [row.uri for row in listing.rows if "/ad/" in row.uri]
            await asyncio.sleep(2)
        stage.networks[0].beacon_seconds = 3600
        assert (await first.get(addresses[0])).status_code == 307
        await asyncio.sleep(0.1)
        for task in list(first.beacons._senders):
            task.cancel()  # as kill -9 does: without a word
        for _ in range(3):
            assert (await second.get(addresses[0])).status_code == 307
        await asyncio.sleep(10)
        assert stage.networks[0].called == ["https://beacons.example/d/impression"]
        assert stage.networks[1].called == []
        return await events(journal)

    found = run(test())
    due = [one for one in found if one["type"] == "beacon-due"]
    assert properties(due, "beacon") == [("impression",), ("start",), ("firstQuartile",)]
    assert [one for one in found if one["type"] == "beacon"] == []
    assert sum(one["type"] == "ad-segment" for one in found) == 1


def test_sessions_go_on_in_processes_that_are_new(tmp_path):
    """All processes end in the midst of a break; nothing was told to those that follow."""

    async def test():
        stage, journal = staged(tmp_path, (100 * S, 40 * S, 140 * S))
        await asyncio.sleep(80)
        viewers = [
            await Viewer(stage.any, name, ads, feed=stage.feed).open()
            for name, ads in (("plain", "a,c"), ("filled", "a"), ("first", "d,e"))
        ]
        for until in (95, 103, 109, 117, 131, 170):
            await asyncio.gather(*(watch(stage, one, EPOCH + until * S) for one in viewers))
            before = [await one.poll() for one in viewers]
            old, stage.processes = stage.processes, []
            for one, network in zip(old, stage.networks, strict=True):
                await one.close()
                stage.processes.append(Process(journal, network, tmp_path, *SERVICES))
            after = [await one.poll() for one in viewers]
            assert [_ids(one) for one in before] == [_ids(one) for one in after]
        found = await events(journal)
        await stage.close()
        return stage, viewers, found

    stage, viewers, found = run(test())
    judged(viewers, stage, found)


def _ids(told):
    return [
        (pod["id"], pod["starttime_ms"], [(ad["adid"], ad["starttime_ms"]) for ad in pod["ads"]])
        for pod in told["adpods"]
    ]


def test_calls_that_come_at_once_are_one_decision(tmp_path):
    """Tracking and lists of a session that joins within a break, at two processes."""

    async def test():
        stage, journal = staged(tmp_path, (100 * S, 40 * S, 140 * S), processes=2)
        await asyncio.sleep(110)
        ids = "bpkio_sessionid=new&ads=a"
        lists = [
            f"/stream/plain/{name}/list.m3u8?{ids}&bpkio_multivariant=master.m3u8"
            for name in ("v1", "v2", "audio", "text")
        ]
        targets = [*lists, f"/stream/plain/master.m3u8?{ids}&bk-ml=2.0"] * 4
        answers = await asyncio.gather(
            *(one.get(target) for target in targets for one in stage.processes)
        )
        assert {one.status_code for one in answers} == {200}
        assert stage.asked() == {"new": 1}
        told = [one.json()["adpods"] for one in answers if one.text.startswith("{")]
        assert {pod["id"] for pods in told for pod in pods} == {"slot:1800000100000:UNK_TRIGGER"}
        found = await events(journal)
        assert len(decisions(found)) == 1
        assert sum(one["type"] == "session" for one in found) == 1
        await stage.close()

    run(test())


def test_a_service_that_is_taken_away_ends_for_its_sessions_only(tmp_path):
    async def test():
        stage, _ = staged(tmp_path, processes=1)
        (process,) = stage.processes
        await asyncio.sleep(80)
        plain = await Viewer(stage.any, "plain", "a").open()
        filled = await Viewer(stage.any, "filled", "a").open()
        await watch(stage, plain, EPOCH + 105 * S)
        kept = {name: one for name, one in process.services.items() if name != "filled"}
        process.app.requests = Requests(kept, new_session_id)
        assert (await process.get(filled.addresses["v1"])).status_code == 404
        await watch(stage, plain, EPOCH + 130 * S)
        assert plain.wrong == []
        assert seen(plain) == {"content", "a"}
        process.app.requests = Requests(process.services, new_session_id)
        assert (await process.get(filled.addresses["v1"])).status_code == 200
        await stage.close()

    run(test())
