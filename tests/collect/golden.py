"""Runs a golden case: a folder that says what is sent, what is known before, and what must come.

A case is data; `tests/cases/README.md` describes its files. It runs through the real endpoint
and intake on a journal in memory, with time and random ids fixed, and without sockets.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from footfall.collect import correlate
from footfall.collect.agents import parser
from footfall.collect.contract import Protocol, Reply, Request
from footfall.collect.endpoint import Endpoint
from footfall.collect.enrich import Enricher, Tools
from footfall.collect.ids import EventIds
from footfall.collect.intake import Intake
from footfall.collect.keysets import KeySets, locations
from footfall.collect.protocols import installed
from footfall.collect.protocols.tracardi import identity, traits
from footfall.collect.protocols.tracardi.issued import ProfileIds
from footfall.collect.sources import Sources
from footfall.errors import JournalUnavailable
from footfall.journal.contract import Change, Outcome, Position, Unit
from footfall.journal.engines.memory import MemoryJournal
from footfall.metrics import Tally
from footfall.model import MediaSession, media_key
from footfall.settings import Limits, Privacy, Source

CASES = Path(__file__).parents[1] / "cases"
NOW = 1_792_504_800_123_456
"""2026-10-20T14:00:00.123456Z"""
SECOND = 1_000_000
FIRST_UUID = "00000000-0000-4000-8000-000000000001"
KEY, OTHER_KEY = "site-key", "other-key"
SECRET = b"a secret of this data directory."
ENRICHED = ("country", "device", "os", "browser", "ip")
"""By the user agent and the address: tested where they are made, left out here."""


def all_cases() -> list[Path]:
    return sorted(path.parent for path in CASES.glob("*/*/reply.json"))


def protocol_named(name: str) -> Protocol:
    return next(protocol for protocol in installed() if protocol.name == name)


class Answered(msgspec.Struct):
    """What a case came to."""

    reply: Reply
    events: list[dict[str, Any]]
    rejects: list[dict[str, Any]]
    live: set[str]
    """Tracking sessions that live afterwards."""


class Case:
    """A folder of `tests/cases/<protocol>/`."""

    def __init__(self, folder: Path, workspace: Path) -> None:
        self.folder = folder
        self.protocol = folder.parent.name
        self._workspace = workspace

    def run(self) -> Answered:
        self._settings = self._toml("settings.toml")
        sources = self._sources()
        return asyncio.run(self._run(sources))

    async def _run(self, sources: Sources) -> Answered:
        journal = _journal(self._settings.get("journal"))
        await journal.prepare(self._changes())
        tally = Tally()
        tools = Tools(parse_agent=parser(100))
        intake = Intake(
            journal, Enricher(tools, 100), sources.limits, EventIds(lambda bits: 1), tally
        )
        endpoint = Endpoint(installed(), sources, intake, sources.limits, tally)
        request = self._request()
        match = endpoint.match(request.path)
        if match is None:
            return Answered(Reply(404), [], [], set())
        request = msgspec.structs.replace(request, params=match.params)
        oversized = len(request.body) > match.body_limit
        if oversized:
            request = msgspec.structs.replace(request, body=b"")
        replies: list[Reply] = []
        running = asyncio.create_task(intake.run())
        endpoint.handle(match, request, replies.append, oversized=oversized)
        await intake.drained()
        running.cancel()
        assert len(replies) == 1, "a request is answered once"
        events, rejects = await journal.stored()
        live = {
            session_id
            for session_id in (*self._sessions(), FIRST_UUID)
            if await journal.get([correlate.key("site", session_id)])
        }
        reply = msgspec.structs.replace(replies[0], body=self._named(replies[0].body))
        return Answered(reply, json.loads(self._named(json.dumps(events).encode())), rejects, live)

    def _named(self, text: bytes) -> bytes:
        """With the ids that were issued to profiles under the one name that cases have for them."""
        given = (self._settings.get(name, {}).get("tracardi", {}) for name in ("site", "other"))
        for group in ("site", "other", *(one.get("identity", "") for one in given)):
            issued = ProfileIds(SECRET, group, NOW).issue(FIRST_UUID, NOW)
            text = text.replace(issued.encode(), FIRST_UUID.encode())
        return text

    # What is sent

    def _request(self) -> Request:
        text = (self.folder / "request.http").read_bytes().replace(b"\r\n", b"\n")
        text = re.sub(rb"\{\{x\*(\d+)\}\}", lambda found: b"x" * int(found[1]), text)
        if b"{{token}}" in text:
            text = text.replace(b"{{token}}", self._token().encode())
        head, _, body = text.partition(b"\n\n")
        first, *lines = head.strip().split(b"\n")
        method, target, *_ = first.decode().split(" ")
        headers = _headers(lines)
        body = body.removesuffix(b"\n")
        if headers.get(b"content-encoding") == b"gzip":
            body = gzip.compress(body)
        path, _, query = target.partition("?")
        return Request(
            method=method,
            path=unquote(path),
            query=query,
            headers=headers,
            body=body,
            client_ip=self._settings.get("client_ip", "192.0.2.7"),
            scheme="https",
            received_at=NOW,
            new_uuid=lambda: FIRST_UUID,
        )

    # What is known before

    def _sources(self) -> Sources:
        keys = _signing_key().public_key()
        jwks = self._workspace / "jwks.json"
        entry = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(keys)) | {"kid": "k1"}
        jwks.write_text(json.dumps({"keys": [entry]}))
        listed = [
            _source(name, key, [self.protocol], self._settings.get(name, {}), jwks)
            for name, key in (("site", KEY), ("other", OTHER_KEY))
        ]
        return Sources(
            listed,
            limits=Limits(**self._settings.get("limits", {})),
            secret=SECRET,
            key_sets=KeySets(locations(listed)),
        )

    def _sessions(self) -> dict[str, Any]:
        path = self.folder / "state.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def _changes(self) -> list[Change]:
        changes = []
        for session_id, given in self._sessions().items():
            start = NOW - given.get("age_s", 60) * SECOND
            if "media" in given:
                media = MediaSession(given.get("source", "site"), start, **given["media"])
                value = msgspec.msgpack.encode(media)
                changes.append(Change(media_key(session_id), value, NOW * 2))
                continue
            if "tracardi" in given:
                changes.append(_tracardi(session_id, given["tracardi"], start))
                continue
            session = correlate.TrackingSession(
                start_time=start, ends_at=start + 86_400 * SECOND, user_id=given.get("user_id")
            )
            key = correlate.key(given.get("source", "site"), session_id)
            # Engines forget expired keys when they please: here never, so that the code must look.
            changes.append(Change(key, msgspec.msgpack.encode(session), NOW * 2))
        return changes

    def _token(self) -> str:
        """What `token.toml` describes, signed with a key of this run."""
        given = self._toml("token.toml")
        claims = {"iss": "https://issuer.example/", "aud": "api.vaix.ai", **given["claims"]}
        claims["exp"] = NOW // SECOND + claims.pop("expires_in_s", 3600)
        key = ec.generate_private_key(ec.SECP256R1()) if given.get("forged") else _signing_key()
        if given.get("algorithm", "ES256") == "none":
            return jwt.encode(claims, None, algorithm="none", headers={"kid": "k1"})
        return jwt.encode(claims, key, algorithm="ES256", headers={"kid": given.get("kid", "k1")})

    def _toml(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        return tomllib.loads(path.read_text()) if path.exists() else {}

    # What must come

    def expected(self, name: str, default: Any) -> Any:
        path = self.folder / name
        return json.loads(path.read_text()) if path.exists() else default


_KEYS: list[ec.EllipticCurvePrivateKey] = []


def _signing_key() -> ec.EllipticCurvePrivateKey:
    if not _KEYS:
        _KEYS.append(ec.generate_private_key(ec.SECP256R1()))
    return _KEYS[0]


def _headers(lines: Sequence[bytes]) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.partition(b":")
        name, value = name.strip().lower(), value.strip()
        joint = b"; " if name == b"cookie" else b", "
        headers[name] = headers[name] + joint + value if name in headers else value
    return headers


def _source(
    source_id: str, key: str, protocols: list[str], given: dict[str, Any], jwks: Path
) -> Source:
    """A source with the given settings; a table in them is a protocol's."""
    own = {part.name for part in fields(Source)}
    values = {"protocols": protocols} | {n: v for n, v in given.items() if n in own}
    privacy = {name: _frozen(value) for name, value in values.pop("privacy", {}).items()}
    tables = {}
    for protocol in installed():
        table = given.get(protocol.name, {})
        if protocol.settings is not None:
            tables[protocol.name] = protocol.settings(
                **{
                    name: _frozen(str(jwks) if value == "{{jwks}}" else value)
                    for name, value in table.items()
                }
            )
    return Source(
        id=source_id,
        key_sha256=(hashlib.sha256(given.get("key", key).encode()).hexdigest(),),
        protocol_settings=tables,
        privacy=Privacy(**privacy),
        **{name: _frozen(value) for name, value in values.items()},
    )


