"""`footfall stream check`: a service without a fault passes, and every rule finds its fault.

The service is a small one of this file: a live stream with two ads in each break, and the tracking
that goes with it; each case breaks one thing. Time is the test's own.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from footfall.cli import cli, streams
from footfall.stream import checking_tracking
from footfall.stream.checking import SCHEMA, Check
from footfall.stream.checking_rules import RULES

SEGMENT_MS = 1920
EPOCH_MS = 1_767_225_600_000
CYCLE, WINDOW = 31, 20
ADS = (("kettle", range(11, 15)), ("meadow", range(15, 20)))
CUTS = (0, 11, 15, 20)
"""Where a cycle has its discontinuities: at its start, each ad's and the return."""
SESSION = "bpkio_sessionid=abc&bpkio_serviceid=s"
MASTER = f"""#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",URI="sound.m3u8?{SESSION}"
#EXT-X-STREAM-INF:BANDWIDTH=90000,CODECS="avc1.4d401f,mp4a.40.2",AUDIO="a"
high.m3u8?{SESSION}
"""
BREAKS_IN = 40
"""The cycle whose break the checks watch."""


def _date(ms):
    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
    return moment.isoformat(timespec="milliseconds")


def _media(first, after, name):
    """Segments `first` to before `after` as a live playlist."""
    cycles, position = divmod(first, CYCLE)
    left = cycles * len(CUTS) + sum(cut < position for cut in CUTS)
    lines = [
        "#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-TARGETDURATION:2",
        f"#EXT-X-MEDIA-SEQUENCE:{first}", f"#EXT-X-DISCONTINUITY-SEQUENCE:{left}",
    ]  # fmt: skip
    for number in range(first, after):
        position = number % CYCLE
        asset = next((ad for ad, places in ADS if position in places), "main")
        if position in CUTS:
            lines.append("#EXT-X-DISCONTINUITY")
        if position in CUTS or number == first:
            lines.append(f'#EXT-X-MAP:URI="/{asset}/{name}/init.mp4"')
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{_date(EPOCH_MS + number * SEGMENT_MS)}")
        lines += ("#EXTINF:1.920,", f"/{asset}/{name}/{position}.m4s?{number}")
    return "\n".join((*lines, ""))


