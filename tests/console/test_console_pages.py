"""The pages as a browser reads them: what they show, where they lead, and what cannot get out."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from visiting import HOSTILE, NOON, SECOND, Page, event, reject

HOSTILE_SESSION = {"source": "site", "protocol": "vaix", "session_id": HOSTILE}
EVERYWHERE = [
    ("/console", {}),
    ("/console", {"period": "week"}),
    ("/console/events", {}),
    ("/console/events", {"type": HOSTILE, "source": HOSTILE, "until": ""}),
    ("/console/events", {"user_id": HOSTILE}),
    ("/console/session", HOSTILE_SESSION),
    ("/console/rejects", {}),
    ("/console/rejects", {"reason": HOSTILE}),
    ("/console/sql", {"sql": "</textarea>" + HOSTILE}),
]


def assert_harmless(page):
    """Scripts, styles and addresses are ours alone."""
    assert [attrs["src"] for attrs in page.all("script")] == ["/console/static/console.js"]
    assert {attrs["src"] for attrs in page.all("img")} == {"/console/static/icon.svg"}
    assert page.all("style") == page.all("iframe") == page.all("base") == []
    for _, attrs in page.elements:
        for name, value in attrs.items():
            assert not name.startswith("on")
            assert name != "style"
            if name in ("href", "src", "action"):
                assert value.startswith(("/console", "?", "#"))


@pytest.mark.parametrize(("path", "params"), EVERYWHERE)
def test_nothing_that_was_sent_gets_out_of_its_place(console, path, params):
    page = console.operator().page(path, **params)
    assert_harmless(page)
    assert "<script>alert" not in page.source
    assert "49" not in page.source.partition("{{7")[0][-3:]


def test_hostile_texts_are_shown_as_they_are(console):
    for path in ("/console", "/console/events", "/console/rejects"):
        assert " ".join(HOSTILE.split()) in console.operator().page(path).text


def test_the_result_of_a_query_is_text_as_well(console):
    response = console.operator().post(
        "/console/sql",
        data={"sql": "SELECT type AS \"<b onclick='x'>\", properties FROM events ORDER BY 1"},
    )
    page = Page(response.text)
    assert_harmless(page)
    assert HOSTILE in page.text
    assert "<b onclick='x'>" in page.text


def test_the_overview_tells_what_came(console):
    page = console.operator().page("/console")
    assert "Events, last hour 5" in page.text
    assert "Rejects, last hour 2" in page.text
    assert "Loader lag none" in page.text
    assert page.all("svg", role="img")[0]["aria-label"] == "5 events in the last hour"
    assert "11:01 11:16 11:31 11:46 Times are UTC" in page.text
    assert "11:50–11:51: 5 events" in page.text
    assert page.link("key_unknown") == "/console/rejects?protocol=vaix&reason=key_unknown"


@pytest.mark.slow
def test_an_idle_server_says_so_on_every_page(empty):
    visitor = empty.operator()
    assert "Events, last hour 0" in visitor.page("/console").text
    assert "No events yet" in visitor.page("/console/events").text
    assert "Nothing was refused" in visitor.page("/console/rejects").text
    assert "No event is like this" in visitor.page("/console/events", type="x").text
    assert visitor.get("/console/session?source=a&protocol=b&session_id=c").status_code == 404


def test_filters_stay_in_the_form_and_lead_to_sql(console):
    page = console.operator().page("/console/events", type="clicks:event", user_id="o'neil")
    assert page.all("input", name="user_id")[0]["value"] == "o'neil"
    sql = parse_qs(urlsplit(page.link("Ask in SQL")).query)["sql"][0]
    assert "\"user_id\" = 'o''neil'" in sql
    response = console.operator().post("/console/sql", data={"sql": sql})
    assert response.status_code == 200, response.text


def test_an_event_leads_to_its_session_and_its_user(console):
    page = console.operator().page("/console/events", type="session_start")
    session = console.operator().page(page.link("Whole session"))
    lines = session.text.partition("since start")[2]
    assert lines.index("session_start") < lines.index("/shop") < lines.index("/home")
    assert "5.000 s" in session.text
    carried = console.operator().page("/console/events", user_id="anna", protocol="vaix")
    assert carried.link("Whole Jay session") == page.link("Whole session")


def test_a_session_of_any_id_can_be_opened(console):
    page = console.operator().page("/console/events", session_id=HOSTILE)
    opened = console.operator().page(page.link("Whole session"))
    assert opened.all("title")
    assert " ".join(HOSTILE.split()) in opened.text


def test_a_reject_shows_why_and_what_was_sent(console):
    page = console.operator().page("/console/rejects", reason="content_not_valid")
    assert "422" in page.text
    assert page.text.count(" ".join(HOSTILE.split())) == 3  # in its line, opened, and as its body


@pytest.mark.slow
def test_pages_follow_one_another_to_the_end(empty):
    empty.write(
        *(event(type=f"t{number}", at=NOON - number * SECOND) for number in range(120)),
        rejects=[reject(detail=f"d{number}", at=NOON - number) for number in range(60)],
    )
    for path, prefix, count in (("/console/events", "t", 120), ("/console/rejects", "d", 60)):
        page, seen = empty.operator().page(path), []
        while True:
            seen += [
                text.strip()
                for text in page.texts
                if text.strip()[1:].isdigit() and text.strip()[0] == prefix
            ]
            if ">Older</a>" not in page.source:
                break
            page = empty.operator().page(path + page.link("Older"))
            assert page.link("Newest") == "?"
        assert list(dict.fromkeys(seen)) == [f"{prefix}{number}" for number in range(count)]


def test_what_is_too_long_is_cut_and_said_so(empty):
    empty.write(event(page="/" + "p" * 5000, properties={"a": "q" * 20_000}, context={"b": 1}))
    page = empty.operator().page("/console/events")
    assert "p" * 999 + "…" in page.text
    assert "p" * 1000 not in page.text
    assert "q" * 100 not in page.text
    assert "properties is too long to show here" in page.text
    assert len(page.source) < 20_000


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/console?period=year", "must be one of hour, day, week"),
        ("/console/events?before=x", "`before` must be"),
        ("/console/events?before=1.2", "`before` must be"),
        ("/console/events?before=99999999999999999999.1.2.3", "`before` must be"),
        ("/console/events?limit=0", "from 1 to 200"),
        ("/console/events?limit=%D9%A3", "from 1 to 200"),
        ("/console/events?until=tomorrow", "2026-01-31T18:30:00Z"),
        ("/console/events?type=%00", "NUL"),
        ("/console/events?type=" + "x" * 3000, "longer than"),
        ("/console/session?source=site&protocol=jay", "`session_id` is missing"),
    ],
)
def test_what_cannot_be_read_is_said_in_words(console, path, said):
    response = console.operator().get(path)
    assert response.status_code == 400
    assert said in Page(response.text).text


def test_a_query_that_is_refused_keeps_its_text(console):
    for fmt in ("table", "csv"):
        response = console.operator().post(
            "/console/sql", data={"sql": "SELECT typ FROM events", "format": fmt}
        )
        page = Page(response.text)
        assert response.status_code == 400
        assert 'Referenced column "typ" not found' in page.text
        assert "F401" in page.text
        assert "SELECT typ FROM events" in page.text


def test_a_long_result_is_shown_in_part_and_downloaded_whole(console):
    sql = "SELECT range AS n FROM range(501)"
    shown = Page(console.operator().post("/console/sql", data={"sql": sql}).text)
    assert "500 rows, the first of more" in shown.text
    response = console.operator().post("/console/sql", data={"sql": sql, "format": "csv"})
    assert response.headers["content-disposition"].startswith('attachment; filename="footfall-')
    assert response.text.split() == ["n", *map(str, range(501))]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("NULL", "NULL"),
        ("1.50::DECIMAL(5,2)", "1.50"),
        ("TIMESTAMP '2026-01-01 12:00:00'", "2026-01-01 12:00:00"),
        ("[1, 2]", "[1,2]"),
        ("{'a': [NULL, 'x']}", '{"a":[null,"x"]}'),
        ("true", "true"),
        ("'\\x00\\xff'::BLOB", "0x00ff"),
        ("repeat('x', 3000)", "x" * 2000 + "…"),
        ("uuid '00000000-0000-0000-0000-000000000001'", "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_values_of_every_kind_can_be_shown(console, value, shown):
    page = Page(console.operator().post("/console/sql", data={"sql": f"SELECT {value} AS v"}).text)
    at = page.source.index("<tbody>")
    assert Page(page.source[at : page.source.index("</tbody>")]).text == shown


def test_what_is_not_there(console):
    assert console.operator().get("/console/nowhere").status_code == 404
    assert console.operator().get("/").headers["location"] == "/console"
    assert console.operator().ask("DELETE", "/console/events").status_code == 405
    assert (
        console.operator().post("/console/sql", content=b"sql=" + b"x" * (1 << 20)).status_code
        == 400
    )


def test_a_fault_of_ours_is_a_page_without_its_insides(empty, monkeypatch):
    async def fails(period):
        raise RuntimeError("the secret insides")

    monkeypatch.setattr(empty.answers, "overview", fails)
    for path in ("/console", "/console/api/overview"):
        response = empty.operator().get(path)
        assert response.status_code == 500
        assert "insides" not in response.text
