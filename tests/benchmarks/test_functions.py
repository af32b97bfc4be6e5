"""What is measured as a process."""

from __future__ import annotations

from benchmarks.functions import NOT_STARTED, STARTED
from tests.support.stack import TEMPLATE


def test_the_start_of_every_function_is_measured_or_named_as_not_measured() -> None:
    assert {*STARTED, *NOT_STARTED} == {path.parent.name for path in (TEMPLATE.parent / "functions").glob("*/app.py")}