def _pod(cycle):
    ads = []
    for name, places in ADS:
        start = EPOCH_MS + (cycle * CYCLE + places.start) * SEGMENT_MS
        long = len(places) * SEGMENT_MS
        events = [
            {"type": kind, "callbackurl": "http://x/", "offset_ms": at, "time_ms": start + at}
            for kind, at in (("impression", 0), ("start", 0), ("midpoint", long // 2), ("complete", long))
        ]  # fmt: skip
        ads.append(
            {"adid": name, "starttime_ms": start, "duration_ms": long, "trackingevents": events}
        )
    total = sum(ad["duration_ms"] for ad in ads)
    start = ads[0]["starttime_ms"]
    return {"id": f"slot:{start}", "starttime_ms": start, "duration_ms": total, "ads": ads}


class Service:
    """Answers as a service would, but for what a case makes of it.

    `media(text, nth, name)`, `tracking(answer, nth)` and `answer(request, nth)` change what is
    served; the last may give a whole response, or None.
    """

    def __init__(self, media=None, tracking=None, answer=None, master=MASTER, schema=None):
        self.now = (EPOCH_MS + (BREAKS_IN * CYCLE + 24) * SEGMENT_MS) / 1000
        self.media, self.tracking, self.answer = media, tracking, answer
        self.master, self.schema = master, schema
        self.asked = {}

    def __call__(self, request):
        path, query = request.url.path, request.url.params
        kind = "tracking" if "bk-ml" in query else path
        nth = self.asked[kind] = self.asked.get(kind, 0) + 1
        if self.answer and (found := self.answer(request, nth)) is not None:
            return found
        if path == SCHEMA:
            return httpx.Response(200, json=self.schema) if self.schema else httpx.Response(404)
        if "bpkio_sessionid" not in query:
            return httpx.Response(307, headers={"Location": f"{path}?{SESSION}"})
        if kind == "tracking":
            answer = self._tracking()
            answer = self.tracking(answer, nth) if self.tracking else answer
            return httpx.Response(200, json=answer)
        text = self.master
        if path != "/s/master.m3u8":
            name = re.fullmatch(r"/s/(\w+)\.m3u8", path)[1]
            after = int(self.now * 1000 - EPOCH_MS) // SEGMENT_MS
            text = _media(after - WINDOW, after, name)
            text = self.media(text, nth, name) if self.media else text
        return httpx.Response(
            200, text=text,
            headers={
                "Content-Type": "application/vnd.apple.mpegurl", "Access-Control-Allow-Origin": "*",
            },
        )  # fmt: skip

    def _tracking(self):
        cycle = (int(self.now * 1000 - EPOCH_MS) // SEGMENT_MS - ADS[0][1].start) // CYCLE
        return {
            "refresh_delay_ms": 2000, "timereference_ms": 0,
            "adpods": [_pod(cycle - 1), _pod(cycle)],
        }  # fmt: skip

    def sleep(self, seconds):
        self.now += seconds + 0.01


def _checked(service, seconds=30, url="http://service.example/s/master.m3u8"):
    with httpx.Client(transport=httpx.MockTransport(service)) as client:
        return Check(client, clock=lambda: service.now, sleep=service.sleep).run(url, seconds)


def test_a_service_without_fault_over_several_breaks():
    report = _checked(Service(), seconds=200)
    assert report.findings == []
    assert (report.good, report.live, report.session, report.redirects) == (True, True, "abc", 1)
    assert [one.name for one in report.playlists] == ["audio English", "video 90k"]
    for one in report.playlists:
        assert one.refreshes > 90
        assert one.segments == pytest.approx(WINDOW + 200 / 1.92, abs=2)
        assert one.discontinuities > 12
    assert report.tracking.answers > 90
    assert report.tracking.pods == 5
    assert report.tracking.ads == 10


# What each case makes of a media playlist


def _drop(text, *tags):
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(tags))


def _later(text, seconds):
    def moved(match):
        return _date(datetime.fromisoformat(match[0]).timestamp() * 1000 + seconds * 1000)

    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.+]+", moved, text)


def _plus(tag, number):
    return lambda text: re.sub(rf"({tag}:)(\d+)", lambda m: f"{m[1]}{int(m[2]) + number}", text)


def _after_cuts(text, change):
    """`change` of every date that follows a discontinuity."""
    pattern = r"(#EXT-X-DISCONTINUITY\n#EXT-X-MAP.*\n)(#EXT-X-PROGRAM-DATE-TIME:.*\n)"
    return re.sub(pattern, lambda m: m[1] + change(m[2]), text)


def _before_last(text, line):
    head, last = text.rsplit("#EXTINF", 1)
    return f"{head}{line}\n#EXTINF{last}"


def _from_third(change):
    return lambda text, nth, _name: change(text) if nth >= 3 else text


def _always(change):
    return lambda text, _nth, _name: change(text)


def _sound(change):
    return lambda text, _nth, name: change(text) if name == "sound" else text


def _range(attributes):
    return _always(lambda text: _before_last(text, f"#EXT-X-DATERANGE:{attributes}"))


class _Frozen:
    """From the third refresh on the same text again and again."""

    def __init__(self):
        self.last = {}

    def __call__(self, text, nth, name):
        return self.last.setdefault(name, text) if nth >= 3 else text


START = f'START-DATE="{_date(EPOCH_MS + (BREAKS_IN * CYCLE + 20) * SEGMENT_MS)}"'
TODAY = f'#EXT-X-DATERANGE:ID="r",{START},DURATION=60'
MEDIA_FAULTS = [
    ("format", _always(lambda text: _drop(text, "#EXT-X-TARGETDURATION"))),
    ("format", _always(lambda text: text.replace("#EXTINF:1.920,\n", "", 1))),
    ("format", _always(lambda text: text.replace("DATE-TIME:2", "DATE-TIME:x", 1))),
    ("format", _always(lambda text: text.replace("#EXTINF:1.920", "#EXTINF:-1", 1))),
    ("format", _always(lambda text: _before_last(text, "#EXT-X-BYTERANGE:10"))),
    ("sequence-place", _always(lambda text: text + "#EXT-X-DISCONTINUITY-SEQUENCE:4\n")),
    ("target-duration", _always(lambda text: text.replace("#EXTINF:1.920", "#EXTINF:2.500", 1))),
    ("map-missing", _always(lambda text: _drop(text, "#EXT-X-MAP"))),
    (
        "map-after-discontinuity",
        _always(lambda text: re.sub(r"(DISCONTINUITY\n)#EXT-X-MAP.*\n", r"\1", text)),
    ),
    ("map-without-discontinuity", _always(lambda text: _drop(text, "#EXT-X-DISCONTINUITY\n"))),
    ("date-after-discontinuity", _always(lambda text: _after_cuts(text, lambda _line: ""))),
    ("date-order", _always(lambda text: _after_cuts(text, lambda line: _later(line, -3)))),
    ("date-overlap", _always(lambda text: _after_cuts(text, lambda line: _later(line, -1)))),
    ("date-drift", _always(lambda text: _before_last(text, "#EXT-X-PROGRAM-DATE-TIME:2027-01-01"))),
    ("window", _always(lambda text: text[: [m.end() for m in re.finditer("m4s.*\n", text)][1]])),
    ("daterange", _range(START)),
    ("daterange", _range('ID="r"')),
    ("daterange", _range(f'ID="r",{START},DURATION=-1')),
    ("daterange", _range(f'ID="r",{START},END-DATE="2020-01-01T00:00:00Z"')),
    ("daterange", _range(f'ID="r",{START},END-ON-NEXT=YES')),
    ("daterange", _range(f'ID="r",{START},END-DATE="2027-01-01T00:00:00Z",DURATION=4')),
    (
        "daterange",
        _always(lambda text: f'{text}#EXT-X-DATERANGE:ID="r",{START},X-A="1"\n'
                f'#EXT-X-DATERANGE:ID="r",{START},X-A="2"\n'),
    ),
    ("target-duration-changed", _from_third(_plus("TARGETDURATION", 1))),
    ("media-sequence-back", _from_third(_plus("MEDIA-SEQUENCE", -9))),
    ("media-sequence-jump", _from_third(_plus("MEDIA-SEQUENCE", 50))),
    ("segments-withdrawn", _from_third(lambda text: text[: text.rindex("#EXTINF", 0, text.rindex("#EXTINF") - 60)])),
    ("segment-changed", _from_third(lambda text: text.replace("/high/", "/other/"))),
    ("segment-changed", _from_third(lambda text: text.replace("1.920", "1.900"))),
    ("discontinuity-sequence", _always(lambda text: _drop(text, "#EXT-X-DISCONTINUITY-SEQUENCE"))),
    ("discontinuity-sequence", _from_third(_plus("DISCONTINUITY-SEQUENCE", 1))),
    ("map-changed", _from_third(lambda text: text.replace("init.mp4", "begin.mp4"))),
    (
        "key-changed",
        lambda text, nth, _name: text if nth > 2 else text.replace(
            "#EXT-X-MAP", '#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXT-X-MAP', 1),
    ),
    ("date-changed", _from_third(lambda text: _later(text, 1))),
    ("stale", _Frozen()),
    (
        "daterange-removed",
        lambda text, nth, _name: text if nth > 2 else _before_last(text, TODAY),
    ),
    ("variants-target", _sound(_plus("TARGETDURATION", 2))),
    ("variants-dated", _sound(lambda text: _drop(text, "#EXT-X-PROGRAM-DATE-TIME"))),
    ("variants-ended", _sound(lambda text: f"{text}#EXT-X-ENDLIST\n")),
    ("variants-discontinuities", _sound(lambda text: _drop(text, "#EXT-X-DISCONTINUITY\n"))),
    ("variants-discontinuities", _sound(_plus("DISCONTINUITY-SEQUENCE", 1))),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "media"), MEDIA_FAULTS)
