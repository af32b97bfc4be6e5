"""Log lines. Each line is given all of its keys, so no key of one record shows up in another's lines."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from loyalty_relay.telemetry import metrics
from loyalty_relay.telemetry.allow_list import allowed

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger


@cache
def logger() -> Logger:
    """Return the process's logger, built on first use."""
    from aws_lambda_powertools import Logger

    return Logger(use_rfc3339=True, log_uncaught_exceptions=False)


def info(event: str, **keys: Any) -> None:
    """Write a line about normal work. ``event`` is a constant text. Raise ValueError for a key not allowed."""
    logger().info(event, extra=allowed(keys))


def warning(event: str, **keys: Any) -> None:
    """Write a line that an operator may want to look at."""
    logger().warning(event, extra=allowed(keys))


def error(event: str, **keys: Any) -> None:
    """Write a line that an operator must look at."""
    logger().error(event, extra=allowed(keys))


def unexpected(event: str, problem: BaseException, *, again: bool = False, **keys: Any) -> None:
    """Log and count an exception that no code expects.

    The line has its class and where it was raised, never its text, which may hold data. ``again``: the event
    has raised before; an event is counted once, so that a single one does not look like many.
    """
    trace = problem.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else None
    keys |= {"error": type(problem).__name__, "where": where}
    error(event, **keys)
    if not again:
        metrics.count("Unforeseen", **keys)
