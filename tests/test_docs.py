"""The documents tell the truth: made pages are current, links resolve, nothing is left out."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import click
import pytest

from footfall.cli import cli
from footfall.cli.reference import PAGES
from footfall.collect.protocols import installed
from footfall.errors import by_code
from footfall.settings import describe

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
LINK = re.compile(
    r"(?<!!)\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]:\s+(\S+)", re.MULTILINE
)


def _documents():
    """Every Markdown file that is ours: what git has or could have."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    names = listed.stdout.split("\n")[:-1] if listed.returncode == 0 else []
    paths = [ROOT / name for name in names] or [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    return [path for path in paths if path.exists()]


DOCUMENTS = _documents()


def _anchors(path):
    """The anchors of a document's headings, as forges make them."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+\s+(.*?)\s*#*$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_a_made_page_is_current(name):
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    assert page == PAGES[name](), f"run: python -m footfall.cli.reference {name} > docs/{name}.md"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_resolve(path):
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    for groups in LINK.findall(text):
        target = groups[0] or groups[1]
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file) if file else path
        assert there.exists(), f"{target} is not there"
        if anchor and there.suffix == ".md":
            assert anchor in _anchors(there), f"{target}: no such heading"


def test_links_are_found_at_all():
    text = '[a](b.md) ![c](d.png) [e](http://f) [g](h.md#i "t")\n[j]: k.md\n'
    assert [a or b for a, b in LINK.findall(text)] == ["b.md", "http://f", "h.md#i", "k.md"]
    assert any("architecture.md" in path.name for path in DOCUMENTS)


def test_every_setting_is_documented():
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    for row in describe({protocol.name: protocol.settings for protocol in installed()}):
        section = page.split(f"\n## `{row.table}`\n")[1].split("\n## ")[0]
        assert f"| `{row.name}` |" in section


def test_every_command_and_option_is_documented():
    page = (DOCS / "commands.md").read_text(encoding="utf-8")

    def check(command, context):
        assert f"\n## {context.command_path}\n" in page
        section = page.split(f"\n## {context.command_path}\n")[1].split("\n## ")[0]
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.opts[-1] in section
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                check(inner, click.Context(inner, info_name=name, parent=context))

    check(cli, click.Context(cli, info_name="footfall"))


def test_every_error_code_is_documented():
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    for code, kind in by_code().items():
        assert re.fullmatch(r"F\d{3}", code)
        assert f"| `{code}` |" in page
        assert kind.remedy in page


def test_every_protocol_has_a_page():
    for protocol in installed():
        page = (DOCS / f"protocol-{protocol.name}.md").read_text(encoding="utf-8")
        for route in protocol.routes:
            assert re.sub(r"/\{\w+\}$", "", route.path) in page, route.path


def test_documents_that_errors_name_are_there():
    for kind in by_code().values():
        for name in re.findall(r"docs/[\w-]+\.md", kind.remedy):
            assert (ROOT / name).exists(), f"{kind.code} names {name}"


def test_commands_in_documents_exist():
    """`footfall NAME` in running text and examples is a command that there is."""
    context = click.Context(cli)
    known = set(cli.list_commands(context))
    for path in DOCUMENTS:
        for name in re.findall(
            r"(?:`|^)footfall ([a-z]+)\b", path.read_text(encoding="utf-8"), re.MULTILINE
        ):
            assert name in known, f"{path.name}: footfall {name}"


def test_every_reason_to_ignore_a_media_event_is_explained():
    from footfall.project.media_terms import REASONS

    page = (ROOT / "docs" / "media-sessions.md").read_text(encoding="utf-8")
    table = page.partition("| reason | |")[2]
    assert set(re.findall(r"`(\w+)`", table)) == set(REASONS)
