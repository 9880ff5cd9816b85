"""Imports point one way: the table in docs/architecture.md, held against the code."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "footfall"
ANYTHING = "anything"


def _table():
    """Part to the parts that it may import, as the document's table has them."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = text.split("\n## Imports point one way\n")[1].split("\n## ")[0]
    found = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| `") or len(cells) != 2:
            continue
        allowed = {ANYTHING} if cells[1] == ANYTHING else set(re.findall(r"`([^`]+)`", cells[1]))
        for part in re.findall(r"`([^`]+)`", cells[0]):
            assert part not in found, f"{part} stands twice in the table"
            found[part] = allowed
    return found


def _modules():
    """Every module by its dotted name below the package; a package by its own name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


TABLE = _table()
MODULES = _modules()


def part_of(module: str, table=TABLE) -> str | None:
    """The part of the table that a module belongs to: the longest name that it begins with."""
    names = module.split(".")
    for end in range(len(names), 0, -1):
        if ".".join(names[:end]) in table:
            return ".".join(names[:end])
    return None


def imports_of(path: Path, modules=MODULES) -> set[str]:
    """Our modules that a file imports, wherever in the file, for types or for running."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where they point"
            base = node.module or ""
            # `from footfall.collect import wire` imports the module, not the package.
            found |= {
                deeper
                if (deeper := f"{base}.{alias.name}").removeprefix("footfall.") in modules
                else base
                for alias in node.names
            }
    return {name.removeprefix("footfall.") for name in found if name.startswith("footfall.")}


@pytest.mark.parametrize("module", [name for name in MODULES if name])
def test_a_module_imports_only_what_its_part_may(module):
    part = part_of(module)
    imported = imports_of(MODULES[module])
    if part is None:
        assert not imported, f"{module} imports ours, but stands in no row of the table"
        return
    if ANYTHING in TABLE[part]:
        return
    allowed = TABLE[part] | {part}
    refused = {name for name in imported if not _is_allowed(name, allowed)}
    assert not refused, f"{module} (part {part}) imports {sorted(refused)}"


def _is_allowed(imported: str, allowed: set[str]) -> bool:
    """A part may be imported as a whole, or something of it."""
    return any(imported == name or imported.startswith(f"{name}.") for name in allowed)


def test_the_table_has_no_stale_rows():
    missing = [
        part for part in TABLE if not any(f"{name}.".startswith(f"{part}.") for name in MODULES)
    ]
    assert missing == []


def test_the_table_points_one_way():
    graph = {
        part: {part_of(name) or name for name in allowed} - {part}
        for part, allowed in TABLE.items()
        if ANYTHING not in allowed
    }
    assert list(TopologicalSorter(graph).static_order())


def test_vendors_do_not_know_each_other():
    for module, path in MODULES.items():
        vendor = re.fullmatch(r"collect\.protocols\.(\w+)(\..+)?", module)
        if not vendor:
            continue
        others = {
            name
            for name in imports_of(path)
            if (other := re.match(r"collect\.protocols\.(\w+)", name)) and other[1] != vendor[1]
        }
        assert not others, f"{module} imports {others}"


def test_writing_and_reading_share_only_model_journal_and_settings():
    sides = {"collect": ("lake", "project", "console"), "lake": ("collect",)}
    for side, others in sides.items():
        for module, path in MODULES.items():
            if module.split(".")[0] == side:
                crossing = {n for n in imports_of(path) if n.split(".")[0] in others}
                assert not crossing, f"{module} imports {crossing}"


def test_the_check_itself_sees_every_way_of_importing(tmp_path):
    file = tmp_path / "x.py"
    file.write_text(
        "import footfall.errors\nimport os\nfrom footfall import model\n"
        "def f():\n    from footfall.settings import Source\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from footfall.settings.lines import Lines\n"
    )
    assert imports_of(file) == {"errors", "model", "settings", "settings.lines"}
    assert part_of("settings.lines") == "settings"
    assert part_of("nowhere") is None
    assert not _is_allowed("collect.wired", {"collect.wire"})
