"""The slots of channels: `/console/api/services…`, described in docs/console.md.

The one thing that the console changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from footfall.console import asked
from footfall.console.api import as_json, body, refusal
from footfall.console.auth import API
from footfall.console.paging import NotUnderstood
from footfall.settings import Service
from footfall.stream import schedule
from footfall.stream.schedule import SlotNotValid, SlotStands
from footfall.stream.slots import Slots

_NO_SERVICE = ("There is no such service.", "GET /console/api/services lists them.")
_NO_SLOT = ("The service has no such slot.", "GET …/slots lists them.")
_NO_CHANNEL = ("The service is no channel.", "Only services of kind channel have slots.")


class SlotsApi:
    """The handlers, with what they ask."""

    def __init__(self, slots: Slots, services: Callable[[], tuple[Service, ...]]) -> None:
        """`services`: those of the settings as of now."""
        self._slots = slots
        self._services = services

    def routes(self) -> list[Route]:
        one = f"{API}services/{{service}}/slots/{{slot}}"
        return [
            Route(f"{API}services", self.services),
            Route(f"{API}services/{{service}}/slots", self.slots),
            Route(one, self.get),
            Route(one, self.put, methods=["PUT"]),
            Route(one, self.delete, methods=["DELETE"]),
        ]

    async def services(self, request: Request) -> Response:
        asked.refuse_unknown(request.query_params, set())
        told = [
            {"id": one.id, "kind": one.kind, "source": one.source, "tracking": one.tracking}
            for one in self._services()
        ]
        return as_json({"services": told})

    async def slots(self, request: Request) -> Response:
        asked.refuse_unknown(request.query_params, set())
        channel = self._channel(request)
        if isinstance(channel, Response):
            return channel
        return as_json({"slots": [one.told() for one in await self._slots.of(channel)]})

    async def get(self, request: Request) -> Response:
        channel = self._channel(request)
        if isinstance(channel, Response):
            return channel
        wanted = request.path_params["slot"]
        found = [one for one in await self._slots.of(channel) if one.id == wanted]
        return as_json(found[0].told()) if found else refusal(404, *_NO_SLOT)

    async def put(self, request: Request) -> Response:
        channel = self._channel(request)
        if isinstance(channel, Response):
            return channel
        given = _object(await body(request))
        slot_id = request.path_params["slot"]
        if given.get("id", slot_id) != slot_id:
            return refusal(400, "The body's id is not the path's.", "Leave it out of the body.")
        try:
            new = schedule.slot(slot_id, given)
            is_new = await self._slots.put(channel, new)
        except SlotStands as fault:
            return refusal(409, str(fault), "Set another slot, which is still to come.")
        except SlotNotValid as fault:
            return refusal(400, str(fault), "docs/console.md says what a slot is.")
        return as_json(new.told(), 201 if is_new else 200)

    async def delete(self, request: Request) -> Response:
        channel = self._channel(request)
        if isinstance(channel, Response):
            return channel
        try:
            await self._slots.remove(channel, request.path_params["slot"])
        except KeyError:
            return refusal(404, *_NO_SLOT)
        except SlotStands as fault:
            return refusal(409, str(fault), "It ends by itself.")
        return Response(status_code=204)

    def _channel(self, request: Request) -> Service | Response:
        wanted = request.path_params["service"]
        found = next((one for one in self._services() if one.id == wanted), None)
        if found is None:
            return refusal(404, *_NO_SERVICE)
        return found if found.kind == "channel" else refusal(409, *_NO_CHANNEL)


def _object(text: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as fault:
        raise NotUnderstood(f"The body is not JSON: {fault}") from None
    if not isinstance(found, dict):
        raise NotUnderstood('The body must be an object: {"type": "ad-break", "start": …}.')
    return found
