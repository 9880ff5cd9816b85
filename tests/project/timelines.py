"""Media sessions written tersely, put into journal records, and folded.

A timeline is text, one event per line: `at playhead type [what]`, seconds since the session's
start; `what` is a dict of event properties, or of params where no key of it is a part.
"""

import ast
import json
from pathlib import Path

import msgspec

from footfall.journal.contract import Change, Position, Record, encode_events
from footfall.model import Event, MediaSession, media_key
from footfall.project.media import Fold
from footfall.project.media_session import SECOND

VECTORS = Path(__file__).parents[1] / "vectors"
START = 1_700_000_000 * SECOND
"""The client's clock at sessionStart."""
SID = "5" * 64
PARTS = {"params", "qoeData", "customMetadata"}
PARAMS = {
    "analytics.trackingServer": "t",
    "analytics.reportSuite": "suite",
    "visitor.marketingCloudOrgId": "org",
    "media.id": "film",
    "media.length": 100,
    "media.contentType": "vod",
    "media.playerName": "player",
    "media.channel": "web",
}
POD = {"media.ad.podIndex": 1, "media.ad.podSecond": 0}
ADS = {"media.ad.id": "ad", "media.ad.length": 10, "media.ad.podPosition": 1}
CHAPTER = {"media.chapter.index": 1, "media.chapter.offset": 0, "media.chapter.length": 10}
GIVEN = {"sessionStart": PARAMS, "adBreakStart": POD, "adStart": ADS, "chapterStart": CHAPTER}


def event(at, playhead, kind, what=None, *, sid=SID, source="tv", **fields):
    parts = dict(what) if what and PARTS & what.keys() else {"params": what} if what else {}
    if kind in GIVEN:
        parts["params"] = GIVEN[kind] | (parts.get("params") or {})
    return Event(
        event_id=f"{sid}-{at}-{kind}",
        source=source,
        protocol="adobe",
        type=kind,
        occurred_at=START + round(at * SECOND),
        received_at=START,
        session_id=sid,
        playhead_s=float(playhead),
        properties=parts or None,
        **fields,
    )


def timeline(text, **fields):
    found = []
    for line in filter(str.strip, text.splitlines()):
        at, playhead, kind, *what = line.split(None, 3)
        given = ast.literal_eval(what[0]) if what else None
        found.append(event(float(at), float(playhead), kind, given, **fields))
    return found


def vector(name):
    """One of the recorded timelines as events."""
    found = []
    for line in (VECTORS / f"{name}.jsonl").read_text().splitlines():
        row = json.loads(line)
        what = {part: row[part] for part in PARTS if part in row}
        found.append(event(row["at_s"], row["playhead_s"], row["eventType"], what))
    return found


def closing(closed_at, why="ended", *, sid=SID, source="tv"):
    value = MediaSession(source, START, closed_at, why)
    return Change(media_key(sid), msgspec.msgpack.encode(value), START + 7 * 86400 * SECOND)


class Journal:
    """Records in order; `at` is the server's clock in seconds since START."""

    def __init__(self):
        self.records = []

    def add(self, at, events=(), changes=()):
        sequence = 100 * (len(self.records) + 1)
        record = Record(START + round(at * SECOND), encode_events(events), b"", tuple(changes))
        self.records.append((Position(0, sequence), record))

    def play(self, events, *, delay=0.1):
        """Each event in a record of its own, as it happens; sessionEnd with its closing."""
        for each in events:
            changes = ()
            if each.type == "sessionEnd":
                changes = [closing(each.occurred_at, sid=each.session_id, source=each.source)]
            self.add((each.occurred_at - START) / SECOND + delay, [each], changes)

    def ticks(self, start, end):
        """A record without anything every 5 s."""
        at = start
        while at <= end:
            self.add(at)
            at += 5


def fold_all(records, fold=None):
    """The fold after all records, and what was finished on the way."""
    fold = Fold() if fold is None else fold
    finished = []
    for position, record in records:
        finished += fold.take(position, record).finished
    return fold, finished


def played(text_or_events, **limits):
    """The rows of one session as of now, each event having arrived as it happened."""
    from footfall.project.media_session import Limits

    events = timeline(text_or_events) if isinstance(text_or_events, str) else text_or_events
    journal = Journal()
    journal.play(events)
    fold, _ = fold_all(journal.records, Fold(Limits(**limits)))
    return fold.rows("tv", SID)


def metrics(text_or_events, *names, **limits):
    """Some columns of the session's row, as a tuple."""
    row = played(text_or_events, **limits).session
    return tuple(row[name] for name in names) if len(names) > 1 else row[names[0]]
