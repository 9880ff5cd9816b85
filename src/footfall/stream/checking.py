"""`footfall stream check`: a session of any stream service, followed as a player would, and judged.

It follows redirects to the session's own address, loads every media playlist, refreshes them by
their target duration, and asks for session tracking where the address carries a session's ids. What
it sees goes to the rules of `checking_media` and `checking_tracking`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import httpx
import msgspec

from footfall.stream import checking_media, checking_tracking
from footfall.stream.checking_lists import (
    Fault,
    MediaPlaylist,
    Variant,
    is_multivariant,
    read_media,
    read_multivariant,
)
from footfall.stream.checking_rules import Finding, Findings
from footfall.stream.checking_tracking import Answer

SESSION, SERVICE, WORKFLOW = "bpkio_sessionid", "bpkio_serviceid", "bk-ml"
SCHEMA = "/stream/schema/session-tracking.json"
TYPES = {
    "application/vnd.apple.mpegurl",
    "application/x-mpegurl",
    "audio/mpegurl",
    "audio/x-mpegurl",
}
REDIRECTS = 10
TIMEOUT_S = 10.0
LATE = 1.5
"""Target durations within which a live playlist has a new segment."""
GRACE_S = 0.5
"""What the way here may add to that."""
POLL_S = 5.0
"""Between two session tracking calls where the answer does not say."""

Tell = Callable[[dict[str, Any]], None]


class Listed(msgspec.Struct):
    """What became of one media playlist."""

    name: str
    kind: str
    url: str
    refreshes: int = 0
    segments: int = 0
    """Different ones that it listed."""
    discontinuities: int = 0
    """Of these, how many had the tag."""


class Tracked(msgspec.Struct):
    """What became of session tracking; the pods and ads by all answers together."""

    answers: int = 0
    pods: int = 0
    ads: int = 0


class Report(msgspec.Struct):
    url: str
    session: str | None
    """Its id, where the address carries one."""
    live: bool
    seconds: float
    redirects: int
    requests: int
    playlists: list[Listed]
    tracking: Tracked | None
    findings: list[Finding]

    @property
    def good(self) -> bool:
        return not any(finding.severity == "error" for finding in self.findings)


class _Followed:
    """One media playlist between its refreshes."""

    def __init__(self, variant: Variant) -> None:
        self.listed = Listed(variant.name, variant.kind, variant.url)
        self.seen: MediaPlaylist | None = None
        self.due = 0.0
        self.grew = 0.0
        """When a new segment was seen last."""
        self.told_stale = False

    def count(self, now: MediaPlaylist) -> None:
        last = self.seen.sequence + len(self.seen.segments) if self.seen else now.sequence
        new = [segment for segment in now.segments if segment.number >= last]
        self.listed.refreshes += 1
        self.listed.segments += len(new)
        self.listed.discontinuities += sum(segment.discontinuity for segment in new)


class Check:
    """One session; `run` is called once."""

    def __init__(
        self,
        client: httpx.Client,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._clock = clock
        self._sleep = sleep
        self._findings = Findings()
        self._requests: Counter[str] = Counter()
        self._followed: list[_Followed] = []
        self._tracking_url: str | None = None
        self._schema: Any = None
        self._answer: Answer | None = None
        self._tracked = Tracked()
        self._told: tuple[set[str], set[tuple[str, str, int]]] = (set(), set())
        self._ask_due = 0.0
        self._began = 0.0

    def run(self, url: str, seconds: float, tell: Tell = lambda _step: None) -> Report:
        """Follow the session for so long; a finished stream is loaded twice and that is it."""
        self._began = self._clock()
        resolved, redirects = self._open(url)
        for one in self._followed:
            self._refresh(one)
        self._together()
        self._ask()
        if self._live:
            while (now := self._clock() - self._began) < seconds:
                tell({"done": round(now), "total": round(seconds), "what": self._progress()})
                self._next(seconds)
        else:
            for one in self._followed:
                self._refresh(one)
            self._ask()
        query = dict(parse_qsl(urlsplit(resolved).query))
        return Report(
            url=resolved,
            session=query.get(SESSION),
            live=self._live,
            seconds=round(self._clock() - self._began, 1),
            redirects=redirects,
            requests=self._requests.total(),
            playlists=[one.listed for one in self._followed],
            tracking=self._tracked if self._tracking_url else None,
            findings=self._findings.all(),
        )

    @property
    def _live(self) -> bool:
        return any(one.seen is not None and not one.seen.ended for one in self._followed)

    def _playlists(self) -> dict[str, MediaPlaylist]:
        return {one.listed.name: one.seen for one in self._followed if one.seen is not None}

    def _progress(self) -> str:
        answers = f", {self._tracked.answers} of tracking" if self._tracking_url else ""
        return f"{sum(one.listed.refreshes for one in self._followed)} playlists{answers}"

    def _find(self, where: str, *faults: Fault) -> None:
        self._findings.add(where, faults, round(self._clock() - self._began, 1))

    # Getting there

    def _open(self, url: str) -> tuple[str, int]:
        """The session's own address, and how many redirects led there; begins to follow it."""
        redirects = 0
        answer = self._get("session", url)
        while answer is not None and answer.is_redirect and redirects < REDIRECTS:
            url = urljoin(url, answer.headers["Location"])
            redirects += 1
            answer = self._get("session", url)
        if answer is not None and answer.is_redirect:
            self._find("session", Fault("redirects", f"more than {REDIRECTS}, the last to {url}"))
            return url, redirects
        text = self._text("session", answer)
        if text is None:
            return url, redirects
        if not text.startswith("#EXTM3U"):
            self._find("session", Fault("format", f"{url} is no HLS playlist"))
            return url, redirects
        ids = {name: value for name, value in parse_qsl(urlsplit(url).query) if name == SESSION}
        if ids:
            self._tracking_url = _with(url, WORKFLOW, "1.0")
            self._schema = self._published(url)
        if not is_multivariant(text):
            self._followed = [_Followed(Variant("media playlist", "video", url))]
            return url, redirects
        multivariant = read_multivariant(text, url)
        self._find("session", *multivariant.faults)
        for variant in _named_apart(multivariant.variants):
            self._followed.append(_Followed(variant))
            if ids and dict(parse_qsl(urlsplit(variant.url).query)).get(SESSION) != ids[SESSION]:
                said = f"{variant.url} does not carry {SESSION}={ids[SESSION]}"
                self._find(variant.name, Fault("session-lost", said))
        return url, redirects

    def _published(self, url: str) -> Any:
        """The schema that the service publishes where ours does, if it does."""
        try:
            answer = self._client.get(urljoin(url, SCHEMA), timeout=TIMEOUT_S)
            return answer.json() if answer.status_code == 200 else None
        except (httpx.HTTPError, ValueError):
            return None

    def _get(self, where: str, url: str, *, follow: bool = False) -> httpx.Response | None:
        self._requests[where] += 1
        try:
            return self._client.get(
                url, timeout=TIMEOUT_S, follow_redirects=follow,
                headers={"Origin": "https://player.invalid"},
            )  # fmt: skip
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            self._find(where, Fault("http", f"{url}: {fault or type(fault).__name__}"))
            return None

    def _text(self, where: str, answer: httpx.Response | None) -> str | None:
        """A playlist's text, its headers judged; None where there is none."""
        if answer is None:
            return None
        if answer.status_code != 200:
            self._find(where, Fault("http", f"{answer.url}: {answer.status_code}"))
            return None
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind not in TYPES:
            self._find(where, Fault("content-type", f"{answer.url} is {kind or 'of no type'}"))
        if "Access-Control-Allow-Origin" not in answer.headers:
            self._find(where, Fault("cors", f"{answer.url}"))
        return answer.content.decode(errors="replace")

    # Following

    def _next(self, seconds: float) -> None:
        """Wait for what is due first, and do it."""
        dues = [one.due for one in self._followed if one.seen is None or not one.seen.ended]
        asking = [self._ask_due] if self._tracking_url else []
        due = min((*dues, *asking, self._began + seconds), default=self._began + seconds)
        self._sleep(max(0.0, due - self._clock()))
        now = self._clock()
        if now - self._began >= seconds:
            return
        refreshed = [one for one in self._followed if one.due <= now]
        for one in refreshed:
            self._refresh(one)
        if refreshed:
            self._together()
        if self._tracking_url and self._ask_due <= now:
            self._ask()

    def _refresh(self, one: _Followed) -> None:
        name = one.listed.name
        text = self._text(name, self._get(name, one.listed.url, follow=True))
        now = self._clock()
        if text is None:
            one.due = now + (one.seen.target_s if one.seen else 1)
            return
        playlist, before = read_media(text, one.listed.url), one.seen
        self._find(name, *checking_media.alone(playlist))
        if before is not None:
            self._find(name, *checking_media.after(before, playlist))
        one.count(playlist)
        one.seen = playlist
        # RFC 8216, 6.3.4: after a change one target duration, else half of it.
        if before is None or checking_media.grown(before, playlist):
            one.grew, one.told_stale = now, False
            one.due = now + max(playlist.target_s, 1)
            return
        one.due = now + max(playlist.target_s, 1) / 2
        waited = now - one.grew
        if (
            not playlist.ended
            and not one.told_stale
            and waited > LATE * playlist.target_s + GRACE_S
        ):
            one.told_stale = True
            self._find(name, Fault("stale", f"nothing new for {waited:.1f} s"))

    def _together(self) -> None:
        playlists = self._playlists()
        if len(playlists) > 1:
            for name, fault in checking_media.together(playlists):
                self._find(name, fault)

    def _ask(self) -> None:
        """Session tracking, once, held against itself and against the playlists."""
        if self._tracking_url is None:
            return
        self._ask_due = self._clock() + POLL_S
        answer = self._get("tracking", self._tracking_url, follow=True)
        if answer is None:
            return
        if answer.status_code != 200:
            self._find(
                "tracking", Fault("tracking-http", f"{answer.status_code} {answer.text[:200]}")
            )
            return
        read = checking_tracking.read(answer.content)
        if isinstance(read, Fault):
            self._find("tracking", read)
            return
        if self._schema is not None:
            self._find("tracking", *checking_tracking.by_schema(self._schema, answer.content))
        self._judge(read)
        delay = read.refresh_delay_ms or 0
        self._ask_due = self._clock() + (delay / 1000 if 2000 <= delay <= 5000 else POLL_S)

    def _judge(self, now: Answer) -> None:
        playlists = self._playlists()
        self._find("tracking", *checking_tracking.alone(now))
        if self._answer is not None:
            self._find("tracking", *checking_tracking.after(self._answer, now))
            gone = checking_tracking.left_early(self._answer, now, playlists)
            self._find("tracking", *gone)
        for name, playlist in playlists.items():
            self._find(name, *checking_tracking.against(now, playlist, live=self._live))
        self._answer = now
        pods, ads = self._told
        pods |= {pod.id for pod in now.adpods}
        ads |= {(pod.id, ad.adid, ad.starttime_ms) for pod in now.adpods for ad in pod.ads}
        self._tracked.answers += 1
        self._tracked.pods, self._tracked.ads = len(pods), len(ads)


def _with(url: str, name: str, value: str) -> str:
    parts = urlsplit(url)
    query = [(n, v) for n, v in parse_qsl(parts.query, keep_blank_values=True) if n != name]
    return urlunsplit(parts._replace(query=urlencode([*query, (name, value)])))


def _named_apart(variants: tuple[Variant, ...]) -> list[Variant]:
    """Every variant with a name of its own."""
    used: Counter[str] = Counter()
    found = []
    for variant in variants:
        used[variant.name] += 1
        number = used[variant.name]
        found.append(
            variant if number == 1 else variant._replace(name=f"{variant.name} ({number})")
        )
    return found
