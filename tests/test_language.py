"""Programs do not speak, stand or know: docstrings, comments, pages and names of tests use plain verbs."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CODE = sorted(
    path
    for folder in ("layers", "functions", "devkit", "infra", "benchmarks", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
OF_PEOPLE = {"contract.md", "threat-model.md"}
"""Pages whose rows are made from tests and describe what people do; people may ask, know and say."""

PAGES = [
    ROOT / "README.md",
    ROOT / "template.yaml",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if page.name not in OF_PEOPLE),
]

FIGURATIVE = re.compile(
    r"(?<![a-z])(told|tells?|telling|said|says?|saying|stands?|standing|stood|knows?|knew|asks?|asked|asking|answers|answered"
    r"|speaks?|spoken|gone|nobody)(?![a-z])",
    re.IGNORECASE,
)
QUOTES = '"""'
QUOTED = re.compile(r"``[^`]*``|`[^`]*`|\"[^\"]*\"|'[^' ]*'|\(https?://[^)]*\)|[\w./-]+\.(?:py|md|json)\b")
"""Names of code and of files, and texts of others."""


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines of a module's docstrings and comments."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type == tokenize.COMMENT or (
            token.type == tokenize.STRING and token.line.lstrip().startswith(('"""', 'r"""'))
        ):
            yield from enumerate(token.string.replace(QUOTES, "").splitlines(), token.start[0])


def figurative(path: Path, lines: Iterator[tuple[int, str]]) -> list[str]:
    name = path.relative_to(ROOT).as_posix()
    return [f"{name}:{number} {line.strip()}" for number, line in lines if FIGURATIVE.search(QUOTED.sub("", line))]


@pytest.mark.parametrize("path", [p for p in CODE if "tests" not in p.relative_to(ROOT).parts], ids=lambda p: p.name)
def test_docstrings_and_comments_use_plain_verbs(path: Path) -> None:
    assert figurative(path, prose(path)) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_pages_use_plain_verbs(path: Path) -> None:
    assert figurative(path, iter(enumerate(path.read_text().splitlines(), 1))) == []


def test_names_of_tests_use_plain_verbs() -> None:
    names = [
        f"{path.name} {node.name}"
        for path in CODE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and FIGURATIVE.search(node.name)
    ]
    assert names == []
