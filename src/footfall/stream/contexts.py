"""What the journal's state holds of sessions and services: keys, values, and how they change.

Every change is a `Unit` for `Journal.transact`: a pure look at what stands there, and what is to
stand there. What a session was told once is never taken back: pods are added, decided once, and
folded into numbers when the list has long forgotten them.

Not a cache, and nothing waits here: that is `sessions`' and `deciding`'s matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from footfall.journal.contract import Change, Outcome, States, Unit
from footfall.model import Event, Micros
from footfall.settings import Service
from footfall.stream import folding
from footfall.stream.contract import Break, Context, Mark, Pod

SHORTEST_LIFE_US = 600 * 1_000_000
LIVES = 10
"""A session lives as many times its manifest's duration without a call."""
KEPT_US = 86_400 * 1_000_000
"""How long what all sessions of a service share is kept after it changed last: no session lives
longer without a call."""
WHOLE = ""
"""Id of the pod that stands for the one decision of a VOD, whose breaks are not known before. It
has no ads and is shown to nobody."""

_encode = msgspec.msgpack.Encoder().encode
_context = msgspec.msgpack.Decoder(Context)
_breaks = msgspec.msgpack.Decoder(tuple[Break, ...])
_marks = msgspec.msgpack.Decoder(tuple[Mark, ...])
_clock = msgspec.msgpack.Decoder(dict[str, tuple[int, Micros]])

Clock = Mapping[str, tuple[int, Micros]]
"""Of an origin without program date times, by rendition: when which media sequence number began."""


ERASED = "stream/erased"
"""Key under which stands when somebody was erased last: what is kept elsewhere may be theirs."""
ERASED_LASTS_US = KEPT_US


def session_key(service: str, session_id: str) -> str:
    return f"stream/{service}/session/{session_id}"


def breaks_key(service: str, stream: str) -> str:
    return f"stream/{service}/breaks/{stream}"


def marks_key(service: str, rendition: str) -> str:
    return f"stream/{service}/marks/{rendition}"


def clock_key(service: str, stream: str) -> str:
    return f"stream/{service}/clock/{stream}"


def read(data: bytes | None) -> Context | None:
    return None if data is None else _context.decode(data)


def read_breaks(data: bytes | None) -> tuple[Break, ...]:
    return () if data is None else _breaks.decode(data)


def read_marks(data: bytes | None) -> tuple[Mark, ...]:
    return () if data is None else _marks.decode(data)


def read_clock(data: bytes | None) -> Clock:
    return {} if data is None else _clock.decode(data)


def life_us(service: Service, manifest_us: int) -> int:
    """How long a session lives without a call: ten times its manifest, at least 10 minutes."""
    longest = round(service.session_hours * 3_600_000_000)
    return min(max(LIVES * manifest_us, SHORTEST_LIFE_US), max(longest, SHORTEST_LIFE_US))


class Wish(msgspec.Struct, frozen=True, gc=False):
    """What a call wants of its session. What is settled already stays as it is."""

    workflow: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    manifest_at: Micros = 0
    joined_us: Micros = 0
    rendition: str = ""
    """Key of the rendition that is served, where its numbers are to be kept."""
    pods: tuple[Pod, ...] = ()
    """Undecided: each is added unless one of its id is there, and is the caller's to decide."""
    first: tuple[Pod, ...] = ()
    """Likewise, but only by the call with which the session joins the stream."""

    def contradicts(self, context: Context) -> bool:
        """Whether it names another workflow than the session's: it is then refused as a whole."""
        return bool(self.workflow and context.workflow and context.workflow != self.workflow)

    def fulfilled(self, context: Context) -> bool:
        """Whether the context says all of it already."""
        known = {pod.id for pod in context.pods}
        return (
            (not self.workflow or context.workflow == self.workflow)
            and (not self.manifest_at or context.manifest_at > 0)
            and (not self.joined_us or context.joined_us > 0)
            and (not self.rendition or self.rendition in context.shifts)
            and all(pod.id in known for pod in self.pods)
        )

    def missing(self, context: Context) -> tuple[Pod, ...]:
        """The pods that would be added."""
        known = {pod.id for pod in context.pods}
        joins = self.joined_us > 0 and not context.joined_us
        wanted = (*self.first, *self.pods) if joins else self.pods
        return tuple(pod for pod in wanted if pod.id not in known)

    def applied(self, context: Context) -> Context:
        shifts = context.shifts
        if self.rendition and self.rendition not in shifts:
            shifts = {**shifts, self.rendition: folding.unseen(shifts)}
        return msgspec.structs.replace(
            context,
            workflow=context.workflow or self.workflow,
            manifest_at=context.manifest_at or self.manifest_at,
            joined_us=context.joined_us or self.joined_us,
            shifts=shifts,
            pods=ordered((*context.pods, *self.missing(context))),
        )


class Life(msgspec.Struct, frozen=True, gc=False):
    """Whose context is changed, when, and how long it lives from then on at least."""

    key: str
    now: Micros
    life_us: int

    def kept(self, context: Context) -> tuple[Context, tuple[Change, ...]]:
        """The context, renewed, and the change that stores it."""
        renewed = msgspec.structs.replace(
            context,
            renewed_at=max(self.now, context.renewed_at + 1),
            life_us=max(self.life_us, context.life_us),
        )
        return renewed, (Change(self.key, _encode(renewed), ends_at(renewed)),)


