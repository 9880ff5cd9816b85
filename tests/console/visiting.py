"""A console over a real lake, filled once, and visitors that ask it as browsers and programs do."""

from __future__ import annotations

import asyncio
import itertools
from html.parser import HTMLParser

import httpx

from footfall.console.answers import Answers
from footfall.console.site import console_site
from footfall.console.slots_api import SlotsApi
from footfall.data import DataDirectory
from footfall.journal.contract import Outcome, Unit
from footfall.journal.engines.memory import MemoryJournal
from footfall.lake.lake import Lake
from footfall.lake.loader import Loader
from footfall.model import Event, Reject
from footfall.project.checkpoints import Checkpoints
from footfall.project.runner import MediaRunner
from footfall.service import LocalService
from footfall.settings import Server, Settings
from footfall.stream.slots import Slots

TOKEN = "a-token-of-the-operator_0123456789"
PORT = 8081
HOME = f"http://127.0.0.1:{PORT}"
SECOND = 1_000_000
NOON = 1_767_268_800 * SECOND  # 2026-01-01T12:00:00Z
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>'\"; DROP TABLE events; --&amp;{{7*7}}"
)
_numbers = itertools.count()


def event(**changes) -> Event:
    number = next(_numbers)
    at = changes.pop("at", NOON)
    fields = {
        "event_id": f"e{number}",
        "source": "site",
        "protocol": "vaix",
        "type": "clicks:event",
        "occurred_at": at,
        "received_at": at,
    }
    return Event(**(fields | changes))


def reject(**changes) -> Reject:
    fields = {
        "received_at": changes.pop("at", NOON),
        "source": "site",
        "protocol": "vaix",
        "reason": "content_not_valid",
        "detail": "data.page is missing.",
        "status": 422,
    }
    return Reject(**(fields | changes))


class Console:
    """The parts of a worker that a console needs, in a directory."""

    def __init__(self, directory) -> None:
        data = DataDirectory.create(directory)
        self.lake = Lake(data.lake, memory_mb=256, threads=1)
        self.lake.open()
        data.journal.mkdir()
        self.clock = NOON
        self.journal = MemoryJournal(lambda: self.clock)
        self.loader = Loader(self.journal, self.lake)
        self.service = LocalService(
            data=data,
            journal=self.journal,
            lake=self.lake,
            loader=self.loader,
            media=MediaRunner(
                self.journal, self.lake, Checkpoints(data.project / "media.db", "media", 1)
            ),
            importer=None,
            eraser=None,
            settings=Settings(server=Server(), sources=()),
        )
        self.now = NOON / SECOND
        self.answers = Answers(self.lake, self.service, seconds=20, now=lambda: self.now)
        slots = SlotsApi(Slots(self.journal, lambda: self.clock), lambda: self.service.services)
        self.site = console_site(
            self.answers, slots, token=TOKEN, console_host="127.0.0.1", port=PORT
        )

    def write(self, *events, rejects=()):
        """Commit one record with these and load it."""
        outcome = Outcome(events=events, rejects=rejects)

        async def work():
            await self.journal.transact([Unit((), lambda states: outcome)])
            await self.loader.step()

        asyncio.run(work())

    def visitor(self, **headers):
        return Visitor(self.site, headers)

    def operator(self):
        """Somebody with the token."""
        return self.visitor(authorization=f"Bearer {TOKEN}")


class Visitor:
    """Asks without following redirects; keeps cookies as a browser does."""

    def __init__(self, site, headers) -> None:
        self._site = site
        self._headers = headers
        self._cookies = httpx.Cookies()

    def ask(self, method, path, **options) -> httpx.Response:
        async def work():
            transport = httpx.ASGITransport(self._site, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport,
                base_url=HOME,
                headers=self._headers,
                cookies=self._cookies,
                trust_env=False,
            ) as client:
                response = await client.request(method, path, **options)
                self._cookies = client.cookies
                return response

        return asyncio.run(work())

    def get(self, path, **options):
        return self.ask("GET", path, **options)

    def post(self, path, **options):
        return self.ask("POST", path, **options)

    def page(self, path, **params):
        """A page that must be there, read."""
        response = self.get(path, params=params or None)
        assert response.status_code == 200, response.text
        return Page(response.text)

    def json(self, path, **params):
        response = self.get(f"/console/api/{path}", params=params or None)
        assert response.status_code == 200, response.text
        return response.json()


class Page(HTMLParser):
    """What a browser makes of a page: its elements, its text, its links."""

    def __init__(self, text) -> None:
        super().__init__()
        self.source = text
        self.elements = []
        self.texts = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    def all(self, tag, **wanted):
        return [
            attrs for name, attrs in self.elements
            if name == tag and all(attrs.get(key) == value for key, value in wanted.items())
        ]  # fmt: skip

    def link(self, words):
        """The address of the link that says `words`."""
        at = self.source.index(f">{words}</a>")
        return Page(self.source[self.source.rindex("<a ", 0, at) : at + 1]).all("a")[0]["href"]
