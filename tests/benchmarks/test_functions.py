"""What is measured as a process."""

from __future__ import annotations

from benchmarks.functions import STARTED
from tests.support.stack import TEMPLATE


def test_the_start_of_every_function_is_measured() -> None:
    assert set(STARTED) == {path.parent.name for path in (TEMPLATE.parent / "functions").glob("*/app.py")}