def ends_at(context: Context) -> Micros:
    """When a session is over, if nobody calls."""
    return context.renewed_at + context.life_us


class Opened(msgspec.Struct, frozen=True, gc=False):
    """`reply` of `opened`."""

    context: Context
    taken: frozenset[str] = frozenset()
    """Ids of the pods that are the caller's to decide."""


def opened(
    life: Life,
    wish: Wish,
    began: Callable[[Context], Sequence[Event]],
) -> Unit:
    """Begin a session or bring it up to a wish; `reply` is `Opened`.

    A wish that contradicts the session changes nothing: the caller sees it by the context.
    `began` gives the events of a context that is new.
    """

    def decide(states: States) -> Outcome:
        found = read(states.get(life.key))
        if found is not None and (wish.contradicts(found) or wish.fulfilled(found)):
            return Outcome(reply=Opened(found))
        base = found or Context(began_at=life.now, parameters=wish.parameters)
        taken = frozenset(pod.id for pod in wish.missing(base))
        context, changes = life.kept(wish.applied(base))
        return Outcome(() if found else began(context), (), changes, Opened(context, taken))

    return Unit((life.key,), decide)


def renewed(life: Life, folded: Callable[[Context], Context] | None = None) -> Unit:
    """Keep a session alive; `reply` is its `Context`, or None where it is gone.

    With `folded`, pods that are gone for good are taken out by it, and where there are none the
    session stays as it is.
    """

    def decide(states: States) -> Outcome:
        found = read(states.get(life.key))
        if found is None:
            return Outcome()
        base = found if folded is None else folded(found)
        if folded is not None and base is found:
            return Outcome(reply=found)
        context, changes = life.kept(base)
        return Outcome((), (), changes, context)

    return Unit((life.key,), decide)


class Settled(msgspec.Struct, frozen=True, gc=False):
    """`reply` of `settled`."""

    context: Context | None
    done: bool
    """False: it had been settled before, or its time had run out."""


def settled(
    life: Life,
    claim: Pod,
    pods: Sequence[Pod],
    events: Sequence[Event],
    *,
    expired: bool = False,
) -> Unit:
    """Put what was decided in the place of a claim, with its events.

    In time: the claim still runs. With `expired` the other way round: it has run out, and `pods`
    say that it is lost.
    """

    def decide(states: States) -> Outcome:
        found = read(states.get(life.key))
        if found is None:
            return Outcome(reply=Settled(None, False))
        open_ = any(
            pod.id == claim.id and not pod.decided and (pod.claimed_until <= life.now) is expired
            for pod in found.pods
        )
        if not open_:
            return Outcome(reply=Settled(found, False))
        rest = [pod for pod in found.pods if pod.id != claim.id]
        context = msgspec.structs.replace(found, pods=ordered((*rest, *pods)))
        context, changes = life.kept(context)
        return Outcome(events, (), changes, Settled(context, True))

    return Unit((life.key,), decide)


def shared_breaks(
    key: str, now: Micros, merge: Callable[[Sequence[Break]], tuple[Break, ...]]
) -> Unit:
    """Bring a stream's breaks up to what a list says; `reply` is all of them."""

    def decide(states: States) -> Outcome:
        known = read_breaks(states.get(key))
        merged = merge(known)
        if merged == known:
            return Outcome(reply=known)
        return Outcome((), (), (Change(key, _encode(merged), now + KEPT_US),), merged)

    return Unit((key,), decide)


def shared_marks(key: str, now: Micros, wanted: Sequence[Mark]) -> Unit:
    """Add marks of one rendition; what is known already stays. `reply` is all, by `at_us`."""

    def decide(states: States) -> Outcome:
        known = read_marks(states.get(key))
        added = [mark for mark in wanted if not _is_among(mark, known)]
        if not added:
            return Outcome(reply=known)
        # By the stream's own clock, which need not be that of the server.
        oldest = max(mark.at_us for mark in (*known, *added)) - 2 * KEPT_US
        kept = [mark for mark in (*known, *added) if mark.at_us > oldest]
        marks = tuple(sorted(kept, key=lambda mark: mark.at_us))
        return Outcome((), (), (Change(key, _encode(marks), now + KEPT_US),), marks)

    return Unit((key,), decide)


def _is_among(mark: Mark, known: Sequence[Mark]) -> bool:
    return any(
        one.sequence == mark.sequence or one.after_us < mark.at_us <= one.at_us for one in known
    )


def shared_clock(key: str, now: Micros, advance: Callable[[Clock], Clock]) -> Unit:
    """Bring the clock of an origin without dates up to a list; `reply` is the `Clock`."""

    def decide(states: States) -> Outcome:
        known = read_clock(states.get(key))
        clock = advance(known)
        if clock == known:
            return Outcome(reply=known)
        return Outcome((), (), (Change(key, _encode(clock), now + KEPT_US),), clock)

    return Unit((key,), decide)


def ordered(pods: Sequence[Pod]) -> tuple[Pod, ...]:
    """By where they cut; those that cut at one place stay in the order of their times."""
    return tuple(sorted(pods, key=lambda pod: (pod.at_us or pod.start_us, pod.start_us)))
