"""Limits, CORS and routes around a protocol: `Request` in, `Reply` out.

The order is the same for every protocol: path, method, preflight, size, encoding, and then what
the protocol's own `decode` checks in its vendor's order. Every refusal passes through
`Endpoint._refuse`: counted, kept as a reject under a budget, worded by the protocol.

Neither sockets (`fastlane`) nor the journal (`intake`).
"""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec
import structlog

from footfall.collect import consent
from footfall.collect.contract import (
    RETRY_LATER,
    Cors,
    HeaderPairs,
    Intent,
    Protocol,
    Reason,
    Refusal,
    Reply,
    Request,
    Route,
)
from footfall.collect.intake import Intake
from footfall.collect.sources import Sources
from footfall.collect.verdicts import fault
from footfall.metrics import REFUSED, REJECTS_KEPT, REQUESTS, Cell, Tally
from footfall.model import Micros, Reject
from footfall.settings import Limits, Source

log = structlog.get_logger()

Respond = Callable[[Reply], None]


class Match(msgspec.Struct, frozen=True):
    """A path's protocol, route and parameters."""

    protocol: Protocol
    route: Route
    params: Mapping[str, str]
    body_limit: int


class Exchange(msgspec.Struct, eq=False):
    """A request that was taken, until it is settled."""

    endpoint: Endpoint
    match: Match
    request: Request
    source: Source
    respond: Respond

    def settle(self, settled: Reply | Refusal) -> None:
        """Answer it. Answers to one head are mostly of one kind, which was put together before."""
        known = self.request.memo.get(_FINISHED)
        if known is not None and known.source is self.source and type(settled) is Reply:
            before, finished = known.reply, known.finished
            own = _own(self.match.protocol, self.request, settled)
            if settled is before and not own:
                known.cell.number += 1
                self.respond(finished)
                return
            if settled.headers is before.headers and settled.status == before.status:
                known.cell.number += 1
                self.respond(Reply(settled.status, settled.body, finished.headers, own))
                return
        self.endpoint.answer(self.match, self.request, settled, self.source, self.respond)