def _tracardi(name: str, given: dict[str, Any], at: int) -> Change:
    """What Tracardi's state holds of a name: a session, a profile, an alias, an event, the era."""
    group = given.get("group", "site")
    value: Any = b""
    if "session" in given:
        key = identity.session_key(group, name)
        value = identity.Session(given["session"], at, given.get("visited", True))
    elif "era" in given:
        key, value = identity.era_key(group), identity.write(given["era"])
    elif "into" in given:
        key, value = identity.profile_key(group, name), identity.Alias(given["into"])
    elif "device" in given:
        key = identity.stale_key(group, given["device"], name)
        value = given["profile"].encode()
    elif "trait" in given:
        digest = traits.point(SECRET, given["trait"], name)
        key, value = identity.point_key(group, given["trait"], digest), given["profile"].encode()
    elif "event" in given:
        key = identity.event_key(group, name)
    else:
        known = given["known"]
        key = identity.profile_key(group, name)
        value = identity.Known(at, **{part: _frozen(found) for part, found in known.items()})
    return Change(key, value if isinstance(value, bytes) else identity.write(value), NOW * 2)


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, dict):
        return {name: _frozen(part) for name, part in value.items()}
    return value


class _Journal(MemoryJournal):
    """In memory, its clock standing still."""

    def __init__(self) -> None:
        super().__init__(clock=lambda: NOW)

    async def prepare(self, changes: Sequence[Change]) -> None:
        if changes:
            await super().transact([Unit((), lambda _states: Outcome(changes=changes))])

    async def stored(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        batch = await self.read(Position(0, 0))
        events = b"".join(record.events for _, record in batch.records)
        rejects = b"".join(record.rejects for _, record in batch.records)
        return (
            [json.loads(line) for line in events.splitlines()],
            [json.loads(line) for line in rejects.splitlines()],
        )


class _Unavailable(_Journal):
    async def transact(self, units):
        raise JournalUnavailable("The disk is full.")


class _Faulty(_Journal):
    async def transact(self, units):
        return [RuntimeError("secret internals") for _ in units]


def _journal(kind: str | None) -> _Journal:
    return {None: _Journal, "unavailable": _Unavailable, "faulty": _Faulty}[kind]()


def comparable(event: dict[str, Any]) -> dict[str, Any]:
    """An event without what every event has: ids, arrival, and what enrichment found."""
    event = {name: value for name, value in event.items() if name not in ENRICHED}
    assert event.pop("event_id")
    assert event.pop("received_at") == NOW
    if event["occurred_at"] == NOW:
        del event["occurred_at"]
    return event
