"""Asking ad servers: what comes back, in which order, by when, and who is told of what is missing.

The servers are a table, and the loop's clock jumps to the next thing that is due, so that slow
servers cost no time.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
from pathlib import Path
from types import SimpleNamespace

import pytest

from footfall.settings import Service, Streams
from footfall.stream import adserver, macros
from footfall.stream.adserver import AdServer
from footfall.stream.contract import Beacon, Failure, FetchError
from footfall.stream.macros import Values

BREAKS = (Path(__file__).parent / "ads" / "breaks.xml").read_bytes()
SERVICE = Service(id="s", source="site", kind="vod")
ROOT = "https://ads.example/vast"
NOBODY = Values()


class JumpingSelector(selectors.DefaultSelector):
    """Never waits: it says how long it would have."""

    waited = 0.0

    def select(self, timeout=None):
        self.waited += timeout or 0
        return super().select(0)


class JumpingLoop(asyncio.SelectorEventLoop):
    """A loop whose clock stands still while something runs, and jumps while nothing does."""

    def __init__(self):
        self.jumping = JumpingSelector()
        super().__init__(self.jumping)

    def time(self):
        return 1000 + self.jumping.waited


def running(coroutine):
    with contextlib.closing(JumpingLoop()) as loop:
        return loop.run_until_complete(coroutine)


class Servers:
    """Answers by address without query: bytes, a status, an error, or any of them after seconds."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []
        self.sent = []
        self.at_once = self.most_at_once = 0

    async def get(self, url, *, service, timeout, limit_bytes, headers):
        assert service is SERVICE
        self.asked.append(url)
        self.sent.append((timeout, limit_bytes, headers))
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            return await self._answer(url.partition("?")[0])
        finally:
            self.at_once -= 1

    async def _answer(self, place):
        answer = self.answers.get(place, 404)
        if isinstance(answer, tuple):
            seconds, answer = answer
            await asyncio.sleep(seconds)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            return SimpleNamespace(status=answer, body=b"")
        return SimpleNamespace(
            status=200, body=answer if isinstance(answer, bytes) else answer.encode()
        )


def asking(answers, *, values=NOBODY, live=False, template=ROOT, **streams):
    """What an ad server came to, and the servers that were asked."""
    servers = Servers(answers if isinstance(answers, dict) else {ROOT: answers})

    async def ask():
        loop = asyncio.get_running_loop()
        server = AdServer(servers, Streams(**streams), clock=loop.time, now=lambda: 0)
        entry = server.ask_break if live else server.ask
        return await entry(template, service=SERVICE, values=values)

    return running(ask()), servers


def offered(answers, **more):
    """The offer of a VAST."""
    (found,), servers = asking(answers, **more)
    assert (found.offset, found.id, found.beacons) == ("start", "", ())
    return found.offer, servers


def vast(*ads, errors=()):
    inside = "".join((*(f"<Error>{one}</Error>" for one in errors), *ads))
    return f'<VAST version="4.2">{inside}</VAST>'


def inline(name, sequence=""):
    return f"""<Ad id="{name}" sequence="{sequence}"><InLine>
        <Impression>https://beacon.example/{name}</Impression>
        <Creatives><Creative><Linear><Duration>00:00:10</Duration></Linear></Creative></Creatives>
    </InLine></Ad>"""


def wrapper(name, sequence="", attributes="", tag=None):
    """A wrapper that leads to https://<name>.example/, and wants to hear of all."""
    return f"""<Ad id="{name}" sequence="{sequence}"><Wrapper {attributes}>
        <VASTAdTagURI><![CDATA[{at(name) if tag is None else tag}]]></VASTAdTagURI>
        <Error>{at(name)}error?[ERRORCODE]</Error><Impression>{at(name)}seen</Impression>
    </Wrapper></Ad>"""


def at(name):
    return f"https://{name}.example/"


def error(name):
    return f"https://{name}.example/error?[ERRORCODE]"


def ids(ads):
    return [(ad.ad_id, ad.sequence) for ad in ads]


