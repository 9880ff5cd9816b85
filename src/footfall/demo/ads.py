"""The demo's ad server over HTTP: VAST and VMAP, faults on demand, and the beacons that it heard.

Beacons are counted in the memory of the process that they reach, and no further: with more than one
worker each counts its own.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from footfall.demo import media
from footfall.demo.media import ADS, ASSETS, FOLDER, ROOT
from footfall.demo.vast import Asked, fitting, named, vast, vmap, wrapper

XML = "application/xml"
BEACONS_KEPT = 10_000
"""Different ones; further ones are answered and not counted."""
SLOWEST_SECONDS = 30.0
HANDED_ON = ("empty", "loop", "vanish", "wrap")
"""Parameters of a VMAP that go on to the VAST of its breaks."""


@dataclass
class Heard:
    """One beacon, by everything in its address."""

    said: Mapping[str, str]
    count: int = 0
    times_ms: list[int] = field(default_factory=list)
    """When it came, since 1970; the first hundred."""


class AdServer:
    """The handlers, and the beacons that came to this process."""

    def __init__(self) -> None:
        self._heard: dict[str, Heard] = {}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/ads/vast", self.vast),
            Route("/ads/vmap", self.vmap),
            Route("/ads/beacon", self.beacon, methods=["GET", "POST"]),
            Route("/ads/beacons", self.beacons),
            Route("/ads/creative/{name}.mp4", self.file),
            Route("/ads/creative/{name}/{file}", self.creative),
        ]

    async def vast(self, request: Request) -> Response:
        """A pod for ``duration`` ms, or of ``ads=kettle,meadow``; ``key`` and ``break`` come back.

        ``wrap=n`` puts it into n wrappers. Faults: ``slow=s`` waits, ``error=500`` is the status,
        ``rubbish`` is no XML, ``empty`` has no ads, ``loop`` wraps itself, ``vanish`` names
        creatives that are not there.
        """
        asked = request.query_params
        if fault := await _fault(asked):
            return fault
        base = _base(request)
        about = Asked(
            base,
            key=asked.get("key", ""),
            break_id=asked.get("break", ""),
            call=secrets.token_hex(4),
            vanish="vanish" in asked,
        )
        level = _number(asked.get("wrap")) or 0
        if "loop" in asked:
            return _xml(wrapper(about, 1, str(request.url)))
        if level > 0:
            inner = {**asked, "wrap": str(level - 1)}
            return _xml(wrapper(about, level, f"{base}/ads/vast?{urlencode(inner)}"))
        if "empty" in asked:
            return _xml(vast(about, ()))
        if "ads" in asked:
            return _xml(vast(about, named(asked["ads"])))
        return _xml(vast(about, fitting(_number(asked.get("duration")))))

    async def vmap(self, request: Request) -> Response:
        """Pre-, mid- and post-rolls.

        ``slow``, ``error`` and ``rubbish`` go wrong here; the other faults, and ``wrap``, are
        handed on to the VAST of each break.
        """
        asked = request.query_params
        if fault := await _fault(asked):
            return fault
        base = _base(request)
        handed_on = {name: asked[name] for name in HANDED_ON if name in asked}
        return _xml(vmap(base, asked.get("key", ""), secrets.token_hex(4), handed_on))

    async def beacon(self, request: Request) -> Response:
        said = request.url.query
        heard = self._heard.get(said)
        if heard is None and len(self._heard) < BEACONS_KEPT:
            heard = self._heard[said] = Heard(dict(request.query_params))
        if heard is not None:
            heard.count += 1
            if len(heard.times_ms) < 100:
                heard.times_ms.append(round(time.time() * 1000))
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    async def beacons(self, request: Request) -> Response:
        """What this process heard, in the order of first times; with ``key``, that key's."""
        key = request.query_params.get("key")
        found = [
            {**heard.said, "count": heard.count, "times_ms": heard.times_ms}
            for heard in self._heard.values()
            if key is None or heard.said.get("key") == key
        ]
        return JSONResponse(
            {"process": os.getpid(), "beacons": found}, headers={"Cache-Control": "no-store"}
        )

    async def creative(self, request: Request) -> Response:
        name = request.path_params["name"]
        asset = ASSETS[name] if name in ADS else None
        return media.answer(asset, request.path_params["file"], "../../../media")

    async def file(self, request: Request) -> Response:
        """An ad as one MP4 file; ranges are answered as such."""
        name = request.path_params["name"]
        path = FOLDER / name / f"{name}.mp4"
        if name not in ADS or not path.is_file():
            return media.missing()
        return FileResponse(path, media_type="video/mp4")


async def _fault(asked: QueryParams) -> Response | None:
    """What is answered in place of an answer, after the wait that was asked for."""
    if "slow" in asked:
        await asyncio.sleep(min(_seconds(asked["slow"]), SLOWEST_SECONDS))
    if "error" in asked:
        status = _number(asked["error"]) or 0
        status = status if 200 <= status <= 599 else 500
        return Response("The demo's ad server fails on demand.\n", status, media_type="text/plain")
    if "rubbish" in asked:
        return Response("<VAST><Ad>this is not </XML>", media_type=XML)
    return None


def _base(request: Request) -> str:
    """The demo's own address, as the client has it."""
    return f"{request.url.scheme}://{request.url.netloc}{ROOT}"


def _xml(text: str) -> Response:
    return Response(text, media_type=XML, headers={"Cache-Control": "no-store"})


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None


def _seconds(text: str) -> float:
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0
