"""What the console tells of profiles: known small ones, exact figures, and where pages lead."""

from __future__ import annotations

import pytest
from test_console_pages import assert_harmless
from visiting import HOSTILE, NOON, SECOND, Console, Page, event

from footfall.console.profile_pages import FIELDS
from footfall.console.profiles import MOST_SAID, MOST_VISITS
from footfall.lake.tables import PROFILES
from footfall.model import Facts

HOUR = 3600 * SECOND
DAY = 24 * HOUR
REASON = "the same e-mail (email.main), proven by sign-in"


def seen(hours_ago, profile_id, session_id=None, *, visit=False, facts=None, **changes):
    """An event of protocol tracardi, so long before noon; `visit`: its session is a new one."""
    given = dict(facts or {}) | ({"visit": session_id} if visit else {})
    fields = {
        "protocol": "tracardi", "type": "page-view", "at": NOON - round(hours_ago * HOUR),
        "session_id": session_id, "profile_id": profile_id,
        "facts": Facts(**given) if given else None,
    }  # fmt: skip
    return event(**(fields | changes))


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """anna on two devices that became one, bert of long ago and today, a guest, a group of two."""
    console = Console(tmp_path_factory.mktemp("shop") / "data")
    console.write(
        seen(800, "bert", "b1", visit=True, country="AT"),
        seen(30, "phone", "a1", visit=True, device="mobile"),
        seen(29.5, "phone", "a1", facts={"traits": {"name": "Ann", "gone": 1}}),
        seen(
            5,
            "anna",
            "a2",
            visit=True,
            user_id="u-1",
            facts={"consents": {"ads": (True, None), "mail": (True, NOON - HOUR)}},
        ),
        seen(
            4.9,
            "anna",
            "a2",
            type="sign-in",
            device="desktop",
            facts={
                "aliases": {"phone": REASON},
                "traits": {"name": "Anna", "gone": None, "list": [1, 2]},
                "consents": {"mail": (True, NOON - HOUR)},
            },
        ),
        seen(4.8, "anna", "a2", type="visit-ended"),
        seen(2, "bert", "b2", visit=True, facts={"consents": {"ads": (True, None)}}),
    )
    # Said later than it happened: what came last holds.
    console.write(seen(3, "bert", "b2", facts={"consents": {"ads": (False, None)}}))
    console.write(
        seen(0.1, "guest", "g1", source="other", protocol="adobe", country="DE"),
        seen(1, "both", "s1", source="east", visit=True, facts={"identity": "group"}),
        seen(0.5, "both", "s2", source="west", visit=True, facts={"identity": "group"}),
        seen(0.5, "both", "s1", source="west"),  # it goes on there: the same visit
        event(at=NOON, user_id="u-1"),
    )  # fmt: skip
    yield console
    console.lake.close()


@pytest.fixture
def visitor(shop):
    shop.now += 10
    return shop.operator()


def ids(found):
    return [row["profile_id"] for row in found["rows"]]


def test_who_was_seen_last_comes_first_with_what_is_known(visitor):
    found = visitor.json("profiles")
    assert ids(found) == ["guest", "both", "bert", "anna"]
    assert found["next"] is None
    assert found["rows"][3] == {
        "profile_id": "anna",
        "source": "site",
        "first_seen_at": "2025-12-31T06:00:00Z",
        "last_seen_at": "2026-01-01T07:12:00Z",
        "visits": 2,
        "events": 5,
        "user_id": "u-1",
        "aliases": ["phone"],
        "consents": {"ads": "granted", "mail": "expired"},
        "country": None,
        "device": "desktop",
        "os": None,
        "browser": None,
    }
    assert (found["rows"][1]["source"], found["rows"][1]["visits"]) == ("group", 2)
    assert found["rows"][2]["consents"] == {"ads": "refused"}