class Endpoint:
    """Every protocol's routes, behind one call."""

    def __init__(
        self,
        protocols: Iterable[Protocol],
        sources: Sources,
        intake: Intake,
        limits: Limits,
        tally: Tally,
    ) -> None:
        self.sources = sources
        """Replaced whole on reload."""
        self._intake = intake
        self._limits = limits
        self._tally = tally
        self._budget = Budget(limits.rejects_per_minute)
        self._exact: dict[str, Match] = {}
        self._patterns: list[tuple[re.Pattern[str], Match]] = []
        for protocol in protocols:
            for route in protocol.routes:
                self._add(protocol, route)

    def _add(self, protocol: Protocol, route: Route) -> None:
        match = Match(protocol, route, {}, route.body_limit or self._limits.body_bytes)
        if "{" in route.path:
            pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(route.path))
            self._patterns.append((re.compile(pattern), match))
        else:
            self._exact[route.path] = match

    def match(self, path: str) -> Match | None:
        """The route of a percent-decoded path; None where no protocol has it."""
        found = self._exact.get(path)
        if found is not None:
            return found
        for pattern, match in self._patterns:
            groups = pattern.fullmatch(path)
            if groups is not None:
                return msgspec.structs.replace(match, params=groups.groupdict())
        return None

    def handle(
        self, match: Match, request: Request, respond: Respond, *, oversized: bool = False
    ) -> None:
        """Answer a request, at once or when what it brought is durable; `respond` is called once.

        `oversized`: its body is over the limit and was not read.
        """
        try:
            methods = match.route.methods
            if (
                oversized
                or b"content-encoding" in request.headers
                or (methods and request.method not in methods)
            ):
                checked = self._check(match, request, oversized)
                if not isinstance(checked, Request):
                    self.answer(match, request, checked, None, respond)
                    return
                request = checked
            intent = match.protocol.decode(request, self.sources)
        except Exception as raised:  # noqa: BLE001 - becomes a 500 that is logged
            intent = fault("decoding failed", raised, protocol=match.protocol.name)
        if not isinstance(intent, Intent):
            self.answer(match, request, intent, None, respond)
            return
        exchange = Exchange(self, match, request, intent.source, respond)
        self._intake.take(match.protocol, request, intent, exchange.settle)

    def _check(self, match: Match, request: Request, oversized: bool) -> Request | Reply | Refusal:
        """Method, preflight, size and encoding, in this order; the request where all is well."""
        methods = match.route.methods
        if methods and request.method not in methods:
            if request.method == "OPTIONS" and match.protocol.cors is not None:
                return Reply(204)
            return Refusal(
                reason=Reason.METHOD_NOT_ALLOWED, detail=f"This path takes {_allow(match)}."
            )
        if oversized:
            return _too_large(match)
        return _inflate(match, request, request.headers.get(b"content-encoding", b""))

    def answer(
        self,
        match: Match,
        request: Request,
        settled: Reply | Refusal,
        source: Source | None,
        respond: Respond,
    ) -> None:
        """Answer a request with what was settled for it."""
        if isinstance(settled, Reply):
            self._finish(match, request, settled, source, respond)
            return
        if settled.source is None and source is not None:
            settled = msgspec.structs.replace(settled, source=source)
        self._refuse(match, request, settled, respond)

    def _refuse(self, match: Match, request: Request, refusal: Refusal, respond: Respond) -> None:
        """The one way out for everything that is not taken."""
        protocol = match.protocol
        try:
            reply = protocol.refuse(refusal)
        except Exception:
            log.exception("wording a refusal failed", protocol=protocol.name)
            reply = Reply(500)
        if refusal.reason is Reason.METHOD_NOT_ALLOWED:
            allow = ("Allow", _allow(match))
            reply = msgspec.structs.replace(reply, headers=(*reply.headers, allow))
        self._tally.cell(REFUSED, protocol.name, refusal.reason).number += 1
        source = refusal.source
        budget = source.id if source is not None else f"?{protocol.name}"
        if refusal.reason not in RETRY_LATER and self._budget.allows(budget, request.received_at):
            REJECTS_KEPT.inc()
            self._intake.keep(self._reject(request, refusal, protocol.name, reply.status))
        self._finish(match, request, reply, source, respond)

    def _reject(self, request: Request, refusal: Refusal, protocol: str, status: int) -> Reject:
        problems = "; ".join(f"{problem.path}: {problem.message}" for problem in refusal.problems)
        body = ""
        if self._may_keep_body(request, refusal.source, protocol):
            body = request.body[: self._limits.reject_body_bytes].decode("utf-8", "replace")
        return Reject(
            received_at=request.received_at,
            source=refusal.source.id if refusal.source is not None else None,
            protocol=protocol,
            reason=refusal.reason,
            detail=" ".join(filter(None, (refusal.detail, problems))),
            status=status,
            body=body or None,
        )

    def _may_keep_body(self, request: Request, source: Source | None, protocol: str) -> bool:
        """Whether what may hold ids may be kept, by what the head says of consent.

        Where it is not known whose it is, it has to be right for every source it could be of.
        """
        judges = self.sources.taking(protocol) if source is None else (source,)
        return not any(consent.look(request, judge).withheld for judge in judges)

    def _finish(
        self, match: Match, request: Request, reply: Reply, source: Source | None, respond: Respond
    ) -> None:
        """Add what every answer has, and remember it for the next request with this head."""
        finished = self._finished(match, request, reply, source)
        cell = self._tally.cell(REQUESTS, match.protocol.name, str(reply.status))
        cell.number += 1
        if source is not None:
            request.memo[_FINISHED] = Finished(reply, source, finished, cell)
        respond(finished)

    def _finished(
        self, match: Match, request: Request, reply: Reply, source: Source | None
    ) -> Reply:
        protocol = match.protocol
        extra = protocol.headers
        if protocol.cors is not None:
            extra += self._cors(match, protocol.cors, request, source)
        own = _own(protocol, request, reply)
        if not (extra or own):
            return reply
        return Reply(reply.status, reply.body, reply.headers + extra, own)

    def _cors(
        self, match: Match, cors: Cors, request: Request, source: Source | None
    ) -> HeaderPairs:
        """What the caller's origin may do; a preflight and an unknown key ask all sources."""
        origin = request.header(b"origin")
        if origin is None:
            return VARY
        preflight = request.method == "OPTIONS"
        judges = self.sources.taking(match.protocol.name) if source is None else (source,)
        if cors.listed:
            judges = tuple(j for j in judges if origin in j.origins or "*" in j.origins)
            if not judges:
                return VARY
        pairs = [*VARY, ("Access-Control-Allow-Origin", origin)]
        if cors.credentials:
            pairs.append(("Access-Control-Allow-Credentials", "true"))
        if preflight:
            allowed = request.header(b"access-control-request-headers") or ""
            if cors.request_headers:
                allowed = ", ".join((*cors.request_headers, *consent.headers(judges)))
            pairs += [
                ("Access-Control-Allow-Methods", _allow(match)),
                ("Access-Control-Allow-Headers", allowed),
                ("Access-Control-Max-Age", str(cors.max_age_s)),
            ]
        elif cors.exposed_headers:
            pairs.append(("Access-Control-Expose-Headers", ", ".join(cors.exposed_headers)))
        return tuple(pairs)


