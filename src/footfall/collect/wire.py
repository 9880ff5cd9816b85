"""What protocols share in reading requests and wording answers: JSON, cookies, queries, headers.

Each function takes bytes that a stranger sent and gives a value or raises `NotReadable`, whose
text may be sent back. Not for what one vendor does alone: that stands in its own module.
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from footfall.collect.contract import RETRY_LATER, HeaderPairs, Reason, Refusal, Reply
from footfall.model import Micros
from footfall.settings import Limits

JSON_TYPE = ("Content-Type", "application/json")
JSON_HEADERS: HeaderPairs = (JSON_TYPE,)
RETRY_AFTER = ("Retry-After", "1")
"""On every 503: what waits for the journal waits for seconds, not minutes."""

HEADER_CHARACTERS = 2048
"""Most of one header's value that is kept with an event."""

STATUS: Mapping[Reason, int] = {
    Reason.METHOD_NOT_ALLOWED: 405,
    Reason.BODY_TOO_LARGE: 413,
    Reason.BODY_NOT_VALID: 400,
    Reason.CONTENT_TYPE_NOT_VALID: 400,
    Reason.CONTENT_NOT_VALID: 422,
    Reason.KEY_MISSING: 401,
    Reason.KEY_UNKNOWN: 401,
    Reason.KEY_EXPIRED: 401,
    Reason.PROTOCOL_NOT_ALLOWED: 403,
    Reason.CLIENT_ID_MISSING: 400,
    Reason.CLIENT_ID_NOT_ALLOWED: 403,
    Reason.AUTHENTICATION_METHOD_UNKNOWN: 400,
    Reason.AUTHENTICATION_METHOD_NOT_CONFIGURED: 401,
    Reason.VERSION_NOT_SUPPORTED: 400,
    Reason.NOT_ACCEPTABLE: 406,
    Reason.TOO_EARLY: 425,
    Reason.BOT_NOT_ALLOWED: 401,
    Reason.SESSION_NOT_FOUND: 400,
    Reason.SESSION_CLOSED: 410,
    Reason.OVERLOADED: 503,
    Reason.JOURNAL_UNAVAILABLE: 503,
    Reason.INTERNAL_ERROR: 500,
}
"""The usual status of each reason; a protocol whose vendor documents another says so itself."""


class NotReadable(ValueError):  # noqa: N818 - as StopIteration, it says what is the case
    """Bytes that are not what they should be. Its text is one sentence for the sender."""


def reply_json(status: int, value: Any, headers: HeaderPairs = ()) -> Reply:
    """An answer with a JSON body."""
    return Reply(
        status, msgspec.json.encode(value), (*JSON_HEADERS, *headers) if headers else JSON_HEADERS
    )


def refusal_json(
    refusal: Refusal, body: Any, headers: HeaderPairs = (), *, status: int | None = None
) -> Reply:
    """A refusal, under its reason's usual status unless another is given.

    With `Retry-After` where trying again helps.
    """
    if refusal.reason in RETRY_LATER:
        headers = (RETRY_AFTER, *headers)
    return reply_json(status or STATUS[refusal.reason], body, headers)


# JSON


def json_object(body: bytes, limits: Limits) -> dict[str, Any]:
    """A JSON body that is an object. Where a key stands twice, the last one counts.

    UTF-8 only, without a byte order mark. Raises `NotReadable`.
    """
    value = json_value(body, limits)
    if not isinstance(value, dict):
        raise NotReadable(f"The body must be a JSON object, not {json_kind(value)}.")
    return value


def json_value(body: bytes, limits: Limits) -> Any:
    """A JSON body of any shape within `limits`. Raises `NotReadable`."""
    try:
        value = msgspec.json.decode(body)
    except UnicodeDecodeError:
        raise NotReadable("The body must be UTF-8; it holds other bytes.") from None
    except RecursionError:
        raise NotReadable(_too_deep(limits)) from None
    except msgspec.DecodeError as error:
        raise NotReadable(_malformed(body, error)) from None
    if may_exceed(body, limits):
        _check_shape(value, limits)
    return value


def may_exceed(body: bytes, limits: Limits) -> bool:
    """Whether a body could be past the limits of depth and keys; False is certain, and cheap.

    Every level opens a bracket, and every key or item but a container's first follows a comma.
    """
    count = body.count
    opened = count(b"{") + count(b"[")
    if opened > limits.json_depth:
        return True
    # An item takes a byte and so does what separates it from the next one.
    return len(body) > limits.json_keys and opened + count(b",") > limits.json_keys