class TestOrder:
    def test_a_pod_by_its_sequence_and_stand_alone_ads_beside_it(self):
        offer, _ = offered(vast(inline("c", 3), inline("x"), inline("a", 1), inline("b", 2)))
        assert ids(offer.ads) == [("a", 1), ("b", 2), ("c", 3)]
        assert ids(offer.spare) == [("x", 0)]
        assert offer.failures == ()

    def test_without_a_pod_the_stand_alone_ads_are_the_ads(self):
        offer, _ = offered(vast(inline("b"), inline("a")))
        assert ids(offer.ads) == [("b", 0), ("a", 0)]
        assert offer.spare == ()

    def test_wrapped_ads_stand_where_their_wrappers_stood_however_long_they_took(self):
        offer, servers = offered(
            {
                ROOT: vast(wrapper("slow", 1), inline("b", 2), wrapper("quick", 3)),
                at("slow"): (0.5, vast(inline("a"))),
                at("quick"): (0.1, vast(inline("c", 1))),
            }
        )
        assert ids(offer.ads) == [("a", 1), ("b", 2), ("c", 3)]
        assert offer.latency_ms == pytest.approx(500), "both at the same time"
        assert offer.calls == len(servers.asked) == 3

    def test_wrappers_that_stand_alone_each_bring_an_ad_though_it_calls_itself_a_pod(self):
        answers = {at(name): vast(inline(name, 1)) for name in "ab"}
        offer, _ = offered({ROOT: vast(wrapper("a"), wrapper("b")), **answers})
        assert ids(offer.ads) == [("a", 0), ("b", 0)]

    def test_a_wrapper_that_may_brings_a_whole_pod(self):
        pod = vast(inline("b", 2), inline("x"), inline("a", 1))
        offer, _ = offered(
            {ROOT: vast(wrapper("pod", "", 'allowMultipleAds="true"')), at("pod"): pod}
        )
        assert ids(offer.ads) == [("a", 1), ("b", 2)]
        assert ids(offer.spare) == [("x", 0)]

    def test_a_pod_in_a_pod_stands_in_its_place(self):
        pod = vast(inline("b", 2), inline("x"), inline("a", 1))
        offer, _ = offered(
            {
                ROOT: vast(
                    inline("z", 3), wrapper("pod", 2, 'allowMultipleAds="true"'), inline("s", 1)
                ),
                at("pod"): pod,
            }
        )
        assert ids(offer.ads) == [("s", 1), ("a", 2), ("b", 2), ("z", 3)]
        assert ids(offer.spare) == [("x", 0)]

    def test_a_second_pod_is_spare(self):
        both = 'allowMultipleAds="true"'
        offer, _ = offered(
            {
                ROOT: vast(wrapper("one", "", both), wrapper("two", "", both)),
                at("one"): vast(inline("b", 2), inline("a", 1)),
                at("two"): vast(inline("c", 1), inline("d", 2)),
            }
        )
        assert ids(offer.ads) == [("a", 1), ("b", 2)]
        assert ids(offer.spare) == [("c", 0), ("d", 0)]

    @pytest.mark.parametrize(
        ("ads", "chosen"),
        [
            ((inline("pod", 1), inline("alone"), inline("more")), "alone"),
            ((inline("second", 2), inline("first", 1)), "first"),
        ],
    )
    def test_a_wrapper_that_may_not_brings_one_ad(self, ads, chosen):
        offer, _ = offered({ROOT: vast(wrapper("w", 4)), at("w"): vast(*ads)})
        assert ids(offer.ads) == [(chosen, 4)]
        assert offer.spare == ()

    def test_levels_are_merged(self):
        offer, _ = offered(
            {
                ROOT: vast(wrapper("outer")),
                at("outer"): vast(wrapper("inner")),
                at("inner"): vast(inline("ad")),
            }
        )
        (ad,) = offer.ads
        assert [one.url for one in ad.beacons] == [
            at("outer") + "seen",
            at("inner") + "seen",
            "https://beacon.example/ad",
        ]
        assert ad.errors == (error("outer"), error("inner"))
        assert (ad.wrappers, offer.calls) == (2, 3)


EMPTY = {at("empty"): vast()}


