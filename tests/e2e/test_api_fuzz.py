"""Schemathesis over docs/openapi.json: whatever is sent to a route, the answer is one that the document describes.

Cases are drawn with a fixed seed and sent one after the other (requests side by side would each start a worker of their
own) through the gateway with a valid key. Half of the valid ones are
the document's own example with one generated member, because a body of random words seldom gets past the first check.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from devkit.openapi import ROUTES, document
from devkit.sandbox import destinations
from devkit.signing import signer
from tests.e2e.conftest import API_KEY, Relay

pytestmark = pytest.mark.stack

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
VALID, WRONG = 4, 2
"""Cases per route and connection, as the document allows them and as it does not."""
PATIENCE = 35.0
"""Seconds; above the 30 s after which a gateway gives up."""

CAPILLARY, KANGAROO, STANDARD = "fuzz-capillary", "fuzz-kangaroo", "fuzz-standard"
STANDARD_SECRET = "whsec_ZmFrZS1mdXp6LXNlY3JldC1mYWtlLWZ1eno="
ORDER = "fuzz-order"
SOLD = frozenset({"recordSale", "recordRefund", "voidSale", "readSale"})
SERVED = {
    CAPILLARY: frozenset({"registerCustomer", "updateCustomer", "updateCustomerByIdentifier", "listStoreLinks"}) | SOLD,
    KANGAROO: frozenset(
        {"registerCustomer", "listCrmFields", "patchCrmFields", "listTags", "linkStore", "listStoreLinks"}
    )
    | SOLD,
}
"""Operations that must have succeeded at least once, or the cases prove nothing."""

Fuzzed = dict[str, str]


@pytest.fixture(scope="session")
def fuzzed(relay: Relay) -> Fuzzed:
    """Three connections; connection -> a customer who exists at its destination."""
    key = [{"id": "fuzz", "sha256": hashlib.sha256(API_KEY.encode()).hexdigest()}]
    sandbox = relay.state.sandbox
    shopify = {"platform": "shopify", "stores": ["fuzz.myshopify.com"], "secrets": [{"value": "fake-fuzz-secret"}]}
    capillary = destinations.capillary(
        sandbox, per_minute=100_000, source="INSTORE", credentials=destinations.capillary_till("demo.till02")
    )
    kangaroo = destinations.kangaroo(sandbox, per_minute=100_000)
    standard = {"platform": "standard", "stores": ["fuzz-store"], "secrets": [{"value": STANDARD_SECRET}]}
    for name, source, destination in (
        (CAPILLARY, shopify, capillary),
        (KANGAROO, shopify, kangaroo),
        (STANDARD, standard, capillary),
    ):
        data = {"source": source, "destination": destination, "default_country": "GB", "api_keys": key}
        data["sales"] = {"enabled": True}
        relay.put_connection(name, data)
    for vendor, switches in (
        ("capillary", {"rate_limits_enabled": False}),
        ("kangaroo", {"rate_limit": 1_000_000, "integrations_rate_limit": 1_000_000}),
    ):
        relay.http.put(f"{sandbox}/_sandbox/settings/{vendor}", json=switches).raise_for_status()
    members = {}
    for name in (CAPILLARY, KANGAROO):
        body = {"identifiers": [{"type": "email", "value": f"{name}@example.com"}]}
        made = relay.call("POST", f"/connections/{name}/customers", body)
        assert made.status_code == 201, made.text
        members[name] = made.json()["loyalty_id"]
        sold = relay.call("POST", f"/connections/{name}/sales", sale(ORDER, members[name]))
        assert sold.status_code == 201, sold.text
    return members


def sale(order_id: str, member: str) -> dict[str, Any]:
    """The example of a sale, sold now to a customer who exists."""
    example = json.loads(json.dumps(ROUTES["POST /connections/{connection}/sales"]["example"]))
    sold_at = datetime.now(UTC).isoformat()
    return {**example, "order_id": order_id, "sold_at": sold_at, "customer": {"loyalty_id": member}}


@dataclass(frozen=True)
class Sent:
    """A case, and what is wrong with its answer."""

    status: int
    problem: str


def drawn(operation: Any, mode: GenerationMode, count: int) -> list[Case[Any]]:
    """Cases of a route, the same in every run."""
    cases: list[Case[Any]] = []

    @settings(
        max_examples=count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(operation.as_strategy(generation_mode=mode))
    def collect(case: Case[Any]) -> None:
        cases.append(case)

    collect()
    return cases


def plausible(case: Case[Any], id: str, connection: str, member: str, number: int) -> None:
    """Make it the route's example for a customer who exists, with one of the members that were generated."""
    described = next(route for route in ROUTES.values() if route["id"] == id)
    generated = case.body if isinstance(case.body, dict) else {}
    extra = dict(itertools.islice(sorted(generated.items()), number % 3, number % 3 + 1))
    if "example" in described:
        example = json.loads(json.dumps(described["example"]))
        if "identifiers" in example and id != "registerCustomer":
            example["identifiers"] = [{"type": "email", "value": f"{connection}@example.com"}]
        if id == "registerCustomer":
            example = {"identifiers": [{"type": "email", "value": f"fuzz{number}.{connection}@example.com"}]}
        if id == "recordSale":
            example = sale(f"{ORDER}-{number}", member)
        case.body = {**extra, **example} if number else example
    if "customer_id" in case.path_parameters:
        case.path_parameters["customer_id"] = member
    if "order_id" in case.path_parameters:
        case.path_parameters["order_id"] = ORDER


