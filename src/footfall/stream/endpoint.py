"""The HTTP surface of streams: everything under ``/stream``, as a raw ASGI application.

What a request asks for is `requests`' to say; live streams and VODs are answered by `live_calls`
and `vod_calls`. Here faults become statuses and answers become messages. Trouble with ads is
neither: the original plays. No framework: a live playlist is asked for thousands of times a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

import structlog

from footfall.metrics import STREAM_REQUESTS, Tally
from footfall.settings import Service
from footfall.stream import macros, multivariant, prepared, problems
from footfall.stream.ad_tokens import Tokens
from footfall.stream.beacons import Beacons, Viewer
from footfall.stream.calls import UNKNOWN_TARGET_S, contradicts
from footfall.stream.channels import Playlists
from footfall.stream.contract import FetchError, Multivariant
from footfall.stream.decisions import Client
from footfall.stream.lines import PlaylistError
from footfall.stream.live_calls import LiveCalls
from footfall.stream.origin import status_of
from footfall.stream.prepared import Store
from footfall.stream.requests import (
    CACHED,
    HEADERS,
    NO_STORE,
    SCHEMA,
    SUBTITLES,
    Answer,
    Call,
    File,
    Fixed,
    Requests,
    Segment,
    playlist_address,
    redirect,
    refusal,
)
from footfall.stream.titles import Body
from footfall.stream.tracking import Tracking
from footfall.stream.vod_calls import VodCalls

log = structlog.get_logger()

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Clients = Callable[[Scope, Service, str], Client]
"""Who sent a request for a session of a service."""

ZIPPED_FROM = 1024
"""Bytes of an answer from which on it is compressed."""

_HLS = (b"content-type", b"application/vnd.apple.mpegurl")
_DASH = (b"content-type", b"application/dash+xml")
_JSON = (b"content-type", b"application/json")
_SCHEMA = (b"content-type", b"application/schema+json")
_WEBVTT = (b"content-type", b"text/vtt")
_VARY = (b"vary", b"Accept-Encoding")
_ZIPPED = (b"content-encoding", b"gzip")

LIST = (*HEADERS, NO_STORE, _HLS, _VARY)
TRACKED = (*HEADERS, NO_STORE, _JSON, _VARY)
MANIFEST = (*HEADERS, NO_STORE, _DASH, _VARY)


class StreamApp:
    """The application. `requests` may be replaced while it runs: the settings were read anew."""

    def __init__(
        self,
        *,
        requests: Requests,
        playlists: Playlists,
        live: LiveCalls,
        vod: VodCalls,
        tracking: Tracking,
        tokens: Tokens,
        beacons: Beacons,
        store: Store,
        clients: Clients,
        schema: bytes,
        tally: Tally,
    ) -> None:
        self.requests = requests
        self._playlists = playlists
        self._live = live
        self._vod = vod
        self._tracking = tracking
        self._tokens = tokens
        self._beacons = beacons
        self._store = store
        self._clients = clients
        self._fixed = {
            SCHEMA: Answer(200, (*HEADERS, CACHED, _SCHEMA), schema),
            SUBTITLES: Answer(200, (*HEADERS, CACHED, _WEBVTT), b"WEBVTT\n\n"),
        }
        self._cells = {digit: tally.cell(STREAM_REQUESTS, f"{digit}xx") for digit in range(2, 6)}

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        method = scope["method"]
        asked = self.requests.read(
            method, scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        )
        answer = asked if isinstance(asked, Answer) else await self._answer(asked, scope)
        self._cells[answer.status // 100].number += 1
        body, headers = answer.body, list(answer.headers)
        if answer.status != 204:
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})

    async def _answer(self, asked: Call | Segment | File | Fixed, scope: Scope) -> Answer:
        try:
            if isinstance(asked, Call):
                client = partial(self._clients, scope, asked.service, asked.session_id)
                if asked.workflow:
                    return await self._tracked(asked, client, scope)
                return await self._listed(asked, client, scope)
            if isinstance(asked, Segment):
                return await self._segment(asked, scope)
            if isinstance(asked, File):
                return await self._file(asked)
            return self._fixed[asked.name]
        except (FetchError, PlaylistError) as fault:
            return refusal(_problem(fault))
        except Exception:
            log.exception("answering a stream's call failed", path=scope["path"])
            return refusal(problems.FAULT)

    # Playlists

    async def _listed(self, call: Call, client: Callable[[], Client], scope: Scope) -> Answer:
        """A playlist or manifest. Raises `FetchError` and `PlaylistError`."""
        live = call.service.kind != "vod"
        if call.dash:
            await self._vod.begin(call, client)
            found = await self._playlists.document(call.service, call.url, live=live)
            return _full(Body(found.body), MANIFEST, scope)
        if not call.multivariant:
            playlist = await self._playlists.playlist(call.service, call.url, live=live)
            if isinstance(playlist, Multivariant):
                await self._vod.begin(call, client)
                return _full(_named(call, playlist), LIST, scope)
        calls = self._live if live else self._vod
        return _full(await calls.playlist(call, client), LIST, scope)

    # Tracking

    async def _tracked(self, call: Call, client: Callable[[], Client], scope: Scope) -> Answer:
        """The session-tracking JSON: whatever goes wrong, what is known is told with 200."""
        service = call.service
        try:
            if call.dash:
                session, body = await self._vod.begin(call, client), self._nothing(service)
            elif service.kind == "vod":
                session, body = await self._vod.tracking(call, client)
            else:
                session, body = await self._live.tracking(call, client)
        except Exception:
            log.exception("a tracking call failed", service=service.id)
            return _full(Body(self._nothing(service)), TRACKED, scope)
        if contradicts(call, session):
            return refusal(problems.WORKFLOW_CHANGED)
        return _full(Body(body), TRACKED, scope)

    def _nothing(self, service: Service) -> bytes:
        return self._tracking.answer(
            (), target_s=UNKNOWN_TARGET_S, told_by_server=service.tracking == "server"
        )

    # Segments

    async def _segment(self, asked: Segment, scope: Scope) -> Answer:
        """Where an ad's segment is; what it owes is durable before the player is sent on."""
        service = asked.service
        segment = self._tokens.read(service.id, asked.token)
        if segment is None:
            return refusal(problems.AD_UNKNOWN)
        if scope["method"] == "GET":
            client = self._clients(scope, service, segment.session_id)
            values = macros.Values(
                session=segment.session_id,
                service=service.id,
                headers=client.headers,
                address=client.address,
            )
            await self._beacons.asked(service, segment, Viewer(client.sender, values))
        return redirect(307, segment.address)

    async def _file(self, asked: File) -> Answer:
        """A file of a prepared creative."""
        body = await asyncio.to_thread(_read, self._store, asked)
        if body is None:
            return refusal(problems.AD_UNKNOWN)
        kind = prepared.TYPES[asked.name.rpartition(".")[2]].encode()
        return Answer(200, (*HEADERS, CACHED, (b"content-type", kind)), body)


