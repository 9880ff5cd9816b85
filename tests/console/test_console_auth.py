"""Who is let in: hosts, token, cookie, origins, and what every answer tells the browser."""

from __future__ import annotations

import re

import pytest
from visiting import HOME, TOKEN

from footfall.console.auth import HEADERS, allowed_host
from footfall.console.token import VARIABLE, console_token
from footfall.errors import SettingsError

PAGES = [
    "/console",
    "/console/events",
    "/console/session?source=a",
    "/console/rejects",
    "/console/sql",
]
ANSWERS = ["overview", "events", "rejects", "sessions/site/jay/jay-1", "query"]


@pytest.mark.parametrize(
    ("header", "console_host", "allowed"),
    [
        ("127.0.0.1:8081", "127.0.0.1", True),
        ("localhost:9000", "127.0.0.1", True),  # a tunnel
        ("LocalHost", "127.0.0.1", True),
        ("localhost.", "127.0.0.1", True),
        ("127.0.0.2", "127.0.0.1", True),
        ("[::1]:8081", "127.0.0.1", True),
        ("evil.example", "127.0.0.1", False),
        ("127.0.0.1.evil.example", "127.0.0.1", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("evil.example@127.0.0.1", "127.0.0.1", True),  # the part after the @ is the host
        ("127.0.0.1@evil.example", "127.0.0.1", False),
        ("10.0.0.7", "127.0.0.1", False),
        ("", "127.0.0.1", False),
        (":8081", "127.0.0.1", False),
        ("[::1", "127.0.0.1", False),
        ("10.0.0.7:8081", "10.0.0.7", True),
        ("10.0.0.8:8081", "10.0.0.7", False),
        ("10.0.0.7:8081", "0.0.0.0", True),  # any address, and no name
        ("[2001:db8::1]", "::", True),
        ("evil.example", "0.0.0.0", False),
        ("Console.internal:80", "console.internal", True),
        ("evil.example", "console.internal", False),
        ("", "", False),
    ],
)
def test_hosts_that_the_console_answers_to(header, console_host, allowed):
    assert allowed_host(header, console_host) is allowed


def test_a_name_that_was_made_to_point_here_opens_nothing(console):
    visitor = console.visitor(host="evil.example", authorization=f"Bearer {TOKEN}")
    for path in (*PAGES, "/console/api/events", "/console/static/console.js", f"/?token={TOKEN}"):
        response = visitor.get(path)
        assert response.status_code == 400
        assert "set-cookie" not in response.headers


@pytest.mark.parametrize("path", PAGES)
def test_a_page_without_the_token_says_where_it_is(console, path):
    response = console.visitor().get(path)
    assert response.status_code == 401
    assert "footfall serve" in response.text
    assert TOKEN not in response.text
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer "},
        {"authorization": f"Bearer {TOKEN}x"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": TOKEN},
        {"authorization": b"Bearer \xff\xfe"},
        {"cookie": "footfall-console-8081="},
        {"cookie": f"footfall-console-8081={TOKEN}"},
        {"cookie": "footfall-console-8081=\u00e9"},
    ],
)
def test_the_api_without_the_token_is_shut(console, name, headers):
    response = console.visitor().ask(
        "POST" if name == "query" else "GET", f"/console/api/{name}",
        headers={k: v if isinstance(v, bytes) else v.encode("latin-1") for k, v in headers.items()},
    )  # fmt: skip
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert set(response.json()) == {"message", "remedy"}


def test_the_token_in_a_page_s_url_becomes_a_cookie_and_leaves_the_url(console):
    visitor = console.visitor()
    response = visitor.get(f"/console/events?type=a%26b&token={TOKEN}&source=site")
    assert response.status_code == 303
    assert response.headers["location"] == "/console/events?type=a%26b&source=site"
    cookie = response.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/console"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    assert cookie.startswith("footfall-console-8081=")
    assert visitor.get(response.headers["location"]).status_code == 200
    assert visitor.get("/console/api/events").status_code == 200


def test_the_bare_address_keeps_the_token_on_the_way_in(console):
    response = console.visitor().get(f"/?token={TOKEN}")
    assert (response.status_code, response.headers["location"]) == (303, "/console")


@pytest.mark.parametrize("path", ["//evil.example/console", "/\\evil.example", "/elsewhere"])
def test_the_way_in_never_leads_away(console, path):
    response = console.visitor().get(f"http://127.0.0.1:8081{path}?token={TOKEN}")
    assert response.headers["location"].startswith("/console")


@pytest.mark.parametrize("given", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "%ff", "%00"])
def test_a_wrong_token_in_the_url_opens_nothing(console, given):
    response = console.visitor().get(f"/console?token={given}")
    assert response.status_code == 401
    assert "set-cookie" not in response.headers


def test_the_api_and_post_take_no_token_from_the_url(console):
    assert console.visitor().get(f"/console/api/events?token={TOKEN}").status_code == 401
    response = console.visitor().post(f"/console/sql?token={TOKEN}", data={"sql": "select 1"})
    assert response.status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin", "origin": HOME}, 200),
        ({"origin": HOME}, 200),
        ({"sec-fetch-site": "same-site", "origin": HOME}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({}, 403),
    ],
)
@pytest.mark.parametrize("path", ["/console/sql", "/console/api/query"])
def test_a_post_by_cookie_must_come_from_our_own_page(console, path, headers, status):
    browser = console.visitor()
    browser.get(f"/console?token={TOKEN}")
    body = {"json": {"sql": "select 1"}} if "api" in path else {"data": {"sql": "select 1"}}
    assert browser.post(path, headers=headers, **body).status_code == status


def test_a_post_by_bearer_needs_no_origin(console):
    response = console.operator().post("/console/api/query", json={"sql": "select 1 AS n"})
    assert response.json() == [{"n": 1}]


@pytest.mark.parametrize(
    "path",
    [*PAGES, "/", "/nowhere", "/console/static/console.css", "/console/api/events",
     "/console/api/nowhere", f"/console?token={TOKEN}", "/console/events?before=x"],
)  # fmt: skip
@pytest.mark.parametrize("known", [True, False])
def test_every_answer_ties_the_browser_down(console, path, known):
    visitor = console.operator() if known else console.visitor()
    headers = visitor.get(path).headers
    for name, value in HEADERS.items():
        assert headers[name] == value
    assert headers["cache-control"] == ("no-cache" if "static" in path else "no-store")
    assert "unsafe" not in headers["content-security-policy"]


def test_files_are_open_and_nothing_else_of_the_directory_is(console):
    visitor = console.visitor()
    assert visitor.get("/console/static/console.js").status_code == 200
    for path in ("../auth.py", "..%2fauth.py", "%2e%2e/templates/base.html", "//etc/passwd", ""):
        assert visitor.get(f"/console/static/{path}").status_code in (401, 404)


def test_a_token_is_made_anew_unless_the_operator_sets_one():
    made = {console_token({}) for _ in range(10)}
    assert len(made) == 10
    assert all(re.fullmatch("[0-9a-f]{64}", token) for token in made)
    assert console_token({VARIABLE: TOKEN}) == TOKEN
    assert len(console_token({VARIABLE: ""})) == 64


@pytest.mark.parametrize(
    "given", ["short", "x" * 15, "x" * 257, "has a space in it all", "é" * 20, "a" * 20 + "\n"]
)
def test_a_token_that_cannot_serve_is_refused_and_not_shown(given):
    with pytest.raises(SettingsError, match=VARIABLE) as caught:
        console_token({VARIABLE: given})
    assert given not in str(caught.value)
