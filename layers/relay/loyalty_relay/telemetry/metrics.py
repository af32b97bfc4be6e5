"""Metrics, as lines in CloudWatch's embedded metric format."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from loyalty_relay.telemetry.allow_list import allowed

NAMESPACE = "LoyaltyRelay"

METRICS: dict[str, tuple[tuple[str, ...], ...]] = {
    "Deliveries": (("outcome",), ("connection", "source", "outcome")),
    "Refused": ((),),
    "Unavailable": ((),),
    "Outcomes": (("outcome",), ("source", "connection", "topic", "outcome")),
    "Latency": ((), ("connection",)),
    "Failures": (("reason",), ("connection", "reason")),
    "TokenRefreshFailed": ((),),
    "Unforeseen": ((),),
    "NearBound": ((),),
    "CustomersMissing": ((),),
}
"""Every metric and its sets of dimensions, to each of which the stack (``service``) is added. Alarms and dashboard of
the stack are checked against this table. Each combination is a metric that costs money, so there is none that no alarm
reads and no operator looks at first; the saved queries break the lines down further. Sets with a connection are only
emitted where the stack's parameter ConnectionMetrics enables them.

Deliveries: deliveries that ingest acknowledged, by outcome (accepted, ignored, parked). Refused: deliveries
that failed authentication. Unavailable: deliveries that could not be taken, so that the source must send them again.
Outcomes: outcomes of commands, from queues and API; one that is tried five times counts four times as retrying.
Latency: milliseconds from a delivery's arrival to applied. Failures: attempts that did not succeed, of queue messages
and API calls, by reason. TokenRefreshFailed: a vendor gave no access token. Unforeseen: an exception that no part of
the code expects. NearBound: a limit of ours is near (``reliability.headroom``): tried, age, receives, time, memory.
CustomersMissing: customers of a shop whom an import or a reconciliation did not find at the destination, nor a reason;
or, where that stopped the run, customers whom the shop does not list any more.
"""


def count(name: str, value: float = 1, *, unit: str = "Count", **about: Any) -> None:
    """Write one measurement as a line in the embedded metric format.

    CloudWatch makes the metrics that ``METRICS`` lists for ``name``; further keys stay in the line, where Logs Insights
    finds them.

    Written by hand, not by Powertools: its ``single_metric`` prints a line in two writes, which the records of a batch,
    running side by side, would mix up; and ingest would import it for its first delivery. Format: AWS docs, "CloudWatch
    embedded metric format specification". Raise ValueError for a key that is not allowed and KeyError for a
    name or a dimension that ``METRICS`` does not have.
    """
    keys = {key: str(text) for key, text in allowed(about).items()}
    by_connection = os.environ.get("RELAY_METRICS_BY_CONNECTION", "true") != "false"
    sets = [("service", *dimensions) for dimensions in METRICS[name] if by_connection or "connection" not in dimensions]
    keys["service"] = os.environ.get("POWERTOOLS_SERVICE_NAME", "loyalty-relay")
    if missing := {key for dimensions in sets for key in dimensions} - keys.keys():
        raise KeyError(f"{name} lacks its {', '.join(sorted(missing))}")
    metrics = [{"Name": name, "Unit": unit}]
    emf = {
        "Timestamp": int(time.time() * 1000),
        "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": sets, "Metrics": metrics}],
    }
    sys.stdout.write(json.dumps({"_aws": emf, **keys, name: value}, separators=(",", ":")) + "\n")
