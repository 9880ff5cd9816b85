"""One decision per break and session, whoever asks, whatever fails, and where its ads begin."""

from __future__ import annotations

import asyncio

import pytest
from stream_rig import (
    IMPRESSION,
    UNAVAILABLE,
    Live,
    Rig,
    S,
    World,
    ad,
    date,
    film,
    number,
    offer,
    segments,
    service,
)
from stream_splices import insert

from footfall.stream import contexts
from footfall.stream.contexts import Life, Wish
from footfall.stream.contract import AdBreak, Beacon, Failure, Pod

HALF = "?bpkio_sessionid=abc&bpkio_multivariant=master.m3u8"
LIST = f"/stream/s/video.m3u8{HALF}"
AUDIO = f"/stream/s/sound.m3u8{HALF}"
JSON = "/stream/s/master.m3u8?bpkio_sessionid=abc&bk-ml="
BREAK = ("breakStart", "breakEnd")


def run(test):
    asyncio.run(asyncio.wait_for(test(), 30))


async def decided(rig, name=None):
    """Wait until a pod is decided, as this process knows it."""
    for _ in range(500):
        for one in rig.sessions._known.values():
            for pod in one.context.pods:
                if pod.decided and name in {None, pod.id}:
                    return pod
        await asyncio.sleep(0.01)
    raise AssertionError("nothing was decided")


async def text(rig, target=LIST):
    answer = await rig.get(target)
    assert answer.status_code == 200, answer.text
    return answer.text


def live_world(*offers, slate=None):
    world = World()
    world.offers = list(offers) or [offer(ad("one", 4), ad("two", 4))]
    world.slate = slate
    return world, Live(world)


# Live breaks


def test_a_break_is_decided_once_for_all_renditions_and_processes():
    world, live = live_world()
    world.ad_server_seconds = 0.1
    rigs = [Rig(world, service()) for _ in range(3)]

    async def test():
        for rig in rigs:
            assert segments(await text(rig))[-1] == "v14"
        live.cue_out(15, 8)
        live.go_on(4)
        lists = await asyncio.gather(
            *(text(rig, target) for rig in rigs for target in (LIST, AUDIO) for _ in range(3))
        )
        assert len(world.asked) == 1
        played = {tuple(segments(one)) for one in lists}
        assert {one[-5:] for one in played} == {
            ("v14", "one", "one", "two", "two"),
            ("a14", "one", "one", "two", "two"),
        }
        assert len({number(one, "#EXT-X-DISCONTINUITY-SEQUENCE") for one in lists}) == 1

    run(test)
    (said,) = world.events("ad-break")
    assert (said["properties"]["outcome"], said["properties"]["mode"]) == ("filled", "replacement")
    assert [one["properties"]["ad_id"] for one in world.events("ad")] == ["one", "two"]
    assert said["session_id"] == "abc"


def test_what_the_ad_server_is_asked_with():
    world, live = live_world()
    rig = Rig(world, service())

    async def test():
        await rig.get(f"{LIST}&app=x&w=640", **{"User-Agent": "Player/1"})
        live.tags[15] = (
            f'#EXT-X-ASSET:CAID=0x1234\n#EXT-X-DATERANGE:ID="77",START-DATE="{date(live.at(15))}",'
            "PLANNED-DURATION=8,SCTE35-OUT=0xFC"
        )
        live.go_on()
        await rig.get(f"{LIST}&other=1", **{"User-Agent": "Player/1"})
        ((template, values),) = world.asked
        assert template == "https://ads/"
        assert (values.session, values.service) == ("abc", "s")
        assert values.parameters == (("other", "1"),)
        assert values.duration_us == 8 * S
        assert values.signal_id == "77"
        assert (values.address, values.agent) == ("192.0.2.7", "Player/1")

    run(test)


def test_content_plays_until_a_late_decision_and_nothing_that_was_listed_is_replaced():
    world, live = live_world()
    world.ad_server_seconds = 0.6
    rig = Rig(world, service(), wait_seconds=0.1)

    async def test():
        await text(rig)
        live.cue_out(15, 16)
        live.go_on(2)
        first = await text(rig)
        assert segments(first)[-2:] == ["v15", "v16"]
        await decided(rig)
        second = await text(rig)
        assert segments(second) == segments(first)
        live.go_on(6)
        shown = segments(await text(rig))
        assert shown[-6:] == ["v17", "v18", "one", "one", "two", "two"]

    run(test)
    (said,) = world.events("ad-break")
    assert said["properties"]["outcome"] == "partial"


