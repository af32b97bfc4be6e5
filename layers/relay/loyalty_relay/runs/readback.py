"""Compare what a vendor shows of a member with what was sent. Pure.

Only fields that every vendor shows are compared, in one form for both sides; nothing but short digests is kept.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

COMPARED = ("email", "phone", "first_name", "last_name")
FIRST, SAMPLE = 20, 100
"""Members that are read back of a run: the first ones, and about so many in all."""
MILLION = 1_000_000

Marks = Mapping[str, str]
"""Field -> short keyed digest of its value."""
Mark = Callable[[str, str], str]
"""Returns the keyed digest of a field's text."""


def marks_of(values: Mapping[str, Any], mark: Mark) -> Marks:
    """Return the marks of the fields that are compared. An empty value has an empty mark."""
    texts = {name: _text(name, values[name]) for name in COMPARED if name in values}
    return {name: mark(name, text)[:8] if text else "" for name, text in texts.items()}


def missed(sent: Mapping[str, Any], shown: Marks, mark: Mark) -> tuple[str, ...]:
    """Return the fields with a value that was sent and that the vendor shows otherwise."""
    ours = marks_of(sent, mark)
    return tuple(name for name, value in ours.items() if value and name in shown and shown[name] != value)


def line_of(loyalty_id: str, marks: Marks) -> str:
    """Return a member as a line of a list."""
    return "\t".join([loyalty_id, *(f"{name}={value}" for name, value in sorted(marks.items()))])


def member_of(line: str) -> tuple[str, Marks]:
    """Return the member of such a line."""
    loyalty_id, *marks = line.split("\t")
    return loyalty_id, dict(mark.split("=", 1) for mark in marks)


def in_sample(run: str, source_id: str, *, read: int, total: int | None) -> bool:
    """Return whether a customer is read back; the same whenever the run meets them again.

    ``read``: how many were so far. ``total``: customers of the shop, None where that is not known.
    """
    share = min(SAMPLE / total, 1.0) if total else 0.01
    number = int.from_bytes(hashlib.sha256(f"{run} {source_id}".encode()).digest()[:4], "big")
    return read < FIRST or (read < 2 * SAMPLE and number % MILLION < share * MILLION)


def _text(name: str, value: Any) -> str:
    text = str(value if value is not None else "").strip()
    if name == "email":
        return text.casefold()
    return re.sub(r"\D", "", text) if name == "phone" else text