def test_a_fault_of_media_playlists_is_found(rule, media):
    found = {finding.rule: finding for finding in _checked(Service(media)).findings}
    assert rule in found
    assert found[rule].severity == RULES[rule].severity


# What each case makes of the tracking


def _newest(change):
    """A change of the newest pod, which the playlists list."""

    def changed(answer, nth):
        change(answer["adpods"][-1], nth)
        return answer

    return changed


def _moved(ms):
    def move(pod, _nth):
        for ad in pod["ads"]:
            ad["starttime_ms"] += ms
            for event in ad["trackingevents"]:
                event["time_ms"] += ms

    return move


def _with(name, change, first=1):
    def changed(pod, nth):
        if nth >= first:
            pod[name] = change(pod[name])

    return _newest(changed)


def _ad(name, change, first=1):
    def changed(pod, nth):
        if nth >= first:
            pod["ads"][-1][name] = change(pod["ads"][-1][name])

    return _newest(changed)


def _by_another_clock(answer, _nth):
    for pod in answer["adpods"]:
        pod["starttime_ms"] -= EPOCH_MS
        _moved(-EPOCH_MS)(pod, 1)
    return answer


TRACKING_FAULTS = [
    ("tracking-shape", lambda answer, _nth: {**answer, "adpods": None}),
    ("tracking-shape", _with("id", lambda _id: 7)),
    ("tracking-clock", _by_another_clock),
    ("refresh-delay", lambda answer, _nth: {**answer, "refresh_delay_ms": 60_000}),
    ("pods-order", lambda answer, _nth: {**answer, "adpods": answer["adpods"][::-1]}),
    ("pod-sum", _with("duration_ms", lambda ms: ms + 500)),
    ("ads-overlap", _ad("starttime_ms", lambda ms: ms - 500)),
    ("ad-outside", _with("starttime_ms", lambda ms: ms + 1)),
    ("event-time", _newest(lambda pod, _nth: pod["ads"][0]["trackingevents"][1].update(time_ms=5))),
    ("event-time", _newest(lambda pod, _nth: pod["ads"][0]["trackingevents"].append(
        {"type": "progress", "callbackurl": "", "offset_ms": 9_000, "time_ms": pod["starttime_ms"] + 9_000}))),
    ("pod-changed", _with("starttime_ms", lambda ms: ms - 40, first=3)),
    ("ad-changed", _ad("duration_ms", lambda ms: ms - 40, first=3)),
    ("ad-changed", _with("ads", lambda ads: ads[:1], first=3)),
    ("pod-left-early", lambda answer, nth: {**answer, "adpods": answer["adpods"][:-1]} if nth >= 3 else answer),
    ("ad-boundary", _newest(_moved(400))),
    ("ad-boundary", _ad("duration_ms", lambda ms: ms - 300)),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "tracking"), TRACKING_FAULTS)