class TestFallback:
    def test_a_stand_alone_ad_takes_the_place_where_the_wrapper_says_so(self):
        text = vast(
            inline("x"), wrapper("empty", 2, 'fallbackOnNoAd="true"'), inline("a", 1), inline("y")
        )
        offer, _ = offered({ROOT: text, **EMPTY})
        assert ids(offer.ads) == [("a", 1), ("x", 2)]
        assert ids(offer.spare) == [("y", 0)]
        assert [one.code for one in offer.failures] == [303]

    def test_otherwise_its_place_stays_empty(self):
        offer, _ = offered({ROOT: vast(inline("x"), wrapper("empty", 2), inline("a", 1)), **EMPTY})
        assert ids(offer.ads) == [("a", 1)]
        assert ids(offer.spare) == [("x", 0)]

    def test_with_nothing_to_fall_back_on(self):
        offer, _ = offered({ROOT: vast(wrapper("empty", 1, 'fallbackOnNoAd="1"')), **EMPTY})
        assert (offer.ads, offer.spare) == ((), ())
        assert [one.code for one in offer.failures] == [303]


class TestFailures:
    @pytest.mark.parametrize(
        ("answer", "code"),
        [
            (b"", 303),
            (204, 303),
            (vast(), 303),
            (404, 300),
            (500, 300),
            (302, 300),
            (FetchError("refused", "the host is not allowed"), 300),
            (FetchError("too_large", "more than 2 MB"), 300),
            (FetchError("status", "404"), 300),
            (FetchError("timeout", "2 s"), 301),
            (FetchError("unreachable", "no route"), 301),
            ((60, b""), 301),
            (b"rubbish", 100),
            (b'{"ads": []}', 100),
            (b"<VAST>" + b" " * (3 << 20) + b"</VAST>", 100),
            (b"<!DOCTYPE VAST [<!ENTITY a 'b'>]><VAST>&a;</VAST>", 100),
            (b"<html><body>Welcome</body></html>", 101),
            (BREAKS, 101),
            (vast("<Ad id='wrong'/>"), 101),
            (b"<VideoAdServingTemplate/>", 102),
        ],
    )
    def test_of_a_wrapper_are_told_to_every_level(self, answer, code):
        offer, _ = offered(
            {
                ROOT: vast(wrapper("outer"), inline("good")),
                at("outer"): vast(wrapper("inner")),
                at("inner"): answer,
            }
        )
        assert ids(offer.ads) == [("good", 0)], "the others play"
        (failure,) = offer.failures
        assert failure.code == code
        assert failure.urls == (error("outer"), error("inner"))
        assert failure.ad_id == ("wrong" if answer == vast("<Ad id='wrong'/>") else "inner")
        assert failure.reason

    @pytest.mark.parametrize(("answer", "code"), [((60, b""), 301), (500, 300), (b"x", 100)])
    def test_of_the_ad_server_itself(self, answer, code):
        offer, _ = offered(answer)
        assert (offer.ads, offer.calls) == ((), 1)
        assert [(one.code, one.urls) for one in offer.failures] == [(code, ())]
        assert "ads.example" in offer.failures[0].reason

    def test_an_empty_answer_owes_its_own_errors_too(self):
        answers = {
            ROOT: vast(wrapper("w")),
            at("w"): vast(errors=["https://e.example/[ERRORCODE]"]),
        }
        offer, _ = offered(answers)
        assert offer.failures[0].urls == (error("w"), "https://e.example/[ERRORCODE]")
        offer, _ = offered(vast(errors=["https://e.example/[ERRORCODE]"]))
        assert offer.failures == (
            Failure(303, "the VAST has no ads", urls=("https://e.example/[ERRORCODE]",)),
        )

    def test_what_is_known_of_the_viewer_is_not_in_the_reason(self):
        offer, _ = offered(500, template="https://user:key@ads.example/?ip=$REMOTE_ADDRESS")
        assert "ads.example answered 404" in offer.failures[0].reason
        assert "key" not in offer.failures[0].reason

    def test_a_wrapper_without_an_address(self):
        offer, servers = offered(vast(wrapper("w", tag="ftp://w.example/")))
        assert [(one.code, one.urls) for one in offer.failures] == [(300, (error("w"),))]
        assert len(servers.asked) == 1

    def test_a_fault_of_our_own_is_not_hidden(self):
        with pytest.raises(RuntimeError):
            offered(RuntimeError("a bug"))


