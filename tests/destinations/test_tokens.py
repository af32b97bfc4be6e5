"""Tokens that all executions share: renewed by one at a time, kept before they are used."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from loyalty_relay.destinations.tokens import LEASE_SECONDS, TokenSet, TokenStore
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import CredentialsRefused, LeaseBusy, StoreUnavailable, UpstreamUnavailable
from loyalty_relay.storage.digests import Digests
from tests.support.stack import Stack
from tests.support.tables import Crash

KEY = "kangaroo:api.example.com:demo@example.com"


@dataclass
class Vendor:
    """A token endpoint whose refresh tokens are good for one use, and whose refresh ends the old access token."""

    clock: Callable[[], float]
    life: float = 3920.0
    count: int = 0
    live: set[str] = field(default_factory=set)
    deadlines: list[float] = field(default_factory=list)

    def issue(self) -> TokenSet:
        self.count += 1
        now = self.clock()
        self.live = {f"fake-access-{self.count}", f"fake-refresh-{self.count}"}
        return TokenSet(f"fake-access-{self.count}", f"fake-refresh-{self.count}", now, now + self.life)

    def refresh(self, old: TokenSet | None, deadline: Deadline) -> TokenSet:
        """Like an authorization-code connection: without a good refresh token there is no way on."""
        self.deadlines.append(deadline.remaining())
        if old is None or old.refresh_token not in self.live:
            raise CredentialsRefused("the refresh token is spent")
        return self.issue()

    def grant(self, old: TokenSet | None, deadline: Deadline) -> TokenSet:
        """Like a password connection: a new pair at any time."""
        return self.issue()


@dataclass
class Execution:
    """One process: a store over the stack's tables, optionally with broken AWS clients."""

    stack: Stack
    name: str = "one"
    secrets: Any = None
    sleeps: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = TokenStore(
            self.secrets or self.stack.clients["secretsmanager"],
            self.stack.clients["dynamodb"],
            table=self.stack.environment["RELAY_STATE_TABLE"],
            prefix="test",
            digests=Digests(b"a digest key for tests only"),
            new_token=lambda: uuid4().hex,
            clock=self.stack.clock,
            sleep=self.sleep,
            random=lambda: 0.5,
        )

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.stack.clock.now += seconds

    def get(self, obtain: Any, *, rejected: str | None = None, seconds: float = 25.0) -> tuple[str, bool]:
        return self.store.get(KEY, obtain, Deadline(self.stack.clock() + seconds, self.stack.clock), rejected=rejected)


@pytest.fixture
def vendor(stack: Stack) -> Vendor:
    return Vendor(stack.clock)


def lease(stack: Stack) -> list[Any]:
    items = stack.clients["dynamodb"].scan(TableName=stack.environment["RELAY_STATE_TABLE"])["Items"]
    return [item for item in items if item["pk"]["S"].startswith("token#")]


def test_the_first_token_is_obtained_kept_and_used_until_it_is_due(stack: Stack, vendor: Vendor) -> None:
    one = Execution(stack)

    assert one.get(vendor.grant) == ("fake-access-1", True)
    stack.clock.now += 3920 - 121
    assert one.get(vendor.grant) == ("fake-access-1", False)

    kept = one.store.read(KEY)
    assert kept is not None
    assert kept.refresh_token == "fake-refresh-1"
    assert lease(stack) == []


def test_a_token_is_renewed_before_it_ends(stack: Stack, vendor: Vendor) -> None:
    one = Execution(stack)
    one.get(vendor.grant)
    stack.clock.now += 3920 - 119

    assert one.get(vendor.refresh) == ("fake-access-2", True)


def test_a_short_life_is_not_all_margin(stack: Stack, vendor: Vendor) -> None:
    vendor.life = 60
    one = Execution(stack)
    one.get(vendor.grant)
    stack.clock.now += 53
    assert one.get(vendor.refresh) == ("fake-access-1", False)

    stack.clock.now += 2
    assert one.get(vendor.refresh) == ("fake-access-2", True)


