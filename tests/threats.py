"""The tables of docs/threat-model.md, made from the tests: ``python -m tests.threats`` writes them.

A test of an attack is marked ``@pytest.mark.attack(part, attack, defence, promise)``: the page's section, what somebody
tries, what prevents it, and the promise of docs/reliability.md that would break ("" where it is none of them). Several
tests of one attack are one row; exactly one of them names the defence and the promise, the others only part and attack.
The arguments are constants, because they are read without running the tests.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "threat-model.md"
MARK = "pytest.mark.attack"

PARTS = {
    "senders": "Senders",
    "callers": "Callers of the HTTP API",
    "vendors": "Vendors, platforms and whoever stands between",
    "configuration": "Configuration",
    "operators": "Operators and their tools",
}

HEAD = "| attack | what prevents it | promise | test |\n| --- | --- | --- | --- |\n"


@dataclass
class Attack:
    """One row: what is tried, what prevents it (one entry per test that names it), the promise, the tests."""

    name: str
    defences: list[str] = field(default_factory=list)
    promises: list[str] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)

    def row(self) -> str:
        """Return the row of the table."""
        promise = " ".join(self.promises) or "–"
        cells = (self.name, "; ".join(self.defences), promise, ", ".join(f"`{test}`" for test in self.tests))
        return "| " + " | ".join(cells) + " |\n"


def marks() -> Iterator[tuple[str, list[str]]]:
    """Yield (test, arguments) of every mark, in the order of files and lines."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if MARK in text else ():
            if not isinstance(node, ast.FunctionDef):
                continue
            for call in (call for decorator in node.decorator_list for call in ast.walk(decorator)):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == MARK:
                    yield f"{path.relative_to(ROOT)}::{node.name}", [ast.literal_eval(given) for given in call.args]


def attacks() -> dict[str, dict[str, Attack]]:
    """Return the attacks of every part by name."""
    found: dict[str, dict[str, Attack]] = {part: {} for part in PARTS}
    for test, (part, name, *more) in marks():
        attack = found[part].setdefault(name, Attack(name))
        attack.tests += [test] if test not in attack.tests else []
        attack.defences += more[:1]
        attack.promises += [promise for promise in more[1:] if promise]
    return found


def document(page: str) -> str:
    """Return the page with its tables as the tests are now; the text around them is kept."""
    for part, found in attacks().items():
        rows = sorted(found.values(), key=lambda attack: (int("".join(attack.promises)[1:] or 99), attack.name))
        table = HEAD + "".join(attack.row() for attack in rows)
        before, heading, rest = page.partition(f"\n## {PARTS[part]}\n\n")
        page = before + heading + table + rest[rest.index("\n## ") :]
    return page


if __name__ == "__main__":
    DOCUMENT.write_text(document(DOCUMENT.read_text()))