class TestBounds:
    @pytest.mark.parametrize("limit", [0, 1, 5])
    def test_wrappers_around_one_ad(self, limit):
        answers = {at(f"w{n}"): vast(wrapper(f"w{n + 1}")) for n in range(10)}
        answers |= {ROOT: vast(wrapper("w0")), at(f"w{limit - 1}"): vast(inline("reached"))}
        if limit:
            assert ids(offered(answers, wrappers=limit)[0].ads) == [("reached", 0)]
        answers[at(f"w{limit - 1}")] = vast(wrapper(f"w{limit}"))
        offer, servers = offered(answers, wrappers=limit)
        (failure,) = offer.failures
        assert (failure.code, len(failure.urls)) == (302, limit + 1)
        assert len(servers.asked) == limit + 1

    @pytest.mark.parametrize(
        "answers",
        [
            {ROOT: vast(wrapper("w", tag=ROOT))},
            {ROOT: vast(wrapper("a")), at("a"): vast(wrapper("b")), at("b"): vast(wrapper("a"))},
            {ROOT: vast(wrapper("a")), at("a"): vast(wrapper("b", tag=at("a")))},
            {
                ROOT: vast(wrapper("a", tag=at("a") + "?c=[CACHEBUSTING]")),
                at("a"): vast(wrapper("b", tag=at("a") + "?c=[CACHEBUSTING]")),
            },
        ],
    )
    def test_loops_are_refused(self, answers):
        offer, servers = offered(answers, wrappers=20)
        assert [one.code for one in offer.failures] == [302]
        assert "loop" in offer.failures[0].reason
        assert len(servers.asked) == len(answers)

    def test_the_same_wrapper_twice_side_by_side_is_no_loop(self):
        answers = {ROOT: vast(wrapper("a", 1), wrapper("a", 2)), at("a"): vast(inline("ad"))}
        assert ids(offered(answers)[0].ads) == [("ad", 1), ("ad", 2)]

    def test_a_wrapper_may_forbid_further_wrappers(self):
        answers = {
            ROOT: vast(wrapper("a", "", 'followAdditionalWrappers="false"')),
            at("a"): vast(wrapper("b"), inline("no")),
        }
        offer, servers = offered(answers)
        assert [(one.code, one.urls) for one in offer.failures] == [(302, (error("a"), error("b")))]
        assert len(servers.asked) == 2

    def test_time_of_one_answer(self):
        answers = {
            ROOT: (1.9, vast(wrapper("late", 1), inline("here", 2))),
            at("late"): (2.1, vast(inline("missed"))),
        }
        offer, servers = offered(answers)
        assert ids(offer.ads) == [("here", 2)]
        assert [one.code for one in offer.failures] == [301]
        assert offer.latency_ms == pytest.approx(3900)
        assert {sent[0] for sent in servers.sent} == {2.0}

    def test_time_of_a_whole_decision_and_what_came_by_then_counts(self):
        both = wrapper("quick", 1) + wrapper("chain0", 2)
        answers = {ROOT: (1.5, vast(both)), at("quick"): (1.5, vast(inline("ad")))}
        answers |= {at(f"chain{n}"): (1.5, vast(wrapper(f"chain{n + 1}"))) for n in range(5)}
        offer, _ = offered(answers)
        assert ids(offer.ads) == [("ad", 1)]
        (failure,) = offer.failures
        assert failure.code == 301
        assert failure.urls == (error("chain0"), error("chain1"), error("chain2"))
        assert offer.latency_ms == pytest.approx(5000)

    def test_calls(self):
        many = [wrapper(f"w{n}") for n in range(200)]
        answers = {ROOT: vast(*many)}
        answers |= {at(f"w{n}"): (0.01, vast(inline(f"ad{n}"))) for n in range(200)}
        offer, servers = offered(answers)
        assert len(servers.asked) == offer.calls == adserver.MOST_CALLS + 1
        assert servers.most_at_once == adserver.AT_ONCE
        assert [ad.ad_id for ad in offer.ads] == [f"ad{n}" for n in range(adserver.MOST_CALLS)]
        assert {one.code for one in offer.failures} == {302}

    def test_size_is_the_settings(self):
        _, servers = offered(vast(), answer_bytes=5000)
        assert servers.sent[0][1] == 5000
        offer, _ = offered(vast(*[inline("x")] * 50), answer_bytes=5000)
        assert [one.code for one in offer.failures] == [100]