def json_kind(value: Any) -> str:
    """What a decoded value is called in JSON, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "a list" if isinstance(value, list) else "an object"


def _check_shape(value: Any, limits: Limits) -> None:
    """Raise `NotReadable` where a value is nested too deep or has too many keys and items."""
    level, depth, keys = [value], 0, 0
    while level:
        below: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                keys += len(part)
                below.extend(part.values())
            elif isinstance(part, list):
                keys += len(part)
                below.extend(part)
        if keys > limits.json_keys:
            raise NotReadable(
                f"The body may hold at most {limits.json_keys} keys and items; send fewer at once."
            )
        level = [part for part in below if isinstance(part, dict | list)]
        depth += 1
        if level and depth >= limits.json_depth:
            raise NotReadable(_too_deep(limits))


def _too_deep(limits: Limits) -> str:
    return f"The body may be nested at most {limits.json_depth} levels deep; flatten it."


def _malformed(body: bytes, error: msgspec.DecodeError) -> str:
    if not body.strip():
        return "The body is empty; it must be JSON."
    if body.startswith(b"\xef\xbb\xbf"):
        return "The body starts with a byte order mark; send the JSON without it."
    text = str(error).removeprefix("JSON is malformed: ")
    if text == "Input data was truncated":
        text = "it ends too early, or a string holds half of a surrogate pair"
    return f"The body is not valid JSON: {text}."


# Headers


def sent_by(headers: Mapping[bytes, bytes]) -> dict[str, Any]:
    """What a browser says of itself, as it is kept in `Event.context`: the headers as sent."""
    kept = {}
    if (value := headers.get(b"origin")) is not None:
        kept["origin"] = value[:HEADER_CHARACTERS].decode("latin-1")
    if (value := headers.get(b"referer")) is not None:
        kept["referer"] = value[:HEADER_CHARACTERS].decode("latin-1")
    if (value := headers.get(b"user-agent")) is not None:
        kept["user_agent"] = value[:HEADER_CHARACTERS].decode("latin-1")
    return kept


def bearer(authorization: bytes) -> str | None:
    """The token of an `Authorization: Bearer …` header; None where it is anything else."""
    scheme, _, token = authorization.strip().partition(b" ")
    if scheme.lower() != b"bearer":
        return None
    return token.strip().decode("latin-1") or None


def cookies(header: bytes, name: bytes) -> list[str]:
    """Every value of one cookie, in order of arrival.

    Split by hand: the standard library's parser gives up at the first malformed cookie and
    loses all that come after it.
    """
    found = []
    for pair in header.split(b";"):
        key, separator, value = pair.partition(b"=")
        if separator and key.strip() == name:
            found.append(value.strip().strip(b'"').decode("latin-1"))
    return found


def is_json_type(content_type: bytes | None) -> bool:
    """Whether a Content-Type is `application/json` (or absent), in UTF-8 if it names a charset."""
    if content_type is None or content_type == b"application/json":
        return True
    kind, *parameters = content_type.lower().split(b";")
    if kind.strip() != b"application/json":
        return False
    for parameter in parameters:
        key, _, value = parameter.partition(b"=")
        if key.strip() == b"charset" and value.strip().strip(b'"') not in {b"utf-8", b"utf8"}:
            return False
    return True


def accepts_json(accept: bytes | None) -> bool:
    """Whether an Accept header leaves room for `application/json`, by its q-values (RFC 9110).

    The most specific range that matches decides: `application/json;q=0, */*` refuses. An empty
    header refuses nothing.
    """
    if not accept or accept == b"*/*":
        return True
    best, quality = 0, 0.0
    for item in accept.lower().split(b","):
        kind, *parameters = item.split(b";")
        rank = {b"application/json": 3, b"application/*": 2, b"*/*": 1}.get(kind.strip(), 0)
        if rank == 0:
            continue
        asked = _quality(parameters)
        if rank > best:
            best, quality = rank, asked
        elif rank == best:
            quality = max(quality, asked)
    return quality > 0 if best else not accept.strip(b" \t,")


def _quality(parameters: Iterable[bytes]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition(b"=")
        if key.strip() == b"q":
            try:
                quality = float(value)
            except ValueError:
                return 1.0
            return quality if 0 <= quality <= 1 else 1.0
    return 1.0


# Queries, words, times


def query(raw: str) -> list[tuple[str, str]]:
    """The parameters of a query string, in order, percent-decoded; empty values are kept.

    Bytes that are not UTF-8 become U+FFFD.
    """
    if not raw:
        return []
    return parse_qsl(raw, keep_blank_values=True, errors="replace")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that somebody probably meant."""
    close = difflib.get_close_matches(word[:128], tuple(known), n=1)
    return close[0] if close else None


_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - UTC throughout; the texts carry no zone


def utc_text(moment: Micros) -> str:
    """A moment as ISO 8601 in UTC with six decimals and no zone: `2023-01-15T14:30:24.123456`."""
    return (_EPOCH + dt.timedelta(microseconds=moment)).isoformat(timespec="microseconds")
