"""The circuit on the routes of the API that ask a destination something outside a command."""

from __future__ import annotations

from typing import Any

import pytest

from loyalty_relay.model.errors import (
    CredentialsRefused,
    CustomerNotFound,
    FieldProblem,
    UpstreamUnavailable,
    VendorRejected,
)
from loyalty_relay.reliability.circuit_breaker import CREDENTIALS_OPEN, THRESHOLD, CircuitState, state_of
from loyalty_relay.storage.table import unpack_item
from tests.triggers.conftest import Functions
from tests.triggers.test_api import ANA, FIELDS, REGISTER

TAGS = "/connections/{connection}/tags"
READS: list[tuple[str, dict[str, Any]]] = [(f"GET {FIELDS}", {"customer_id": "1000"}), (f"GET {TAGS}", {})]


def patch(functions: Functions, name: str = "first_name") -> int:
    body = {"fields": {name: "Eva"}}
    return functions.call(f"PATCH {FIELDS}", body, operation="crm-patch", customer_id="1000")[0]


def read(functions: Functions, route: str, path: dict[str, Any]) -> int:
    return functions.call(route, operation="crm-patch", **path)[0]


def state(functions: Functions) -> CircuitState | None:
    """The only circuit that is open."""
    items = [unpack_item(i) for i in functions.stack.items("state") if i["pk"]["S"].startswith("B#")]
    (found,) = [state_of(item) for item in items] or [None]
    return found


def half_open(functions: Functions) -> None:
    """A member, and a circuit that waits for its probe."""
    functions.call(REGISTER, ANA)
    functions.crm.before = [CredentialsRefused()]
    assert patch(functions) == 502
    assert patch(functions) == 503
    assert state(functions) is not None
    functions.stack.clock.now += CREDENTIALS_OPEN + 1


def test_a_patch_is_its_own_probe_and_closes_the_circuit(functions: Functions) -> None:
    half_open(functions)
    assert patch(functions) == 200
    assert state(functions) is None


def test_a_used_idempotency_key_proves_nothing_about_the_destination(functions: Functions) -> None:
    key = {"Idempotency-Key": "k1"}
    functions.call(REGISTER, ANA, headers=key)
    half_open(functions)
    before = state(functions)
    status, _, _ = functions.call(REGISTER, {**ANA, "first_name": "Eva"}, headers=key)
    assert status == 422
    assert state(functions) == before


@pytest.mark.parametrize(("route", "path"), READS)
def test_a_read_is_a_probe_and_closes_the_circuit(functions: Functions, route: str, path: dict[str, Any]) -> None:
    half_open(functions)
    assert read(functions, route, path) == 200
    assert state(functions) is None


@pytest.mark.parametrize(("route", "path"), READS)
def test_a_read_that_fails_as_the_probe_opens_the_circuit_again(
    functions: Functions, route: str, path: dict[str, Any]
) -> None:
    half_open(functions)
    functions.crm.before = [CredentialsRefused()]
    assert read(functions, route, path) == 502
    found = state(functions)
    assert found is not None
    assert (found.openings, found.probe_until) == (2, 0.0)


@pytest.mark.parametrize(("route", "path"), READS)
def test_an_outage_that_only_reads_see_opens_the_circuit(
    functions: Functions, route: str, path: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = functions.services("crm-patch")
    monkeypatch.setattr(functions, "services", lambda operation: process)
    functions.crm.before = [UpstreamUnavailable() for _ in range(THRESHOLD)]
    for _ in range(THRESHOLD):
        assert read(functions, route, path) == 503
    assert functions.crm.before == []
    assert read(functions, route, path) == 503
    assert state(functions) is not None


@pytest.mark.parametrize("error", [CustomerNotFound("no", code="404"), VendorRejected("no", request_id="r-1")])
def test_a_refusal_by_the_vendor_shows_that_the_destination_is_there(functions: Functions, error: Any) -> None:
    half_open(functions)
    functions.crm.before = [error]
    assert read(functions, *READS[0]) == error.status
    assert state(functions) is None


def test_a_patch_that_never_reaches_the_destination_leaves_the_probe_to_the_next(functions: Functions) -> None:
    half_open(functions)
    functions.crm.problems = [FieldProblem("first_name", "is too long")]
    assert patch(functions) == 422
    assert state(functions) is not None
    functions.crm.problems = []
    assert patch(functions) == 200


def test_a_bug_in_a_read_leaves_the_probe_to_the_next(functions: Functions) -> None:
    half_open(functions)
    functions.crm.before = [ZeroDivisionError()]
    assert read(functions, *READS[0]) == 500
    assert read(functions, *READS[0]) == 200
