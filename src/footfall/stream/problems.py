"""What a client is told when its call is refused: RFC 9457, and the sentence that mends it.

The whole list. Not for trouble with ads: that never changes an answer's status.
"""

from __future__ import annotations

import json

import msgspec

MEDIA_TYPE = b"application/problem+json"


class Problem(msgspec.Struct, frozen=True, gc=False):
    """One refusal. `detail` says how to mend it, and repeats nothing that was sent."""

    status: int
    title: str
    detail: str
    allow: bool = False
    """Whether the answer names the methods that are taken."""

    def body(self) -> bytes:
        """`application/problem+json`; the type is about:blank: the status says it all."""
        return json.dumps(
            {
                "type": "about:blank",
                "title": self.title,
                "status": self.status,
                "detail": self.detail,
            }
        ).encode()


METHOD = Problem(
    405, "Method Not Allowed", "Ask with GET, HEAD or OPTIONS: streams are only read.", allow=True
)
SERVICE_UNKNOWN = Problem(
    404,
    "Not Found",
    "No service has this name. The path is /stream/<service>/<path of the stream>, with the id "
    "of a [[service]] of the settings.",
)
PATH_UNKNOWN = Problem(
    404,
    "Not Found",
    "No stream can have this path. After the service's name comes the path of a playlist or "
    "manifest below the service's origin, without '.' and '..' in it.",
)
WORKFLOW_UNKNOWN = Problem(
    400,
    "Bad Request",
    "bk-ml is 1.0 (fast start) or 2.0 (metadata first), exactly so, and given once.",
)
WORKFLOW_CHANGED = Problem(
    400,
    "Bad Request",
    "bk-ml differs from the value that this session began with. Keep it for the whole session, "
    "or begin another by calling without bpkio_sessionid.",
)
SESSION_MALFORMED = Problem(
    400,
    "Bad Request",
    "bpkio_sessionid is 1 to 128 characters out of A-Z a-z 0-9 . _ - and given once. Call without "
    "it to be given one.",
)
SERVICE_CONTRADICTED = Problem(
    400,
    "Bad Request",
    "bpkio_serviceid is not the service that the path names. Leave it out, or call the path of "
    "that service.",
)
HOST_REFUSED = Problem(
    404,
    "Not Found",
    "The stream lies on a host that the service's settings do not allow. `hosts` of [[service]] "
    "names those that may be asked, `private_addresses` allows those in private networks.",
)
CHANNEL_UNKNOWN = Problem(
    404,
    "Not Found",
    "A channel has one multivariant playlist, /stream/<service>/master.m3u8, and those that it "
    "names.",
)
AD_UNKNOWN = Problem(
    404, "Not Found", "No ad of this session has this segment. Addresses come from its playlists."
)
ORIGIN_SLOW = Problem(
    504,
    "Gateway Timeout",
    "The origin took longer than server.streams.origin_seconds. Ask again.",
)
ORIGIN_FAILED = Problem(
    502,
    "Bad Gateway",
    "The origin could not be reached, or what it sent is no playlist. Ask again; the server's log "
    "says more.",
)
FAULT = Problem(
    500, "Internal Server Error", "An unexpected fault; the server's log says more. Ask again."
)


def origin_refused(status: int) -> Problem:
    """The origin's own 4xx, as it is."""
    return Problem(
        status,
        "Refused by the origin",
        "The origin answered so. Look whether the path is right and what the origin asks for; "
        "origin_query and stream_query of [[service]] name the parameters that it is told.",
    )
