"""The clock by which Powertools Idempotency ages its keys. It reads the machine's; tests that have a clock of their own
lend it to the modules that do.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

MODULES = (
    "aws_lambda_powertools.utilities.idempotency.base",
    "aws_lambda_powertools.utilities.idempotency.persistence.base",
    "aws_lambda_powertools.utilities.idempotency.persistence.datarecord",
    "aws_lambda_powertools.utilities.idempotency.persistence.dynamodb",
)


class _Clocked:
    """The module ``datetime`` with another present."""

    def __init__(self, clock: Callable[[], float]) -> None:
        class Datetime(datetime.datetime):
            @classmethod
            def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:  # type: ignore[override]
                return datetime.datetime.fromtimestamp(clock(), tz)

        self.datetime = Datetime

    def __getattr__(self, name: str) -> Any:
        return getattr(datetime, name)


@contextmanager
def keys_age_by(clock: Callable[[], float]) -> Iterator[None]:
    """Within it, keys of idempotency expire by ``clock`` (epoch seconds)."""
    modules = [import_module(name) for name in MODULES]
    before = [module.dt for module in modules]  # fails loudly when Powertools reads the time in another way
    clocked = _Clocked(clock)
    for module in modules:
        module.dt = clocked  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module, kept in zip(modules, before, strict=True):
            module.dt = kept  # type: ignore[attr-defined]