def test_a_line_says_what_the_view_says(visitor, shop):
    """The list works it out for a few only; it must come to the same."""
    lines = visitor.json("profiles")["rows"]
    columns = ", ".join(name for name in lines[0] if name != "consents")
    response = visitor.post(
        "/console/api/query",
        json={"sql": f"SELECT {columns} FROM profiles ORDER BY last_seen_at DESC"},
    )
    view = response.json()
    for line, row in zip(lines, view, strict=True):
        del line["consents"]
        for name in ("first_seen_at", "last_seen_at"):
            row[name] = row[name].replace(".000000", "")
        assert line == row
    assert {*lines[0]} < {column.name for column in PROFILES.columns}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"source": "site"}, ["bert", "anna"]),
        ({"source": "east"}, ["both"]),
        ({"source": "group"}, ["both"]),
        ({"id": "anna"}, ["anna"]),
        ({"id": "phone"}, ["anna"]),
        ({"id": "u-1"}, ["anna"]),
        ({"id": "u-1", "source": "other"}, []),
        ({"id": "ANNA"}, []),
        ({"id": "' OR 1=1 --"}, []),
        ({"id": "{where}"}, []),
        ({"id": "{where}\n'; --", "source": "{ids}\n"}, []),
        ({"period": "day"}, ["guest", "both", "bert", "anna"]),
        ({"period": "day", "until": "2026-01-01T08:00:00"}, ["anna"]),
        ({"period": "week", "until": "2025-12-31T12:00:00"}, ["anna"]),
        ({"period": "week", "until": "2025-12-20"}, []),
        ({"until": "2025-12-20"}, ["bert"]),
        ({"id": "bert", "period": "day", "until": "2025-12-20"}, ["bert"]),
    ],
)
def test_the_list_is_filtered(visitor, asked, found):
    assert ids(visitor.json("profiles", **asked)) == found


def test_the_figures_of_a_period(visitor):
    found = visitor.json("visitors")
    assert (found["start"], found["end"]) == ("2025-12-31T13:00:00Z", "2026-01-01T13:00:00Z")
    assert {at: n for at, n in enumerate(found["new"]) if n} == {22: 2}
    assert {at: n for at, n in enumerate(found["returning"]) if n} == {18: 1, 20: 1, 21: 1}
    assert (found["profiles"], found["new_profiles"], found["visits"]) == (4, 2, 5)
    assert (found["with_consent"], found["consent_rate"]) == (1, 0.25)


def test_who_is_new_and_who_returns(visitor):
    week = visitor.json("visitors", source="site", period="week")
    assert week["new"] == [0, 0, 0, 0, 0, 1, 0]
    assert week["returning"] == [0, 0, 0, 0, 0, 0, 2]
    group = visitor.json("visitors", source="west")
    assert (group["profiles"], group["new"][22], sum(group["returning"])) == (1, 1, 0)


def test_a_period_of_nobody(visitor):
    found = visitor.json("visitors", until="1970-01-01", period="month", source="nowhere")
    assert (found["profiles"], found["visits"], found["consent_rate"]) == (0, 0, None)
    assert sum(found["new"] + found["returning"]) == 0
    assert len(found["new"]) == 30


