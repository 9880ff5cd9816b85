"""User agents: device class, system, browser and channel, by uap-core's patterns (ua-parser).

ua-parser knows families and crawlers, and takes some 15 microseconds for an agent it has not
seen. What it does not know is the class of a device (phone, tablet, television, …): `_device`
tells that from the families and from the few words that vendors document for it.

The patterns take about 25 MB, so they are loaded with the first agent and not before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import msgspec

TELEVISIONS = (
    "smart-tv", "smarttv", "googletv", "appletv", "apple tv", "tvos", "web0s", "webos.tv",
    "netcast", "hbbtv", "roku", "crkey", "bravia", "android tv", "tizen/",
)  # fmt: skip
FIRE_TV = re.compile(r"\bAFT[A-Z0-9]")
"""Amazon's model names: AFTS, AFTMM, …"""
CONSOLES = ("playstation", "xbox", "nintendo")
DESKTOPS = {"Windows", "Mac OS X", "Linux", "Ubuntu", "Fedora", "Debian", "Chrome OS", "FreeBSD"}
CHANNELS = {"iOS": "ios", "Android": "android", "Mac OS X": "mac"}


class Agent(msgspec.Struct, frozen=True):
    """What one user agent tells. None: it does not tell."""

    device: str | None = None
    """desktop, mobile, tablet, tv, console or bot."""
    os: str | None = None
    browser: str | None = None
    channel: str | None = None
    """ios, android, mac or desktop."""


def parser(remembered: int) -> Callable[[str], Agent]:
    """A parser that remembers the last `remembered` agents; strangers vary them, hence a bound."""

    @lru_cache(maxsize=remembered)
    def parse_agent(user_agent: str) -> Agent:
        from ua_parser import parse  # noqa: PLC0415 - costs memory; see the module's docstring

        found = parse(user_agent)
        system = found.os.family if found.os else None
        browser = found.user_agent.family if found.user_agent else None
        if found.device is not None and found.device.family == "Spider":
            return Agent(device="bot", os=system, browser=browser)
        device = _device(user_agent, user_agent.lower(), system)
        channel = CHANNELS.get(system or "") or ("desktop" if device == "desktop" else None)
        return Agent(device=device, os=system, browser=browser, channel=channel)

    return parse_agent


def _device(text: str, lower: str, system: str | None) -> str | None:
    if any(word in lower for word in TELEVISIONS) or FIRE_TV.search(text):
        return "tv"
    if any(word in lower for word in CONSOLES):
        return "console"
    if "ipad" in lower or "tablet" in lower or "kindle" in lower:
        return "tablet"
    if system == "iOS":
        return "mobile"
    if system == "Android":
        # Android's browsers say "Mobile" on phones and leave it out on tablets; apps' HTTP
        # libraries (okhttp, Dalvik) name neither, and mostly run on phones.
        return "tablet" if "AppleWebKit" in text and "Mobile" not in text else "mobile"
    if system in DESKTOPS:
        return "desktop"
    return None
