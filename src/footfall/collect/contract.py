"""What a protocol is, and the values that pass between it and the rest.

A protocol is a value (`Protocol`) with one pure function, `decode`, from a `Request` to an
`Intent` or a `Refusal` (or a `Reply`, where there is nothing to store), and, where the answer
depends on what is known already, a second pure function, `decide`, that runs under the journal's
lock. It never does I/O and never meets HTTP framing: `fastlane` and `endpoint` do.

A sixth protocol is one new module in `protocols/`; `docs/adding-a-protocol.md` walks through it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import msgspec

from footfall.journal.contract import More, Outcome, States
from footfall.model import Event, Facts, Micros

if TYPE_CHECKING:
    from footfall.collect.sources import Sources
    from footfall.settings import Source

T = TypeVar("T")
G = TypeVar("G")

HeaderPairs = tuple[tuple[str, str], ...]


class Request(msgspec.Struct, frozen=True, gc=False):
    """One HTTP request, whole and within limits; nothing in it changes any more."""

    method: str
    path: str
    """Percent-decoded, without the query."""
    query: str = ""
    """Raw, without the question mark; `wire.query` reads it."""
    headers: Mapping[bytes, bytes] = msgspec.field(default_factory=dict)
    """Names in lower case. Repeated headers are joined by ", ", cookies by "; "."""
    body: bytes = b""
    """As sent, but inflated where it came with `Content-Encoding: gzip`."""
    params: Mapping[str, str] = msgspec.field(default_factory=dict)
    """What the braces of the route's path stand for."""
    client_ip: str = ""
    """By `Forwarded` or `X-Forwarded-For` where a trusted proxy says so. Never stored whole."""
    scheme: str = "http"
    received_at: Micros = 0
    new_uuid: Callable[[], str] = lambda: str(uuid4())
    """A fresh random UUID (version 4): the randomness port, fixed in tests."""
    memo: dict[object, Any] = msgspec.field(default_factory=dict)
    """What was worked out from method, path, query and headers alone. Requests with the very same
    head share it; `once` is the way to use it."""

    def once(self, work: Callable[[Request, G], T], given: G) -> T:
        """`work(self, given)`, worked out once for all requests with this head and this `given`.

        `work` is a module's function that looks at nothing of the request but its head.
        """
        found = self.memo.get(work)
        if found is None or found[0] is not given:
            found = self.memo[work] = (given, work(self, given))
        result: T = found[1]
        return result

    def header(self, name: bytes) -> str | None:
        """A header's value as text (latin-1, as HTTP has it), or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")


class Reply(msgspec.Struct, frozen=True, gc=False):
    """An HTTP answer. CORS and framing headers are added by `endpoint`."""

    status: int
    body: bytes = b""
    headers: HeaderPairs = ()
    """Where it is the same object as that of another answer to the same head, they are put into
    bytes once."""
    own: HeaderPairs = ()
    """Of this one answer."""


class Reason(enum.StrEnum):
    """Why a request was not taken: the whole list. Counted and kept under these names."""

    METHOD_NOT_ALLOWED = "method_not_allowed"
    BODY_TOO_LARGE = "body_too_large"
    BODY_NOT_VALID = "body_not_valid"
    """Not JSON, not UTF-8, not the shape that the protocol takes, or gzip that does not inflate."""
    CONTENT_TYPE_NOT_VALID = "content_type_not_valid"
    CONTENT_NOT_VALID = "content_not_valid"
    """Well-formed, but fields are missing, of a wrong type or unknown; `problems` names each."""
    KEY_MISSING = "key_missing"
    KEY_UNKNOWN = "key_unknown"
    KEY_EXPIRED = "key_expired"
    PROTOCOL_NOT_ALLOWED = "protocol_not_allowed"
    CLIENT_ID_MISSING = "client_id_missing"
    CLIENT_ID_NOT_ALLOWED = "client_id_not_allowed"
    AUTHENTICATION_METHOD_UNKNOWN = "authentication_method_unknown"
    AUTHENTICATION_METHOD_NOT_CONFIGURED = "authentication_method_not_configured"
    VERSION_NOT_SUPPORTED = "version_not_supported"
    NOT_ACCEPTABLE = "not_acceptable"
    TOO_EARLY = "too_early"
    BOT_NOT_ALLOWED = "bot_not_allowed"
    """A known crawler, where the source takes none."""
    SESSION_NOT_FOUND = "session_not_found"
    SESSION_CLOSED = "session_closed"
    """It is known, and takes nothing that happened later."""
    OVERLOADED = "overloaded"
    """More waits for the journal than the limits allow, or has waited for too long."""
    JOURNAL_UNAVAILABLE = "journal_unavailable"
    INTERNAL_ERROR = "internal_error"


RETRY_LATER = frozenset({Reason.OVERLOADED, Reason.JOURNAL_UNAVAILABLE})
"""Refusals that say nothing about the request: 503 with `Retry-After`, and no reject is kept."""


class DropReason(enum.StrEnum):
    """Why an event of an accepted request was not stored: the whole list."""

    BOT = "bot"


class Problem(msgspec.Struct, frozen=True, gc=False):
    """One thing that is wrong with the content."""

    path: str
    """Dotted, from the top of the body: `data.events.0.id`."""
    message: str
    """What is wrong and how to mend it; never the value that was sent."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request that is not taken. The protocol words it (`Protocol.refuse`)."""

    reason: Reason
    detail: str
    """One sentence: what is wrong and how to mend it."""
    problems: tuple[Problem, ...] = ()
    source: Source | None = None
    """Where the key named one."""


