"""The player page, and its files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

STATIC = Path(__file__).parent / "static"


class Pages:
    """The page, and what it is told: the services that it offers and where the console is."""

    def __init__(self, services: Sequence[str], console: str | None) -> None:
        self._about = {"services": list(services), "console": console}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.player),
            Route("/player", self.player),
            Route("/about.json", self.about),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]

    async def player(self, _request: Request) -> Response:
        return FileResponse(STATIC / "player.html", media_type="text/html")

    async def about(self, _request: Request) -> Response:
        return JSONResponse(self._about, headers={"Cache-Control": "no-store"})
