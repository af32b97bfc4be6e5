"""The pages that promise something name tests; each of them exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
PAGES = sorted(page for page in (ROOT / "docs").glob("*.md") if NAMED.search(page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    missing = []
    for path, name in NAMED.findall(page.read_text()):
        file = ROOT / path
        functions = (
            {node.name for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.FunctionDef)}
            if file.exists()
            else set()
        )
        if name not in functions:
            missing.append(f"{path}::{name}")
    assert missing == []


def test_each_promise_names_a_test() -> None:
    rows = re.findall(r"^\| (G\d) \|.*$", (ROOT / "docs" / "reliability.md").read_text(), re.MULTILINE)
    assert rows == [f"G{n}" for n in range(1, 10)]
    for line in (ROOT / "docs" / "reliability.md").read_text().splitlines():
        if re.match(r"\| G\d \|", line):
            assert NAMED.search(line), line
