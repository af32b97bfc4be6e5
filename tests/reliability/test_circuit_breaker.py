from __future__ import annotations

from contextlib import AbstractContextManager, suppress

import pytest

from loyalty_relay.model.errors import (
    CircuitOpen,
    ConnectionFailed,
    CredentialsBlocked,
    CredentialsRefused,
    CustomerNotFound,
    InvalidCommand,
    LeaseBusy,
    RateLimited,
    RelayError,
    StoreUnavailable,
    UpstreamTimeout,
    UpstreamUnavailable,
    VendorRejected,
)
from loyalty_relay.reliability.circuit_breaker import Circuit, CircuitCall
from tests.support.tables import STATE, Clock, Counted

DOWN = "capillary:eu.api.capillarytech.com:fake.till"
OTHER = "kangaroo:api.kangaroorewards.com:fake"
NEIGHBOUR = "capillary:eu.api.capillarytech.com:fake.other"
"""Another account of the same vendor."""


@pytest.fixture
def circuit(dynamodb: Counted, clock: Clock) -> Circuit:
    return new(dynamodb, clock)


def new(dynamodb: Counted, clock: Clock) -> Circuit:
    return Circuit(dynamodb, STATE, clock=clock, random=lambda: 1.0)


def use(circuit: Circuit, error: Exception | None = None, *, succeeded: bool = True, destination: str = DOWN) -> None:
    with circuit.call(destination) as call:
        if error is not None:
            raise error
        call.succeeded = succeeded


def fail(circuit: Circuit, times: int = 5, error: RelayError | None = None) -> None:
    for _ in range(times):
        with suppress(RelayError):
            use(circuit, error or UpstreamUnavailable())


class UnderWay:
    """A call that has begun."""

    def __init__(self, circuit: Circuit) -> None:
        self._block: AbstractContextManager[CircuitCall] = circuit.call(DOWN)
        self._call = self._block.__enter__()

    def fails(self, error: RelayError) -> None:
        with suppress(RelayError):
            self._block.__exit__(type(error), error, None)

    def succeeds(self) -> None:
        self._call.succeeded = True
        self._block.__exit__(None, None, None)


def wait_of(circuit: Circuit) -> float:
    with pytest.raises(CircuitOpen) as caught:
        use(circuit)
    assert caught.value.retry_after is not None
    return caught.value.retry_after


def test_healthy_traffic_writes_nothing_and_reads_once_in_five_seconds(
    circuit: Circuit, dynamodb: Counted, clock: Clock
) -> None:
    for _ in range(50):
        use(circuit)
        clock.now += 0.09
    assert dynamodb.calls == ["get_item"]
    clock.now += 5
    use(circuit)
    assert dynamodb.calls == ["get_item"] * 2


@pytest.mark.parametrize("error", [ConnectionFailed(), UpstreamTimeout(), UpstreamUnavailable()])
def test_an_outage_opens_the_circuit_for_all_executions_and_no_other_destination(
    circuit: Circuit, dynamodb: Counted, clock: Clock, error: RelayError
) -> None:
    fail(circuit, 4, error)
    use(circuit, succeeded=False)
    fail(circuit, 1, error)
    assert wait_of(circuit) == 10
    assert wait_of(new(dynamodb, clock)) == 10
    use(circuit, destination=OTHER)
    use(circuit, destination=NEIGHBOUR)


def test_an_execution_that_read_a_moment_ago_sees_it_within_five_seconds(
    circuit: Circuit, dynamodb: Counted, clock: Clock
) -> None:
    other = new(dynamodb, clock)
    use(other)
    fail(circuit)
    use(other)
    clock.now += 5
    assert wait_of(other) == 5


def test_only_failures_in_a_row_count(circuit: Circuit) -> None:
    fail(circuit, 4)
    use(circuit)
    fail(circuit, 4)
    use(circuit)


@pytest.mark.parametrize("error", [RateLimited(), LeaseBusy(), StoreUnavailable()])
def test_what_proves_nothing_about_the_destination_does_not_count(circuit: Circuit, error: RelayError) -> None:
    fail(circuit, 50, error)
    use(circuit)


def test_refused_credentials_open_their_circuit_at_once(circuit: Circuit) -> None:
    with pytest.raises(CredentialsRefused), circuit.call(DOWN, credentials=True):
        raise CredentialsRefused
    with pytest.raises(CredentialsBlocked) as caught, circuit.call(DOWN, credentials=True):
        pass
    assert caught.value.retry_after == 60
    assert circuit.states([DOWN, OTHER])[DOWN].reason == "credentials"


@pytest.mark.parametrize(("credentials", "error"), [(False, CredentialsRefused()), (True, UpstreamTimeout())])
def test_refusals_open_no_accounts_circuit_and_outages_none_of_credentials(
    circuit: Circuit, credentials: bool, error: RelayError
) -> None:
    for _ in range(10):
        with pytest.raises(type(error)), circuit.call(DOWN, credentials=credentials):
            raise error
    assert circuit.states([DOWN]) == {}


