"""What `footfall serve --dev` adds to the settings: a source with a known key, and the demo.

The demo's services ask the server itself, whose port may not be known yet. Their addresses begin
with `OWN`, which `footfall.stream.services.resolved` replaces by the server's own address.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from footfall.settings.declared import declared
from footfall.settings.fields import Source
from footfall.settings.stream_fields import Service

DEV_SOURCE = "dev"
DEV_KEY = "dev-key"
DEV_KEY_SHA256 = "7e9f8fd111802be56c379d597842e29b2cebd35ff2133d431a49fa556a18704e"

OWN = "footfall:"
"""Stands for scheme, host and port of this server in the addresses of `DEV_SERVICES`."""

_DEMO = f"{OWN}/demo"
_SPOT = f"{_DEMO}/ads/vast?duration=$AD_BREAK_DURATION_MS&key=$arg_key"

DEV_SERVICES = (
    Service(
        id="demo-vod",
        source=DEV_SOURCE,
        kind="vod",
        origin=f"{_DEMO}/origin/vod/",
        ad_server=f"{_DEMO}/ads/vmap?key=$arg_key",
        private_addresses=True,
    ),
    Service(
        id="demo-live",
        source=DEV_SOURCE,
        kind="live",
        origin=f"{_DEMO}/origin/live/",
        ad_server=f"{_SPOT}&break=live",
        preroll_ad_server=f"{_DEMO}/ads/vast?ads=lantern&key=$arg_key&break=preroll",
        slate=f"{_DEMO}/origin/slate/master.m3u8",
        private_addresses=True,
    ),
    Service(
        id="demo-channel",
        source=DEV_SOURCE,
        kind="channel",
        assets=(f"{_DEMO}/origin/vod/master.m3u8", f"{_DEMO}/origin/slate/master.m3u8"),
        ad_server=f"{_SPOT}&break=channel",
        slate=f"{_DEMO}/origin/slate/master.m3u8",
        private_addresses=True,
    ),
)
"""The demo's stream services, one of each kind."""


def dev_source(extensions: Mapping[str, type | None]) -> Source:
    """The source of `footfall serve --dev`: every protocol, every origin, the key ``dev-key``."""
    return Source(
        id=DEV_SOURCE,
        key_sha256=(DEV_KEY_SHA256,),
        protocols=tuple(extensions),
        origins=("*",),
        protocol_settings={name: _dev_table(kind) for name, kind in extensions.items() if kind},
    )


def _dev_table(kind: type) -> Any:
    return kind(**{n: s.dev for n, s in declared(kind).items() if s.dev is not ...})