def test_who_joins_within_a_break_gets_ads_from_there_for_the_rest_of_it():
    world, live = live_world(offer(ad("long", 18), ad("short", 6)))
    live.cue_out(10, 20)
    live.publish()
    rig = Rig(world, service())

    async def test():
        assert segments(await text(rig))[-5:] == ["v10", "v11", "short", "short", "short"]
        ((_, values),) = world.asked
        assert values.duration_us == 16 * S
        live.go_on(6)
        assert segments(await text(rig))[-9:] == ["short"] * 3 + [f"v{n}" for n in range(15, 21)]

    run(test)
    (error,) = world.events("ad-error")
    assert (error["properties"]["code"], error["properties"]["ad_id"]) == (202, "long")


@pytest.mark.parametrize(("past", "shown"), [(0, "v6"), (30, "one"), (-1, "one")])
def test_breaks_that_were_over_when_the_session_began(past, shown):
    world, live = live_world()
    live.cue_out(6, 8)
    live.cue_in(10)
    live.publish()
    rig = Rig(world, service(past_breaks_seconds=past))

    async def test():
        assert segments(await text(rig))[6] == shown
        assert len(world.asked) == (shown == "one")

    run(test)


def test_an_early_return_brings_content_back_and_the_rest_of_the_ads_is_not_told():
    world, live = live_world()
    rig = Rig(world, service())

    async def test():
        await text(rig)
        live.cue_out(15, 30)
        live.go_on(1)
        await text(rig)
        live.cue_in(17)
        live.go_on(3)
        assert segments(await text(rig))[-5:] == ["v14", "one", "one", "v17", "v18"]
        told = (await rig.get(JSON + "1.0")).json()
        assert [one["adid"] for one in told["adpods"][0]["ads"]] == ["one"]
        live.go_on(1)
        assert segments(await text(Rig(world, service())))[-6:-2] == ["v14", "one", "one", "v17"]

    run(test)


def test_the_slate_fills_what_no_ad_does():
    world, live = live_world(
        offer(ad("one", 4)), slate="https://c.example.com/creatives/slate/4.m3u8"
    )
    rig = Rig(world, service())

    async def test():
        await text(rig)
        live.cue_out(15, 12)
        live.go_on(7)
        shown = segments(await text(rig))
        assert shown[-8:] == ["v14", "one", "one", "slate", "slate", "slate", "slate", "v21"]
        (pod,) = (await rig.get(JSON + "1.0")).json()["adpods"]
        assert [(one["adid"], one["duration_ms"]) for one in pod["ads"]] == [
            ("one", 4000),
            ("SLATE", 8000),
        ]

    run(test)


def test_a_preroll_comes_before_all_else_and_blanks_what_was_before_it():
    world, live = live_world(offer(ad("pre", 4)), offer(ad("one", 4)))
    rig = Rig(world, service(preroll_ad_server="https://pre/"))

    async def test():
        first, sound = await asyncio.gather(text(rig), text(rig, AUDIO))
        assert segments(first) == ["pre", "pre", "v14"]
        assert segments(sound) == ["pre", "pre", "a14"]
        ((template, values),) = world.asked
        assert (template, values.duration_us) == ("https://pre/", 360 * S)
        live.cue_out(16, 4)
        live.go_on(4)
        assert segments(await text(rig)) == ["pre", "pre", "v14", "v15", "one", "one", "v18"]

    run(test)
    modes = [one["properties"]["mode"] for one in world.events("ad-break")]
    assert modes == ["preroll", "replacement"]


def test_without_a_preroll_the_whole_window_is_there():
    world, _live = live_world(offer())
    rig = Rig(world, service(preroll_ad_server="https://pre/"))

    async def test():
        assert len(segments(await text(rig))) == 15
        assert len(segments(await text(rig, AUDIO))) == 15
        assert len(world.asked) == 1

    run(test)
    assert [one["properties"]["outcome"] for one in world.events("ad-break")] == ["empty"]


