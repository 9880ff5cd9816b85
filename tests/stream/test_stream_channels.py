"""A channel's playlists, made of its assets'; what is no channel's is left to the origins."""

from __future__ import annotations

import asyncio

import pytest

from footfall.journal.engines.memory import MemoryJournal
from footfall.settings import Server, Service, Settings, Slot, Source
from footfall.stream import multivariant, playlist
from footfall.stream.channels import Playlists
from footfall.stream.contract import FetchError, MediaList
from footfall.stream.lines import PlaylistError
from footfall.stream.services import Services
from footfall.stream.slots import Slots

SECOND = 1_000_000
NOW = 1_790_000_000 * SECOND
MASTER = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",DEFAULT=YES,URI="sound.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=800000,CODECS="avc1.42c01e,mp4a.40.2",AUDIO="a"
low.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2000000,CODECS="avc1.42c01e,mp4a.40.2",AUDIO="a"
high.m3u8
"""
SOUNDLESS = """#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=900000,CODECS="avc1.42c01e,mp4a.40.2"
only.m3u8
"""
HOME = "https://assets.example"


def finished(count, duration):
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:{duration}\n"
    text += "".join(f"#EXTINF:{duration},\n{n}.m4s\n" for n in range(count))
    return text + "#EXT-X-ENDLIST\n"


FILES = {
    f"{HOME}/one/master.m3u8": MASTER,
    f"{HOME}/two/master.m3u8": MASTER.replace("800000", "700000"),
    f"{HOME}/three/master.m3u8": SOUNDLESS,
    f"{HOME}/three/only.m3u8": finished(2, 3),
    **{
        f"{HOME}/{asset}/{file}.m3u8": finished(count, 2)
        for asset, count in (("one", 5), ("two", 3))
        for file in ("low", "high", "sound")
    },
}


class Origins:
    """Files, read each once."""

    def __init__(self):
        self.made = {}
        self.document = None

    async def playlist(self, service, uri, *, live, variables=()):
        if uri not in FILES:
            raise FetchError("status", "gone", 404)
        text = FILES[uri]
        read = multivariant if multivariant.is_multivariant(text) else playlist
        return self.made.setdefault(uri, read.parse(text, uri))

    async def multivariant(self, service, uri, *, live=False):
        return await self.playlist(service, uri, live=live)

    async def media(self, service, uri, *, live, variables=()):
        return await self.playlist(service, uri, live=live)


def rig(*assets, slots=()):
    service = Service(
        id="news",
        source="site",
        kind="channel",
        assets=tuple(f"{HOME}/{name}/master.m3u8" for name in assets),
        slots=slots,
    )
    settings = Settings(
        server=Server(), sources=(Source(id="site", protocols=()),), services=(service,)
    )
    now = [NOW]
    journal = MemoryJournal(lambda: now[0])
    made = Playlists(
        Origins(), Slots(journal, lambda: now[0]), lambda: now[0], clock=lambda: now[0] / SECOND
    )
    return made, Services(settings, "http://x").by_id["news"], now, journal


def media(made, service, file):
    return asyncio.run(made.media(service, service.origin + file, live=True))


def test_a_channel_has_its_first_assets_renditions_under_its_own_addresses():
    made, service, _, _ = rig("one", "two")
    found = asyncio.run(made.multivariant(service, service.origin + "master.m3u8"))
    assert [one.kind for one in found.renditions] == ["audio", "video", "video"]
    assert [one.uri for one in found.renditions] == [f"{service.origin}{n}.m3u8" for n in range(3)]
    text = multivariant.render(found, lambda address: address)
    assert multivariant.parse(text, found.url).renditions == found.renditions


def test_each_rendition_plays_the_assets_in_turn_with_what_is_like_it():
    made, service, _, _ = rig("one", "two")
    for number, file in enumerate(("sound", "low", "high")):
        found = media(made, service, f"{number}.m3u8")
        folders = {chunk.splitlines()[-1].rsplit("/", 1)[0] for chunk in found.chunks}
        assert folders == {f"{HOME}/one", f"{HOME}/two"}
        assert not found.ended
        assert found.starts[-1] <= NOW
        assert len(found.discontinuities) >= 60 // 16
        assert file in ("sound", "low", "high")
    assert media(made, service, "1.m3u8").starts == media(made, service, "0.m3u8").starts


def test_a_loop_is_made_once_and_moves_with_the_clock():
    made, service, now, _ = rig("one")
    first = media(made, service, "1.m3u8")
    loop = made._loops[service.origin + "1.m3u8"]
    now[0] += 10 * SECOND
    later = media(made, service, "1.m3u8")
    assert made._loops[service.origin + "1.m3u8"] is loop
    assert later.sequence == first.sequence + 5


def test_an_asset_without_the_like_plays_what_it_has():
    made, service, _, _ = rig("one", "three")
    found = media(made, service, "2.m3u8")
    assert any(f"{HOME}/three/" in chunk for chunk in found.chunks)


@pytest.mark.parametrize("file", ["7.m3u8", "x.m3u8", "0.mpd", "", "0"])
def test_what_a_channel_does_not_have_is_not_found(file):
    made, service, _, _ = rig("one")
    with pytest.raises(FetchError) as raised:
        media(made, service, file)
    assert raised.value.status == 404


def test_an_asset_that_is_gone_is_said():
    made, service, _, _ = rig("one", "nowhere")
    with pytest.raises(FetchError, match="gone"):
        media(made, service, "0.m3u8")


def test_what_is_no_channels_is_the_origins():
    made, service, _, _ = rig("one")
    found = asyncio.run(made.media(service, f"{HOME}/one/low.m3u8", live=False))
    assert isinstance(found, MediaList)
    assert found.ended
    with pytest.raises(PlaylistError, match="multivariant"):
        asyncio.run(made.media(service, f"{HOME}/one/master.m3u8", live=False))


def test_slots_are_breaks_and_pods_of_everybody():
    show = Slot(id="s", kind="content", start="2026-09-21T14:00:00Z", duration_seconds=60,
                replacement=f"{HOME}/two/master.m3u8")  # fmt: skip
    gone = Slot(id="g", kind="content", start="2026-09-21T15:00:00Z", duration_seconds=60,
                replacement=f"{HOME}/nowhere/master.m3u8")  # fmt: skip
    ads = Slot(id="b", kind="ad-break", start="2026-09-21T14:02:00Z", duration_seconds=30)
    made, service, _, _ = rig("one", slots=(show, gone, ads))

    async def both():
        return await made.breaks(service), await made.pods(service)

    breaks, pods = asyncio.run(both())
    assert [one.id.partition(":")[2] for one in breaks] == ["b"]
    assert [(pod.id, pod.until_us - pod.at_us) for pod in pods] == [("slot:s", 6 * SECOND)]


def test_the_slots_are_looked_at_anew_each_second():
    made, service, now, journal = rig("one")
    slots = Slots(journal, lambda: now[0])
    assert asyncio.run(made.breaks(service)) == ()
    from footfall.stream.schedule import Planned

    new = Planned("n", "ad-break", NOW + 60 * SECOND, NOW + 90 * SECOND)
    asyncio.run(slots.put(service, new))
    assert asyncio.run(made.breaks(service)) == ()
    now[0] += SECOND
    assert len(asyncio.run(made.breaks(service))) == 1