def test_a_profile_has_its_history(visitor):
    found = visitor.json("profiles/anna", source="site")
    assert found["alias"] is None
    assert found["sources"] == ["site"]
    assert found["profile"] == visitor.json("profiles", id="anna")["rows"][0]
    assert found["aliases"] == [
        {
            "alias": "phone", "profile_id": "anna", "reason": REASON,
            "received_at": "2026-01-01T07:06:00Z",
        }
    ]  # fmt: skip
    traits = {trait["name"]: trait for trait in found["traits"]}
    assert list(traits) == ["gone", "list", "name"]
    assert [row["value"] for row in traits["name"]["history"]] == ["Anna", "Ann"]
    assert [row["value"] for row in traits["gone"]["history"]] == [None, 1]
    assert traits["list"] == {
        "name": "list",
        "times": 1,
        "history": [
            {
                "value": [1, 2], "type": "sign-in", "source": "site",
                "occurred_at": "2026-01-01T07:06:00Z",
            }
        ],
    }  # fmt: skip
    consents = {one["name"]: [row["state"] for row in one["history"]] for one in found["consents"]}
    assert consents == {"ads": ["granted"], "mail": ["expired", "expired"]}
    assert found["consents"][1]["history"][0]["until"] == "2026-01-01T11:00:00Z"
    assert found["visits"] == [
        {
            "source": "site", "protocol": "tracardi", "session_id": "a2",
            "started_at": "2026-01-01T07:00:00Z", "ended_at": "2026-01-01T07:12:00Z",
            "duration_s": 720.0, "events": 3, "status": "ended", "visit": 2,
        },
        {
            "source": "site", "protocol": "tracardi", "session_id": "a1",
            "started_at": "2025-12-31T06:00:00Z", "ended_at": "2025-12-31T06:30:00Z",
            "duration_s": 1800.0, "events": 2, "status": "active", "visit": 1,
        },
    ]  # fmt: skip
    assert [row["type"] for row in found["events"]["rows"]] == [
        "visit-ended", "sign-in", "page-view", "page-view", "page-view",
    ]  # fmt: skip
    assert {row["profile_id"] for row in found["events"]["rows"]} == {"anna", "phone"}


def test_a_profile_of_a_group_has_what_all_its_sources_know(visitor):
    found = visitor.json("profiles/both", source="east")
    assert found["sources"] == ["east", "west"]
    assert {row["source"] for row in found["events"]["rows"]} == {"east", "west"}
    assert [row["visit"] for row in found["visits"]] == [
        1,
        2,
        1,
    ]  # a line for each source of a session


@pytest.mark.slow
def test_an_alias_leads_to_who_took_it_over(visitor):
    found = visitor.json("profiles/phone")
    assert (found["alias"], found["profile"]["profile_id"]) == ("phone", "anna")
    response = visitor.get("/console/profile", params={"profile_id": "phone", "source": "site"})
    assert response.status_code == 303
    where = response.headers["location"]
    assert where == "/console/profile?profile_id=anna&source=site&alias=phone"
    page = visitor.page(where)
    assert f"This profile took over phone : {REASON}." in page.text
    # Nobody can make the page say that of an id that it did not take over.
    other = visitor.page("/console/profile", profile_id="anna", alias="mallory")
    assert "took over" not in other.text.partition("Consents")[0]


@pytest.mark.slow
def test_a_chain_of_aliases_is_followed_to_its_end(empty):
    empty.write(seen(9, "one", "s1", visit=True), seen(8, "two", facts={"aliases": {"one": "x"}}))
    empty.write(seen(7, "three", facts={"aliases": {"two": "y"}}))
    found = empty.operator().json("profiles/one")
    assert (found["alias"], found["profile"]["profile_id"]) == ("one", "three")
    assert [(row["alias"], row["profile_id"]) for row in found["aliases"]] == [
        ("two", "three"), ("one", "two"),
    ]  # fmt: skip
    assert (found["profile"]["events"], found["profile"]["visits"]) == (3, 1)
    page = empty.operator().page("/console/profile", profile_id="three")
    assert "one by way of two x" in page.text


@pytest.mark.slow
def test_an_id_of_two_sources_is_two_profiles(empty):
    empty.write(seen(2, "p", "s", source="a"), seen(1, "p", "s", source="b"))
    visitor = empty.operator()
    assert [row["source"] for row in visitor.json("profiles")["rows"]] == ["b", "a"]
    for path in ("/console/api/profiles/p", "/console/profile?profile_id=p"):
        response = visitor.get(path)
        assert response.status_code == 400
        assert "say `source`: a, b" in response.text.replace("&#96;", "`")
    assert visitor.json("profiles/p", source="a")["profile"]["events"] == 1
    assert visitor.get("/console/api/profiles/p?source=c").status_code == 404


