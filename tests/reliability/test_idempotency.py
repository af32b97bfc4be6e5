from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from loyalty_relay.model.errors import IdempotencyKeyReused, KeyInProgress, StoreUnavailable, UpstreamTimeout
from loyalty_relay.model.outcomes import Notice, Outcome, Result
from loyalty_relay.reliability import idempotency as module
from loyalty_relay.reliability.idempotency import Idempotency, Key
from tests.support.tables import IDEMPOTENCY, Counted, Crash, refusal

APPLIED = Outcome(
    result=Result.APPLIED, loyalty_id="10", fields=("email",), notices=(Notice("1001", "jane@example.com"),)
)


class Work:
    """Counts how often it was carried out."""

    def __init__(self, outcome: Outcome = APPLIED) -> None:
        self.outcome = outcome
        self.runs = 0

    def __call__(self) -> Outcome:
        self.runs += 1
        return self.outcome


class Invocation:
    def __init__(self, millis: int) -> None:
        self.millis = millis

    def get_remaining_time_in_millis(self) -> int:
        return self.millis


@pytest.fixture
def idempotency(dynamodb: Counted) -> Idempotency:
    return Idempotency(dynamodb, IDEMPOTENCY)


def run(
    idempotency: Idempotency, key: str, operation: str, work: Callable[[], Outcome], payload_digest: str | None = None
) -> Key:
    with idempotency.hold(key, operation, payload_digest=payload_digest) as held:
        if held.original is None:
            held.outcome = work()
    return held


def items(dynamodb: Counted) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dynamodb.client.scan(TableName=IDEMPOTENCY)["Items"]
    return found


def test_a_command_is_carried_out_once_per_key_and_a_copy_is_a_duplicate(idempotency: Idempotency) -> None:
    work = Work()
    first = run(idempotency, "key-1", "register", work)
    again = run(idempotency, "key-1", "register", work)
    assert work.runs == 1
    assert (first.outcome, first.original) == (APPLIED, None)
    assert again.original is not None
    assert (again.original.result, again.original.loyalty_id) == (Result.APPLIED, "10")
    assert [n.code for n in again.original.notices] == ["1001"]


def test_the_same_key_of_another_operation_is_another_command(idempotency: Idempotency) -> None:
    work = Work()
    run(idempotency, "key-1", "register", work)
    assert run(idempotency, "key-1", "update", work).original is None
    assert work.runs == 2


def test_an_applied_command_costs_two_requests_and_a_duplicate_one(idempotency: Idempotency, dynamodb: Counted) -> None:
    run(idempotency, "key-1", "register", Work())
    assert dynamodb.calls == ["put_item", "update_item"]
    dynamodb.reset()
    run(idempotency, "key-1", "register", Work())
    assert dynamodb.calls == ["put_item"]


def test_what_is_stored_holds_no_personal_data_and_lives_thirty_days(
    idempotency: Idempotency, dynamodb: Counted
) -> None:
    import time

    run(idempotency, "key-1", "register", Work())
    (item,) = items(dynamodb)
    assert "example.com" not in json.dumps(item)
    assert item["id"]["S"].startswith("relay:register#")
    assert int(item["expiration"]["N"]) - time.time() == pytest.approx(30 * 86_400, abs=60)


def test_an_error_frees_the_key_and_passes_through(idempotency: Idempotency, dynamodb: Counted) -> None:
    error = UpstreamTimeout(reached=True)

    def failing() -> Outcome:
        raise error

    with pytest.raises(UpstreamTimeout) as caught:
        run(idempotency, "key-1", "register", failing)
    assert caught.value is error
    assert items(dynamodb) == []
    assert run(idempotency, "key-1", "register", Work()).original is None


