"""Metrics as CloudWatch receives them, in its embedded metric format."""

import json
from typing import Any

import pytest

from loyalty_relay.telemetry import logs, metrics
from loyalty_relay.telemetry.allow_list import ALLOWED


def written(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one line that was written."""
    (line,) = capsys.readouterr().out.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_metric_is_separate_by_stack_and_by_each_of_its_sets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "relay-prod")
    metrics.count("Failures", operation="register", connection="shop-1", reason="circuit_open")

    line = written(capsys)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "LoyaltyRelay"
    assert directive["Metrics"] == [{"Name": "Failures", "Unit": "Count"}]
    assert directive["Dimensions"] == [
        ["service", "reason"],
        ["service", "connection", "reason"],
    ]
    assert line["Failures"] == 1
    assert (line["service"], line["reason"]) == ("relay-prod", "circuit_open")
    assert line["_aws"]["Timestamp"] > 1_700_000_000_000


def test_without_metrics_by_connection_the_connection_is_still_found_in_the_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_METRICS_BY_CONNECTION", "false")
    metrics.count("Failures", operation="register", connection="shop-1", reason="circuit_open")

    line = written(capsys)
    assert line["connection"] == "shop-1"
    assert "connection" not in str(line["_aws"])


def test_a_foreign_key_reaches_no_metric(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="email"):
        metrics.count("Refused", reason="x", email="ana@example.com")
    assert capsys.readouterr().out == ""


def test_an_unknown_metric_and_a_dimension_that_is_missing_are_bugs() -> None:
    with pytest.raises(KeyError):
        metrics.count("Elsewhere")
    with pytest.raises(KeyError, match="reason"):
        metrics.count("Failures")


def test_an_unforeseen_exception_is_counted_without_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise RuntimeError("ana@example.com")
    except RuntimeError as problem:
        logs.unexpected("failed", problem, operation="register")

    text = capsys.readouterr().out
    assert "ana@example.com" not in text
    assert json.loads(text.splitlines()[-1])["Unforeseen"] == 1


@pytest.mark.parametrize("name", sorted(metrics.METRICS))
def test_cloudwatch_takes_the_metric(name: str) -> None:
    """At most 30 dimensions per set and 100 sets (AWS docs: embedded metric format specification)."""
    for keys in metrics.METRICS[name]:
        assert set(keys) <= ALLOWED
        assert len(keys) < 30


@pytest.mark.attack(
    "senders",
    "one event that raises at every attempt, to roll deployments back",
    "an event counts once, and the alarm needs exceptions in two of five minutes",
)
def test_an_exception_of_the_same_event_is_counted_once(capsys: pytest.CaptureFixture[str]) -> None:
    for again in (False, True, True):
        logs.unexpected("failed", RuntimeError(), again=again, operation="register")
    assert capsys.readouterr().out.count('"Unforeseen":1') == 1


@pytest.mark.attack("senders", "one event that raises at every attempt, to roll deployments back")
@pytest.mark.parametrize(("receives", "counted"), [(1, True), (2, False), (400, False)])
def test_a_record_is_counted_at_its_first_receive(
    monkeypatch: pytest.MonkeyPatch, receives: int, counted: bool
) -> None:
    from loyalty_relay.triggers import queue

    seen: list[bool] = []
    monkeypatch.setattr(logs, "unexpected", lambda event, problem, *, again, **keys: seen.append(not again))
    batch: Any = object.__new__(queue._Batch)
    batch.operation = "register"
    monkeypatch.setattr(queue._Batch, "_handle", lambda self, record: 1 / 0)
    assert batch.handle({"messageId": "m", "attributes": {"ApproximateReceiveCount": str(receives)}})
    assert seen == [counted]
