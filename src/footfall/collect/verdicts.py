"""What a client is told where no protocol has decided it: the journal did, or a fault."""

from __future__ import annotations

from uuid import uuid4

import structlog

from footfall.collect.contract import Reason, Refusal, Reply
from footfall.errors import JournalFailed, JournalUnavailable
from footfall.journal.contract import Outcome

log = structlog.get_logger()


def worded(result: Outcome | Exception) -> Reply | Refusal:
    """The answer that an outcome has, or that follows from why there is none."""
    if isinstance(result, Outcome):
        reply = result.reply
        if isinstance(reply, (Reply, Refusal)):
            return reply
        return fault("a protocol decided no reply", None)
    if isinstance(result, JournalFailed):
        return UNKNOWN
    if isinstance(result, JournalUnavailable):
        return UNAVAILABLE
    return fault("deciding failed", result)


def fault(event: str, raised: Exception | None, **said: str) -> Refusal:
    """Log what must not happen, under an id that the answer and its reject name as well."""
    request_id = uuid4().hex[:16]
    log.error(event, request_id=request_id, exc_info=raised, **said)
    return Refusal(
        reason=Reason.INTERNAL_ERROR,
        detail=f"An unexpected fault; the server's log says more of request {request_id}.",
    )


BOT = Refusal(
    reason=Reason.BOT_NOT_ALLOWED, detail="Access denied. This source takes no bot traffic."
)
UNAVAILABLE = Refusal(
    reason=Reason.JOURNAL_UNAVAILABLE,
    detail="The server cannot store anything now. Nothing was stored; send it again later.",
)
UNKNOWN = Refusal(
    reason=Reason.JOURNAL_UNAVAILABLE,
    detail="Storing failed. This may or may not have been stored; send it again later.",
)
OVERLOADED = Refusal(
    reason=Reason.OVERLOADED,
    detail="Too much is waiting to be stored. Nothing of this was; send it again later.",
)
WAITED_TOO_LONG = Refusal(
    reason=Reason.OVERLOADED,
    detail="Storing takes too long. This may or may not have been stored; send it again later.",
)