def test_a_key_that_is_being_worked_on_is_in_progress_elsewhere(idempotency: Idempotency) -> None:
    def nested() -> Outcome:
        with pytest.raises(KeyInProgress):
            run(idempotency, "key-1", "register", Work())
        return APPLIED

    assert run(idempotency, "key-1", "register", nested).outcome == APPLIED
    # The persistence layer was used again while it was in use; the outer key is complete all the same.
    assert run(idempotency, "key-1", "register", Work()).original is not None


def test_a_key_whose_process_died_is_free_when_its_invocation_has_ended(idempotency: Idempotency) -> None:
    def dies() -> Outcome:
        raise Crash

    idempotency.bind(Invocation(60_000))
    with pytest.raises(Crash):
        run(idempotency, "alive", "register", dies)
    with pytest.raises(KeyInProgress):
        run(idempotency, "alive", "register", Work())
    idempotency.bind(Invocation(-10))
    with pytest.raises(Crash):
        run(idempotency, "dead", "register", dies)
    assert run(idempotency, "dead", "register", Work()).original is None


def test_the_same_key_with_another_body_is_refused_and_without_digest_nothing_is_compared(
    idempotency: Idempotency,
) -> None:
    run(idempotency, "key-1", "register", Work(), payload_digest="a")
    assert run(idempotency, "key-1", "register", Work(), payload_digest="a").original is not None
    assert run(idempotency, "key-1", "register", Work()).original is not None
    with pytest.raises(IdempotencyKeyReused):
        run(idempotency, "key-1", "register", Work(), payload_digest="b")


def test_a_queue_record_stored_without_digest_does_not_refuse_a_later_caller(idempotency: Idempotency) -> None:
    run(idempotency, "key-1", "register", Work())
    assert run(idempotency, "key-1", "register", Work(), payload_digest="a").original is not None


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "AccessDeniedException", None])
def test_nothing_is_done_when_the_table_does_not_answer(
    idempotency: Idempotency, dynamodb: Counted, code: str | None
) -> None:
    work = Work()
    dynamodb.fail(code)
    with pytest.raises(StoreUnavailable) as caught:
        run(idempotency, "key-1", "register", work)
    assert (work.runs, caught.value.reached) == (0, False)


def test_done_work_is_reported_done_when_only_its_key_could_not_be_completed(
    idempotency: Idempotency, dynamodb: Counted
) -> None:
    dynamodb.fail(None, only="update_item")
    ran = run(idempotency, "key-1", "register", Work())
    assert (ran.outcome, ran.original) == (APPLIED, None)


def test_the_works_own_error_is_raised_when_the_key_could_not_be_freed(
    idempotency: Idempotency, dynamodb: Counted
) -> None:
    def failing() -> Outcome:
        dynamodb.before = lambda name, _: (_ for _ in ()).throw(refusal(None, name))
        raise UpstreamTimeout(reached=True)

    with pytest.raises(UpstreamTimeout):
        run(idempotency, "key-1", "register", failing)


def test_a_block_that_ends_without_an_outcome_frees_the_key(idempotency: Idempotency, dynamodb: Counted) -> None:
    with idempotency.hold("key-1", "register"):
        pass
    assert items(dynamodb) == []


def test_each_operation_has_a_persistence_layer_of_its_own(idempotency: Idempotency) -> None:
    assert idempotency._layer("register") is idempotency._layer("register")
    assert idempotency._layer("update") is not idempotency._layer("register")


def test_the_first_records_of_a_batch_begin_side_by_side(
    idempotency: Idempotency, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is loaded for them is loaded once: two at a time would each remove what the other put in its place."""
    inside: list[int] = []
    really = module._boto3_unloaded

    @contextmanager
    def counted() -> Iterator[None]:
        inside.append(len(inside))
        with really():
            yield

    monkeypatch.setattr(module, "_boto3_unloaded", counted)

    def work(number: int) -> None:
        with idempotency.hold(f"key-{number}", "register") as key:
            key.outcome = Outcome(result=Result.APPLIED)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    work(8)
    assert inside == [0]