MIDDLE = {
    ROOT: BREAKS,
    "https://ads.example/middle": (1, vast(inline("m1", 1), inline("m2", 2))),
}


class TestVmap:
    def test_breaks_with_their_ads(self):
        breaks, servers = asking(MIDDLE)
        assert [(one.id, one.offset, one.repeat_after_ms) for one in breaks] == [
            ("opening", "start", 0),
            ("middle", "00:10:00", 900_000),
            ("custom", "end", 0),
            ("wrong", "50%", 0),
            ("sourceless", "#2", 0),
        ]
        assert [ids(one.offer.ads) for one in breaks] == [[("one", 0)], [("m1", 0)], [], [], []]
        assert [[f.code for f in one.offer.failures] for one in breaks] == [
            [],
            [],
            [300],
            [102],
            [303],
        ]
        assert breaks[0].beacons[0] == Beacon("breakStart", "https://ads.example/begin")
        assert servers.asked[1:] == ["https://ads.example/middle?a=1&p=2"]
        assert [one.offer.calls for one in breaks] == [1, 2, 1, 1, 1]
        assert [round(one.offer.latency_ms) for one in breaks[:2]] == [0, 1000]

    def test_a_breaks_error_addresses_are_owed_a_call_where_its_source_fails(self):
        def one(name):
            tag = f"<AdTagURI>{at(name)}</AdTagURI>"
            event = f"<Tracking event='error'>{error(name)}</Tracking>"
            return (
                f"<AdBreak timeOffset='start' breakId='{name}'><AdSource>{tag}</AdSource>"
                f"<TrackingEvents>{event}</TrackingEvents></AdBreak>"
            )

        answers = {ROOT: f"<VMAP>{''.join(map(one, ('good', 'none', 'away', 'twice')))}</VMAP>"}
        answers |= {at("good"): vast(inline("a"), wrapper("b")), at("none"): vast()}
        answers |= {at("twice"): vast(wrapper("b"), wrapper("c"))}
        breaks, _ = asking(answers)
        assert [[f.urls for f in one.offer.failures] for one in breaks] == [
            [(error("b"),)],
            [()],
            [(error("away"),)],
            [(error("b"), error("twice")), (error("c"),)],
        ]
        live, _ = asking({ROOT: f"<VMAP>{one('away')}</VMAP>"}, live=True)
        assert [f.urls for f in live.offer.failures] == [(error("away"),)]

    def test_redirects_are_followed_only_where_the_break_allows_it(self):
        middle = "https://ads.example/middle"
        answers = {**MIDDLE, middle: vast(wrapper("w")), at("w"): vast(inline("in"))}
        breaks, servers = asking(answers)
        assert [one.code for one in breaks[1].offer.failures] == [302]
        assert at("w") not in servers.asked
        answers[ROOT] = BREAKS.replace(b'followRedirects="false"', b"")
        assert ids(asking(answers)[0][1].offer.ads) == [("in", 0)]

    def test_a_break_that_allows_several_ads(self):
        text = BREAKS.replace(b'allowMultipleAds="false"', b'allowMultipleAds="true"')
        breaks, _ = asking({**MIDDLE, ROOT: text})
        assert ids(breaks[1].offer.ads) == [("m1", 1), ("m2", 2)]

    def test_breaks_are_asked_for_at_the_same_time_and_fail_alone(self):
        def one(n):
            tag = f"<AdTagURI>{at(f'b{n}')}?p=[BREAKPOSITION]</AdTagURI>"
            offset = ("start", "00:00:30", "100%", "0%", "00:00:00", "end")[n]
            return (
                f"<AdBreak timeOffset='{offset}' breakId='{n}'><AdSource>{tag}</AdSource></AdBreak>"
            )

        answers = {at(f"b{n}"): (1.5, vast(inline(f"ad{n}"))) for n in range(6)}
        answers |= {ROOT: f"<VMAP>{''.join(map(one, range(6)))}</VMAP>", at("b1"): (60, b"")}
        breaks, servers = asking(answers)
        assert [[ad.ad_id for ad in one.offer.ads] for one in breaks] == [
            ["ad0"],
            [],
            ["ad2"],
            ["ad3"],
            ["ad4"],
            ["ad5"],
        ]
        assert [one.code for one in breaks[1].offer.failures] == [301]
        assert max(one.offer.latency_ms for one in breaks) == pytest.approx(2000)
        assert [url.partition("p=")[2] for url in servers.asked[1:]] == list("123113")

    @pytest.mark.parametrize("live", [False, True])
    def test_one_without_breaks(self, live):
        found, _ = asking("<VMAP version='1.0'/>", live=live)
        one = found if live else found[0]
        assert [one.code for one in one.offer.failures] == [303]

    def test_a_wrapper_back_to_the_vmap_is_a_loop(self):
        text = f"<VMAP><AdBreak timeOffset='start'><AdSource><VASTAdData>{vast(wrapper('w', tag=ROOT))}</VASTAdData></AdSource></AdBreak></VMAP>"
        (found,), servers = asking(text)
        assert [one.code for one in found.offer.failures] == [302]
        assert len(servers.asked) == 1


