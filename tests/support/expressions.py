"""Find regular expressions that take more than linear time, by their syntax trees.

A repetition without a bound is safe when no text can be split between it and its neighbours in two ways (the
expression is deterministic there), and, where the expression is searched for rather than matched at the beginning, when
a scan that ends in vain is not begun again inside itself. Bounded repetitions (up to ``FEW``) cost a constant.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, field
from typing import Any

# By name: mypy's cache loses the private module.
parser: Any = importlib.import_module("re._parser")

FEW = 300
ALPHABET = [chr(n) for n in range(128)] + list("éſ“”\u2028\u3000中٣")


@dataclass
class Part:
    """Whether it can be empty, and the positions with which it begins and ends."""

    empty: bool = True
    first: frozenset[int] = frozenset()
    last: frozenset[int] = frozenset()


@dataclass
class Expression:
    """Positions are the single characters of the pattern; ``edges``: how often and how one may follow another."""

    pattern: str | bytes
    flags: int = 0
    chars: list[frozenset[str]] = field(default_factory=list)
    edges: list[tuple[int, int, bool]] = field(default_factory=list)
    guard: frozenset[str] = frozenset()
    asserted: bool = False
    problems: list[str] = field(default_factory=list)

    def read(self) -> Part:
        tree = parser.parse(self.pattern, self.flags)
        self.flags = tree.state.flags
        items = list(tree)
        if items:
            op, value = str(items[0][0]), items[0][1]
            if op == "AT" and str(value) == "AT_BOUNDARY":
                self.guard = frozenset(c for c in ALPHABET if c.isalnum() or c == "_")
            if op == "ASSERT_NOT" and value[0] < 0 and len(value[1]) == 1:
                self.guard = self.members(value[1][0])
            self.asserted = str(items[-1][0]) in ("AT", "ASSERT", "ASSERT_NOT")
        return self.sequence(items, False)

    def members(self, node: Any) -> frozenset[str]:
        op, value = str(node[0]), node[1]
        if op == "ANY":
            return frozenset(c for c in ALPHABET if c != "\n" or self.flags & re.DOTALL)
        if op == "NOT_LITERAL":
            return frozenset(ALPHABET) - self.members((parser.LITERAL, value))
        if op == "LITERAL":
            found = {chr(value)} | ({chr(value).lower(), chr(value).upper()} if self.flags & re.IGNORECASE else set())
            return frozenset(found)
        if op == "RANGE":
            chars = {c for c in ALPHABET if value[0] <= ord(c) <= value[1]}
            both = {other for c in chars for other in (c.lower(), c.upper())} if self.flags & re.IGNORECASE else set()
            return frozenset(chars | both)
        if op == "CATEGORY":
            letter = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}[str(value).rpartition("_")[2]]
            wanted = letter.upper() if "_NOT_" in str(value) else letter
            return frozenset(c for c in ALPHABET if re.fullmatch(wanted, c))
        assert op == "IN", op
        negated = str(value[0][0]) == "NEGATE"
        inside = frozenset().union(*(self.members(item) for item in value[negated:]))
        return frozenset(ALPHABET) - inside if negated else inside

    def sequence(self, items: Any, endless: bool) -> Part:
        whole = Part()
        for node in items:
            part = self.part(node, endless)
            self.edges += [(p, q, False) for p in whole.last for q in part.first]
            whole = Part(
                whole.empty and part.empty,
                whole.first | part.first if whole.empty else whole.first,
                whole.last | part.last if part.empty else part.last,
            )
        return whole

    def part(self, node: Any, endless: bool) -> Part:
        op, value = str(node[0]), node[1]
        if op == "AT":
            return Part()
        if op in ("ASSERT", "ASSERT_NOT"):
            if any(str(n[0]).endswith("REPEAT") and n[1][1] > FEW for n in value[1]):
                self.problems.append("an endless repetition in a look-around")
            return Part()
        if op == "SUBPATTERN":
            return self.sequence(value[3], endless)
        if op == "ATOMIC_GROUP":
            return self.sequence(value, endless)
        if op == "BRANCH":
            parts = [self.sequence(items, endless) for items in value[1]]
            if endless and sum(p.empty for p in parts) > 1:
                self.problems.append("two ways to take nothing inside an endless repetition")
            return Part(
                any(p.empty for p in parts),
                frozenset().union(*(p.first for p in parts)),
                frozenset().union(*(p.last for p in parts)),
            )
        if op.endswith("REPEAT"):
            least, most, items = value
            unbounded = most > FEW
            part = self.sequence(items, endless or unbounded)
            if unbounded or (endless and most > 1):
                self.edges += [(p, q, unbounded) for p in part.last for q in part.first]
            return Part(part.empty or least == 0, part.first, part.last)
        if op == "GROUPREF":
            self.problems.append("a back-reference")
            return Part()
        self.chars.append(self.members(node))
        at = frozenset({len(self.chars) - 1})
        return Part(False, at, at)


def problems(pattern: str | bytes, flags: int, *, searched: bool) -> list[str]:
    """Return why the expression can take more than linear time; empty when it cannot."""
    expression = Expression(pattern, flags)
    whole = expression.read()
    found = list(expression.problems)
    loops = {at for p, q, unbounded in expression.edges if unbounded for at in (p, q)}
    for at in loops:
        follows = [(q, unbounded or q in loops) for p, q, unbounded in expression.edges if p == at]
        pairs = [(a, b) for index, a in enumerate(follows) for b in follows[index + 1 :] if a[1] or b[1]]
        if any(expression.chars[a[0]] & expression.chars[b[0]] for a, b in pairs):
            found.append("what an endless repetition takes can also be taken by what follows")
    begins = frozenset().union(*(expression.chars[p] for p in whole.first))
    for p, q, unbounded in expression.edges if searched else ():
        chars = expression.chars[p]
        can_fail = p not in whole.last or expression.asserted
        if unbounded and p == q and can_fail and chars & begins and not chars <= expression.guard:
            found.append("a search that fails begins again inside what it has scanned")
    return sorted(set(found))
