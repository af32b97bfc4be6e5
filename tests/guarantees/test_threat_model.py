"""The threat model is what runs: its tables come from the marks of tests."""

from __future__ import annotations

import re

import pytest

from tests.threats import DOCUMENT, PARTS, Attack, attacks, document

ATTACKS = [(part, attack) for part, found in attacks().items() for attack in found.values()]


def test_the_page_is_made_from_the_tests() -> None:
    """``python -m tests.threats`` makes it anew."""
    page = DOCUMENT.read_text()
    assert document(page) == page


def test_the_page_has_a_section_for_every_part() -> None:
    assert set(PARTS.values()) <= set(re.findall(r"^## (.*)$", DOCUMENT.read_text(), re.MULTILINE))


@pytest.mark.parametrize(("part", "attack"), ATTACKS, ids=[attack.name for _, attack in ATTACKS])
def test_an_attack_has_one_defence_and_a_known_promise(part: str, attack: Attack) -> None:
    assert len(attack.defences) == 1, f"{attack.tests}: exactly one of them names the defence"
    assert len(attack.promises) <= 1
    assert all(re.fullmatch(r"G([1-9]|1[0-2])", promise) for promise in attack.promises)