class TestLive:
    def test_a_vast(self):
        found, _ = asking(vast(inline("b", 2), inline("a", 1), inline("x")), live=True)
        offer = found.offer
        assert ids(offer.ads) == [("a", 1), ("b", 2)]
        assert (ids(offer.spare), offer.calls) == ([("x", 0)], 1)

    @pytest.mark.parametrize("answer", [404, (60, b""), b"x"])
    def test_a_failure(self, answer):
        found, _ = asking(answer, live=True)
        assert found.offer.ads == ()
        assert len(found.offer.failures) == 1

    def test_of_a_vmap_its_break_at_the_start(self):
        end = b'<vmap:AdBreak timeOffset="end" breakType="linear"/>'
        text = BREAKS.replace(b'version="1.0">', b'version="1.0">' + end, 1)
        found, servers = asking(text, live=True)
        assert ids(found.offer.ads) == [("one", 0)]
        assert found.beacons[0] == Beacon("breakStart", "https://ads.example/begin")
        assert len(servers.asked) == 1, "the other breaks are not asked for"

    def test_of_a_vmap_without_one_its_first_break(self):
        answers = {**MIDDLE, ROOT: BREAKS.replace(b'"start"', b'"00:00:10"')}
        assert ids(asking(answers, live=True)[0].offer.ads) == [("one", 0)]


class TestRequests:
    values = Values(
        parameters=(("w", "640"),),
        headers={"user-agent": "TV/1"},
        address="203.0.113.9",
        position=macros.MIDROLL,
        duration_us=30_000_000,
    )

    def test_every_call_says_for_whom_it_is(self):
        answers = {
            ROOT: vast(
                wrapper("w", tag=at("w") + "?p=[BREAKPOSITION]&s=%5BSERVERSIDE%5D&u=[UNKNOWN]")
            ),
            at("w"): vast(inline("ad")),
        }
        template = f"{ROOT}?d=$AD_BREAK_DURATION"
        _, servers = asking(answers, values=self.values, live=True, template=template)
        assert servers.asked == [f"{ROOT}?d=30&w=640", at("w") + "?p=2&s=1&u=-1"]
        assert [sent[2] for sent in servers.sent] == [macros.headers(self.values)] * 2
        assert servers.sent[0][2]["X-Device-IP"] == "203.0.113.9"


def test_decisions_at_the_same_time_do_not_touch_each_other():
    servers = Servers({ROOT: (1, vast(wrapper("w"))), at("w"): (1, vast(inline("ad")))})

    async def ask():
        loop = asyncio.get_running_loop()
        server = AdServer(servers, Streams(), clock=loop.time)
        entries = [server.ask_break(ROOT, service=SERVICE, values=NOBODY) for _ in range(20)]
        return await asyncio.gather(*entries), loop.time()

    found, ended = running(ask())
    assert [ids(one.offer.ads) for one in found] == [[("ad", 0)]] * 20
    assert ended == pytest.approx(1002)


def test_being_cancelled_is_not_a_failure_of_the_ad_server():
    async def ask():
        server = AdServer(Servers({ROOT: (1, vast())}), Streams())
        task = asyncio.create_task(server.ask(ROOT, service=SERVICE, values=NOBODY))
        await asyncio.sleep(0.5)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        running(ask())
