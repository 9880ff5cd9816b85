"""Who may see the console: the check in front of every page, file and answer.

Four questions, in this order:

1. Is the request meant for us? Its ``Host`` must be an address or name that the console listens
   on, so that another site's name which was made to resolve to this machine opens nothing.
2. Does it bring the token? In ``Authorization: Bearer``, in the cookie, or once in the URL of a
   page, which sets the cookie and is answered with the same URL without the token.
3. If it changes or costs something (POST) and came by cookie: does it come from our own pages?
4. What may the browser do with the answer? `HEADERS`, on everything.

How a refusal looks is `site`'s matter.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlencode, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ROOT = "/console"
API = f"{ROOT}/api/"
STATIC = f"{ROOT}/static/"
"""Open without the token: the page that says where to find it needs its style."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: with that, browsers send the origin of our own forms as "null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

Refused = Literal["host", "token", "origin"]
Refuse = Callable[[Request, Refused], Awaitable[Response]]
"""Words the answer to a request that goes no further."""


class Gate:
    """The check as ASGI middleware. Wrap the whole application in it."""

    def __init__(
        self, app: ASGIApp, *, token: str, console_host: str, port: int, refuse: Refuse
    ) -> None:
        self._app = app
        self._token = token.encode()
        # The cookie is not the token: a browser sends it to every port of this host.
        self._pass = hmac.new(self._token, b"footfall console cookie", hashlib.sha256).hexdigest()
        self._host = console_host
        # By port, so that two servers on one machine do not take each other's cookie.
        self.cookie = f"footfall-console-{port}"
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        answer = await self._answer(request)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                static = request.url.path.startswith(STATIC)
                headers["Cache-Control"] = "no-cache" if static else "no-store"
            await send(message)

        await (answer or self._app)(scope, receive, send_guarded)

    async def _answer(self, request: Request) -> Response | None:
        """The answer to a request that goes no further."""
        if not allowed_host(request.headers.get("host", ""), self._host):
            return await self._refuse(request, "host")
        path = request.url.path
        if path.startswith(STATIC):
            return None
        if self._bears_token(request):
            return None
        if self._brings_token(request):
            return self._let_in(request)
        if not _same(request.cookies.get(self.cookie, ""), self._pass.encode()):
            return await self._refuse(request, "token")
        if request.method not in SAFE_METHODS and not from_own_page(request):
            return await self._refuse(request, "origin")
        return None

    def _bears_token(self, request: Request) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and _same(given.strip(), self._token)

    def _brings_token(self, request: Request) -> bool:
        """In the URL of a page: what `serve` prints."""
        if request.method != "GET" or request.url.path.startswith(API):
            return False
        return _same(request.query_params.get("token", ""), self._token)

    def _let_in(self, request: Request) -> Response:
        """Keep the pass as a cookie, and take the token out of the address bar and its history."""
        rest = urlencode([p for p in request.query_params.multi_items() if p[0] != "token"])
        target = request.url.path if request.url.path.startswith(ROOT) else ROOT
        response = RedirectResponse(f"{target}?{rest}" if rest else target, status_code=303)
        response.set_cookie(
            self.cookie,
            self._pass,
            path=ROOT,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response


def _same(given: str, wanted: bytes) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted)


def allowed_host(header: str, console_host: str) -> bool:
    """Whether a ``Host`` header names this console.

    Loopback always does, on any port, since a tunnel may have another. Where the console listens
    on every address, an address of any kind does: only names can be made to point elsewhere.
    """
    try:
        name = (urlsplit(f"//{header}").hostname or "").removesuffix(".")
    except ValueError:
        return False
    if name in ("localhost", console_host.lower()):
        return bool(name)
    try:
        address = ip_address(name)
    except ValueError:
        return False
    if address.is_loopback:
        return True
    try:
        listens = ip_address(console_host)
    except ValueError:
        return False
    return listens.is_unspecified or listens == address


def from_own_page(request: Request) -> bool:
    """Whether a browser says that one of our own pages sent this."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("origin") == f"{request.url.scheme}://{request.headers['host']}"
