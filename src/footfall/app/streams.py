"""Streams in a collector: nothing of them is loaded before the settings have a service.

Outgoing HTTP and XML cost memory that a collector which only tracks does not need. What they are
made of stands in `stream_parts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from footfall.collect.enrich import Enricher
from footfall.collect.intake import Intake
from footfall.collect.proxies import Proxies
from footfall.data import DataDirectory
from footfall.journal.contract import Journal
from footfall.metrics import Tally
from footfall.settings import Settings

if TYPE_CHECKING:
    from footfall.app.stream_parts import StreamParts


class Shared(NamedTuple):
    """What streams share with the rest of their collector."""

    data: DataDirectory
    base: str
    """Scheme, host and port of this server."""
    journal: Journal
    intake: Intake
    proxies: Proxies
    enricher: Enricher
    tally: Tally


class Streams:
    """An ASGI application that is everything under ``/stream``."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._parts: StreamParts | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._parts is not None:
            await self._parts.app(scope, receive, send)
            return
        from footfall.stream import problems, requests  # noqa: PLC0415 - see above

        answer = requests.refusal(problems.SERVICE_UNKNOWN)
        start = {"status": answer.status, "headers": list(answer.headers)}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": answer.body})

    def load(self, settings: Settings) -> None:
        """Serve the services of the settings from now on."""
        if self._parts is not None:
            self._parts.load(settings)
        elif settings.services:
            from footfall.app.stream_parts import StreamParts  # noqa: PLC0415 - see above

            self._parts = StreamParts(self._shared, settings)

    async def close(self) -> None:
        """End what is under way."""
        if self._parts is not None:
            await self._parts.close()
