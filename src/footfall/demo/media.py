"""Drawings and tones as HLS in fragmented MP4: what `media/make.sh` made, and lists over it.

Every asset has the same three renditions, and every segment of each lasts `SEGMENT_US`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

ROOT = "/demo"
FOLDER = Path(__file__).parent / "media"
SEGMENT_US = 1_920_000
TARGET_S = 2
LIST_TYPE = "application/vnd.apple.mpegurl"
MULTIVARIANT = "master.m3u8"


@dataclass(frozen=True)
class Asset:
    name: str
    number: int
    """What the blocks on its top edge say."""
    segments: int

    @property
    def duration_us(self) -> int:
        return self.segments * SEGMENT_US


ASSETS: Mapping[str, Asset] = {
    asset.name: asset
    for asset in (
        Asset("main", 1, 31),
        Asset("kettle", 2, 4),
        Asset("lantern", 3, 3),
        Asset("meadow", 4, 5),
        Asset("slate", 5, 2),
    )
}
ADS = ("kettle", "lantern", "meadow")
RENDITIONS: Mapping[str, str] = {"high": "video/mp4", "low": "video/mp4", "sound": "audio/mp4"}
"""Each with the type of its segments."""
_FILE = re.compile(r"init\.mp4|[0-9]{1,3}\.m4s")

MASTER = """\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="English",LANGUAGE="en",DEFAULT=YES,\
AUTOSELECT=YES,CHANNELS="1",URI="sound.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=90000,AVERAGE-BANDWIDTH=50000,CODECS="avc1.4d401f,mp4a.40.2",\
RESOLUTION=512x288,FRAME-RATE=12.500,AUDIO="sound"
high.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=60000,AVERAGE-BANDWIDTH=40000,CODECS="avc1.4d400c,mp4a.40.2",\
RESOLUTION=256x144,FRAME-RATE=12.500,AUDIO="sound"
low.m3u8
"""


def finished(asset: Asset, rendition: str, media: str) -> str:
    """The whole asset as a VOD playlist; `media` leads from the list to ``/demo/media``."""
    place = f"{media}/{asset.name}/{rendition}"
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:6",
        f"#EXT-X-TARGETDURATION:{TARGET_S}",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
        f'#EXT-X-MAP:URI="{place}/init.mp4"',
    ]
    for number in range(asset.segments):
        lines += (extinf(), f"{place}/{number}.m4s")
    return "\n".join((*lines, "#EXT-X-ENDLIST", ""))


def extinf() -> str:
    return f"#EXTINF:{SEGMENT_US / 1e6:.3f},"


def rendition_of(file: str) -> str | None:
    """The rendition whose playlist has this name, ``high.m3u8``."""
    name = file.removesuffix(".m3u8")
    return name if file.endswith(".m3u8") and name in RENDITIONS else None


def answer(asset: Asset | None, file: str, media: str) -> Response:
    """The playlist of this name of a finished asset, or 404."""
    if asset is None:
        return missing()
    if file == MULTIVARIANT:
        return listed(MASTER)
    rendition = rendition_of(file)
    return listed(finished(asset, rendition, media)) if rendition else missing()


def listed(text: str, cache: str = "max-age=60") -> Response:
    return Response(text, media_type=LIST_TYPE, headers={"Cache-Control": cache})


def missing() -> Response:
    return Response("The demo has no such file.\n", 404, media_type="text/plain")


async def origin(request: Request) -> Response:
    """``/demo/origin/vod/…`` and ``/demo/origin/slate/…``."""
    name = {"vod": "main", "slate": "slate"}.get(request.path_params["name"], "")
    return answer(ASSETS.get(name), request.path_params["file"], "../../media")


async def segment(request: Request) -> Response:
    """A segment or its initialization section; ranges are answered as such."""
    asset, rendition, file = (request.path_params[name] for name in ("asset", "rendition", "file"))
    kind = RENDITIONS.get(rendition)
    path = FOLDER / asset / rendition / file
    if asset not in ASSETS or kind is None or not _FILE.fullmatch(file) or not path.is_file():
        return missing()
    return FileResponse(path, media_type=kind, headers={"Cache-Control": "max-age=3600"})


ROUTES = (
    Route("/origin/{name}/{file}", origin),
    Route("/media/{asset}/{rendition}/{file}", segment),
)
