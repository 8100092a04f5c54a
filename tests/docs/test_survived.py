"""Every test that the page of survived failures names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "survived.md"
NAMED = re.findall(r"\| `([^`|]+)` \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


def test_every_row_of_the_page_names_one_test() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    heads = rows.count("|---|---|---|")
    assert len(NAMED) == len(rows) - 2 * heads
    assert len(set(NAMED)) == len(NAMED)
    assert all(re.fullmatch(r"[\w/]+/test_\w+\.py::test_\w+", name) for name in NAMED)


@pytest.mark.parametrize("file", sorted({name.partition("::")[0] for name in NAMED}))
def test_what_the_page_names_is_a_test(file: str) -> None:
    path = ROOT / "tests" / file
    assert path.exists(), f"the page names tests/{file}, which is not there"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    named = {name.partition("::")[2] for name in NAMED if name.startswith(f"{file}::")}
    assert named <= there, f"tests/{file} has no {', '.join(sorted(named - there))}"