def test_another_execution_uses_the_same_token(stack: Stack, vendor: Vendor) -> None:
    Execution(stack, "one").get(vendor.grant)

    assert Execution(stack, "two").get(vendor.refresh) == ("fake-access-1", False)
    assert vendor.count == 1


def test_two_executions_whose_token_is_due_refresh_once(stack: Stack, vendor: Vendor) -> None:
    one, two = Execution(stack, "one"), Execution(stack, "two")
    one.get(vendor.grant)
    two.get(vendor.refresh)
    stack.clock.now += 3900

    assert one.get(vendor.refresh) == ("fake-access-2", True)
    assert two.get(vendor.refresh) == ("fake-access-2", False)
    assert vendor.count == 2


def test_who_meets_a_renewal_under_way_waits_and_takes_its_result(stack: Stack, vendor: Vendor) -> None:
    one, two = Execution(stack, "one"), Execution(stack, "two")
    results: list[tuple[str, bool]] = []

    def slow(old: TokenSet | None, deadline: Deadline) -> TokenSet:
        """While the first is at the vendor, the second comes; its waiting lets the first finish."""
        tokens = vendor.issue()

        def pause(seconds: float) -> None:
            stack.clock.now += seconds
            one.store.put(KEY, tokens)

        two.store._sleep = pause
        results.append(two.get(vendor.grant))
        return tokens

    results.append(one.get(slow))

    assert results == [("fake-access-1", False), ("fake-access-1", True)]
    assert vendor.count == 1


def test_waiting_for_somebody_else_ends_soon_with_a_retry(stack: Stack, vendor: Vendor) -> None:
    one, two = Execution(stack, "one"), Execution(stack, "two")

    def busy(old: TokenSet | None, deadline: Deadline) -> TokenSet:
        with pytest.raises(LeaseBusy) as error:
            two.get(vendor.grant)
        assert error.value.retry_after == 1.0
        return vendor.issue()

    assert one.get(busy) == ("fake-access-1", True)
    assert sum(two.sleeps) <= 2.0


def test_a_token_that_is_due_but_alive_serves_while_somebody_else_renews(stack: Stack, vendor: Vendor) -> None:
    one, two = Execution(stack, "one"), Execution(stack, "two")
    one.get(vendor.grant)
    two.get(vendor.grant)
    stack.clock.now += 3920 - 60

    def busy(old: TokenSet | None, deadline: Deadline) -> TokenSet:
        assert two.get(vendor.grant) == ("fake-access-1", False)
        with pytest.raises(LeaseBusy):
            two.get(vendor.grant, rejected="fake-access-1")
        return vendor.issue()

    assert one.get(busy) == ("fake-access-2", True)


def test_threads_of_one_process_refresh_once(stack: Stack, vendor: Vendor) -> None:
    one = Execution(stack)
    begun = threading.Barrier(4)
    results: list[str] = []

    def work() -> None:
        begun.wait()
        results.append(one.get(vendor.grant)[0])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == ["fake-access-1"] * 4
    assert vendor.count == 1


def test_a_refused_token_is_renewed_once_for_all(stack: Stack, vendor: Vendor) -> None:
    one, two = Execution(stack, "one"), Execution(stack, "two")
    one.get(vendor.grant)
    two.get(vendor.grant)

    assert one.get(vendor.refresh, rejected="fake-access-1") == ("fake-access-2", True)
    assert two.get(vendor.refresh, rejected="fake-access-1") == ("fake-access-2", False)
    assert vendor.count == 2


# -- death and failure ------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


