"""Every golden case, and that each protocol has cases and a page for all it documents."""

from __future__ import annotations

import json
import re
from pathlib import Path

import golden
import pytest

from footfall.collect.protocols import installed

DOCS = Path(__file__).parents[2] / "docs"
CASES = golden.all_cases()
NAMES = [f"{path.parent.name}/{path.name}" for path in CASES]
PROTOCOLS = [protocol.name for protocol in installed()]


@pytest.mark.parametrize("folder", CASES, ids=NAMES)
def test_case(folder, tmp_path):
    case = golden.Case(folder, tmp_path)
    expected = case.expected("reply.json", None)
    answered = case.run()
    reply = answered.reply

    body = json.loads(reply.body) if reply.body else None
    assert (reply.status, body) == (expected["status"], expected.get("body", body))
    if expected["status"] == 204:
        assert reply.body == b""
    _check_headers(reply.headers, expected)
    _check_text(reply.body.decode(), expected)

    events = [golden.comparable(event) for event in answered.events]
    assert events == [
        {"source": "site", "protocol": case.protocol, **event}
        for event in case.expected("events.json", [])
    ]
    reject = case.expected("reject.json", None)
    if reject is not None:
        assert len(answered.rejects) == 1
        assert {name: answered.rejects[0].get(name) for name in reject} == reject
    if "live" in expected:
        assert answered.live == set(expected["live"])


def _check_headers(headers, expected):
    sent = {}
    for name, value in headers:
        sent.setdefault(name.lower(), []).append(value)
    for name, value in expected.get("headers", {}).items():
        assert sent.get(name.lower()) == [value], f"{name}: {sent.get(name.lower())}"
    for name in expected.get("absent", []):
        assert name.lower() not in sent


def _check_text(text, expected):
    for part in expected.get("mentions", []):
        assert part in text
    for part in expected.get("hides", []):
        assert part not in text


def statuses_documented(name: str) -> set[int]:
    """The first column of the tables on a protocol's page that are headed "status"."""
    found, inside = set(), False
    for line in (DOCS / f"protocol-{name}.md").read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[0].lower() == "status":
            inside = True
        elif inside and re.fullmatch(r"\d{3}", cells[0]):
            found.add(int(cells[0]))
    return found


@pytest.mark.parametrize("name", PROTOCOLS)
def test_protocol_has_a_page_and_a_case_for_every_status_on_it(name):
    documented = statuses_documented(name)
    assert documented, f"docs/protocol-{name}.md lists no statuses"
    shown = {
        json.loads((path / "reply.json").read_text())["status"]
        for path in CASES
        if path.parent.name == name
    }
    assert documented <= shown, f"no case gives {sorted(documented - shown)}"


@pytest.mark.parametrize("name", PROTOCOLS)
def test_no_case_gives_an_undocumented_status(name):
    shown = {
        json.loads((path / "reply.json").read_text())["status"]
        for path in CASES
        if path.parent.name == name
    }
    assert shown <= statuses_documented(name)


def test_every_folder_of_cases_belongs_to_a_protocol():
    folders = {path.name for path in golden.CASES.iterdir() if path.is_dir()}
    assert folders == set(PROTOCOLS)
    incomplete = [
        path.name
        for path in golden.CASES.glob("*/*")
        if path.is_dir() and not (path / "request.http").exists()
    ]
    assert not incomplete