def test_a_break_under_a_preroll_has_what_is_left_of_it():
    world, live = live_world(offer(ad("pre", 4)), offer(ad("one", 4), ad("two", 4)))
    live.cue_out(11, 12)
    live.publish()
    rig = Rig(world, service(preroll_ad_server="https://pre/"))

    async def test():
        await text(rig)
        live.go_on(5)
        shown = segments(await text(rig))
        assert shown == ["pre", "pre", "one", "one", "v16", "v17", "v18", "v19"]
        assert world.asked[1][1].duration_us == 6 * S

    run(test)


def test_a_live_break_that_is_answered_by_a_vmap_tells_when_it_begins_and_ends():
    around = tuple(Beacon(kind, f"https://ads.example.com/{kind}") for kind in BREAK)
    world, live = live_world(AdBreak("start", "b", offer(ad("one", 4)), around))
    live.cue_out(12, 4)
    live.publish()
    rig = Rig(world, service())

    async def test():
        await text(rig)
        (told,) = (await rig.get(f"{JSON}1.0")).json()["adpods"]
        at = live.at(12) // 1000
        assert told["adbreaktrackingevents"] == [
            {"type": kind, "callbackurl": f"https://ads.example.com/{kind}", "time_ms": time}
            for kind, time in zip(BREAK, (at, at + 4000), strict=True)
        ]

    run(test)


def test_a_break_that_was_marked_ahead_and_is_cancelled_is_not_played():
    """Its ads were decided by then."""
    world, live = live_world()
    begins, cancelled = (f"0x{data.hex()}" for data in (insert(7), insert(7, cancel=1)))
    live.tags[15] = (
        f'#EXT-X-DATERANGE:ID="7",START-DATE="{date(live.at(18))}",PLANNED-DURATION=8,'
        f"SCTE35-OUT={begins}"
    )
    rig = Rig(world, service())

    async def test():
        await text(rig)
        live.go_on(1)
        await text(rig)
        assert (await decided(rig)).ads
        live.tags[16] = (
            f'#EXT-X-DATERANGE:ID="c",START-DATE="{date(live.at(16))}",SCTE35-CMD={cancelled}'
        )
        for _ in range(40):
            live.go_on(1)
            for target in (LIST, AUDIO):
                shown = await text(rig, target)
                assert "creatives" not in shown
                assert "#EXT-X-DISCONTINUITY\n" not in shown
                first = live.first + live.edge - live.window
                assert number(shown, "#EXT-X-MEDIA-SEQUENCE") == first
            assert (await rig.get(f"{JSON}1.0")).json()["adpods"] == []
        late = LIST.replace("abc", "def")
        await text(rig, late)
        assert (await rig.get(f"{JSON}1.0".replace("abc", "def"))).json()["adpods"] == []
        assert len(world.asked) == 1

    run(test)


def test_a_session_that_begins_waits_longer_than_one_that_plays():
    world, live = live_world()
    world.ad_server_seconds = 0.4
    live.cue_out(10, 30)
    live.publish()
    rig = Rig(world, service(), wait_seconds=0.1)

    async def test():
        lists = await asyncio.gather(text(rig), text(rig, AUDIO))
        assert [segments(one)[-3:] for one in lists] == [["one", "one", "two"]] * 2

    run(test)


def test_breaks_of_unknown_length_end_by_their_return_and_the_next_begins_at_its_own_time():
    world, live = live_world(
        offer(ad("one", 4)),
        offer(ad("two", 4)),
        slate="https://c.example.com/creatives/slate/4.m3u8",
    )
    rig = Rig(world, service())

    async def test():
        await text(rig)
        live.cue_out(15)
        live.go_on(1)
        await text(rig)
        live.go_on(4)
        assert segments(await text(rig))[-5:] == ["one", "one", "slate", "slate", "slate"]
        live.cue_in(20)
        live.cue_out(22, 4)
        live.go_on(5)
        shown = segments(await text(rig))
        assert shown[-5:] == ["v20", "v21", "two", "two", "v24"]

    run(test)


def test_a_break_that_is_marked_after_it_was_shown_is_not_asked_for():
    world, live = live_world()
    rigs = [Rig(world, service()) for _ in range(2)]

    async def test():
        live.go_on(4)
        for rig in rigs:
            await text(rig)
        live.cue_out(15, 6)
        live.go_on(1)
        for rig in rigs:
            assert segments(await text(rig))[-5:] == [f"v{n}" for n in range(15, 20)]
        assert world.asked == []

    run(test)
    assert [one["properties"]["outcome"] for one in world.events("ad-break")] == ["lost"]


