"""Standard output while layer code runs in tools."""

from __future__ import annotations

import sys

import pytest

from devkit.stacks.services import unlogged


def test_output_is_back_after_the_last_of_two_that_overlap(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = unlogged(), unlogged()

    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    sys.stdout.write("log line")
    second.__exit__(None, None, None)
    sys.stdout.write("result")

    assert capsys.readouterr().out == "result"
