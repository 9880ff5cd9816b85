"""The slots of channels as the journal's state holds them: those that the API has set."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from footfall.journal.contract import Change, Journal, Outcome, States, Unit
from footfall.model import Micros
from footfall.settings import Service
from footfall.stream import schedule
from footfall.stream.schedule import Planned, SlotNotValid, SlotStands
from footfall.stream.services import allows

LASTS_US = 3650 * 86_400_000_000
"""A schedule that nobody touches stays."""


class Slots:
    """Reads and changes them."""

    def __init__(self, journal: Journal, now: Callable[[], Micros]) -> None:
        self._journal = journal
        self._now = now

    async def of(self, service: Service) -> list[Planned]:
        """Every slot of a channel, those of its settings too, by their start."""
        key = schedule.slots_key(service.id)
        found = schedule.read((await self._journal.get([key])).get(key))
        both = [*schedule.of_settings(service.slots), *found]
        return sorted(both, key=lambda one: one.start_us)

    async def put(self, service: Service, new: Planned) -> bool:
        """Set a slot; durable on return. True: there was none of its id.

        Raises `SlotNotValid`, `SlotStands`, and what the journal raises.
        """
        fixed = self._fixed(service, new.id)
        host = urlsplit(new.replacement).hostname if new.replacement else None
        if new.replacement and (host is None or not allows(service, host)):
            raise SlotNotValid(
                f'replacement is on "{host}", which the service may not ask: add it to hosts.'
            )

        def change(slots: list[Planned], now: Micros) -> list[Planned]:
            both = schedule.with_slot([*fixed, *slots], new, now)
            return [one for one in both if one not in fixed]

        return await self._change(service, change, new.id)

    async def remove(self, service: Service, slot_id: str) -> None:
        """Take a slot out; durable on return. Raises `KeyError` and what `put` raises."""
        self._fixed(service, slot_id)
        await self._change(
            service, lambda slots, now: schedule.without(slots, slot_id, now), slot_id
        )

    def _fixed(self, service: Service, slot_id: str) -> list[Planned]:
        """The settings' own slots. Raises `SlotStands` where the id is one of theirs."""
        fixed = schedule.of_settings(service.slots)
        if any(one.id == slot_id for one in fixed):
            raise SlotStands(f'Slot "{slot_id}" is in the settings: change it there.')
        return fixed

    async def _change(
        self,
        service: Service,
        change: Callable[[list[Planned], Micros], list[Planned]],
        slot_id: str,
    ) -> bool:
        """Change the slots under the journal's lock. True: there was none of the id before."""
        key = schedule.slots_key(service.id)

        def decide(states: States) -> Outcome:
            now = self._now()
            before = schedule.read(states.get(key))
            after = change(before, now)
            is_new = all(one.id != slot_id for one in before)
            if after == before:
                return Outcome(reply=is_new)
            return Outcome(
                changes=(Change(key, schedule.write(after), now + LASTS_US),), reply=is_new
            )

        (result,) = await self._journal.transact([Unit((key,), decide)])
        if isinstance(result, Exception):
            raise result
        return bool(result.reply)
