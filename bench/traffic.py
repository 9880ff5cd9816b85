"""Synthetic traffic that is as varied as the real kind: journal records, the same for a seed.

Pages, widgets and users are drawn as real ones are (few are seen often, most hardly ever), times
rise, ids are what the protocols make of them. It is not a client: nothing here speaks HTTP.
"""

from __future__ import annotations

import itertools
import random
import uuid
from collections.abc import Iterator

import msgspec

from footfall.journal.contract import Position, Record
from footfall.model import Event

START = 1_767_225_600_000_000
"""2026-01-01T00:00:00Z."""
AGENTS = tuple(
    (f"Mozilla/5.0 ({system}) {engine} {name}/{version}.0", device, os_name, name, channel)
    for system, device, os_name, channel, engine in (
        ("Windows NT 10.0; Win64; x64", "desktop", "Windows", "desktop", "Gecko/20100101"),
        ("Macintosh; Intel Mac OS X 10_15_7", "desktop", "Mac OS X", "mac", "AppleWebKit/605.1.15"),
        (
            "iPhone; CPU iPhone OS 18_5 like Mac OS X",
            "mobile",
            "iOS",
            "ios",
            "AppleWebKit/605.1.15",
        ),
        ("Linux; Android 15; Pixel 9", "mobile", "Android", "android", "AppleWebKit/537.36"),
    )
    for name in ("Chrome", "Firefox", "Safari", "Edge")
    for version in range(130, 142)
)
COUNTRIES = ("DE", "GB", "FR", "US", "ES", "IT", "PL", "NL", "SE", "AT", "CH", "BR", "JP", "IN")
VAIX_TYPES = ("impressions:events", "clicks:event", "clicks:outcome", "statistics:add_bet")
TRACARDI_TYPES = ("page-view", "product-view", "search", "add-to-basket", "purchase-order")


def zipf(size: int) -> list[float]:
    """Cumulative weights 1, 1 + 1/2, … for `random.choices`."""
    return list(itertools.accumulate(1 / (rank + 1) for rank in range(size)))


class Visitor(msgspec.Struct):
    """Somebody with a browser, a place and, perhaps, an account."""

    user_id: str | None
    profile_id: str
    session_id: str
    agent: tuple[str, str, str, str, str]
    country: str
    ip: str


