"""The one list of settings: name, default, unit, limits and help, in the order of the file.

From these dataclasses come the typed values, the validation with its messages, `footfall check`
and `docs/settings.md`. A protocol adds its own table to ``[[source]]`` by declaring a dataclass
of the same kind (`footfall.collect.contract.Protocol.settings`). Fields may be ``int``,
``float``, ``bool``, ``str``, any of them ``| None``, ``tuple[str, ...]``, ``tuple[int, ...]``,
``dict[str, tuple[str, ...]]``, ``dict[str, str]``, ``dict[str, int]``, or another such dataclass
(a table below).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from footfall.settings.declaring import setting
from footfall.settings.stream_fields import Service, Streams

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`[server.limits]`: a bound on everything that a stranger controls."""

    body_bytes: int = setting(
        1 << 20, "Largest request body, as sent and after inflating.", unit="bytes", low=1024
    )
    header_bytes: int = setting(
        32 << 10, "Largest request head: request line and all headers.", unit="bytes", low=1024
    )
    json_depth: int = setting(32, "Deepest nesting of a JSON body.", unit="levels", low=2)
    json_keys: int = setting(20_000, "Most keys and items in a JSON body together.", low=16)
    request_seconds: float = setting(
        20.0, "Longest time from a request's first byte to its last.", unit="seconds", low=0.1
    )
    idle_seconds: float = setting(
        75.0, "Longest time that an idle connection is kept.", unit="seconds", low=1
    )
    connections: int = setting(10_000, "Most open connections per collector.", low=1)
    queue_requests: int = setting(
        20_000, "Most requests waiting for the journal, per collector.", low=1
    )
    queue_bytes: int = setting(
        64 << 20,
        "Most bytes of bodies waiting for the journal, per collector.",
        unit="bytes",
        low=1 << 20,
    )
    queue_seconds: float = setting(
        5.0, "Longest time a request waits for the journal; then 503.", unit="seconds", low=0.1
    )
    group_requests: int = setting(1024, "Most requests that are made durable with one sync.", low=1)
    shutdown_seconds: float = setting(
        20.0, "Longest time that a clean stop waits for requests in flight.", unit="seconds", low=0
    )
    user_agents_cached: int = setting(
        10_000, "Distinct user agents whose parse is remembered, per collector.", low=0
    )
    rejects_per_minute: int = setting(
        600, "Rejects kept per source and minute; the rest are counted only.", low=0
    )
    reject_body_bytes: int = setting(
        4096, "How much of a refused body is kept with its reject.", unit="bytes", low=0
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """`[server.media]`: when media sessions close by themselves, and how their events are ordered.

    Times of the journal's clock: while no server runs, none passes.
    """

    idle_seconds: float = setting(
        600.0, "Time without an event after which a session closes.", unit="seconds", low=1
    )
    gap_seconds: float = setting(
        600.0,
        "Longest time between two events that counts as play, pause or whatever was before it; "
        "a longer one counts as nothing.",
        unit="seconds",
        low=1,
    )
    stuck_seconds: float = setting(
        1800.0,
        "Time without the playhead moving, ads aside, after which a session closes.",
        unit="seconds",
        low=1,
    )
    longest_seconds: float = setting(
        86_400.0, "Age at which a session closes.", unit="seconds", low=1
    )
    reorder_seconds: float = setting(
        5.0,
        "Time for which events are held back so that late ones find their place; also how long "
        "after its close a session's rows become final.",
        unit="seconds",
        low=0,
        high=60,
    )
    reorder_events: int = setting(
        10, "Events of one session that are held back at most.", low=1, high=1000
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """`[server]`"""

    host: str = setting("127.0.0.1", "Address that tracking listens on.")
    port: int = setting(
        8080, "Port that tracking listens on; 0 takes a free one.", low=0, high=65535
    )
    console_host: str = setting("127.0.0.1", "Address that the console listens on.")
    console_port: int = setting(
        8081, "Port that the console listens on; 0 takes a free one.", low=0, high=65535
    )
    data: str = setting("footfall-data", "Directory of everything that is kept.")
    workers: int = setting(1, "Collector processes on the tracking port.", low=1, high=64)
    trusted_proxies: tuple[str, ...] = setting(
        (),
        "Networks whose Forwarded or X-Forwarded-For headers are believed.",
        check="network",
        example='["10.0.0.0/8"]',
    )
    forwarded_header: str = setting(
        "x-forwarded-for",
        "The one header that trusted proxies set: the client's address is read from it.",
        allowed=("x-forwarded-for", "forwarded"),
    )
    metrics_from: tuple[str, ...] = setting(
        ("127.0.0.0/8", "::1/128"), "Networks that may read /metrics.", check="network"
    )
    tls_certificate: str | None = setting(
        None, "PEM file with the certificate chain; with tls_key it turns on HTTPS.", check="file"
    )
    tls_key: str | None = setting(
        None, "PEM file with the certificate's private key.", check="file"
    )
    geoip: str | None = setting(
        None, "MaxMind DB file with countries; without one `country` stays empty.", check="file"
    )
    journal_retention_hours: float = setting(
        24.0,
        "How long the journal is kept for replay after everybody has followed it.",
        unit="hours",
        low=0,
    )
    query_seconds: float = setting(
        60.0, "Longest time that one SQL query may take.", unit="seconds", low=0.1
    )
    query_memory_mb: int = setting(
        256, "Most memory that loading and SQL may use together.", unit="MB", low=128
    )
    query_threads: int = setting(
        1,
        "Threads of loading and SQL together. More answer large queries faster, and take the "
        "processor from collectors on small machines.",
        low=1,
        high=256,
    )
    limits: Limits = field(default_factory=Limits)
    media: Media = field(default_factory=Media)
    streams: Streams = field(default_factory=Streams)


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """`[source.privacy]`: where consent is read, and which signals of browsers count."""

    consent_field: str | None = setting(
        None,
        "Where in an event consent stands (true, granted, no, …): a dotted path into its "
        "properties or its context.",
        check="place",
        example='"properties.consent"',
    )
    consent_header: str | None = setting(
        None,
        "Request header in which consent stands likewise. Pages of other origins may send it.",
        check="name",
        example='"X-Consent"',
    )
    tcf_field: str | None = setting(
        None,
        "Where in an event an IAB TCF v2 string stands: a dotted path as in consent_field.",
        check="place",
        example='"context.tcf"',
    )
    tcf_header: str | None = setting(
        None,
        "Request header with an IAB TCF v2 string. Pages of other origins may send it.",
        check="name",
        example='"X-TC-String"',
    )
    tcf_cookie: str | None = setting(
        None, "Cookie with an IAB TCF v2 string.", check="name", example='"euconsent-v2"'
    )
    tcf_purposes: tuple[int, ...] = setting(
        (1,),
        "Purposes of IAB TCF that all must have consent; 1 is to store and access information "
        "on a device.",
        low=1,
        high=24,
    )
    tcf_vendor: int | None = setting(
        None,
        "Id in the Global Vendor List that must have consent as well.",
        low=1,
        high=65535,
    )
    consents: tuple[str, ...] = setting(
        (),
        "Consents of a Tracardi profile, by name, that all must be granted.",
        example='["analytics"]',
    )
    honour: tuple[str, ...] = setting(
        (),
        "Signals of a browser that refuse consent whatever else says: Sec-GPC: 1 and DNT: 1.",
        allowed=("gpc", "dnt"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """`[[source]]`: one site or app, with its keys and its rules."""

    id: str = setting(..., "Its name, in every row. Letters, digits, '-', '_' and '.'.")
    key_sha256: tuple[str, ...] = setting(
        (), "SHA-256 of its keys, as `footfall source new` prints them.", check="sha256"
    )
    protocols: tuple[str, ...] = setting(
        ..., "Protocols that it takes; [] for a source that only a [[service]] is of."
    )
    origins: tuple[str, ...] = setting(
        (), 'Origins of browser pages that may call; "*" is every one.', check="origin"
    )
    bots: str = setting(
        "keep",
        "Events of known crawlers: stored with device = 'bot', or dropped and counted.",
        allowed=("keep", "drop"),
    )
    consent: str = setting(
        "implied",
        "Whose events are stored with the ids of a person: of those who gave consent (required), "
        "of those who did not refuse it (implied), of everybody (none: only honoured signals "
        "refuse).",
        allowed=("required", "implied", "none"),
    )
    retention_days: int | None = setting(
        None,
        "Days after which its events, rejects and sessions are deleted; unset keeps them. Visits "
        "and what is known of profiles stay.",
        unit="days",
        low=1,
    )
    retention_days_by_type: dict[str, int] = setting(  # noqa: RUF009 - it gives a field
        {},
        "Days after which its events of a type are deleted, where that is sooner. Types are told "
        "apart without regard to case, spaces count as hyphens.",
        unit="days",
        low=1,
        example='{ "page-view" = 30 }',
    )
    privacy: Privacy = field(default_factory=Privacy)
    protocol_settings: dict[str, Any] = field(default_factory=dict, hash=False)
    """By protocol name: the dataclass that `[source.<name>]` was read into."""

    def of(self, kind: type[T]) -> T:
        """The source's settings of one protocol, by that protocol's dataclass.

        Its defaults where the source was made without them, as in tests.
        """
        for value in self.protocol_settings.values():
            if isinstance(value, kind):
                return value
        return kind()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    server: Server
    sources: tuple[Source, ...]
    dev: bool = False
    services: tuple[Service, ...] = ()
