"""Outlines of bodies: names and kinds, no value."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from devkit.queries.outlines import DEPTH, MEMBERS, outline

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_names_and_kinds_are_kept_and_values_are_not() -> None:
    body = {"customer": {"first_name": "Ana", "tags": ["gold"], "age": 41.5, "vip": True, "note": "", "left": None}}

    assert outline(json.dumps(body)) == {
        "customer": {
            "first_name": "<text of 3>",
            "tags": ["<text of 4>"],
            "age": "<number>",
            "vip": "<true or false>",
            "note": "",
            "left": None,
        }
    }


def test_a_name_that_may_be_data_is_numbered() -> None:
    assert outline('{"ana@example.com": 1, "Núñez": 2, "<b>": 3, "$type": 4, "@id": 5}') == {
        "<name 0>": "<number>",
        "<name 1>": "<number>",
        "<name 2>": "<number>",
        "$type": "<number>",
        "@id": "<number>",
    }


def test_what_is_not_json_is_its_length() -> None:
    assert outline("Ana Núñez") == "<9 characters that are not JSON>"
    assert "nested too deep" in outline("[" * 100_000)


def test_long_and_deep_bodies_are_cut() -> None:
    nested = "[" * (DEPTH + 3) + "]" * (DEPTH + 3)

    assert outline(json.dumps(list(range(MEMBERS + 5))))[-1] == "<5 more>"
    assert outline(json.dumps({f"m{n}": n for n in range(MEMBERS + 5)}))["<more>"] == 5
    assert json.dumps(outline(nested)).count("[") == DEPTH


@given(VALUES)
def test_no_text_of_a_body_is_in_its_outline(value: object) -> None:
    def texts(part: object) -> set[str]:
        if isinstance(part, dict):
            return set().union(*(texts(v) for v in part.values()))
        if isinstance(part, list):
            return set().union(*map(texts, part))
        return {part} if isinstance(part, str) and len(part) > 2 else set()

    shown = texts(outline(json.dumps(value)))
    assert all(text.startswith("<") and text.endswith(">") for text in shown)
