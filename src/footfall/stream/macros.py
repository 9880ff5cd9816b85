"""Macros in the addresses of ad servers and beacons, and what they stand for.

Two languages meet here. Ours is that of the settings, ``$NAME``, which makes the address that an ad
server is asked by. VAST's is ``[NAME]`` (also as ``%5BNAME%5D``), in the addresses that ad servers
send: https://interactiveadvertisingbureau.github.io/vast/vast4macros/vast4-macros-latest.html.

Who calls an address decides what is filled in:

- An address that the server calls (a wrapper's tag, a server-side beacon, an error) is filled
  completely. What is not known is -1, as VAST 4 says.
- An address that a client calls (in the session-tracking JSON) gets what only the server knows:
  PODSEQUENCE, BREAKPOSITION, ASSETURI, and SERVERSIDE, which is 0: the client is who calls. All
  others stay as they are, TIMESTAMP and CACHEBUSTING too, because they are of the moment of the
  call, and the same answer is given to many polls.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from footfall.model import Micros

PREROLL, MIDROLL, POSTROLL = 1, 2, 3
"""BREAKPOSITION; 0 is none of them."""

SERVER_AGENT = "footfall"
UNKNOWN = "-1"

_OURS = re.compile(r"\$([A-Za-z][A-Za-z0-9_]*)")
_VAST = re.compile(r"(?:\[|%5B)([A-Z][A-Z0-9_]{2,40})(?:\]|%5D)", re.IGNORECASE)


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a viewer and a break when an ad server or a beacon is called."""

    session: str = ""
    service: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    """The session's ad parameters, decoded."""
    headers: Mapping[str, str] = {}
    """Of the viewer's request, by names in small letters."""
    address: str = ""
    """The viewer's."""
    duration_us: int | None = None
    """Of the break; None: not known."""
    signal_id: str = ""
    """Of a marked break: the splice event's id."""
    upid: str = ""
    position: int = 0
    """`PREROLL`, `MIDROLL`, `POSTROLL` or 0."""

    @property
    def agent(self) -> str:
        return self.headers.get("user-agent", "")