def _named(call: Call, playlist: Multivariant) -> Body:
    """A multivariant playlist whose media playlists are the session's."""
    text = multivariant.render(playlist, lambda url: playlist_address(call, url, call.path))
    if call.service.kind == "vod":
        # Ads move where it begins: its media playlists say so, once they are decided.
        text = text.replace(playlist.start, "")
    return Body(text.encode())


def _full(body: Body, headers: tuple[tuple[bytes, bytes], ...], scope: Scope) -> Answer:
    """200 with a body, compressed where the client takes that."""
    if len(body.plain) >= ZIPPED_FROM and _takes_gzip(scope):
        return Answer(200, (*headers, _ZIPPED), body.zipped())
    return Answer(200, headers, body.plain)


def _takes_gzip(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name == b"accept-encoding":
            return b"gzip" in value and b"gzip;q=0" not in value.replace(b" ", b"")
    return False


def _problem(fault: FetchError | PlaylistError) -> problems.Problem:
    """What a client is told of an origin's fault."""
    if isinstance(fault, FetchError) and fault.kind == "refused":
        return problems.HOST_REFUSED
    status = status_of(fault)
    if status == 504:
        return problems.ORIGIN_SLOW
    return problems.ORIGIN_FAILED if status == 502 else problems.origin_refused(status)


def _read(store: Store, asked: File) -> bytes | None:
    path = store.file(asked.key, asked.name)
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError:
        return None  # it has just been deleted to make room