def test_a_fault_of_session_tracking_is_found(rule, tracking):
    found = {finding.rule for finding in _checked(Service(tracking=tracking)).findings}
    assert rule in found


@pytest.mark.parametrize(("at_ms", "rules"), [(2_000, []), (3_500, ["pods-order"])])
def test_a_preroll_stands_between_a_break_and_the_ads_of_its_rest(at_ms, rules):
    def pod(name, starttime_ms, *ads):
        return checking_tracking.Pod(name, starttime_ms, sum(ms for _, ms in ads), [
            checking_tracking.Ad("x", start, ms) for start, ms in ads
        ])  # fmt: skip

    pods = [pod("slot:1", 1_000, (5_000, 8_000)), pod("preroll", 2_000, (at_ms, 3_000))]
    found = checking_tracking.alone(checking_tracking.Answer(pods, 2_000))
    assert [fault.rule for fault in found] == rules


# What each case makes of the way there


def _status(path, status, first=1):
    def answer(request, nth):
        wanted = (
            "bk-ml" in request.url.params
            if path == "tracking"
            else (request.url.path == path and "bk-ml" not in request.url.params)
        )
        return httpx.Response(status, text="no") if wanted and nth >= first else None

    return answer


def _bare(request, _nth):
    return httpx.Response(200, text="#EXTM3U\n") if request.url.path.endswith("high.m3u8") else None


def _round(request, _nth):
    return httpx.Response(302, headers={"Location": str(request.url)})


OTHER_FAULTS = [
    ("http", {"answer": _status("/s/master.m3u8", 404)}),
    ("http", {"answer": _status("/s/high.m3u8", 503, first=3)}),
    ("redirects", {"answer": _round}),
    ("content-type", {"answer": _bare}),
    ("cors", {"answer": _bare}),
    ("session-lost", {"master": MASTER.replace("high.m3u8?bpkio_sessionid=abc&", "high.m3u8?")}),
    ("format", {"master": MASTER.replace("BANDWIDTH=90000,", "")}),
    ("format", {"master": "<html>"}),
    ("group-missing", {"master": MASTER.replace('AUDIO="a"', 'AUDIO="b"')}),
    ("tracking-http", {"answer": _status("tracking", 502)}),
    ("tracking-schema", {"schema": {"required": ["sessiontoken"]}}),
]


