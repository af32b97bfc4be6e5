"""``relay logs``: every line once, and only what a person wants to read."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from devkit.cli.logs import Line, Tail, pretty


class Logs:
    """CloudWatch Logs with groups that lines are added to."""

    def __init__(self) -> None:
        self.groups: dict[str, list[dict[str, Any]]] = {}

    def add(self, function: str, timestamp: int, message: str) -> None:
        group = self.groups.setdefault(f"/loyalty-relay/prod/{function}", [])
        group.append({"timestamp": timestamp, "message": message + "\n", "eventId": str(len(group))})

    def get_paginator(self, name: str) -> Logs:
        return self

    def paginate(self, *, logGroupName: str, startTime: int) -> list[dict[str, Any]]:  # noqa: N803 - AWS's spelling
        if logGroupName not in self.groups:
            raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "FilterLogEvents")
        return [{"events": [e for e in self.groups[logGroupName] if e["timestamp"] >= startTime]}]


def test_lines_are_followed_in_order_and_each_comes_once() -> None:
    logs = Logs()
    tail = Tail(logs, "prod", ["ingest", "update"], since=10)
    logs.add("ingest", 5, "before")
    logs.add("ingest", 20, "one")
    logs.add("update", 15, "two")

    first = [line.text for line in tail.next()]
    logs.add("ingest", 20, "three")
    logs.add("ingest", 20, "one")
    second = [line.text for line in tail.next()]

    assert first == ["two", "one"]
    assert second == ["three", "one"]
    assert tail.next() == []


def test_a_function_that_never_ran_has_no_lines() -> None:
    assert Tail(Logs(), "prod", ["hydrate"], since=0).next() == []


def test_the_lines_of_lambda_itself_are_left_out() -> None:
    logs = Logs()
    for text in ("START RequestId: 1", "hello", "END RequestId: 1", "REPORT RequestId: 1"):
        logs.add("ingest", 1, text)

    assert [line.text for line in Tail(logs, "prod", ["ingest"], since=0).next()] == ["hello"]


def test_a_structured_line_becomes_one_that_people_read() -> None:
    body = {"level": "INFO", "message": "record", "outcome": "applied", "service": "loyalty-relay", "delivery_id": "d"}

    text = pretty(Line(0, "register", json.dumps(body)))

    assert text is not None
    assert text.plain == "00:00:00 register   record outcome=applied delivery_id=d"


def test_metrics_are_not_shown_and_other_text_is_shown_as_it_is() -> None:
    assert pretty(Line(0, "register", json.dumps({"_aws": {}, "Records": 1}))) is None
    text = pretty(Line(0, "register", "Task timed out"))
    assert text is not None
    assert text.plain.endswith("Task timed out")
