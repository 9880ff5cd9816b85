"""VMAP as data, and where its breaks fall in a content."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.stream import offsets, vast, vmap
from footfall.stream.contract import AdBreak, Beacon
from footfall.stream.xml import MOST_TAGS, XmlError

BREAKS = (Path(__file__).parent / "ads" / "breaks.xml").read_bytes()
OTHER_NAMESPACE = BREAKS.replace(b"iab.net/videosuite/vmap", b"iab.net/vmap-1.0")
NO_NAMESPACE = (
    BREAKS.replace(b' xmlns:vmap="http://www.iab.net/videosuite/vmap"', b"")
    .replace(b"<vmap:", b"<")
    .replace(b"</vmap:", b"</")
)
SECOND = 1_000_000
HOUR = 3600 * SECOND


class TestVmap:
    @pytest.mark.parametrize("data", [BREAKS, OTHER_NAMESPACE, NO_NAMESPACE])
    def test_breaks_with_linear_ads_in_their_order(self, data):
        found = vmap.parse(data)
        assert found.version == "1.0"
        assert [(one.id, one.offset, one.repeat_after_ms) for one in found.breaks] == [
            ("opening", "start", 0),
            ("middle", "00:10:00", 900_000),
            ("custom", "end", 0),
            ("wrong", "50%", 0),
            ("sourceless", "#2", 0),
        ]

    def test_ads_that_are_there(self):
        opening = vmap.parse(BREAKS).breaks[0]
        (ad,) = opening.source.document.ads
        assert isinstance(ad, vast.InLine)
        assert (ad.ad.ad_id, ad.ad.duration_ms) == ("one", 10_000)
        assert (opening.source.multiple, opening.source.follow, opening.source.code) == (1, 1, 0)
        assert opening.beacons == (
            Beacon("breakStart", "https://ads.example/begin"),
            Beacon("breakEnd", "https://ads.example/end"),
            Beacon("error", "https://ads.example/break-error?c=[ERRORCODE]"),
        )

    @pytest.mark.parametrize("declared", ["", '<?xml version="1.0" encoding="ISO-8859-1"?>\n'])
    @pytest.mark.parametrize("escaped", [False, True])
    def test_ads_that_are_there_as_text(self, declared, escaped):
        """As some ad servers write them: in CDATA, with CDATA of their own cut in two."""
        inside = (
            f"{declared}<VAST version='3.0'><Ad id='é'><InLine><Impression><![CDATA[https://a.example"
            "/i?a=1&b=2]]></Impression><Creatives><Creative><Linear><Duration>00:00:10</Duration>"
            "</Linear></Creative></Creatives></InLine></Ad></VAST>"
        )
        if escaped:
            inside = inside.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        else:
            inside = f"\n <![CDATA[{inside.replace(']]>', ']]]]><![CDATA[>')}]]>\n"
        source = self.source_of(inside)
        (found,) = source.document.ads
        assert (found.ad.ad_id, found.ad.duration_ms) == ("é", 10_000)
        assert found.ad.beacons == (Beacon("impression", "https://a.example/i?a=1&b=2"),)

    @pytest.mark.parametrize(
        ("inside", "code"),
        [
            ("<![CDATA[<VAST]]>", 100),
            ("<![CDATA[<!DOCTYPE VAST><VAST version='3.0'/>]]>", 100),
            ("<![CDATA[<HTML/>]]>", 101),
            ("text", 100),
            ("<html/>", 101),
            ("", 101),
            (" \n", 101),
        ],
    )
    def test_ad_data_that_is_no_vast(self, inside, code):
        assert self.source_of(inside).code == code

    def test_tags_as_text_count_as_tags(self):
        many = f"&lt;VAST version='3.0'>{'&lt;a/>' * MOST_TAGS}&lt;/VAST>"
        with pytest.raises(XmlError, match="tags"):
            self.source_of(many)

    @staticmethod
    def source_of(inside):
        text = f"<VMAP><AdBreak timeOffset='start'><AdSource><VASTAdData>{inside}</VASTAdData></AdSource></AdBreak></VMAP>"
        return vmap.parse(text.encode()).breaks[0].source

    def test_ads_that_are_elsewhere(self):
        source = vmap.parse(BREAKS).breaks[1].source
        assert source.tag == "https://ads.example/middle?a=1&p=[BREAKPOSITION]"
        assert (source.document, source.multiple, source.follow) == (None, False, False)

    def test_breaks_without_ads_say_why(self):
        _, _, custom, wrong, sourceless = vmap.parse(BREAKS).breaks
        assert (custom.source.code, wrong.source.code) == (300, 102)
        assert sourceless.source.code == 303
        assert "9.0" in wrong.source.reason

    @pytest.mark.parametrize(
        ("written", "kept"),
        [
            ("linear", True),
            ("nonlinear", False),
            ("display", False),
            ("nonlinear,linear", True),
            ("Linear", True),
            ("", True),
            ("nonlinear , display", False),
        ],
    )
    def test_kinds_of_breaks(self, written, kept):
        text = f"<VMAP><AdBreak timeOffset='start' breakType='{written}'/></VMAP>"
        assert bool(vmap.parse(text.encode()).breaks) is kept

    @pytest.mark.parametrize(("data", "code"), [(b"<VAST/>", 101), (b"<VMAP>", 100)])
    def test_what_is_no_vmap(self, data, code):
        with pytest.raises(XmlError) as caught:
            vmap.parse(data)
        assert caught.value.code == code


class TestTimes:
    @pytest.mark.parametrize(
        ("written", "milliseconds"),
        [
            ("00:00:00", 0),
            ("01:02:03", 3_723_000),
            ("00:00:01.5", 1500),
            ("00:00:01.050", 1050),
            ("00:00:00.9999", 999),
            ("0:0:7", 7000),
            (" 00:00:07 ", 7000),
            ("100:00:00", 360_000_000),
            ("00:60:00", None),
            ("00:00:60", None),
            ("00:30", None),
            ("30", None),
            ("-00:00:01", None),
            ("00:00:01.", None),
            ("", None),
        ],
    )
    def test_clock(self, written, milliseconds):
        assert offsets.milliseconds(written) == milliseconds

    @pytest.mark.parametrize(
        ("written", "percent"),
        [("0%", 0), ("33.3%", 33.3), ("100%", 100), ("101%", None), ("5", None), ("-1%", None)],
    )
    def test_percent(self, written, percent):
        assert offsets.percent(written) == percent

    @pytest.mark.parametrize(
        ("written", "position"),
        [
            ("start", 0),
            ("end", HOUR),
            ("25%", HOUR // 4),
            ("00:10:00.250", 600 * SECOND + 250_000),
            ("01:00:00", HOUR),
            ("01:00:00.900", HOUR),
            ("01:00:02", None),
            ("#1", None),
            ("", None),
            ("later", None),
        ],
    )
    def test_position(self, written, position):
        assert offsets.position(written, HOUR) == position


class TestPlaces:
    def test_in_the_order_of_play(self):
        breaks = [AdBreak(one, id=one) for one in ("end", "00:30:00", "start", "50%", "#3")]
        placed, failures = offsets.place(breaks, HOUR)
        assert [(at // SECOND, one.id) for at, one in placed] == [
            (0, "start"),
            (1800, "00:30:00"),
            (1800, "50%"),
            (3600, "end"),
        ]
        (failure,) = failures
        assert failure.code == 900
        assert "#3" in failure.reason

    def test_a_break_that_repeats_ends_before_the_content(self):
        repeating = AdBreak("00:10:00", id="r", repeat_after_ms=1_000_000)
        placed, failures = offsets.place([repeating], HOUR)
        assert [at // SECOND for at, _ in placed] == [600, 1600, 2600]
        assert not failures
        exact = AdBreak("00:00:00", repeat_after_ms=1_200_000)
        assert [at // SECOND for at, _ in offsets.place([exact], HOUR)[0]] == [0, 1200, 2400]

    def test_repeats_are_bounded(self):
        endless = AdBreak("start", repeat_after_ms=1)
        placed, _ = offsets.place([endless] * 3, 6 * HOUR)
        assert len(placed) == offsets.MOST_BREAKS

    @given(
        st.lists(
            st.builds(
                AdBreak,
                offset=st.one_of(
                    st.sampled_from(["start", "end", "#1", "x"]),
                    st.integers(0, 120).map(lambda n: f"{n}%"),
                    st.times().map(lambda one: one.strftime("%H:%M:%S")),
                ),
                repeat_after_ms=st.sampled_from([0, 1000, 600_000]),
            ),
            max_size=8,
        ),
        st.integers(0, 8 * HOUR),
    )
    def test_every_break_is_in_the_content_or_a_failure(self, breaks, duration_us):
        placed, failures = offsets.place(breaks, duration_us)
        times = [at for at, _ in placed]
        assert times == sorted(times)
        assert all(0 <= at <= duration_us for at in times)
        assert len(placed) <= offsets.MOST_BREAKS
        if len(placed) < offsets.MOST_BREAKS:
            once = sum(offsets.position(one.offset, duration_us) is None for one in breaks)
            assert len(failures) == once
            assert {id(one) for _, one in placed} <= {id(one) for one in breaks}