def test_one_probe_is_sent_and_its_success_closes_the_circuit(
    circuit: Circuit, dynamodb: Counted, clock: Clock
) -> None:
    other = new(dynamodb, clock)
    fail(circuit)
    clock.now += 10
    probe = UnderWay(circuit)
    assert 1 <= wait_of(other) <= 10
    assert 1 <= wait_of(circuit) <= 10
    probe.succeeds()
    use(circuit)
    clock.now += 5
    use(other)
    assert circuit.states([DOWN]) == {}


def test_a_failed_probe_opens_the_circuit_for_longer(circuit: Circuit, clock: Clock) -> None:
    fail(circuit)
    expected = [20, 40, 60, 60]
    for number, seconds in enumerate(expected, start=2):
        clock.now = circuit.states([DOWN])[DOWN].open_until
        fail(circuit, 1)
        state = circuit.states([DOWN])[DOWN]
        assert state.open_until - clock.now == seconds
        assert state.openings == number


def test_failures_of_requests_under_way_are_not_failed_probes(
    circuit: Circuit, dynamodb: Counted, clock: Clock
) -> None:
    under_way = [UnderWay(process) for process in (circuit, new(dynamodb, clock)) for _ in range(20)]
    fail(circuit)
    for call in under_way:
        call.fails(UpstreamUnavailable())
    assert circuit.states([DOWN])[DOWN].openings == 1


def test_a_probe_without_a_verdict_is_replaced(circuit: Circuit, dynamodb: Counted, clock: Clock) -> None:
    fail(circuit)
    clock.now += 10
    UnderWay(circuit)
    clock.now += 10
    use(new(dynamodb, clock))


@pytest.mark.parametrize("error", [LeaseBusy(), InvalidCommand("no"), ZeroDivisionError(), None])
def test_a_probe_that_ended_without_reaching_the_destination_frees_the_place(
    circuit: Circuit, dynamodb: Counted, clock: Clock, error: Exception | None
) -> None:
    fail(circuit)
    clock.now += 10
    with suppress(LeaseBusy, InvalidCommand, ZeroDivisionError):
        use(circuit, error, succeeded=False)
    assert DOWN in circuit.states([DOWN])
    use(new(dynamodb, clock))
    assert DOWN not in circuit.states([DOWN])


@pytest.mark.parametrize("error", [VendorRejected("no", code="8014"), CustomerNotFound("no", request_id="r-1")])
def test_a_refusal_of_the_vendors_is_an_answer(circuit: Circuit, clock: Clock, error: RelayError) -> None:
    fail(circuit)
    clock.now += 10
    fail(circuit, 1, error)
    assert circuit.states([DOWN]) == {}


def test_a_success_that_was_under_way_before_does_not_close_the_circuit(circuit: Circuit) -> None:
    before = UnderWay(circuit)
    fail(circuit)
    before.succeeds()
    assert wait_of(circuit) == 10


def test_a_late_probe_does_not_close_what_another_opened_again(
    circuit: Circuit, dynamodb: Counted, clock: Clock
) -> None:
    other = new(dynamodb, clock)
    fail(circuit)
    clock.now += 10
    late = UnderWay(circuit)
    clock.now += 10
    fail(other, 1, UpstreamTimeout())
    late.succeeds()
    assert DOWN in circuit.states([DOWN])


def test_a_retry_after_of_the_vendor_is_honoured_up_to_a_quarter_of_an_hour(circuit: Circuit) -> None:
    fail(circuit, 5, UpstreamUnavailable(retry_after=300))
    assert wait_of(circuit) == 300


def test_a_day_of_outage_is_waited_for_with_a_few_hundred_receives_at_most(circuit: Circuit, clock: Clock) -> None:
    start = clock.now
    fail(circuit)
    receives = 0
    while clock.now < start + 86_400:
        receives += 1
        try:
            use(circuit, ConnectionFailed())
        except CircuitOpen as error:
            clock.now += min(error.retry_after or 0.0, 900)
        except ConnectionFailed:
            pass
    assert receives < 300


def test_waits_are_spread(dynamodb: Counted, clock: Clock) -> None:
    circuit = Circuit(dynamodb, STATE, clock=clock, random=iter([0.0, 1.0]).__next__)
    fail(circuit)
    clock.now += 7200
    fail(circuit, 1)
    first, second = wait_of(circuit), wait_of(circuit)
    assert (first, second) == (450, 900)


@pytest.mark.parametrize("code", ["ThrottlingException", None])
def test_a_table_that_does_not_answer_stops_no_traffic(
    circuit: Circuit, dynamodb: Counted, clock: Clock, code: str | None
) -> None:
    fail(circuit)
    clock.now += 10
    dynamodb.fail(code)
    use(circuit, succeeded=False)
    fail(circuit, 20)
    use(circuit)


def test_the_table_does_not_name_the_account_and_forgets_abandoned_circuits(
    circuit: Circuit, dynamodb: Counted
) -> None:
    fail(circuit)
    (item,) = dynamodb.client.scan(TableName=STATE)["Items"]
    assert "fake" not in str(item)
    assert "expires_at" in item