def send(case: Case[Any], url: str, key: str | None) -> Sent:
    for name in [name for name in case.headers if name.lower() == "x-api-key"]:
        del case.headers[name]
    answer = case.call(base_url=url, headers={"x-api-key": key} if key else {}, timeout=PATIENCE)
    try:
        case.validate_response(answer, checks=CHECKS)
    except Exception as error:  # noqa: BLE001 - a group of failures, or an answer that cannot even be looked at
        found = [str(one) for one in getattr(error, "exceptions", [error])]
        sent = f"{case.method} {case.path_parameters} {dict(case.headers)} {case.body!r}"
        return Sent(answer.status_code, f"{sent[:600]}\n  -> {answer.status_code} {answer.text[:400]}\n  {found}")
    return Sent(answer.status_code, "")


def operations(prefix: str) -> Iterator[Any]:
    schema = schemathesis.openapi.from_dict(document())
    found: Iterator[Any] = schema.get_all_operations()
    for result in found:
        # Raises for a route that cannot be read: the document is wrong then.
        operation = result.ok()
        if operation.path.startswith(prefix):
            yield operation


API = {operation.definition.raw["operationId"]: operation for operation in operations("/connections")}
WEBHOOKS = {operation.definition.raw["operationId"]: operation for operation in operations("/webhooks")}


@pytest.mark.attack(
    "callers",
    "anything else a route was not made for",
    "random requests with a valid key find no 5xx and no answer that is not documented",
    "G8",
)
@pytest.mark.parametrize("connection", [CAPILLARY, KANGAROO])
@pytest.mark.parametrize("id", sorted(API))
def test_every_answer_of_the_api_is_documented(relay: Relay, fuzzed: Fuzzed, id: str, connection: str) -> None:
    valid = drawn(API[id], GenerationMode.POSITIVE, VALID)
    for number, case in enumerate(valid[: VALID // 2]):
        plausible(case, id, connection, fuzzed[connection], number)
    cases = valid + drawn(API[id], GenerationMode.NEGATIVE, WRONG)
    for case in cases:
        case.path_parameters["connection"] = connection
    sent = [send(case, relay.state.api, API_KEY) for case in cases]
    assert not [one.problem for one in sent if one.problem]
    succeeded = [one for one in sent if one.status < 300]
    assert bool(succeeded) or id not in SERVED[connection], [one.status for one in sent]


@pytest.mark.parametrize("id", sorted(WEBHOOKS))
def test_every_answer_to_an_unsigned_webhook_is_documented(relay: Relay, fuzzed: Fuzzed, id: str) -> None:
    cases = drawn(WEBHOOKS[id], GenerationMode.POSITIVE, 3)
    for case, connection in zip(cases, itertools.cycle((STANDARD, "nobody", CAPILLARY))):
        case.path_parameters["connection"] = connection
    sent = [send(case, relay.state.api, None) for case in cases]
    assert not [one.problem for one in sent if one.problem]
    assert {one.status for one in sent} <= {401, 404}


SIGNED = {
    "no-data": b'{"type":"customer.created","timestamp":"2026-11-21T12:00:00Z","data":{"store_id":"fuzz-store"}}',
    "odd-id": b'{"type":"customer.created","timestamp":"never","data":{"store_id":"fuzz-store","id":{"a":[1]}}}',
    "odd-type": b'{"type":7,"data":{"store_id":"fuzz-store"}}',
    "half-a-letter": b'{"type":"customer.created","data":{"store_id":"fuzz-store",'
    b'"customer":{"id":"\\ud800","email":"\\u0000@\\uffff"}}}',
    "huge-number": b'{"type":"customer.created","data":{"store_id":"fuzz-store","customer":{"id":'
    + b"9" * 5000
    + b"}}}",
    "deep": b'{"type":"customer.created","data":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "empty": b"",
    "null": b"null",
    "bytes": b"\xff\xfe\x00garbage",
}


@pytest.mark.attack(
    "senders", "deep JSON, numbers of a hundred thousand digits, halves of letters, from somebody who can sign"
)
@pytest.mark.parametrize("body", SIGNED.values(), ids=SIGNED.keys())
def test_whatever_is_rightly_signed_is_taken(relay: Relay, fuzzed: Fuzzed, body: bytes) -> None:
    url = f"{relay.state.api}/webhooks/{STANDARD}"
    signed = signer("standard")(
        {"content-type": "application/octet-stream"}, body, secret=STANDARD_SECRET, url=url, now=time.time()
    )
    answer = relay.http.post(url, content=body, headers=signed)
    assert 200 <= answer.status_code < 300, answer.text
