"""Everything on the tracking port that is not tracking: health, metrics, and a page for people.

Plain Starlette, behind `fastlane`, which keeps the tracking paths for itself. Streams stand beside
it and are called before Starlette looks at anything: they are asked very often.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from footfall import __version__, metrics
from footfall.collect.contract import Protocol
from footfall.collect.proxies import Proxies
from footfall.journal.contract import Journal
from footfall.settings import Settings

STREAMS = "/stream/"
DEMO = "/demo/"
PASTE_VAIX = """\
curl -i {base}/api/tracker/events \\
  -H 'Authorization: Bearer dev-key' -H 'x-vaix-client-id: demo' \\
  -H 'Content-Type: application/json' \\
  -d '{{"event_type": "clicks:event", "user_id": "123",
       "data": {{"page": "/home", "location": "widget:recommended", "event_id": "1018561959"}}}}'"""
PASTE_JAY = """\
curl -i -X POST {base}/v1/playouts/tracking/session -H 'X-API-Key: dev-key'"""
PASTE_QUERY = """\
footfall query "select received_at, protocol, type, page, session_id from events" """
PASTE_STREAM = """\
curl -L '{base}/stream/demo-vod/master.m3u8?bk-ml=2.0'"""
PASTE_ADS = 'footfall query "select service, pod, outcome, ads, filled_ms from ad_breaks"'


class SlowLane:
    """The handlers, with what they look at."""

    def __init__(
        self,
        *,
        settings: Settings,
        protocols: Iterable[Protocol],
        journal: Journal,
        proxies: Proxies,
        metrics_directory: Path,
        flush_metrics: Callable[[], None],
        streams: ASGIApp | None = None,
        routes: Sequence[BaseRoute] = (),
    ) -> None:
        """`streams` is everything under `STREAMS`; `routes` are further ones of Starlette."""
        self._settings = settings
        self._protocols = tuple(protocols)
        self._journal = journal
        self._proxies = proxies
        self._metrics_directory = metrics_directory
        self._flush_metrics = flush_metrics
        self._streams = streams
        self._routes = tuple(routes)
        self._metrics_from = tuple(
            ip_network(network, strict=False) for network in settings.server.metrics_from
        )

    def app(self) -> ASGIApp:
        pages = Starlette(
            routes=[
                Route("/", self.welcome),
                Route("/healthz", self.healthz),
                Route("/readyz", self.readyz),
                Route("/metrics", self.metrics),
                *self._routes,
            ],
            exception_handlers={404: self.not_found},
        )
        streams = self._streams
        if streams is None:
            return pages

        async def either(scope: Scope, receive: Receive, send: Send) -> None:
            path: str = scope.get("path", "")
            await (streams if path.startswith(STREAMS) else pages)(scope, receive, send)

        return either

    async def healthz(self, _request: Request) -> Response:
        """The process is up."""
        return PlainTextResponse("ok\n")

    async def readyz(self, _request: Request) -> Response:
        """A commit would be taken now."""
        health = await self._journal.health()
        if health.ok:
            return PlainTextResponse("ready\n")
        return PlainTextResponse(
            f"not ready: {health.reason}\n", status_code=503, headers={"Retry-After": "1"}
        )

    async def metrics(self, request: Request) -> Response:
        """Prometheus' text format, all processes together."""
        peer = request.client.host if request.client else ""
        headers = dict(request.headers.raw)
        client, _ = self._proxies.client(peer, request.url.scheme, headers)
        try:
            allowed = any(ip_address(client) in network for network in self._metrics_from)
        except ValueError:
            allowed = False
        if not allowed:
            return PlainTextResponse(
                "Metrics are for the networks of server.metrics_from only.\n", status_code=403
            )
        self._flush_metrics()
        return Response(
            metrics.exposition(self._metrics_directory), media_type=metrics.CONTENT_TYPE
        )

    async def not_found(self, _request: Request, _error: Exception) -> Response:
        detail = "No protocol has this path. GET / lists those that are served here."
        return JSONResponse({"error": detail, "status": "error"}, status_code=404)

    async def welcome(self, request: Request) -> Response:
        """What is running and, in dev mode, what to paste to see a first event."""
        base = f"{request.url.scheme}://{request.url.netloc}"
        text = self._welcome_text(base)
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse(text)
        linked = html.escape(text).replace(
            f"{base}{DEMO}", f'<a href="{DEMO}">{html.escape(base)}{DEMO}</a>'
        )
        return HTMLResponse(PAGE.format(text=linked))

    def _welcome_text(self, base: str) -> str:
        lines = [
            f"Footfall {__version__} is running here: session and event tracking, ads in streams.",
            "",
            "Tracking:",
        ]
        for protocol in self._protocols:
            for route in protocol.routes:
                methods = " ".join(route.methods) or "ANY"
                lines.append(f"  {protocol.name:<10} {methods:<16} {route.path}")
        if self._streams is not None:
            lines.append(
                f"  {'broadpeak':<10} {'GET HEAD OPTIONS':<16} {STREAMS}{{service}}/{{path}}"
            )
        lines += ["", "Health: /healthz  /readyz  /metrics"]
        if self._settings.dev:
            lines += [
                "",
                "Dev mode: source 'dev', key 'dev-key', every protocol, every origin.",
                "",
                "See a first event: paste this,",
                "",
                PASTE_VAIX.format(base=base),
                "",
                "or start a tracking session,",
                "",
                PASTE_JAY.format(base=base),
                "",
                "and then ask for what came:",
                "",
                PASTE_QUERY.rstrip(),
                "",
                "Or see ads in a stream: open the demo's player,",
                "",
                f"{base}{DEMO}",
                "",
                "or ask as a player does what is spliced into one:",
                "",
                PASTE_STREAM.format(base=base),
                "",
                PASTE_ADS,
            ]
        return "\n".join(lines) + "\n"


PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Footfall</title>
<style>
  body {{ margin: 3rem auto; max-width: 60rem; padding: 0 1.5rem; color: #1c2733;
         background: #fbfbf9; font: 16px/1.5 system-ui, sans-serif; }}
  h1 {{ font-size: 1.4rem; }}
  pre {{ background: #fff; border: 1px solid #dcdfd8; border-radius: 6px; padding: 1rem 1.25rem;
        overflow-x: auto; font: 14px/1.6 ui-monospace, monospace; }}
</style>
<h1>Footfall</h1>
<pre>{text}</pre>
</html>
"""
