"""Every documented item of the five seeds and of the reference, one test each. The rows are in the registry."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.registry import ROWS
from tests.contract.rows import Row, World
from tests.contract.stub import Stub
from tests.contract.table import DOCUMENT, document
from tests.support.stack import stack_in_process


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    stub = Stub()
    with stack_in_process() as stack:
        yield World(stub, stack)
    stub.close()


def _param(row: Row) -> object:
    marks = [pytest.mark.xfail(strict=True, reason=row.deviates)] if row.deviates else []
    return pytest.param(row, id=row.id, marks=marks)


@pytest.mark.parametrize("row", [_param(row) for row in ROWS])
def test_item(row: Row, world: World) -> None:
    world.brief = False
    assert row.do(world) == row.want


def test_every_row_has_a_name_of_its_own() -> None:
    names = [row.id for row in ROWS]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_the_document_is_made_from_the_rows() -> None:
    assert DOCUMENT.read_text() == document(), "run python -m tests.contract.table"