@pytest.mark.slow
def test_pages_follow_one_another_to_the_end(empty):
    empty.write(*(seen(number / 60, f"p{number}", "s") for number in range(70)))
    empty.write(*(seen(20 + number, "p0", f"s{number}", visit=True) for number in range(60)))
    found, params = [], {"limit": 30}
    while True:
        part = empty.operator().json("profiles", **params)
        found += ids(part)
        if part["next"] is None:
            break
        params["before"] = part["next"]
    assert found == [f"p{number}" for number in range(70)]

    first = empty.operator().json("profiles/p0")
    assert len(first["events"]["rows"]) == 50
    rest = empty.operator().json("profiles/p0", before=first["events"]["next"])["events"]
    assert (len(rest["rows"]), rest["next"]) == (11, None)
    assert (len(first["visits"]), first["profile"]["visits"]) == (MOST_VISITS, 61)

    page = empty.operator().page("/console/profiles")
    assert empty.operator().page("/console/profiles" + page.link("Older")).link("Newest") == "?"
    page = empty.operator().page("/console/profile", profile_id="p0")
    assert "The newest 50 of 61; SQL has them all." in page.text
    older = empty.operator().page("/console/profile" + page.link("Older"))
    assert older.link("Newest") == "?profile_id=p0"


@pytest.mark.slow
def test_the_page_shows_who_was_seen(visitor):
    page = visitor.page("/console/profiles")
    assert "Profiles seen 4 New ones 2 Visits 5 With a consent granted 25 % 1" in page.text
    assert page.all("svg", role="img")[0]["aria-label"] == "4 profiles seen, 2 of them new"
    assert "Profiles per hour" in page.text
    assert "07:00–08:00: 0 new, 1 returning" in page.text
    assert "2026-01-01 07:12:00 anna site, 1 alias u-1 2025-12-31 06:00:00 2 5" in page.text
    assert page.link("anna") == "/console/profile?source=site&profile_id=anna"
    assert {"class": "consent expired", "title": "expired"} in page.all("span")
    assert page.all("a", **{"aria-current": "page"})[0]["href"] == "/console/profiles"
    week = visitor.page("/console/profiles", period="week", source="site")
    assert "Profiles per day" in week.text
    assert week.all("input", name="period")[0]["value"] == "week"
    assert len(week.all("rect", **{"class": "slot"})) == 7
    sought = visitor.page("/console/profiles", id="phone", until="2025-12-01")
    assert "Found at any time" in sought.text
    assert sought.link("anna")
    response = visitor.post("/console/sql", data={"sql": "x"})
    assert response.status_code == 400
    asked = visitor.page(sought.link("Ask in SQL"))
    assert "\"profile_id\" = 'phone' OR \"user_id\" = 'phone'" in asked.text


@pytest.mark.slow
def test_every_query_that_is_offered_can_be_asked(visitor):
    for path in (
        "/console/profiles?id=x&source=site",
        "/console/profiles",
        "/console/profile?profile_id=anna",
    ):
        sql = Page(visitor.get(visitor.page(path).link("Ask in SQL")).text)
        (text,) = [part for part in sql.texts if "SELECT *\nFROM profiles\n" in part]
        assert visitor.post("/console/sql", data={"sql": text}).status_code == 200


@pytest.mark.slow
def test_profile_session_and_events_lead_to_one_another(visitor):
    page = visitor.page("/console/profile", profile_id="anna")
    for said in (
        "Visits 2 Events 5 Known for 25 h 12 min Aliases 1",
        "ads granted 2026-01-01 07:00:00 – page-view",
        "mail granted, ran out 2026-01-01 07:06:00 2026-01-01 11:00:00 sign-in",
        f"phone {REASON} 2026-01-01 07:06:00",
        "gone taken back",
        "name Anna 2026-01-01 07:06:00 sign-in site Ann 2025-12-31 06:30:00",
        "2 2026-01-01 07:00:00.000 a2 site · tracardi ended 12 min 00 s 3",
    ):
        assert said in page.text
    session = visitor.page(page.link("a2"))
    assert session.link("anna") == "/console/profile?source=site&profile_id=anna"
    assert "status ended" in session.text
    assert "visit 2" in session.text
    events = visitor.page(page.link("Its events"))
    assert events.link("Profile") == "/console/profile?source=site&profile_id=anna"
    assert "u-1" in visitor.page(page.link("Events of its user")).text
    group = visitor.page("/console/profile", profile_id="both")
    assert group.link("Its events") == "/console/events?profile_id=both"
    # From an event of a member of the group one comes to the group's profile.
    assert visitor.page("/console/profile", profile_id="both", source="west").link("s1")


