"""Fixtures that several rooms' tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.stack import Stack, stack_in_process


@pytest.fixture
def stack() -> Iterator[Stack]:
    """The stack's tables, queues and secrets in process, without a socket."""
    with stack_in_process() as made:
        yield made
