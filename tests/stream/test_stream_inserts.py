"""The lists of ads that lists of sessions need: looked up once, and again where there was none."""

import asyncio

from footfall.settings import Service
from footfall.stream import playlist
from footfall.stream.ad_tokens import Tokens
from footfall.stream.contract import FetchError, Placed, Pod, Rendition
from footfall.stream.inserts import Inserts
from footfall.stream.ladder import content_of

SERVICE = Service(id="s", source="site", kind="live", origin="https://origin.example.com/")
URL = "https://ads.example.com/{}.m3u8"


class Creatives:
    def __init__(self):
        self.asked = []
        self.gone = set()

    async def lists(self, _service, address, _rendition):
        self.asked.append(address)
        if address in self.gone:
            raise FetchError("status", "not found", 404)
        text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n0.ts\n#EXT-X-ENDLIST\n"
        return playlist.parse(text, address)


def pod(*names):
    placed = tuple(Placed(name, URL.format(name), 0, 2_000_000) for name in names)
    return Pod("slot:1:x", 0, decided=True, ads=placed)


def test_what_was_found_is_not_looked_up_again_and_what_was_not_is():
    creatives = Creatives()
    creatives.gone = {URL.format("b")}
    inserts = Inserts(creatives, Tokens(b"secret"))
    rendition = Rendition("https://origin.example.com/v.m3u8", "video")
    content = content_of(None, asyncio.run(creatives.lists(SERVICE, URL.format("v"), rendition)))
    creatives.asked.clear()
    known = {}

    def names(*ads):
        found = asyncio.run(inserts.lists(SERVICE, [pod(*ads)], rendition, content, known))
        return [one.url.rpartition("/")[2] for one in found.values()]

    assert names("a", "b", "a") == ["a.m3u8"]
    assert names("a", "b") == ["a.m3u8"]
    creatives.gone.clear()
    assert names("b", "a") == ["b.m3u8", "a.m3u8"]
    assert names("a") == ["a.m3u8"]
    assert creatives.asked == [URL.format(name) for name in "abbb"]