_FINISHED = object()
"""In `Request.memo`: what was `Finished` for this head last."""


class Finished(NamedTuple):
    """An answer, and what was made of it for its source and the head of its request."""

    reply: Reply
    source: Source
    finished: Reply
    cell: Cell
    """Counts such answers."""


def _own(protocol: Protocol, request: Request, reply: Reply) -> HeaderPairs:
    """Headers that no two answers share."""
    if protocol.process_time is None:
        return reply.own
    took = max(time.time_ns() // 1000 - request.received_at, 0)
    return (*reply.own, (protocol.process_time, f"{took / 1e6:.6f}"))


VARY: HeaderPairs = (("Vary", "Origin"),)


class Budget:
    """So many per name and minute; the names are the operator's, so there are few."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._spent: dict[str, tuple[int, int]] = {}

    def allows(self, name: str, now: Micros) -> bool:
        """Whether one more is within the budget; if so it is spent."""
        minute = now // 60_000_000
        started, spent = self._spent.get(name, (minute, 0))
        if started != minute:
            spent = 0
        if spent >= self._per_minute:
            return False
        self._spent[name] = (minute, spent + 1)
        return True


def _allow(match: Match) -> str:
    methods = match.route.methods
    return ", ".join(methods if match.protocol.cors is None else (*methods, "OPTIONS"))


def _too_large(match: Match) -> Refusal:
    return Refusal(
        reason=Reason.BODY_TOO_LARGE,
        detail=f"The body is over the limit of {match.body_limit} bytes. Send less at once.",
    )


def _inflate(match: Match, request: Request, encoding: bytes) -> Request | Refusal:
    """The request with its gzip body inflated, as far as the limit goes."""
    name = encoding.decode("latin-1").strip().lower()
    if name in {"", "identity"}:
        return request
    if name not in {"gzip", "x-gzip"}:
        return Refusal(
            reason=Reason.BODY_NOT_VALID,
            detail="This Content-Encoding is not supported. Send gzip, or the body as it is.",
        )
    inflater = zlib.decompressobj(wbits=31)
    try:
        body = inflater.decompress(request.body, match.body_limit + 1)
    except zlib.error:
        body = b""
    if len(body) > match.body_limit:
        return _too_large(match)
    if not inflater.eof:
        return Refusal(
            reason=Reason.BODY_NOT_VALID,
            detail="The body is not gzip, or is cut short, though Content-Encoding says gzip.",
        )
    if inflater.unused_data:
        # A second member would be legal gzip; to store the first alone would lose data silently.
        return Refusal(
            reason=Reason.BODY_NOT_VALID,
            detail="The body goes on after its gzip data. Compress all of it at once.",
        )
    return msgspec.structs.replace(request, body=body)
