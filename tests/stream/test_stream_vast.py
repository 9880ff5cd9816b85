"""VAST as data, XML that is not to be trusted, and the merging of wrappers."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall.stream import vast, vmap, xml
from footfall.stream.contract import Ad, Beacon, Graphic, MediaFile, Script, Verification
from footfall.stream.xml import XmlError

ADS = Path(__file__).parent / "ads"


def read(name: str) -> vast.Document:
    return vast.parse((ADS / name).read_bytes())


def one(body: str, attributes: str = 'id="a"', version: str = "3.0") -> Ad:
    """The ad of a VAST with this InLine in it."""
    text = f'<VAST version="{version}"><Ad {attributes}><InLine>{body}</InLine></Ad></VAST>'
    return vast.parse(text.encode()).ads[0].ad


def linear(inside: str, attributes: str = "") -> str:
    return f"<Creatives><Creative><Linear {attributes}>{inside}</Linear></Creative></Creatives>"


class TestInLine:
    document = read("inline.xml")
    ad = document.ads[0].ad

    def test_who_it_is(self):
        assert isinstance(self.document.ads[0], vast.InLine)
        assert self.document.version == "4.2"
        assert (self.ad.ad_id, self.ad.creative_id, self.ad.sequence) == ("ad-1", "film-1", 2)
        assert (self.ad.title, self.ad.system) == ("Tea & biscuits", "Own Ads")
        assert self.ad.advertiser == "Kettle Ltd"
        assert self.ad.universal_ids == (("ad-id.example", "KETTLE0001"),)
        assert self.ad.kind == "linear_and_nonlinear"

    def test_its_times(self):
        assert (self.ad.duration_ms, self.ad.skip_ms, self.ad.skip_percent) == (15_500, 5000, None)

    def test_beacons_are_those_with_an_http_address_an_event_and_a_time(self):
        assert self.ad.beacons == (
            Beacon("impression", "https://ads.example/seen?a=1&b=2"),
            Beacon("impression", "https://metrics.example/seen?cb=[CACHEBUSTING]"),
            Beacon("start", "https://ads.example/start"),
            Beacon("firstQuartile", "https://ads.example/q1"),
            Beacon("midpoint", "https://ads.example/q2"),
            Beacon("thirdQuartile", "https://ads.example/q3"),
            Beacon("complete", "https://ads.example/q4"),
            Beacon("progress", "https://ads.example/p3", offset_ms=3250),
            Beacon("progress", "https://ads.example/p90", offset_percent=90.0),
            Beacon("somethingNew", "https://ads.example/new"),
        )

    def test_errors_of_the_ad_and_of_the_answer(self):
        assert self.document.errors == ("https://ads.example/none?code=[ERRORCODE]",)
        assert self.ad.errors == (
            "https://ads.example/error?code=[ERRORCODE]",
            "https://metrics.example/error?code=[ERRORCODE]",
        )

    def test_media_without_programs_and_other_schemes(self):
        hls = "application/x-mpegurl"
        film = "https://cdn.example/film"
        assert self.ad.media == (
            MediaFile(
                "https://cdn.example/master.mp4",
                "video/mp4",
                width=3840,
                height=2160,
                mezzanine=True,
            ),
            MediaFile(f"{film}.m3u8", hls, "streaming", 1600, 1280, 720),
            MediaFile(
                f"{film}%20small.mp4", "video/mp4", "progressive", 700, 640, 0, "avc1.4d401e"
            ),
        )

    def test_clicks(self):
        assert self.ad.click_through == "https://shop.example/"
        assert self.ad.click_tracking == ("https://ads.example/click",)
        assert self.ad.custom_clicks == ("https://ads.example/custom",)

    def test_verifications_of_the_element_and_of_the_older_extension(self):
        measure = "https://measure.example"
        assert self.ad.verifications == (
            Verification(
                "measure.example-omid",
                (Script(f"{measure}/m.js", "omid", browser_optional=True),),
                (Script(f"{measure}/m.bin", "native"),),
                (Beacon("verificationNotExecuted", f"{measure}/not?r=[REASON]"),),
                "key=1",
            ),
            Verification("older.example", (Script("https://older.example/m.js", "omid"),)),
        )

    def test_graphics(self):
        icon, companion, overlay = self.ad.graphics
        assert icon == Graphic(
            "icon",
            program="why",
            width=20,
            height=20,
            x="right",
            y="4",
            offset_ms=1000,
            duration_ms=10_000,
            static="https://cdn.example/why.gif",
            static_type="image/gif",
            click_through="https://why.example/",
            click_tracking=("https://ads.example/why-click",),
            events=(Beacon("view", "https://ads.example/why-seen"),),
        )
        assert companion == Graphic(
            "companion",
            creative_id="banner",
            width=300,
            height=250,
            static="https://cdn.example/banner.png",
            static_type="image/png",
            click_through="https://shop.example/banner",
            click_tracking=("https://ads.example/banner-click",),
            events=(Beacon("creativeView", "https://ads.example/banner-seen"),),
        )
        assert overlay == Graphic(
            "nonlinear",
            creative_id="overlay-1",
            width=480,
            height=70,
            duration_ms=8000,
            iframe="https://cdn.example/overlay.html",
            parameters="colour=red",
            click_through="https://shop.example/overlay",
            click_tracking=("https://ads.example/overlay-click",),
            events=(Beacon("creativeView", "https://ads.example/overlay-seen"),),
        )

    def test_it_goes_through_the_journal(self):
        packed = msgspec.msgpack.encode(self.ad)
        assert msgspec.msgpack.decode(packed, type=Ad) == self.ad


class TestSmallAds:
    @pytest.mark.parametrize(
        ("written", "skip_ms", "percent"),
        [("00:00:07.5", 7500, None), ("25%", None, 25.0), ("", None, None), ("soon", None, None)],
    )
    def test_skipping(self, written, skip_ms, percent):
        ad = one(linear("", f'skipoffset="{written}"'))
        assert (ad.skip_ms, ad.skip_percent) == (skip_ms, percent)

    @pytest.mark.parametrize(
        ("creatives", "kind"),
        [
            ("<Creative><Linear/></Creative>", "linear"),
            ("<Creative><NonLinearAds><NonLinear/></NonLinearAds></Creative>", "nonlinear"),
            (
                "<Creative><Linear/><NonLinearAds><NonLinear/></NonLinearAds></Creative>",
                "linear_and_nonlinear",
            ),
            ("<Creative><CompanionAds/></Creative>", "unsupported"),
            ("", "unsupported"),
        ],
    )
    def test_kind(self, creatives, kind):
        assert one(f"<Creatives>{creatives}</Creatives>").kind == kind

    def test_a_second_film_in_an_ad_is_not_told_of(self):
        film = "<Creative><Linear><TrackingEvents><Tracking event='start'>https://a.example/{}</Tracking></TrackingEvents></Linear></Creative>"
        ad = one(f"<Creatives>{film.format(1)}{film.format(2)}</Creatives>")
        assert ad.beacons == (Beacon("start", "https://a.example/1"),)

    def test_an_ad_without_id_has_the_creatives_or_one_made_of_its_media(self):
        assert (
            one("<Creatives><Creative AdID='c'><Linear/></Creative></Creatives>", "").ad_id == "c"
        )
        media = "<MediaFiles><MediaFile>https://c.example/{}.mp4</MediaFile></MediaFiles>"
        first, again, other = (one(linear(media.format(name)), "").ad_id for name in "aab")
        assert first == again != other
        assert len(first) == 16

    def test_no_ad_is_called_as_what_fills_a_break_without_ads(self):
        assert (
            one("<Creatives><Creative id='c'><Linear/></Creative></Creatives>", 'id="SLATE"').ad_id
            == "c"
        )
        assert len(one("<AdTitle>SLATE</AdTitle>", 'id="SLATE"').ad_id) == 16

    def test_the_universal_id_of_4_0_is_an_attribute(self):
        body = "<Creatives><Creative><UniversalAdId idRegistry='r' idValue='v'>\n</UniversalAdId><Linear/></Creative></Creatives>"
        assert one(body, version="4.0").universal_ids == (("r", "v"),)

    def test_absurd_numbers_are_unknown(self):
        media = f"<MediaFiles><MediaFile width='{'9' * 5000}' height='-1' bitrate='1e9'>https://c.example/</MediaFile></MediaFiles>"
        (file,) = one(linear(media), 'sequence="first"').media
        assert (file.width, file.height, file.bitrate) == (0, 0, 0)

    @pytest.mark.parametrize("version", ["2.0", "2.0.1", "3.0", "4.0", "4.1", "4.2", "4.3"])
    def test_versions_that_are_read(self, version):
        assert one("<AdTitle>T</AdTitle>", version=version).title == "T"

    @pytest.mark.parametrize(
        "root", ["<VideoAdServingTemplate/>", "<VAST version='1.0'/>", "<VAST version='5.0'/>"]
    )
    def test_versions_that_are_not(self, root):
        with pytest.raises(XmlError) as caught:
            vast.parse(root.encode())
        assert caught.value.code == 102

    def test_an_answer_that_does_not_say_its_version_is_read(self):
        assert vast.parse(b"<VAST/>") == vast.Document("")

    def test_an_ad_of_neither_kind_leaves_the_others(self):
        found = vast.parse(b"<VAST><Ad id='x'><Own/></Ad><Ad id='y'><InLine/></Ad></VAST>")
        assert [entry.ad.ad_id for entry in found.ads] == ["y"]
        assert [(one.code, one.ad_id) for one in found.failures] == [(101, "x")]

    @pytest.mark.parametrize(
        "prefix", ['<VAST xmlns="urn:any" version="3.0">', '<v:VAST xmlns:v="urn:x" version="3.0">']
    )
    def test_namespaces_do_not_matter(self, prefix):
        v = "v:" if prefix.startswith("<v:") else ""
        text = f"{prefix}<{v}Ad id='n'><{v}InLine><{v}Impression>https://a.example/</{v}Impression></{v}InLine></{v}Ad></{v}VAST>"
        (entry,) = vast.parse(text.encode()).ads
        assert entry.ad.beacons == (Beacon("impression", "https://a.example/"),)


class TestWrapper:
    def test_what_it_says(self):
        (wrapper,) = read("wrapper.xml").ads
        assert isinstance(wrapper, vast.Wrapper)
        assert wrapper.tag == "https://inner.example/vast?cb=[CACHEBUSTING]&x=1"
        assert (wrapper.follow, wrapper.multiple, wrapper.fallback) == (False, True, True)
        assert wrapper.ad.sequence == 3

    def test_what_it_allows_where_it_does_not_say(self):
        (wrapper,) = vast.parse(b"<VAST><Ad><Wrapper/></Ad></VAST>").ads
        assert (wrapper.follow, wrapper.multiple, wrapper.fallback) == (True, False, False)
        assert not wrapper.tag

    def test_merged_into_the_ad(self):
        outer, inner = read("wrapper.xml").ads[0].ad, read("inline.xml").ads[0].ad
        ad = vast.merge((outer, inner))
        assert (ad.ad_id, ad.title, ad.sequence, ad.wrappers) == ("ad-1", "Tea & biscuits", 3, 1)
        assert ad.beacons[:2] == (
            Beacon("impression", "https://middle.example/seen"),
            Beacon("start", "https://middle.example/start"),
        )
        assert ad.beacons[2:] == inner.beacons
        assert ad.errors == ("https://middle.example/error?code=[ERRORCODE]", *inner.errors)
        assert ad.click_tracking == ("https://middle.example/click", "https://ads.example/click")
        assert ad.custom_clicks == ("https://middle.example/custom", "https://ads.example/custom")
        assert ad.click_through == inner.click_through
        assert ad.verifications == inner.verifications
        assert ad.media == inner.media

    def test_icons_of_one_program_are_those_closest_to_the_ad(self):
        outer, inner = read("wrapper.xml").ads[0].ad, read("inline.xml").ads[0].ad
        icons = [one for one in vast.merge((outer, inner)).graphics if one.kind == "icon"]
        assert [icon.static for icon in icons] == [
            "https://middle.example/other.gif",
            "https://cdn.example/why.gif",
        ]

    def test_a_wrapper_that_shows_nothing_is_told_of_what_is_shown(self):
        outer, inner = read("wrapper.xml").ads[0].ad, read("inline.xml").ads[0].ad
        graphics = vast.merge((outer, inner)).graphics
        (overlay,) = [one for one in graphics if one.kind == "nonlinear"]
        (companion,) = [one for one in graphics if one.kind == "companion"]
        assert [beacon.url for beacon in overlay.events] == [
            "https://middle.example/closed",
            "https://ads.example/overlay-seen",
        ]
        assert [beacon.url for beacon in companion.events] == [
            "https://middle.example/banner",
            "https://ads.example/banner-seen",
        ]

    def test_a_click_through_that_the_ad_lacks_is_its_nearest_wrappers(self):
        levels = [Ad("1", click_through="https://1.example/"), Ad("2", click_through="https://2/")]
        assert vast.merge((*levels, Ad("in"))).click_through == "https://2/"

    def test_graphics_are_bounded_before_they_multiply(self):
        one_of_each = (
            "<NonLinear id='{0}'><HTMLResource>h</HTMLResource></NonLinear><NonLinear id='{0}'>"
            "<NonLinearClickTracking>https://a.example/{0}</NonLinearClickTracking></NonLinear>"
        )
        many = "".join(one_of_each.format(n) for n in range(2000))
        creative = (
            f"<Creatives><Creative><NonLinearAds>{many}</NonLinearAds></Creative></Creatives>"
        )
        merged = vast.merge([one(creative)])
        assert len(merged.graphics) == vast.MOST_GRAPHICS // 2
        assert len(merged.graphics[0].click_tracking) == vast.MOST_GRAPHICS // 2


URLS = st.sampled_from([f"https://{host}.example/" for host in "abcd"])
BEACONS = st.builds(
    Beacon,
    st.sampled_from(["impression", "start", "progress"]),
    URLS,
    st.sampled_from([None, 1000, 2000]),
)
SEVERAL = st.lists(URLS, max_size=5).map(tuple)
LEVELS = st.builds(
    Ad,
    ad_id=st.just("x"),
    beacons=st.lists(BEACONS, max_size=8).map(tuple),
    errors=SEVERAL,
    click_tracking=SEVERAL,
    custom_clicks=SEVERAL,
)


@given(st.lists(LEVELS, min_size=1, max_size=6))
def test_merging_neither_loses_nor_doubles_an_address(levels):
    ad = vast.merge(levels)
    for field in ("beacons", "errors", "click_tracking", "custom_clicks"):
        given_ones = [one for level in levels for one in getattr(level, field)]
        merged = getattr(ad, field)
        assert set(merged) == set(given_ones)
        assert len(set(merged)) == len(merged)
        assert sorted(merged, key=given_ones.index) == list(merged), "outermost first"
    assert ad.wrappers == len(levels) - 1


class TestXml:
    def fault(self, data: bytes, limit: int = xml.LIMIT) -> XmlError:
        with pytest.raises(XmlError) as caught:
            vast.parse(data, limit)
        return caught.value

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b" \r\n\t",
            b"rubbish",
            b'{"ads": []}',
            b"<VAST>",
            b"<VAST></Ad></VAST>",
            b"<VAST a=1/>",
            b"<VAST/><VAST/>",
            b"<VAST><![CDATA[",
            b"<VAST><!-- ",
            b"<VAST><?pi ",
            b"<VAST>\xff\xfe</VAST>",
            b"<VAST>&#0;</VAST>",
            b"<VAST>\x00</VAST>",
            b"\xff\xfe<",
            b'<?xml version="1.0" encoding="utf-16"?>\x00\x00',
            b"<!doctype html><html><body>Not found</body></html>",
            b"<VAST>" * 300 + b"</VAST>" * 300,
        ],
    )
    def test_what_is_no_xml(self, data):
        assert self.fault(data).code == 100

    @pytest.mark.parametrize("data", [b"<html><body/></html>", b"<VMAP/>", b"<vast/>"])
    def test_other_xml(self, data):
        assert self.fault(data).code == 101

    @pytest.mark.parametrize(
        "doctype",
        [
            "<!DOCTYPE VAST>",
            "<!DOCTYPE VAST SYSTEM 'https://evil.example/x.dtd'>",
            "<!DOCTYPE VAST [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>",
            "<!DOCTYPE VAST [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>",
            "<!-- <!-- --><!DOCTYPE VAST>",
            "<?pi <!-- ?><!DOCTYPE VAST>",
        ],
    )
    def test_a_doctype_is_refused_whatever_it_says(self, doctype):
        fault = self.fault(f"{doctype}<VAST version='3.0'>&b;</VAST>".encode())
        assert fault.code == 100
        assert "DOCTYPE" in fault.reason

    @pytest.mark.parametrize(
        "text",
        [
            "<!-- <!DOCTYPE VAST> --><VAST/>",
            "<VAST><Error><![CDATA[<!DOCTYPE]]></Error></VAST>",
            "\ufeff  <VAST/>",
            "\r\n<?xml version='1.0' encoding='UTF-8' standalone='no'?>\n<?own x?><VAST/>",
            "<?xml version='1.0' encoding='utf-16'?><VAST/>",
        ],
    )
    def test_what_is_harmless_is_read(self, text):
        assert vast.parse(text.encode()).ads == ()

    def test_an_entity_without_a_definition_is_text(self):
        ad = one("<AdTitle>a&nbsp;b &lt;&#233;&#xe9;&amp; &unknown</AdTitle>")
        assert ad.title == "a&nbsp;b <éé& &unknown"

    @pytest.mark.parametrize(
        ("written", "address"),
        [
            ("https://a.example/?a=1&b=2", "https://a.example/?a=1&b=2"),
            ("https://a.example/?a=1&amp;b=2&copy=3", "https://a.example/?a=1&b=2&copy=3"),
            ("<![CDATA[https://a.example/?a=1&amp;b]]>", "https://a.example/?a=1&amp;b"),
            ("\n  HTTPS://a.example/\n  ", "HTTPS://a.example/"),
            ("http://a.example/a\n  b", "http://a.example/a%20%20b"),
            ("https://a.example/é?q=[X]", "https://a.example/%C3%A9?q=[X]"),
            ("https://a.example/&#x2028;#EXT", "https://a.example/%E2%80%A8#EXT"),
            ("https:///path", ""),
            ("https://", ""),
            ("https://ex ample/", ""),
            ("<![CDATA[ //a.example/?a=1 ]]>", "https://a.example/?a=1"),
            ("// a.example/", ""),
            ("///path", ""),
            ("//", ""),
            ("/path", ""),
            ("data:text/plain,x", ""),
            ("javascript:alert(1)//https://a.example/", ""),
        ],
    )
    def test_addresses(self, written, address):
        urls = [beacon.url for beacon in one(f"<Impression>{written}</Impression>").beacons]
        assert urls == ([address] if address else [])

    @pytest.mark.parametrize(
        ("encoding", "declared"),
        [("utf-16", "utf-16"), ("latin-1", "ISO-8859-1"), ("cp1252", "windows-1252")],
    )
    def test_encodings(self, encoding, declared):
        text = f"<?xml version='1.0' encoding='{declared}'?><VAST><Ad><InLine><AdTitle>é</AdTitle></InLine></Ad></VAST>"
        assert vast.parse(text.encode(encoding)).ads[0].ad.title == "é"

    @pytest.mark.parametrize("named", ["zip", "idna", "unicode_escape", "iso-8859-12"])
    def test_encodings_that_are_not_known(self, named):
        text = f"<?xml version='1.0' encoding='{named}'?><VAST>\\u0041é</VAST>".encode()
        if named == "iso-8859-12":  # there is none of that number
            assert self.fault(text).code == 100
        else:
            assert vast.parse(text).ads == ()

    def test_an_answer_that_is_too_large_is_not_read(self):
        data = b"<VAST>" + b" " * (3 << 20) + b"</VAST>"
        assert self.fault(data).code == 100
        assert vast.parse(b"<VAST/>", limit_bytes=7).ads == ()
        assert self.fault(b"<VAST/>", 6).code == 100

    def test_neither_is_one_of_nothing_but_tags(self):
        assert len(vast.parse(b"<VAST>" + b"<Ad/>" * 19_000 + b"</VAST>").failures) == 19_000
        assert self.fault(b"<VAST>" + b"<Ad/>" * 40_000 + b"</VAST>").code == 100

    @pytest.mark.parametrize("piece", [b"<!--", b"<![CDATA[", b"<?x", b"&", b"<!DOCTYP", b"&#"])
    def test_no_repetition_takes_long(self, piece):
        began = time.perf_counter()
        self.fault(b"<VAST>" + piece * (xml.MOST_TAGS - 1))
        assert time.perf_counter() - began < 1


WHOLE = [(ADS / name).read_bytes() for name in ("inline.xml", "wrapper.xml", "breaks.xml")]


def read_or_refused(data: bytes) -> int:
    """The code that it was refused with, or 0."""
    try:
        root = xml.parse(data)
        if vmap.is_vmap(root):
            vmap.read(root)
        else:
            vast.merge([entry.ad for entry in vast.read(root).ads] or [Ad("none")])
    except XmlError as error:
        return error.code
    return 0


@pytest.mark.parametrize("data", WHOLE)
def test_cut_off_anywhere_an_answer_is_refused(data):
    end = len(data.rstrip())
    for length in range(0, end, 23):
        with pytest.raises(XmlError):
            xml.parse(data[:length])


@given(st.sampled_from(WHOLE), st.data())
def test_whatever_is_broken_in_an_answer_it_is_read_or_refused(data, choose):
    broken = bytearray(data)
    for _ in range(choose.draw(st.integers(1, 4))):
        start = choose.draw(st.integers(0, len(broken)))
        end = choose.draw(st.integers(start, min(start + 40, len(broken))))
        broken[start:end] = choose.draw(
            st.one_of(st.binary(max_size=6), st.sampled_from([b"<", b">", b'"', b"&", b"]]>"]))
        )
    assert read_or_refused(bytes(broken)) in {0, 100, 101, 102}


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_an_attribute_and_a_text_say(attribute, text):
    def escaped(one: str) -> str:
        return "".join(f"&#{ord(c)};" if not c.isalnum() else c for c in one)

    names = ("skipoffset", "width", "sequence", "offset", "delivery", "version")
    attributes = " ".join(f'{name}="{escaped(attribute)}"' for name in names)
    element = f"<{{}} {attributes}>{escaped(text)}</{{}}>"
    inside = "".join(element.format(name, name) for name in ("Duration", "Impression", "Error"))
    document = (
        f"<VAST><Ad {attributes}><InLine>{inside}<Creatives><Creative><Linear {attributes}>{inside}"
        f"<MediaFiles>{element.format('MediaFile', 'MediaFile')}</MediaFiles></Linear></Creative>"
        f"</Creatives></InLine></Ad></VAST>"
    )
    assert read_or_refused(document.encode("utf-8", "replace")) in {0, 100, 102}
