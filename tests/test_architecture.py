"""The house: arrows point one way, libraries are imported where they belong, nothing happens at import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from loyalty_relay.destinations.registry import vendors

ROOT = Path(__file__).resolve().parent.parent
LAYER = ROOT / "layers" / "relay" / "loyalty_relay"
MODULES = sorted(LAYER.rglob("*.py"))

MAY_IMPORT: dict[str, set[str]] = {
    "model": set(),
    "telemetry": set(),
    "storage": {"model"},
    "http": {"model"},
    "connections/model": {"model"},
    "destinations/base": {"model", "connections/model"},
    "destinations/registry": {"destinations/base"},
    "connections/parse": {"model", "connections/model", "sources/platforms", "destinations/registry"},
    "sources": {"model", "connections/model"},
    "translation": {"model", "sources", "connections/model", "destinations/base", "destinations/registry"},
    "destinations": {"model", "telemetry", "storage", "http", "connections/model"},
    "connections": {"model", "storage", "sources", "translation"},
    "reliability": {"model", "telemetry", "storage", "http"},
    "customers": {"model", "storage", "reliability"},
    "stores": {"model", "storage", "destinations"},
    "orders": {"model", "storage", "reliability", "connections/model", "destinations/base"},
    "pipeline": {"model", "connections", "destinations", "customers", "orders", "stores", "reliability"},
    "runs": {"model", "storage", "connections", "sources", "translation", "customers"},
    "runtime": {
        "model",
        "telemetry",
        "storage",
        "http",
        "connections",
        "sources",
        "destinations",
        "reliability",
        "customers",
        "orders",
        "stores",
        "pipeline",
        "runs",
    },
    "triggers": {
        "model",
        "telemetry",
        "storage",
        "http",
        "connections",
        "sources",
        "translation",
        "reliability",
        "pipeline",
        "runs",
        "runtime",
    },
}
"""Package -> packages it may import from. ``connections/model`` is below the sources and the destinations; the
parser and the store of connections are above them.
"""

ONLY_IN = {
    "httpx": {"http", "destinations"},
    "httpcore": {"http/sockets.py"},
    "boto3": {"storage/aws.py"},
    "pydantic": {"triggers/api_bodies.py", "triggers/sale_bodies.py", "triggers/api.py"},
    "phonenumbers": {"model/phones.py"},
}
"""Library -> the packages and modules that may import it at all."""


def room(name: str) -> str:
    """Return the package of a module (``a/b``), or the module itself where ``MAY_IMPORT`` names it."""
    return name if name in MAY_IMPORT else name.partition("/")[0]


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


def of_the_layer(path: Path) -> set[str]:
    """Return the layer's modules that a file imports, as ``package/module``."""
    names = {n.removeprefix("loyalty_relay.") for n in imported(path) if n.startswith("loyalty_relay.")}
    return {"/".join(n.split(".")[:2]) for n in names}


def test_no_module_is_loose_in_the_root() -> None:
    assert [p.name for p in LAYER.glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize("package", sorted(p.parent for p in LAYER.rglob("__init__.py") if p.parent != LAYER))
def test_every_package_reports_its_purpose_and_what_it_may_import(package: Path) -> None:
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text()))
    assert docstring, f"{package.relative_to(LAYER)} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(LAYER)))
def test_arrows_point_one_way(path: Path) -> None:
    name = path.relative_to(LAYER).with_suffix("").as_posix()
    if name == "__init__":
        return
    own = room(name)
    allowed = MAY_IMPORT[own]
    # ``import loyalty_relay.PACKAGE`` of the own package loads a docstring.
    for target in of_the_layer(path) - {own.partition("/")[0]}:
        package = target.partition("/")[0]
        assert package == own or {target, package} & allowed, f"{path.relative_to(LAYER)} imports {target}"


def code_of(path: Path) -> str:
    """Return a module's code without its docstrings and comments."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(...)
    return ast.unparse(tree)


VENDORS = LAYER / "destinations"
VENDORS_MODULES = {
    "auth",
    "check",
    "client",
    "config",
    "errors",
    "fields",
    "preflight",
    "redaction",
    "requests",
    "responses",
    "sales",
    "session",
}
"""The modules of every vendor; a concern that only one vendor has is a module besides."""


@pytest.mark.parametrize("vendor", vendors())
def test_vendors_have_the_same_modules(vendor: str) -> None:
    assert {path.stem for path in (VENDORS / vendor).glob("*.py")} >= VENDORS_MODULES


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(LAYER)))
def test_a_vendor_is_named_only_in_its_own_folder(path: Path) -> None:
    own = {VENDORS / name for name in vendors()} & set(path.parents)
    named = [name for name in vendors() if name in code_of(path).lower() and VENDORS / name not in own]
    assert named == []


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(LAYER)))
def test_the_layer_imports_neither_devkit_nor_functions(path: Path) -> None:
    assert not {n for n in imported(path) if n.split(".")[0] in {"devkit", "functions", "tests"}}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(LAYER)))
def test_libraries_are_known_only_where_they_belong(path: Path) -> None:
    relative = str(path.relative_to(LAYER))
    for library, places in ONLY_IN.items():
        if any(name.split(".")[0] == library for name in imported(path)):
            assert {relative, relative.partition("/")[0]} & places, f"{relative} imports {library}"


DEVKIT = ROOT / "devkit"
TOOLS: dict[str, set[str]] = {
    "stacks": set(),
    "samples": {"stacks", "signing"},
    "queries": {"stacks", "samples"},
    "console": {"stacks", "queries"},
}
"""Package of the devkit -> packages of the devkit it may import from; the command line is above all of them."""


@pytest.mark.parametrize(
    "path",
    sorted(p for package in TOOLS for p in (DEVKIT / package).rglob("*.py")),
    ids=lambda p: str(p.relative_to(DEVKIT)),
)
def test_arrows_between_tools_point_one_way(path: Path) -> None:
    """Queries make neither terminal text nor HTML, and the console never runs through the command line."""
    package = path.relative_to(DEVKIT).parts[0]
    names = imported(path)
    used = {name.split(".")[1] for name in names if name.startswith("devkit.")} - {package}
    assert used <= TOOLS[package]
    assert not {"typer", "rich"} & {name.split(".")[0] for name in names}
    assert package == "console" or not {"jinja2", "starlette", "uvicorn"} & {name.split(".")[0] for name in names}


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
        "print([m for m in ('pydantic', 'httpx', 'phonenumbers', 'boto3') if m in sys.modules])"
    )
    environment = {"AWS_DEFAULT_REGION": "us-east-1", "RELAY_SECRETS_PREFIX": "fake"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


def test_the_glossary_names_modules_that_exist() -> None:
    """Each term is linked to the module that holds it, and no term appears twice."""
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| ([^|]+) \|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    terms = [term for term, _ in rows[1:] if set(term) != {"-"}]
    assert len(terms) == len(set(terms)) > 20
    for term, where in rows:
        for path in re.findall(r"`([a-z_/.]+)`", where):
            assert (LAYER / path).exists() or (ROOT / path).exists(), f"{term}: {path}"


def test_no_two_types_have_the_same_name() -> None:
    found: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name.lstrip("_"), []).append(path.relative_to(LAYER).as_posix())
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}