def test_a_session_page_has_the_session_s_own_context(empty):
    facts = {"context": {"screen": {"width": 390}}, "properties": {"plan": "free"}}
    empty.write(seen(1, "p", "s", visit=True, facts=facts))
    page = empty.operator().page(
        "/console/session", source="site", protocol="tracardi", session_id="s"
    )
    assert '"width": 390' in page.text
    assert '"plan": "free"' in page.text


@pytest.mark.slow
def test_a_visit_that_is_in_no_session_is_still_one(empty):
    """saveSession false: the session's id stands in the visit alone."""
    empty.write(seen(1, "p", facts={"visit": "hidden"}))
    (visit,) = empty.operator().json("profiles/p")["visits"]
    assert (visit["session_id"], visit["started_at"]) == ("hidden", "2026-01-01T11:00:00Z")
    assert (visit["ended_at"], visit["events"], visit["status"]) == (None, 0, None)
    page = empty.operator().page("/console/profile", profile_id="p")
    assert "hidden site · tracardi not kept – 0" in page.text


@pytest.mark.slow
def test_what_is_sent_is_text(empty):
    facts = {
        "visit": HOSTILE, "traits": {HOSTILE: HOSTILE, "deep": {HOSTILE: [HOSTILE]}},
        "consents": {HOSTILE: (True, None)}, "aliases": {HOSTILE + "2": HOSTILE},
    }  # fmt: skip
    empty.write(
        seen(1, HOSTILE, HOSTILE, type=HOSTILE, user_id=HOSTILE, country=HOSTILE, facts=facts)
    )
    visitor = empty.operator()
    for path, params in (
        ("/console/profiles", {}),
        ("/console/profiles", {"id": HOSTILE}),
        ("/console/profiles", {"id": HOSTILE + "2", "source": "site"}),
        ("/console/profile", {"profile_id": HOSTILE, "alias": HOSTILE + "2"}),
    ):
        page = visitor.page(path, **params)
        assert_harmless(page)
        assert "<script>alert" not in page.source
        assert " ".join(HOSTILE.split()) in page.text
    links = [attrs["href"] for attrs in visitor.page("/console/profiles").all("a")]
    (own,) = [link for link in links if link.startswith("/console/profile?")]
    assert " ".join(HOSTILE.split()) in visitor.page(own).text
    assert visitor.json("profiles", id=HOSTILE + "2")["rows"][0]["profile_id"] == HOSTILE


@pytest.mark.slow
def test_a_session_whose_id_holds_a_nul_hides_no_profile(empty):
    """No query can name it, so that its row says when it began and nothing else."""
    empty.write(seen(1, "p", "a\0b", visit=True), seen(2, "p", "c", visit=True))
    visitor = empty.operator()
    visits = visitor.json("profiles/p")["visits"]
    assert [(row["session_id"], row["events"]) for row in visits] == [("a\0b", 0), ("c", 1)]
    assert visitor.page("/console/profile", profile_id="p").link("c")


