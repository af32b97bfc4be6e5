"""Each record of a batch is dealt with by itself: what fails comes back after its own wait, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from loyalty_relay.model.errors import CircuitOpen, CredentialsRefused, LeaseBusy, RelayError, UpstreamUnavailable
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability import retry_policy
from loyalty_relay.reliability.journal import Journal
from loyalty_relay.triggers.queue import consume
from tests.support.stack import Context
from tests.triggers.conftest import Functions
from tests.triggers.test_queue import envelope, journal, send


class Recording:
    """SQS that keeps which messages are hidden for how long."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.hidden: list[tuple[str, int]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def change_message_visibility_batch(self, **batch: Any) -> Any:
        self.hidden += [(entry["ReceiptHandle"], entry["VisibilityTimeout"]) for entry in batch["Entries"]]
        return self._client.change_message_visibility_batch(**batch)


def test_a_bug_while_a_record_fails_brings_that_record_back_and_no_other(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Journal, entry: object, *, waiting: float) -> float:
        raise KeyError("a bug")

    monkeypatch.setattr(Journal, "retrying", broken)
    send(functions, envelope(1), envelope(2))
    functions.crm.before = [UpstreamUnavailable()]
    assert len(functions.consume("update")["batchItemFailures"]) == 1
    assert sorted(journal(functions, 1) + journal(functions, 2)) == [("applied", "")]


def test_only_the_record_that_failed_is_hidden_for_its_wait(functions: Functions) -> None:
    send(functions, envelope(1), envelope(2))
    functions.crm.before = [UpstreamUnavailable()]
    event = functions.stack.receive("update")
    services = functions.services("update")
    services.sqs = recording = Recording(services.sqs)
    reply = consume(event, Context(30), "update", services)
    handles = {record["messageId"]: record["receiptHandle"] for record in event["Records"]}
    wait = round(retry_policy.delay(UpstreamUnavailable(), 1, services.random()))
    assert recording.hidden == [(handles[item["itemIdentifier"]], wait) for item in reply["batchItemFailures"]]
    assert len(recording.hidden) == 1


@pytest.mark.parametrize("error", [CircuitOpen(retry_after=30), CredentialsRefused(), LeaseBusy(retry_after=2)])
def test_waiting_for_a_destination_or_a_turn_does_not_use_up_the_horizon(
    functions: Functions, error: RelayError
) -> None:
    """The journal counts what was tried; see also ``test_waiting_for_a_limit_does_not_use_up_the_horizon``."""
    functions.crm.before = [error] * 2
    send(functions, envelope())
    functions.consume("update")
    assert [result for result, _ in journal(functions)] == [Result.RETRYING.value]
    services = functions.services("update")
    _, entry = services.pipeline.recorder.failed(envelope(), UpstreamUnavailable(), Result.RETRYING)
    assert services.journal.retrying(entry, waiting=10) == 10
