"""The part of the list of settings that is about streams: their services, and their bounds."""

from __future__ import annotations

from dataclasses import dataclass

from footfall.settings.declaring import setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """`[server.streams]`: bounds on what streams ask of other servers, and on what they keep."""

    ad_server_seconds: float = setting(
        2.0, "Longest time that one answer of an ad server may take.", unit="seconds", low=0.1
    )
    decision_seconds: float = setting(
        5.0,
        "Longest time that an ad decision may take with all its wrappers; then none is had.",
        unit="seconds",
        low=0.1,
    )
    origin_seconds: float = setting(
        2.0, "Longest time that one answer of an origin may take.", unit="seconds", low=0.1
    )
    beacon_seconds: float = setting(
        3.0, "Longest time that a server-side beacon may take.", unit="seconds", low=0.1
    )
    wait_seconds: float = setting(
        1.0,
        "Longest time that a live playlist waits for the decision of a break that has just "
        "begun, and never more than half a target duration; then content plays until it is there.",
        unit="seconds",
        low=0,
    )
    wrappers: int = setting(5, "Most VAST wrappers around one ad.", low=0, high=20)
    answer_bytes: int = setting(2 << 20, "Largest answer of an ad server.", unit="bytes", low=1024)
    playlist_bytes: int = setting(
        16 << 20, "Largest playlist of an origin or a creative.", unit="bytes", low=1024
    )
    creative_cache_mb: int = setting(
        2048, "Most that prepared creatives may take on the disk.", unit="MB", low=16
    )
    sessions_cached: int = setting(
        20_000, "Sessions that a collector keeps in memory; others are read again.", low=1
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """`[[service.slot]]`: one piece of a channel's schedule. Moments are whole seconds."""

    id: str = setting(..., "Its name within the service.")
    kind: str = setting(
        ..., "What plays: an asset instead of the loop, or ads.", allowed=("content", "ad-break")
    )
    start: str = setting(
        ..., "When it begins, in UTC.", check="moment", example='"2026-11-20T18:00:00Z"'
    )
    end: str | None = setting(None, "When it ends, in UTC; or duration_seconds.", check="moment")
    duration_seconds: int | None = setting(
        None, "How long it lasts; or end.", unit="seconds", low=1, high=86_400
    )
    replacement: str | None = setting(
        None, "Of content: address of the multivariant playlist that plays.", check="url"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """`[[service]]`: one stream service of broadpeak.io session tracking, under /stream/<id>/."""

    id: str = setting(..., "Its name in addresses. Letters, digits, '-', '_' and '.'.")
    source: str = setting(..., "The source whose events its sessions are.")
    kind: str = setting(
        ...,
        "vod: a finished playlist, ads inserted; live: a running one, ads in place of what plays; "
        "channel: assets played one after another as a live stream.",
        allowed=("vod", "live", "channel"),
    )
    origin: str | None = setting(
        None,
        "Folder of the original streams: /stream/<id>/x/y.m3u8 is fetched from x/y.m3u8 in it. "
        "Needed by vod and live.",
        check="folder",
        example='"https://origin.example.com/vod/"',
    )
    assets: tuple[str, ...] = setting(
        (),
        "Of a channel: multivariant playlists that play one after another, for ever.",
        check="url",
    )
    ad_server: str | None = setting(
        None,
        "Address that answers with VAST or VMAP; $arg_<name> stands for a parameter of the "
        "session, $http_<name> for a header, $CACHE_BUSTER, $AD_BREAK_DURATION and others for "
        "what their names say. Of live: asked at each marked break.",
        check="url",
    )
    preroll_ad_server: str | None = setting(
        None, "Of live and channel: address that is asked once, as a session begins.", check="url"
    )
    preroll_max_seconds: int = setting(
        360, "Most that a live pre-roll may take.", unit="seconds", low=1, high=3600
    )
    slate: str | None = setting(
        None,
        "What fills a break where no ad does: an HLS playlist or an MP4 file. Unset, the original "
        "plays.",
        check="url",
    )
    tracking: str = setting(
        "client",
        "Who tells the ad server what was played: the client, by the session-tracking JSON, or "
        "the server, as segments of ads are asked for. Never both.",
        allowed=("client", "server"),
    )
    hosts: tuple[str, ...] = setting(
        (),
        "Further hosts that may be asked: of wrappers, creatives and beacons. A leading *. means "
        "the host and all below it; * alone is every host.",
        check="host",
        example='["*.ads.example.com"]',
    )
    private_addresses: bool = setting(
        False,
        "Ask hosts in private and loopback networks as well.",
    )
    past_breaks_seconds: int = setting(
        0,
        "Of live: how far back a session that begins gets ads in breaks that are over; -1: in the "
        "whole window.",
        unit="seconds",
        low=-1,
    )
    ad_excess_seconds: float = setting(
        1.0, "How much longer than their break ads may be.", unit="seconds", low=0, high=60
    )
    target_duration_seconds: int = setting(
        0,
        "Of live: EXT-X-TARGETDURATION of what is served, where creatives have longer segments "
        "than the origin; 0: the origin's.",
        unit="seconds",
        low=0,
        high=60,
    )
    transcode: bool = setting(
        True, "Prepare creatives that do not fit the content by ffmpeg, where it is installed."
    )
    origin_query: tuple[str, ...] = setting(
        (),
        "Parameters of the client that are handed on to the origin: tokens and the like. Which "
        "live stream it is they do not choose: that is stream_query's.",
    )
    stream_query: tuple[str, ...] = setting(
        (),
        "Of live: parameters of the client that are handed on to the origin and choose which "
        "stream it is, where several have one path.",
        example='["channel"]',
    )
    session_hours: float = setting(
        24.0,
        "Longest time without a request after which a session begins anew; shorter for short "
        "playlists: ten times their length, at least 10 minutes.",
        unit="hours",
        low=0.17,
        high=24,
    )
    slots: tuple[Slot, ...] = ()
    """`[[service.slot]]`."""
