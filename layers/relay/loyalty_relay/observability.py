"""Log lines and metrics, by allow-list: what is not named here cannot reach a log.

Loggers and metrics are built on first use. Keys of one record never show up in another's lines, because every line is
given all of its keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

ALLOWED = frozenset(
    {
        "age",
        "api",
        "attempt",
        "code",
        "connection",
        "count",
        "delay",
        "delivery_id",
        "destination",
        "duration_ms",
        "error",
        "key_id",
        "latency_ms",
        "message_id",
        "operation",
        "outcome",
        "position",
        "reason",
        "request_id",
        "source",
        "status",
        "topic",
        "where",
    }
)
"""Keys a log line may carry. All of them are ids of ours, words of ours or numbers; none is personal data."""

NAMESPACE = "LoyaltyRelay"
_MAX_TEXT = 200


class _Lazy:
    logger: Logger | None = None


def _logger() -> Logger:
    if _Lazy.logger is None:
        from aws_lambda_powertools import Logger

        _Lazy.logger = Logger(use_rfc3339=True, log_uncaught_exceptions=False)
    return _Lazy.logger


def _allowed(keys: dict[str, Any]) -> dict[str, Any]:
    foreign = keys.keys() - ALLOWED
    if foreign:
        raise ValueError(f"not on the log's allow-list: {', '.join(sorted(foreign))}")
    return {
        name: value[:_MAX_TEXT] if isinstance(value, str) else value
        for name, value in keys.items()
        if value is not None
    }


def info(event: str, **keys: Any) -> None:
    """A line about the normal course of things. ``event`` is a constant text. Raises ValueError for a foreign key."""
    _logger().info(event, extra=_allowed(keys))


def warning(event: str, **keys: Any) -> None:
    """A line an operator may want to look at."""
    _logger().warning(event, extra=_allowed(keys))


def error(event: str, **keys: Any) -> None:
    """A line an operator must look at."""
    _logger().error(event, extra=_allowed(keys))


def unexpected(event: str, problem: BaseException, **keys: Any) -> None:
    """A line about an exception nobody foresaw: its class and where it was raised, never its text, which may hold
    data.
    """
    trace = problem.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace else None
    _logger().error(event, extra=_allowed({**keys, "error": type(problem).__name__, "where": where}))


def count(name: str, value: float = 1, *, unit: str = "Count", **dimensions: str) -> None:
    """One metric in the embedded metric format. Dimensions: source, connection, topic, outcome, destination,
    operation.
    """
    from aws_lambda_powertools import single_metric

    with single_metric(name=name, unit=unit, value=value, namespace=NAMESPACE) as metric:
        for key, text in _allowed(dict(dimensions)).items():
            metric.add_dimension(name=key, value=str(text))