class Traffic:
    """Endless events of one site; the same for the same seed."""

    def __init__(self, seed: int = 1, *, visitors: int = 20_000, pages: int = 5_000) -> None:
        self._random = random.Random(seed)
        self._now = START
        self._agent_weights = zipf(len(AGENTS))
        self._country_weights = zipf(len(COUNTRIES))
        self._visitors = [self._visitor() for _ in range(visitors)]
        self._visitor_weights = zipf(visitors)
        self._pages = [
            f"/{('live', 'sports', 'casino', 'news')[n % 4]}/{self._hex(3)}-{n}"
            for n in range(pages)
        ]
        self._page_weights = zipf(pages)
        self._widgets = [
            f"{name}:{kind}"
            for name in ("highlights", "hero", "sidebar", "footer", "carousel")
            for kind in ("recommended", "popular", "trending", "latest")
        ]
        self._widget_weights = zipf(len(self._widgets))

    def _hex(self, size: int) -> str:
        return self._random.randbytes(size).hex()

    def _uuid4(self) -> str:
        return str(uuid.UUID(bytes=self._random.randbytes(16), version=4))

    def _uuid7(self) -> str:
        """As the server makes them: 48 bits of milliseconds, then a random part."""
        text = f"{self._now // 1000:012x}7{self._hex(9)[:17]}8"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-8{text[17:20]}-{text[18:30]}"

    def _visitor(self) -> Visitor:
        draw = self._random
        return Visitor(
            user_id=self._hex(16) if draw.random() < 0.4 else None,
            profile_id=self._uuid4(),
            session_id=self._uuid4(),
            agent=draw.choices(AGENTS, cum_weights=self._agent_weights)[0],
            country=draw.choices(COUNTRIES, cum_weights=self._country_weights)[0],
            ip=f"{draw.randrange(2, 200)}.{draw.randrange(256)}.{draw.randrange(256)}.0",
        )

    def _vaix(self, visitor: Visitor, page: str, widget: str) -> Event:
        draw = self._random
        kind = draw.choices(VAIX_TYPES, (60, 25, 10, 5))[0]
        match = f"sr:match:{41_000_000 + draw.choices(range(2_000), cum_weights=MATCH_WEIGHTS)[0]}"
        if kind == "impressions:events":
            first = int(match[9:])
            properties = {
                "events": [{"id": f"sr:match:{first + n}"} for n in range(draw.randrange(1, 6))]
            }
        elif kind == "clicks:outcome":
            properties = {
                "event_id": match,
                "outcome_id": f"{match}:{draw.randrange(1, 4)}",
                "position": draw.randrange(12),
            }
        elif kind == "clicks:event":
            properties = {"event_id": match, "position": draw.randrange(12)}
        else:
            properties = {"stake": draw.randrange(1, 200) / 2, "currency": "EUR"}
        return self._event(visitor, "vaix", kind, page, widget, properties)

    def _tracardi(self, visitor: Visitor, page: str, _widget: str) -> Event:
        kind = self._random.choices(TRACARDI_TYPES, (70, 15, 8, 5, 2))[0]
        properties = {
            "title": page[1:],
            "product": {"id": f"sku-{self._random.randrange(3_000)}"},
            "jay_session_id": visitor.session_id,
        }
        return self._event(visitor, "tracardi", kind, page, None, properties, profile=True)

    def _adobe(self, visitor: Visitor, _page: str, _widget: str) -> Event:
        properties = {
            "qoeData": {"media.qoe.bitrate": self._random.choice((800_000, 2_400_000, 5_000_000))}
        }
        return self._event(
            visitor,
            "adobe",
            "ping",
            None,
            None,
            properties,
            playhead=self._random.randrange(36_000) / 10,
        )

    def _event(  # noqa: PLR0917 - the columns that differ, in their order
        self,
        visitor: Visitor,
        protocol: str,
        kind: str,
        page: str | None,
        widget: str | None,
        properties: dict[str, object],
        *,
        profile: bool = False,
        playhead: float | None = None,
    ) -> Event:
        agent, device, os_name, browser, channel = visitor.agent
        return Event(
            event_id=self._uuid7(),
            source="site",
            protocol=protocol,
            type=kind,
            occurred_at=self._now
            if protocol == "vaix"
            else self._now - self._random.randrange(2_000) * 1000,
            received_at=self._now,
            session_id=visitor.session_id,
            profile_id=visitor.profile_id if profile else None,
            user_id=visitor.user_id,
            page=page,
            location=widget,
            channel=channel,
            brand="https://www.example.com",
            country=visitor.country,
            device=device,
            os=os_name,
            browser=browser,
            ip=visitor.ip,
            playhead_s=playhead,
            properties=properties,
            context={"user_agent": agent, "referer": f"https://www.example.com{page or '/watch'}"},
        )

    def events(self, count: int) -> Iterator[Event]:
        """The next `count` events, about 500 of them to a second."""
        draw = self._random
        kinds = (self._vaix, self._tracardi, self._adobe)
        visitors = draw.choices(self._visitors, cum_weights=self._visitor_weights, k=count)
        pages = draw.choices(self._pages, cum_weights=self._page_weights, k=count)
        widgets = draw.choices(self._widgets, cum_weights=self._widget_weights, k=count)
        makers = draw.choices(kinds, (70, 20, 10), k=count)
        for visitor, page, widget, make in zip(visitors, pages, widgets, makers, strict=True):
            self._now += draw.randrange(4_000)
            if draw.random() < 0.02:  # this visit is over
                visitor.session_id = self._uuid4()
            yield make(visitor, page, widget)

    def records(self, count: int, per_record: int = 250) -> Iterator[tuple[Position, Record]]:
        """The next `count` events as a journal holds them, sequence numbers rising from 0."""
        encode = msgspec.json.Encoder().encode_lines
        for sequence, left in enumerate(range(count, 0, -per_record)):
            events = list(self.events(min(per_record, left)))
            yield Position(0, sequence), Record(at=self._now, events=encode(events))


MATCH_WEIGHTS = zipf(2_000)
