"""The console as one ASGI application: pages, API and files behind the gate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from footfall.console.ads import Ads
from footfall.console.ads_api import AdsApi
from footfall.console.ads_pages import AdsPages
from footfall.console.answers import Answers
from footfall.console.api import Api, refusal, told
from footfall.console.auth import API, ROOT, STATIC, Gate, Refused
from footfall.console.media import Media
from footfall.console.media_api import MediaApi
from footfall.console.media_pages import MediaPages
from footfall.console.pages import Pages
from footfall.console.paging import NotUnderstood
from footfall.console.profile_api import ProfileApi
from footfall.console.profile_pages import ProfilePages
from footfall.console.profiles import Profiles
from footfall.console.slots_api import SlotsApi
from footfall.errors import FootfallError

FILES = Path(__file__).parent / "static"
REFUSALS: dict[Refused, tuple[int, str, str, str]] = {
    "host": (
        400,
        "Not here",
        "This name or address is not one that the console listens on.",
        "Use localhost, or the address of server.console_host.",
    ),
    "token": (
        401,
        "Token needed",
        "The console opens with the token of this server's start.",
        (
            "Open the URL that `footfall serve` printed when it began to accept requests; it "
            "carries the token. Where FOOTFALL_CONSOLE_TOKEN is set, that is the token: add "
            "?token= and its value to this address."
        ),
    ),
    "origin": (
        403,
        "Not from here",
        "The request comes from a page of another site.",
        "Send it from the console's own page, or with the header Authorization: Bearer.",
    ),
}
"""By why the gate stays shut: status, title, what is the case, and what to do."""
_INTERNAL = ("Something went wrong here.", "The server's log has the lines about it.")


def console_site(
    answers: Answers, slots: SlotsApi, *, token: str, console_host: str, port: int
) -> ASGIApp:
    """The application; `port` is the one that it is served on."""
    pages, api, media = Pages(answers), Api(answers), Media(answers)
    profiles, ads = Profiles(answers), Ads(answers)
    shown = _Shown(pages)
    site = Starlette(
        routes=[
            Route("/", RedirectResponse(ROOT)),
            *pages.routes(),
            *MediaPages(media, pages).routes(),
            *ProfilePages(profiles, pages).routes(),
            *AdsPages(ads, pages).routes(),
            *api.routes(),
            *MediaApi(media).routes(),
            *ProfileApi(profiles).routes(),
            *AdsApi(ads).routes(),
            *slots.routes(),
            Mount(STATIC.rstrip("/"), StaticFiles(directory=FILES)),
        ],
        exception_handlers={
            FootfallError: shown.fault,
            NotUnderstood: shown.fault,
            HTTPException: shown.http,
            Exception: shown.unforeseen,
        },
    )
    return Gate(site, token=token, console_host=console_host, port=port, refuse=shown.refused)


class _Shown:
    """How it is said that there is no answer: as JSON below the API's path, else as a page."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    async def fault(self, request: Request, fault: Exception) -> Response:
        return told(fault) if _is_api(request) else await self._pages.told(fault)

    async def http(self, request: Request, fault: Exception) -> Response:
        assert isinstance(fault, HTTPException)
        text = "There is nothing here." if fault.status_code == 404 else f"{fault.detail}."
        return await self.said(request, fault.status_code, text, "", headers=fault.headers)

    async def unforeseen(self, request: Request, _fault: Exception) -> Response:
        """The fault itself goes on to uvicorn, which logs it."""
        return await self.said(request, 500, *_INTERNAL)

    async def refused(self, request: Request, reason: Refused) -> Response:
        status, title, text, remedy = REFUSALS[reason]
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 and _is_api(request) else None
        return await self.said(request, status, text, remedy, headers=headers, title=title)

    async def said(
        self,
        request: Request,
        status: int,
        text: str,
        remedy: str,
        *,
        headers: Mapping[str, str] | None = None,
        title: str = "No answer",
    ) -> Response:
        if _is_api(request):
            response = refusal(status, text, remedy)
        else:
            response = await self._pages.message(
                status, title, text, remedy=remedy, shut=status == 401
            )
        response.headers.update(headers or {})
        return response


def _is_api(request: Request) -> bool:
    return request.url.path.startswith(API)