class DeadSecrets:
    """Secrets Manager as a process sees it that is killed before its first write."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def get_secret_value(self, **arguments: Any) -> Any:
        return self._real.get_secret_value(**arguments)

    def put_secret_value(self, **arguments: Any) -> Any:
        raise Killed


def test_death_between_refresh_and_write_holds_others_off_until_the_lease_ends(stack: Stack, vendor: Vendor) -> None:
    Execution(stack, "first").get(vendor.grant)
    stack.clock.now += 3900
    dying = Execution(stack, "dying", DeadSecrets(stack.clients["secretsmanager"]))
    with pytest.raises(Killed):
        dying.get(vendor.refresh)
    heir = Execution(stack, "heir")

    with pytest.raises(LeaseBusy):
        heir.get(vendor.refresh)

    stack.clock.now += LEASE_SECONDS
    with pytest.raises(CredentialsRefused):
        heir.get(vendor.refresh)
    assert heir.get(vendor.grant) == ("fake-access-3", True)


def test_a_token_is_in_the_secret_before_anybody_uses_it(stack: Stack, vendor: Vendor) -> None:
    dying = Execution(stack, "dying", DeadSecrets(stack.clients["secretsmanager"]))

    with pytest.raises(Killed):
        dying.get(vendor.grant)

    assert dying.store._known == {}


class FailingSecrets(DeadSecrets):
    """Secrets Manager that refuses the first writes."""

    def __init__(self, real: Any, failures: int) -> None:
        super().__init__(real)
        self.failures = failures

    def put_secret_value(self, **arguments: Any) -> Any:
        if self.failures:
            self.failures -= 1
            raise ClientError({"Error": {"Code": "InternalServiceError", "Message": "x"}}, "PutSecretValue")
        return self._real.put_secret_value(**arguments)

    def create_secret(self, **arguments: Any) -> Any:
        return self._real.create_secret(**arguments)


def test_a_failing_write_is_tried_again_at_once(stack: Stack, vendor: Vendor) -> None:
    one = Execution(stack, "one", FailingSecrets(stack.clients["secretsmanager"], 2))

    assert one.get(vendor.grant) == ("fake-access-1", True)
    assert Execution(stack, "two").get(vendor.refresh) == ("fake-access-1", False)


def test_tokens_that_could_not_be_written_are_written_by_the_next_call_not_obtained_again(
    stack: Stack, vendor: Vendor
) -> None:
    Execution(stack, "first").get(vendor.grant)
    stack.clock.now += 3900
    one = Execution(stack, "one", FailingSecrets(stack.clients["secretsmanager"], 3))

    with pytest.raises(StoreUnavailable):
        one.get(vendor.refresh)
    assert lease(stack) != []

    assert one.get(vendor.refresh) == ("fake-access-2", True)
    assert Execution(stack, "two").get(vendor.refresh) == ("fake-access-2", False)
    assert vendor.count == 2


def taken_by_the_version_before(stack: Stack, pk: str, holder: str) -> bool:
    """Take the lease as executions of earlier versions do; they may run beside this one during a deployment."""
    dynamodb, now = stack.clients["dynamodb"], stack.clock()
    try:
        dynamodb.put_item(
            TableName=stack.environment["RELAY_STATE_TABLE"],
            Item={"pk": {"S": pk}, "holder": {"S": holder}, "held_until": {"N": repr(now + LEASE_SECONDS)}},
            ConditionExpression="attribute_not_exists(pk) OR held_until < :now OR holder = :me",
            ExpressionAttributeValues={":now": {"N": repr(now)}, ":me": {"S": holder}},
        )
    except dynamodb.exceptions.ConditionalCheckFailedException:
        return False
    return True


def test_a_renewal_of_the_version_before_is_waited_for(stack: Stack, vendor: Vendor) -> None:
    one = Execution(stack)
    pk = "token#" + one.store.name(KEY).rpartition("/")[2]
    assert taken_by_the_version_before(stack, pk, "old")
    with pytest.raises(LeaseBusy):
        one.get(vendor.grant)
    assert vendor.count == 0
    stack.clock.now += LEASE_SECONDS
    assert one.get(vendor.grant) == ("fake-access-1", True)


def test_the_version_before_waits_for_a_renewal_that_it_cannot_read(stack: Stack, vendor: Vendor) -> None:
    one = Execution(stack)
    pk = "token#" + one.store.name(KEY).rpartition("/")[2]
    taken_by_the_version_before(stack, pk, "old")
    stack.clock.now += LEASE_SECONDS
    seen: list[bool] = []

    def obtain(old: TokenSet | None, deadline: Deadline) -> TokenSet:
        # Also by an execution whose own lease was there until just now.
        seen.extend(taken_by_the_version_before(stack, pk, holder) for holder in ("old", "other"))
        raise UpstreamUnavailable

    with pytest.raises(UpstreamUnavailable):
        one.get(obtain)
    assert seen == [False, False]
    assert taken_by_the_version_before(stack, pk, "other"), "given up"


def test_a_death_under_the_lease_does_not_stop_the_version_before_for_ever(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Execution(stack)

    def die(old: TokenSet | None, deadline: Deadline) -> TokenSet:
        raise Crash

    monkeypatch.setattr(one.store._leases, "discard", lambda lease: None)
    with pytest.raises(Crash):
        one.get(die)
    stack.clock.now += LEASE_SECONDS + 1
    assert taken_by_the_version_before(stack, "token#" + one.store.name(KEY).rpartition("/")[2], "old")


def test_a_process_that_could_not_write_its_tokens_keeps_its_lease_and_extends_it(stack: Stack, vendor: Vendor) -> None:
    one = Execution(stack, "one", FailingSecrets(stack.clients["secretsmanager"], 6))
    two = Execution(stack, "two")
    with pytest.raises(StoreUnavailable):
        one.get(vendor.grant)
    stack.clock.now += LEASE_SECONDS - 15
    with pytest.raises(StoreUnavailable):
        one.get(vendor.grant)
    stack.clock.now += LEASE_SECONDS - 15
    with pytest.raises(LeaseBusy):
        two.get(vendor.grant)
    assert vendor.count == 1


def test_a_failed_renewal_gives_up_the_lease(stack: Stack, vendor: Vendor) -> None:
    def down(old: TokenSet | None, deadline: Deadline) -> TokenSet:
        raise UpstreamUnavailable("busy")

    one = Execution(stack)
    with pytest.raises(UpstreamUnavailable):
        one.get(down)

    assert lease(stack) == []
    assert Execution(stack, "two").get(vendor.grant) == ("fake-access-1", True)


def test_a_renewal_ends_inside_its_lease(stack: Stack, vendor: Vendor) -> None:
    one = Execution(stack)
    one.get(vendor.grant)

    one.get(vendor.refresh, rejected="fake-access-1", seconds=600)

    assert vendor.deadlines[0] < LEASE_SECONDS


def test_stores_that_do_not_answer_are_a_passing_fault(stack: Stack, vendor: Vendor) -> None:
    one = Execution(stack)
    one.store._leases.table.name = "no such table"

    with pytest.raises(StoreUnavailable):
        one.get(vendor.grant)


@pytest.mark.parametrize(
    "text", ["", "not json", "[]", "{}", '{"access_token": 7}', '{"access_token":"a","expires_at":"x"}']
)
def test_a_secret_that_holds_no_tokens_is_as_good_as_none(stack: Stack, vendor: Vendor, text: str) -> None:
    one = Execution(stack)
    if text:
        stack.clients["secretsmanager"].create_secret(Name=one.store.name(KEY), SecretString=text)
    else:
        stack.clients["secretsmanager"].create_secret(Name=one.store.name(KEY), SecretBinary=b"x")

    assert one.get(vendor.grant) == ("fake-access-1", True)


def test_tokens_from_an_authorization_serve_every_execution(stack: Stack, vendor: Vendor) -> None:
    one, two = Execution(stack, "one"), Execution(stack, "two")
    one.store.put(KEY, vendor.issue())

    assert one.get(vendor.refresh) == ("fake-access-1", False)
    assert two.get(vendor.refresh) == ("fake-access-1", False)


def test_the_name_of_the_secret_does_not_show_whose_it_is(stack: Stack) -> None:
    name = Execution(stack).store.name(KEY)

    assert name.startswith("test/tokens/")
    assert "demo" not in name
    assert name != Execution(stack).store.name(KEY + "2")


def test_a_token_without_an_end_is_used_until_it_is_refused(stack: Stack) -> None:
    one = Execution(stack)
    one.store.put(KEY, TokenSet("fake-endless"))
    stack.clock.now += 10**9

    assert one.get(lambda old, deadline: TokenSet("fake-next")) == ("fake-endless", False)
    assert one.get(lambda old, deadline: TokenSet("fake-next"), rejected="fake-endless") == ("fake-next", True)
