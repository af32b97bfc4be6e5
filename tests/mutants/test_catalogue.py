"""Every mutant of the list can be applied, and the tests named for it exist; ``make mutants`` runs them."""

from __future__ import annotations

import ast
from functools import cache

import pytest

from tests.mutants.catalogue import ROOT, Mutant, mutants

ALL = list(mutants())


@cache
def text_of(file: str) -> str:
    return (ROOT / file).read_text()


@cache
def functions_of(file: str) -> frozenset[str]:
    return frozenset(node.name for node in ast.walk(ast.parse(text_of(file))) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("mutant", ALL, ids=[mutant.id for mutant in ALL])
def test_a_mutant_can_be_applied_and_its_tests_exist(mutant: Mutant) -> None:
    changed = mutant.applied(text_of(mutant.file))
    if mutant.file.endswith(".py"):
        ast.parse(changed)
    assert mutant.tests
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert name.partition("[")[0] in functions_of(file), test


def test_there_are_enough_of_them_and_no_two_are_alike() -> None:
    assert len({mutant.id for mutant in ALL}) == len(ALL) >= 120
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in ALL}) == len(ALL)
