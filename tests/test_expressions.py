"""Every regular expression of the layer and of the tools takes linear time, whatever it is given."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

from tests.support.expressions import problems

ROOT = Path(__file__).resolve().parent.parent
MODULES = sorted(path for place in ("layers", "functions", "devkit") for path in (ROOT / place).rglob("*.py"))
FUNCTIONS = {"compile", "match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"}
ANCHORED = {"match", "fullmatch"}
NOT_CONSTANT = {
    "re.fullmatch(pattern, field)": "names of fields in a connection's mapping, which an operator writes",
    "re.fullmatch(self.method, request.method)": "the demo's own requests",
    "re.fullmatch(self.path, request.path)": "the demo's own requests",
    "re.fullmatch(pattern, path)": "routes of the sandbox's platforms",
}
"""Patterns that are no constants, and what they are matched with."""


@cache
def expressions() -> dict[Path, list[tuple[str, str | bytes, int, bool]]]:
    """Return (place, pattern, flags, whether it is searched for) of every use of ``re``, by module."""
    found: dict[Path, list[tuple[str, str | bytes, int, bool]]] = {}
    for path, use in _expressions():
        found.setdefault(path, []).append(use)
    return found


def _expressions() -> Iterator[tuple[Path, tuple[str, str | bytes, int, bool]]]:
    nodes = {path: list(ast.walk(ast.parse(path.read_text()))) for path in MODULES}
    reads = {path: list(uses(found)) for path, found in nodes.items()}
    everywhere = [use for found in reads.values() for use in found]
    for path, found in nodes.items():
        calls = [
            node
            for node in found
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
            and node.func.attr in FUNCTIONS
        ]
        names = {
            id(node.value): target.id
            for node in found
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        for node in calls:
            assert isinstance(node.func, ast.Attribute)
            if ast.unparse(node) in NOT_CONSTANT:
                continue
            used = {node.func.attr}
            if node.func.attr == "compile":
                name = names.get(id(node), "")
                used = {how for read, how in (reads[path] if name.startswith("_") else everywhere) if read == name}
                used = used or {""}
            given = [*node.args[1:], *(keyword.value for keyword in node.keywords)]
            flags = sum(getattr(re, name) for name in re.findall(r"re\.([A-Z]+)", " ".join(map(ast.unparse, given))))
            yield path, (f"{path.relative_to(ROOT)}:{node.lineno}", text(node.args[0]), flags, not used <= ANCHORED)


def uses(nodes: Sequence[ast.AST]) -> Iterator[tuple[str, str]]:
    """Yield (name, attribute that is taken of it) for every name that is read."""
    owners = {id(node.value): node.attr for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id, owners.get(id(node), "")


def text(node: ast.expr) -> str | bytes:
    """Return a pattern; what an f-string inserts is taken as one letter."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(v.value) if isinstance(v, ast.Constant) else "x" for v in node.values)
    assert isinstance(node, ast.Constant), f"{ast.unparse(node)} is not a constant"
    assert isinstance(node.value, str | bytes)
    return node.value


@pytest.mark.attack(
    "senders",
    "texts that make a regular expression, a normalisation or a digest take quadratic time",
    "texts are bounded before they are matched; expressions are deterministic; one digest per body; "
    "2,000 entities per delivery",
    "G8",
)
@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_expression_is_linear(path: Path) -> None:
    wrong = {
        place: problems(pattern, flags, searched=searched)
        for place, pattern, flags, searched in expressions().get(path, ())
    }
    assert {place: found for place, found in wrong.items() if found} == {}


def test_expressions_are_found() -> None:
    assert sum(map(len, expressions().values())) > 100


def test_expressions_are_used_in_no_other_way() -> None:
    """What is called by another name, or by another library, would not be looked at."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.module not in ("re", "regex"), path
            if isinstance(node, ast.Import):
                assert not any(name.name == "regex" or (name.name == "re" and name.asname) for name in node.names), path


@pytest.mark.parametrize(
    ("pattern", "searched"),
    [
        (r"\s*([+-]\d\d)$", True),
        (r"[^@ ]+@x", True),
        (r"<[^>]*>", True),
        (r"<(script|style).*?</\1>", True),
        (r"(a+)+b", False),
        (r"(?:ab|ab)*c", False),
        (r"(?:a{1,3}){1,}b", False),
        (r"x\s+([A-Z\s]+?)\s*y", False),
        (r"a(?=\d+b)", True),
    ],
)
def test_expressions_that_are_not_are_found(pattern: str, searched: bool) -> None:
    assert problems(pattern, 0, searched=searched) != []


@pytest.mark.parametrize(
    ("pattern", "searched"),
    [
        (r"[^@ ]+@x", False),
        (r"(?<![^@ ])[^@ ]+@x", True),
        (r"<[^<>]*>", True),
        (r"\s+", True),
        (r"#0*(34|38)", True),
        (r"a{0,9}a{0,9}b", True),
    ],
)
def test_expressions_that_are_linear_are_let_pass(pattern: str, searched: bool) -> None:
    assert problems(pattern, 0, searched=searched) == []