@pytest.mark.slow
def test_what_is_too_long_or_too_much_is_cut_and_said_so(empty):
    long = "x" * 5000
    empty.write(
        seen(
            2, "p", "s", user_id=long,
            facts={
                "traits": {"t": "y" * 20_000, long: long},
                "consents": {f"c{number}": (True, None) for number in range(70)} | {long: (True, None)},
                "aliases": {f"a{number}": long for number in range(60)},
            },
        ),
        seen(1, long, long),
        seen(1, "p", long, visit=True),
    )  # fmt: skip
    empty.write(*(seen(1, "p", "s", facts={"traits": {"n": number}}) for number in range(30)))
    visitor = empty.operator()
    (line,) = visitor.json("profiles", id="p")["rows"]
    assert len(line["consents"]) == len(line["aliases"]) == 50
    found = visitor.json("profiles/p")
    traits = {trait["name"][:9]: trait for trait in found["traits"]}
    assert (len(traits["n"]["history"]), traits["n"]["times"]) == (MOST_SAID, 30)
    assert traits["t"]["history"][0]["value"] is None
    assert traits["t"]["history"][0]["left_out"] == ["value"]
    page = visitor.page("/console/profile", profile_id="p")
    assert "x" * 2001 not in page.text
    assert "too long to show here" in page.text
    assert "The latest 20 of 30; SQL has them all." in page.text
    assert "x" * 1001 not in visitor.page("/console/profiles").text


@pytest.mark.slow
def test_an_idle_server_says_what_to_do(empty):
    visitor = empty.operator()
    page = visitor.page("/console/profiles")
    assert "Nobody was seen in the period: choose a longer one." in page.text
    assert "With a consent granted -" in page.text
    assert "No profile has or had this id" in visitor.page("/console/profiles", id="x").text
    assert "No profile is like this" in visitor.page("/console/profiles", source="x").text
    response = visitor.get("/console/profile?profile_id=x")
    assert response.status_code == 404
    assert "it may have been erased" in Page(response.text).text
    assert visitor.json("profiles") == {"rows": [], "next": None}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("profiles/nobody", 404),
        ("profiles/no%0Abody%27?source=%7Bwhere%7D%0A%27", 404),
        ("profiles/anna?source=west", 404),
        ("profiles/anna?x=1", 400),
        ("profiles/anna?before=1.2", 400),
        ("profiles/anna%00", 400),
        ("profiles?type=x", 400),
        ("profiles?period=hour", 400),
        ("profiles?before=1", 400),
        ("profiles?limit=1000", 400),
        ("profiles?until=yesterday", 400),
        ("profiles?id=" + "x" * 3000, 400),
        ("visitors?period=year", 400),
        ("visitors?id=anna", 400),
    ],
)
def test_refusals(visitor, path, status):
    response = visitor.get(f"/console/api/{path}")
    assert response.status_code == status
    assert set(response.json()) == {"message", "remedy"}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("profile", "`profile_id` is missing"),
        ("profile?profile_id=anna&before=x", "`before` must be"),
        ("profiles?period=hour", "must be one of day, week, month"),
        ("profiles?until=x", "2026-01-31T18:30:00Z"),
        ("profiles?source=%00", "NUL"),
    ],
)
def test_what_cannot_be_read_is_said_in_words(visitor, path, said):
    response = visitor.get(f"/console/{path}")
    assert response.status_code == 400
    assert said in Page(response.text).text


def test_figures_serve_everybody_for_a_while(empty, monkeypatch):
    asked, read = [], empty.answers.read

    async def counted(sql, rows):
        asked.append("bit_or" in sql)
        return await read(sql, rows)

    monkeypatch.setattr(empty.answers, "read", counted)
    for _ in range(3):
        empty.operator().json("visitors")
    assert sum(asked) == 1
    empty.write(seen(1, "p", "s"))
    empty.now += 5
    assert empty.operator().json("visitors")["profiles"] == 1


@pytest.mark.slow
def test_an_erased_profile_is_gone_at_once_for_who_asks(empty):
    """Nothing of one profile is remembered between two questions."""
    empty.write(seen(1, "p", "s", visit=True))
    assert empty.operator().json("profiles/p")
    cursor = empty.lake.cursor()
    for table in ("events", "visits"):
        cursor.execute(f"DELETE FROM {table}")
    cursor.close()
    assert empty.operator().get("/console/api/profiles/p").status_code == 404


def test_the_page_names_columns_that_there_are():
    assert {*FIELDS} <= {column.name for column in PROFILES.columns}
