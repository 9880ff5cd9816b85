"""The demo of streams, in dev mode under ``/demo``: all that a player needs, without an internet.

``media``    drawings and tones as HLS in fragmented MP4, and the lists of what is finished
``live``     a live stream computed from the clock, with ad breaks that SCTE-35 marks
``scte35``   the encoder of those markers
``vast``     what the ad server says: VAST and VMAP
``ads``      the ad server over HTTP, its faults on demand, and the beacons that it heard
``pages``    the player page; its scripts are in ``static``, with hls.js as it was published

It is a stranger to the server in whose processes it runs: streams ask it over HTTP as they would
ask anybody, and it imports nothing of ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Mount

from footfall.demo import live, media
from footfall.demo.ads import AdServer
from footfall.demo.media import ROOT
from footfall.demo.pages import Pages

SERVICES = ("demo-vod", "demo-live", "demo-channel")
"""Those of dev mode, whose origins and ad servers are here."""


def routes(services: Sequence[str] = SERVICES, console: str | None = None) -> list[BaseRoute]:
    """Everything under ``/demo``, for a Starlette application; call once for a process.

    The player page offers these services, and links to the console where its address is given:
    ``http://127.0.0.1:8081``.
    """
    return [
        Mount(
            ROOT,
            routes=[
                *live.ROUTES,
                *media.ROUTES,
                *AdServer().routes(),
                *Pages(services, console).routes(),
            ],
            middleware=[
                Middleware(
                    CORSMiddleware,
                    allow_origins=["*"],
                    allow_methods=["GET", "HEAD", "POST"],
                    allow_headers=["*"],
                    expose_headers=["*"],
                )
            ],
        )
    ]