def test_who_comes_back_gets_what_another_process_decided_meanwhile():
    world, live = live_world()
    rigs = [Rig(world, service()) for _ in range(2)]

    async def test():
        for rig in rigs:
            await text(rig)
        live.cue_out(15, 4)
        live.go_on(1)
        await text(rigs[0])
        live.go_on(20)
        first = await text(rigs[0])
        assert not {"one", "two"} & set(segments(first))
        rigs[1].ahead_us = 11 * S
        second = await text(rigs[1])
        assert second == first

    run(test)


# What goes wrong


def test_an_ad_server_that_takes_too_long_is_given_up_and_never_asked_again():
    world, live = live_world()
    world.ad_server_seconds = 60
    rig = Rig(world, service(), decision_seconds=0.3, wait_seconds=0.1)

    async def test():
        await text(rig)
        live.cue_out(15, 8)
        live.go_on(2)
        assert segments(await text(rig))[-1] == "v16"
        await decided(rig)
        live.go_on(2)
        assert segments(await text(rig))[-1] == "v18"
        assert len(world.asked) == 1

    run(test)
    (said,) = world.events("ad-break")
    assert said["properties"]["outcome"] == "failed"
    assert [one["properties"]["code"] for one in world.events("ad-error")] == [301]


def test_a_claim_of_a_process_that_died_is_lost_once_and_nobody_is_asked():
    world, live = live_world()
    rigs = [Rig(world, service(), decision_seconds=0.3, wait_seconds=0.1) for _ in range(2)]

    async def test():
        await text(rigs[0])
        live.cue_out(15, 8)
        now = rigs[0].now()
        name = f"slot:{live.at(15) // 1000}:UNK_TRIGGER"
        claim = Pod(name, live.at(15), claimed_until=now + 200_000, at_us=live.at(15))
        key = contexts.session_key("s", "abc")
        unit = contexts.opened(Life(key, now, 600 * S), Wish(pods=(claim,)), lambda _one: [])
        await world.journal.transact([unit])
        live.go_on(2)
        assert segments(await text(rigs[1]))[-1] == "v16"
        await asyncio.sleep(0.25)
        live.go_on()
        for rig in rigs:
            assert segments(await text(rig))[-1] == "v17"
        for rig in rigs:
            assert (await decided(rig, name)).ads == ()
        assert world.asked == []

    run(test)
    assert [one["properties"]["outcome"] for one in world.events("ad-break")] == ["lost"]


def test_error_addresses_are_called_once_with_their_code():
    world, live = live_world(
        offer(
            ad("one", 4),
            ad("broken", 4),
            failures=(Failure(303, "no ad", "", ("https://ads.example.com/e?c=[ERRORCODE]",)),),
        )
    )
    world.broken.add("broken")
    rigs = [Rig(world, service()) for _ in range(2)]

    async def test():
        for rig in rigs:
            await text(rig)
        live.cue_out(15, 8)
        live.go_on(2)
        await asyncio.gather(*(text(rig) for rig in rigs))
        await asyncio.sleep(0.05)
        assert sorted(world.called) == [
            "https://ads.example.com/e?c=303",
            "https://ads.example.com/error?ad=broken&code=403",
        ]

    run(test)
    assert [one["properties"]["code"] for one in world.events("ad-error")] == [303, 403]


def test_while_the_journal_takes_nothing_the_original_plays_and_calls_are_answered():
    world, live = live_world()
    rig = Rig(world, service(preroll_ad_server="https://pre/"))
    world.journal_fault = UNAVAILABLE

    async def test():
        live.cue_out(13, 20)
        live.publish()
        for _ in range(2):
            assert segments(await text(rig))[-1] == "v14"
            told = await rig.get(JSON + "1.0")
            assert (told.status_code, [one["ads"] for one in told.json()["adpods"]]) == (200, [])
        world.journal_fault = None
        live.go_on()
        assert segments(await text(rig))[-1] == "v15"
        assert segments(await text(rig, AUDIO))[-1] == "a15"
        assert world.asked == []

    run(test)
    assert world.events() == []