class Playing(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an ad that has its place, and when one of its beacons is due."""

    position: int = 0
    """As `Values.position`."""
    sequence: int = 0
    """`Ad.sequence`."""
    asset: str = ""
    """Address of the creative."""
    ad_us: int | None = None
    """How far into the ad."""
    content_us: int | None = None
    """Where in the content, without ads."""


def request(template: str, values: Values, now_us: Micros) -> str:
    """The address to ask an ad server by, out of the one in the settings.

    ``$arg_<name>`` is a parameter of the session, ``$http_<name>`` a header with ``_`` for ``-``;
    the others are in `_ours`. Names are letters, digits and ``_``. What is unknown is nothing.
    Parameters that no ``$arg_`` names are appended as they are called, except those that the
    template itself sets: a viewer does not overrule the settings.
    """
    address = tag(template, values, now_us)
    known = _ours(values)
    parameters = dict(reversed(values.parameters))  # the first of a name counts

    def found(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("arg_"):
            value = parameters.get(name.removeprefix("arg_"), "")
        elif name.startswith("http_"):
            value = values.headers.get(name.removeprefix("http_").lower().replace("_", "-"), "")
        else:
            value = known.get(name, "")
        return quote(value, safe="")

    named = {one.removeprefix("arg_") for one in _OURS.findall(template) if one.startswith("arg_")}
    named |= {name for name, _ in parse_qsl(urlsplit(template).query, keep_blank_values=True)}
    rest = "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}"
        for name, value in values.parameters
        if name not in named
    )
    address, mark, fragment = _OURS.sub(found, address).partition("#")
    if rest:
        joint = "?" if "?" not in address else "" if address[-1] in "?&" else "&"
        address += joint + rest
    return address + mark + fragment


def tag(url: str, values: Values, now_us: Micros) -> str:
    """The address of a wrapper's or VMAP's ad tag, to be asked for a viewer."""
    seconds = "" if values.duration_us is None else str(round(values.duration_us / 1e6))
    known = _called(values, now_us) | {
        "BREAKPOSITION": str(values.position),
        "BREAKMAXDURATION": seconds or UNKNOWN,
    }
    return _filled(url, known, other=UNKNOWN)


def beacon(
    url: str,
    values: Values,
    playing: Playing,
    now_us: Micros,
    *,
    code: int | None = None,
    reason: int | None = None,
) -> str:
    """A beacon's or error's address, to be called by the server for a viewer.

    `code` is the VAST error code that [ERRORCODE] stands for, in VMAP [ERROR_CODE]; `reason` that
    of a verification.
    """
    known = _called(values, now_us) | _placed(playing)
    known |= {
        "ADPLAYHEAD": _clock(playing.ad_us),
        "MEDIAPLAYHEAD": _clock(playing.content_us),
        "CONTENTPLAYHEAD": _clock(playing.content_us),
        **dict.fromkeys(("ERRORCODE", "ERROR_CODE"), UNKNOWN if code is None else str(code)),
        "REASON": UNKNOWN if reason is None else str(reason),
    }
    return _filled(url, known, other=UNKNOWN)


def placed(url: str, playing: Playing) -> str:
    """An address that the server will call for a viewer, with what is settled with the ad's place;
    the rest is for `beacon`.
    """
    return _filled(url, _placed(playing), other=None)


def client(url: str, playing: Playing) -> str:
    """An address that a client will call, with what only the server knows; the rest is left."""
    return _filled(url, _placed(playing) | {"SERVERSIDE": "0"}, other=None)


def headers(values: Values) -> dict[str, str]:
    """Of a request to an ad server on a viewer's behalf.

    VAST 4.1 names X-Device-User-Agent and X-Device-IP for servers that call for a client; older ad
    servers look at User-Agent and X-Forwarded-For.
    """
    # What is not ASCII cannot be in a header, and no user agent needs it.
    agent = values.agent
    if not (agent.isascii() and agent.isprintable()):
        agent = "".join(one for one in agent if " " <= one <= "~")
    found = {"User-Agent": agent or SERVER_AGENT}
    if agent:
        found["X-Device-User-Agent"] = agent
    if values.address:
        found |= {"X-Forwarded-For": values.address, "X-Device-IP": values.address}
    return found


def _ours(values: Values) -> dict[str, str]:
    duration_us = values.duration_us
    return {
        "CACHE_BUSTER": _random(),
        "REMOTE_ADDRESS": values.address,
        "AD_BREAK_DURATION": "" if duration_us is None else str(round(duration_us / 1e6)),
        "AD_BREAK_DURATION_MS": "" if duration_us is None else str(round(duration_us / 1e3)),
        "LIVE_AR_SIGNALID": values.signal_id,
        "LIVE_AR_UPID": values.upid,
        "SESSION_ID": values.session,
        "SERVICE_ID": values.service,
    }


def _called(values: Values, now_us: Micros) -> dict[str, str]:
    """Of any call that the server makes for a viewer."""
    now = datetime.fromtimestamp(now_us / 1e6, UTC)
    return {
        "TIMESTAMP": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "CACHEBUSTING": _random(),
        "SERVERSIDE": "1",  # a server, on behalf of a client
        "DEVICEIP": values.address or UNKNOWN,
        "DEVICEUA": values.agent or UNKNOWN,
        "SERVERUA": SERVER_AGENT,
        "LIMITADTRACKING": _limited(values.headers),
    }


def _placed(playing: Playing) -> dict[str, str]:
    """Of an ad at its place: what only the server knows."""
    return {
        "PODSEQUENCE": str(playing.sequence) if playing.sequence else UNKNOWN,
        "BREAKPOSITION": str(playing.position),
        "ASSETURI": playing.asset or UNKNOWN,
    }


def _limited(sent: Mapping[str, str]) -> str:
    """What a browser says of tracking: Global Privacy Control, or its forerunner DNT."""
    if "1" in {sent.get("sec-gpc"), sent.get("dnt")}:
        return "1"
    return "0" if sent.get("dnt") == "0" else UNKNOWN


def _clock(micros: int | None) -> str:
    if micros is None:
        return UNKNOWN
    seconds, milliseconds = divmod(micros // 1000, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}"


def _random() -> str:
    """Eight digits, as [CACHEBUSTING] wants them."""
    return str(10_000_000 + secrets.randbelow(90_000_000))


def _filled(url: str, known: Mapping[str, str], *, other: str | None) -> str:
    """`other` is what unknown macros become; None leaves them.

    Macros are in capitals. In small letters, as older tags write some, only known ones are macros:
    anything else in brackets is the address's own.
    """

    def found(match: re.Match[str]) -> str:
        value = known.get(match[1].upper())
        if value is None:
            value = other if match[1].isupper() else None
        return match[0] if value is None else quote(value, safe="")

    return _VAST.sub(found, url)