class Draft(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a protocol knows of one event. `intake` makes the `Event` of it."""

    type: str
    event_id: str | None = None
    """The client's own id; None where it gave none."""
    occurred_at: Micros | None = None
    """None: the time of arrival."""
    session_id: str | None = None
    profile_id: str | None = None
    user_id: str | None = None
    page: str | None = None
    location: str | None = None
    channel: str | None = None
    brand: str | None = None
    playhead_s: float | None = None
    properties: Mapping[str, Any] | None = None
    context: Mapping[str, Any] | None = None
    stored: bool = True
    """False: it counts, and is not kept as an event."""
    facts: Facts | None = None
    """What it says of its visit and profile, as far as that depends on nothing in the state."""


class Intent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an accepted request wants.

    Without `decide` the events are stored and `reply` is the answer. With it, `keys` are read
    under the journal's lock and `decide` gives events, changes and reply.
    """

    source: Source
    drafts: tuple[Draft, ...] = ()
    reply: Reply | None = None
    keys: tuple[str, ...] = ()
    payload: Any = None
    """For `decide`; nobody else looks at it."""
    decide: Callable[[Intent, States, Sequence[Event]], Outcome | More] | None = None
    """Called with this intent, the live states of `keys` and the finished events, in the order
    of `drafts`. Its outcome's `reply` is a `Reply`, or a `Refusal` that depends on the state."""


class Route(msgspec.Struct, frozen=True, gc=False):
    """A path, and the methods that it takes. `{name}` stands for one segment."""

    path: str
    methods: tuple[str, ...]
    """Empty: any method. With OPTIONS among them the protocol answers preflights itself."""
    body_limit: int | None = None
    """In bytes, where a vendor's route needs another than `server.limits.body_bytes`."""


class Cors(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What browsers of other origins may do.

    With `listed` an origin is granted by `source.origins` (a preflight, which has no key, by any
    source that takes the protocol); without it every origin is.
    """

    request_headers: tuple[str, ...] = ()
    """Headers that may be sent; none named: whatever a preflight asks for."""
    exposed_headers: tuple[str, ...] = ()
    credentials: bool = False
    max_age_s: int = 600
    listed: bool = True


class Protocol(msgspec.Struct, frozen=True, kw_only=True):
    """One vendor's protocol."""

    name: str
    routes: tuple[Route, ...]
    decode: Callable[[Request, Sources], Intent | Refusal | Reply]
    """A `Reply` where there is nothing to store and nobody whose it would be: it is the answer."""
    refuse: Callable[[Refusal], Reply]
    """Words a refusal as the vendor's clients expect it: every member of `Reason`."""
    cors: Cors | None = None
    settings: type | None = None
    """A dataclass of `footfall.settings.setting` fields: the table `[source.<name>]`."""
    headers: HeaderPairs = ()
    """On every answer, errors and preflights included."""
    takes_tracking_session: bool = True
    """An event without a session of its own takes the live Jay session of its request."""
    takes_bots: Callable[[Source], bool] | None = None
    """Where the vendor refuses known crawlers: whether a source lets them in all the same."""
    process_time: str | None = None
    """A header for how long an answer took, in seconds, on every answer."""
