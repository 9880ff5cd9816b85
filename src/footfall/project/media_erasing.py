"""Whether a media session is about somebody whose data is to go. Pure, as the fold is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from footfall.journal.contract import Record
from footfall.model import ERASURE_KEY, Erasure
from footfall.project.media_metrics import Rows
from footfall.project.media_params import CLIENT, VISITOR, value_of
from footfall.project.media_session import Session

LONG_ENOUGH = 16
"""Characters of an id that is looked for in every text; shorter ones are in strangers' texts."""
VISITOR_IDS = (
    "marketing_cloud_user_id",
    "analytics_visitor_id",
    "analytics_aid",
    "app_installation_id",
)
_WORDS = re.compile(r"""[^\s/?#&=,;"'|]+""")
_erasure = msgspec.msgpack.Decoder(Erasure)


def erasures(record: Record) -> list[Erased]:
    """What a record says is to go; mostly nothing."""
    return [
        Erased(_erasure.decode(change.value))
        for change in record.changes
        if change.key == ERASURE_KEY and change.value is not None
    ]


class Erased:
    """One erasure, put to media sessions."""

    def __init__(self, erasure: Erasure) -> None:
        self._source = erasure.source
        self._sessions = frozenset(erasure.sessions)
        self._profiles = frozenset(erasure.profiles)
        self._users = frozenset(erasure.users)
        everything = self._sessions | self._profiles | self._users
        self._long = frozenset(one for one in everything if len(one) >= LONG_ENOUGH)

    def session(self, session: Session) -> bool:
        """Whether an open session is about one of them, or has an id of theirs in its texts."""
        visitor = (value_of(VISITOR, session.visitor, name) for name in VISITOR_IDS)
        user = dict(zip(CLIENT, session.client, strict=False)).get("user_id")
        ads = [session.ad, *session.ads]
        return self._is(session.source, session.session_id, visitor, user) or (
            self._here(session.source)
            and self._names([
                session.start,
                session.visitor,
                session.client,
                session.metadata,
                session.customer_ids,
                session.player_errors,
                session.external_errors,
                [item[5] for item in session.held],
                [[ad.values, ad.metadata] for ad in ads if ad is not None],
                [one.metadata for one in (session.chapter, *session.chapters) if one is not None],
            ])
        )  # fmt: skip

    def rows(self, rows: Rows) -> bool:
        """Whether a session is that is final and not in the lake yet."""
        row = rows.session
        visitor = (row.get(name) for name in VISITOR_IDS)
        return self._is(row["source"], row["session_id"], visitor, row.get("user_id")) or (
            self._here(row["source"])
            and self._names([row, rows.ads, rows.chapters, rows.states])
        )  # fmt: skip

    def stray(self, row: Mapping[str, Any]) -> bool:
        """Whether an event is that came to no session."""
        return self._is(row["source"], row["session_id"], (), None)

    def _here(self, source: str) -> bool:
        return self._source is None or self._source == source

    def _is(self, source: str, session_id: str, visitor: Iterable[Any], user: Any) -> bool:
        return self._here(source) and (
            session_id in self._sessions
            or user in self._users
            or any(one in self._profiles for one in visitor)
        )

    def _names(self, found: Any) -> bool:
        """Whether a long id is one of the words in there."""
        return bool(self._long) and any(
            not self._long.isdisjoint(_WORDS.findall(text)) for text in _texts(found)
        )


def _texts(found: Any) -> Iterator[str]:
    if isinstance(found, str):
        if len(found) >= LONG_ENOUGH:
            yield found
    elif isinstance(found, Mapping):
        for key, value in found.items():
            yield from _texts(key)
            yield from _texts(value)
    elif isinstance(found, list | tuple):
        for value in found:
            yield from _texts(value)