@pytest.mark.parametrize(("rule", "parts"), OTHER_FAULTS)
def test_another_fault_is_found(rule, parts):
    found = {finding.rule for finding in _checked(Service(**parts)).findings}
    assert rule in found


def _ended(text, first, last):
    """The segments from one place to another as a finished stream."""
    return _drop(_media(first, last, text), "#EXT-X-PROGRAM-DATE-TIME") + "#EXT-X-ENDLIST\n"


def test_a_finished_stream_is_loaded_twice_and_must_stay():
    service = Service(media=lambda _text, _nth, name: _ended(name, 0, 25))
    service.tracking = lambda answer, _nth: _from_zero(answer)
    report = _checked(service)
    assert (report.findings, report.live, report.requests) == ([], False, 2 + 2 * 2 + 2)
    assert [one.segments for one in report.playlists] == [25, 25]

    changed = Service(media=lambda _text, nth, name: _ended(name, 0, 24 + nth))
    assert "ended-changed" in {finding.rule for finding in _checked(changed).findings}
    shorter = Service(media=lambda _text, _nth, name: _ended(name, 0, 25 if name == "high" else 22))
    assert "variants-length" in {finding.rule for finding in _checked(shorter).findings}


def _from_zero(answer):
    pod = _pod(0)
    pod["starttime_ms"] -= EPOCH_MS
    _moved(-EPOCH_MS)(pod, 1)
    return {**answer, "adpods": [pod]}


def test_every_rule_has_a_case_and_a_line_in_the_document():
    cases = {rule for rule, _ in (*MEDIA_FAULTS, *TRACKING_FAULTS, *OTHER_FAULTS)}
    assert cases | {"ended-changed", "variants-length"} == set(RULES)
    page = (Path(__file__).parents[2] / "docs" / "streams.md").read_text(encoding="utf-8")
    for name, rule in RULES.items():
        assert f"| `{name}` | {rule.severity} | {rule.remedy} |\n" in page


def test_a_fault_is_told_once_with_how_often():
    service = Service(media=_always(lambda text: text.replace("1.920", "2.600")))
    found = _checked(service).findings
    (target,) = (f for f in found if (f.rule, f.where) == ("target-duration", "video 90k"))
    assert target.count > 10
    assert target.first_s < 1
    assert target.last_s > 25
    assert found[0].severity == "error"
    assert [f.severity for f in found] == sorted(f.severity for f in found)


def test_a_media_playlist_by_itself():
    report = _checked(Service(), url=f"http://service.example/s/high.m3u8?{SESSION}")
    assert report.findings == []
    assert [one.name for one in report.playlists] == ["media playlist"]


# The command


@pytest.fixture
def command(monkeypatch):
    def run(service, *arguments):
        def check(client):
            mocked = httpx.Client(transport=httpx.MockTransport(service))
            return Check(mocked, clock=lambda: service.now, sleep=service.sleep)

        monkeypatch.setattr(streams, "Check", check)
        return CliRunner().invoke(
            cli, ["stream", "check", "http://service.example/s/master.m3u8", *arguments]
        )

    return run


def test_the_report_in_words(command):
    good = command(Service(), "--seconds", "20")
    assert good.exit_code == 0
    assert "Every rule holds." in good.stdout
    assert "session abc" in good.stdout
    bad = command(Service(media=_Frozen()), "--seconds", "20")
    assert bad.exit_code == 1
    assert re.search(r"error  stale  video 90k, after [\d.]+ s\n    nothing new for", bad.stdout)
    assert RULES["stale"].remedy in bad.stdout
    warned = command(Service(tracking=TRACKING_FAULTS[3][1]), "--seconds", "20")
    assert warned.exit_code == 0
    assert "0 errors, 1 warning\n" in warned.stdout


def test_the_report_as_json(command):
    answer = command(Service(media=_Frozen()), "--seconds", "20", "--json")
    assert answer.exit_code == 1
    report = json.loads(answer.stdout)
    assert report["session"] == "abc"
    assert {finding["rule"] for finding in report["findings"]} >= {"stale"}


def test_an_address_must_be_one():
    answer = CliRunner().invoke(cli, ["stream", "check", "service.example"])
    assert answer.exit_code == 2
