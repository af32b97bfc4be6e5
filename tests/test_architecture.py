"""The house: arrows point one way, one module knows httpx, nothing happens at import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYER = ROOT / "layers" / "relay" / "loyalty_relay"
MODULES = sorted(LAYER.rglob("*.py"))

MAY_IMPORT: dict[str, set[str]] = {
    "": {""},
    "sources": {"", "sources"},
    "state": {"", "state"},
    "clients": {"", "clients", "state"},
    "operations": {"", "operations", "clients", "state"},
    "triggers": {"", "triggers", "operations", "clients", "state", "sources"},
}
"""Room -> rooms it may import from; the room without a name holds the words."""

WIRING = {"services.py"}
"""Wires all rooms, each on first use."""

ONLY_IN = {
    "httpx": {"clients/transport.py", "clients/sockets.py"},
    "httpcore": {"clients/transport.py", "clients/sockets.py"},
    "boto3": {"aws.py"},
    "pydantic": {"triggers/bodies.py", "triggers/http.py"},
    "phonenumbers": {"phones.py"},
}
"""Library -> the modules that may import it at all."""


def room(path: Path) -> str:
    parts = path.relative_to(LAYER).parts
    return parts[0] if len(parts) > 1 else ""


def imported(path: Path, *, run_time_only: bool = True) -> set[str]:
    """Names of the modules that a file imports, also inside functions; not those under TYPE_CHECKING."""
    tree = ast.parse(path.read_text())
    skipped: set[int] = set()
    if run_time_only:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                skipped.update(id(inner) for inner in ast.walk(node))
    names: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(LAYER)))
def test_arrows_point_one_way(path: Path) -> None:
    if path.name in WIRING:
        return
    allowed = MAY_IMPORT[room(path)]
    for name in imported(path):
        if not name.startswith("loyalty_relay."):
            continue
        parts = name.split(".")
        target = parts[1] if (LAYER / parts[1]).is_dir() else ""
        lazily_wired = name.startswith("loyalty_relay.services") and room(path) == "triggers"
        assert target in allowed or lazily_wired, f"{path.relative_to(LAYER)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(LAYER)))
def test_the_layer_knows_neither_devkit_nor_functions(path: Path) -> None:
    assert not {n for n in imported(path) if n.split(".")[0] in {"devkit", "functions", "tests"}}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(LAYER)))
def test_libraries_are_known_only_where_they_belong(path: Path) -> None:
    relative = str(path.relative_to(LAYER))
    for library, places in ONLY_IN.items():
        if any(name.split(".")[0] == library for name in imported(path)):
            assert relative in places, f"{relative} imports {library}"


def test_functions_hold_wiring_only() -> None:
    for path in sorted((ROOT / "functions").glob("*/app.py")):
        statements = ast.parse(path.read_text()).body
        for node in statements:
            assert isinstance(node, ast.Expr | ast.ImportFrom | ast.Assign), f"{path}: {ast.dump(node)[:80]}"
        assert len(statements) <= 6, f"{path} is more than wiring"


@pytest.mark.parametrize("function", ["ingest"])
def test_ingest_starts_without_pydantic_httpx_and_phonenumbers(function: str) -> None:
    code = (
        f"import sys; sys.path[:0] = [{str(LAYER.parent)!r}, {str(ROOT / 'functions' / function)!r}]; import app; "
        "print([m for m in ('pydantic', 'httpx', 'phonenumbers', 'jmespath', 'boto3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
