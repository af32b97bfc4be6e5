"""Log lines and metrics, by allow-list: what is not named here cannot reach a log.

Loggers and metrics are built on first use. Keys of one record never show up in another's lines, because every line is
given all of its keys.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aws_lambda_powertools import Logger

ALLOWED = frozenset(
    {
        "age",
        "api",
        "attempt",
        "bound",
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

METRICS: dict[str, tuple[tuple[str, ...], ...]] = {
    "Deliveries": (("outcome",), ("source", "outcome"), ("connection", "source", "outcome")),
    "Refused": (("reason",),),
    "Unavailable": ((), ("reason",)),
    "Outcomes": (("operation", "outcome"), ("destination", "outcome"), ("source", "connection", "topic", "outcome")),
    "Latency": ((), ("destination",), ("connection",)),
    "Failures": (("reason",), ("operation", "reason"), ("connection", "reason")),
    "TokenRefreshFailed": ((),),
    "Unforeseen": ((),),
    "NearBound": ((), ("bound",)),
}
"""Every metric, and by what it is told apart; the stack (``service``) always is. What alarms and dashboard of the stack
read stands here. Sets with a connection are left out where the stack's parameter ConnectionMetrics says so: each
combination is a metric that costs money.

Deliveries: what ingest answered with success, by outcome (accepted, ignored, parked). Refused: what it did not believe.
Unavailable: what it could not take, so that the source must send it again. Outcomes: what came of commands,
from queues and API; one that is tried five times counts four times as retrying. Latency: milliseconds from a delivery's
arrival to applied. Failures: attempts that did not succeed, of queue messages and API calls, by reason.
TokenRefreshFailed: a vendor gave no access token. Unforeseen: an exception that no part of the code expected.
NearBound: something comes near a bound of ours (``bounds``): tried, age, receives, time, memory.
"""

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
    count("Unforeseen", error=type(problem).__name__, where=where, **keys)


def count(name: str, value: float = 1, *, unit: str = "Count", **about: Any) -> None:
    """One measurement, as a line in the embedded metric format, from which CloudWatch makes the metrics that
    ``METRICS`` lists for ``name``; whatever else is told stays in the line, where Logs Insights finds it.

    Written by hand, not by Powertools: its ``single_metric`` prints a line in two writes, which the records of a batch,
    running side by side, would mix up; and ingest would import it for its first delivery. Format: AWS docs, "CloudWatch
    embedded metric format specification". Raises ValueError for a key that is not allowed and KeyError for a
    name or a dimension that ``METRICS`` does not have.
    """
    told = {key: str(text) for key, text in _allowed(about).items()}
    by_connection = os.environ.get("RELAY_METRICS_BY_CONNECTION", "true") != "false"
    sets = [("service", *keys) for keys in METRICS[name] if by_connection or "connection" not in keys]
    told["service"] = os.environ.get("POWERTOOLS_SERVICE_NAME", "loyalty-relay")
    if missing := {key for keys in sets for key in keys} - told.keys():
        raise KeyError(f"{name} is not told its {', '.join(sorted(missing))}")
    metrics = [{"Name": name, "Unit": unit}]
    emf = {
        "Timestamp": int(time.time() * 1000),
        "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": sets, "Metrics": metrics}],
    }
    sys.stdout.write(json.dumps({"_aws": emf, **told, name: value}, separators=(",", ":")) + "\n")
