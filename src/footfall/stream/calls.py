"""What calls of live streams and of VODs have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from footfall.model import Event, Micros
from footfall.stream import events
from footfall.stream.contexts import Wish
from footfall.stream.contract import Context
from footfall.stream.deciding import Decider
from footfall.stream.decisions import Client
from footfall.stream.events import Recorder
from footfall.stream.inserts import Inserts
from footfall.stream.requests import Call
from footfall.stream.sessions import Session, Sessions
from footfall.stream.titles import Titles
from footfall.stream.tracking import Tracking

UNKNOWN_TARGET_S = 5
"""What a client is told to wait for where the list is not known."""


class Calls:
    """The parts that answering takes."""

    def __init__(
        self,
        *,
        titles: Titles,
        sessions: Sessions,
        decider: Decider,
        inserts: Inserts,
        tracking: Tracking,
        recorder: Recorder,
        clock: Callable[[], Micros],
    ) -> None:
        self._titles = titles
        self._sessions = sessions
        self._decider = decider
        self._inserts = inserts
        self._tracking = tracking
        self._record = recorder
        self._clock = clock

    def _began(
        self, call: Call, client: Callable[[], Client]
    ) -> Callable[[Context], Sequence[Event]]:
        """The events of a session that begins with a call."""

        def made(_context: Context) -> Sequence[Event]:
            now = self._clock()
            said = events.session(
                now, kind=call.service.kind, workflow=call.workflow, path=call.path
            )
            return self._record(client().sender, [said], now)

        return made


def contradicts(call: Call, session: Session) -> bool:
    """Whether a call names another workflow than its session's: it is refused."""
    return Wish(workflow=call.workflow).contradicts(session.context)