def test_what_was_shown_while_the_journal_took_nothing_is_not_replaced():
    world, live = live_world()
    rig = Rig(world, service())

    async def test():
        await text(rig)
        world.journal_fault = UNAVAILABLE
        live.cue_out(15, 20)
        live.go_on(2)
        assert segments(await text(rig))[-2:] == ["v15", "v16"]
        world.journal_fault = None
        live.go_on(4)
        shown = segments(await text(rig))
        assert shown[shown.index("v15") :][:3] == ["v15", "v16", "v17"]

    run(test)


# VODs


def ad_break(offset, *ads, name=""):
    return AdBreak(offset, name, offer(*ads))


def test_a_vmap_is_asked_for_once_by_all_renditions_processes_and_the_json():
    world = film(
        ad_break("start", ad("pre", 4), name="pre"),
        ad_break("00:00:09", ad("mid", 2, IMPRESSION), name="mid"),
        ad_break("end", ad("post", 2)),
    )
    world.ad_server_seconds = 0.1
    rigs = [Rig(world, service("vod")) for _ in range(2)]

    async def test():
        calls = [
            rig.get(target) for rig in rigs for target in (LIST, AUDIO, JSON + "2.0") for _ in "ab"
        ]
        answers = await asyncio.gather(*calls)
        assert len(world.asked) == 1
        lists = {tuple(segments(one.text)) for one in answers if one.text.startswith("#EXTM3U")}
        video = ["pre", "pre", "v0", "v1", "v2", "v3", "mid", "v4", "v5", "v6", "v7", "v8", "v9"]
        assert (*video, "post") in lists
        assert len(lists) == 2
        told = [one.json() for one in answers if one.text.startswith("{")]
        assert all(one == told[0] for one in told)
        assert [(one["id"], one["starttime_ms"]) for one in told[0]["adpods"]] == [
            ("pre", 0),
            ("mid", 12_000),
            ("slot:26000", 26_000),
        ]

    run(test)
    assert [one["properties"]["mode"] for one in world.events("ad-break")] == ["vod"] * 3


def test_a_vod_without_ads_is_the_original_and_is_not_asked_for_again():
    world = film(AdBreak("start", offer=offer(failures=(Failure(303, "none"),))))
    rig = Rig(world, service("vod"))

    async def test():
        for _ in range(2):
            assert segments(await text(rig)) == [f"v{n}" for n in range(10)]
        told = (await rig.get(JSON + "1.0")).json()
        assert told["adpods"] == []
        assert told["contentmapping"] == [
            {"streamtime_ms": 0, "contenttime_ms": 0, "duration_ms": 20_000}
        ]
        assert len(world.asked) == 1

    run(test)


def test_a_vod_whose_ad_server_is_too_slow_plays_without_ads_for_good():
    world = film(ad_break("start", ad("pre", 4)))
    world.ad_server_seconds = 60
    rig = Rig(world, service("vod"), decision_seconds=0.2)

    async def test():
        assert segments(await text(rig))[0] == "v0"
        world.ad_server_seconds = 0
        assert segments(await text(rig, AUDIO))[0] == "a0"
        assert len(world.asked) == 1

    run(test)
    assert [one["properties"]["outcome"] for one in world.events("ad-break")] == ["failed"]


def test_a_vod_begun_while_the_journal_took_nothing_stays_without_ads_in_all_renditions():
    world = film(ad_break("start", ad("pre", 4)))
    rig = Rig(world, service("vod"))

    async def test():
        world.journal_fault = UNAVAILABLE
        assert segments(await text(rig))[0] == "v0"
        world.journal_fault = None
        assert segments(await text(rig, AUDIO))[0] == "a0"
        assert world.asked == []

    run(test)


def test_a_decision_that_could_not_be_stored_is_lost():
    world = film(ad_break("start", ad("pre", 4)))
    world.ad_server_seconds = 0.1
    rig = Rig(world, service("vod"), decision_seconds=0.2)

    async def test():
        request = asyncio.create_task(text(rig))
        await asyncio.sleep(0.05)
        world.journal_fault = UNAVAILABLE
        assert segments(await request)[0] == "v0"
        world.journal_fault = None
        assert segments(await text(rig, AUDIO))[0] == "a0"
        await decided(rig)

    run(test)
    assert [one["properties"]["outcome"] for one in world.events("ad-break")] == ["lost"]
