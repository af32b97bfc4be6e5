"""What the relay writes and sends stays as it is: queue messages, parked messages, items of tables, secrets, requests.

When a new version is deployed, messages and items of the old one are still in queues and tables, for as long as 14 days
and 90 days, and functions of both versions run side by side for a while. A change of their form is therefore a
migration and not a detail. Here a run over all sample events and API operations is compared, step by step, with the
files next to this module. After an intended change ``RELAY_GOLDEN=write python -m pytest tests/golden`` writes them
anew, and the difference is part of the review.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.golden.recording import Recorder, pretty, recorder
from tests.sources.samples import DESTINATIONS, EVENTS, PLATFORMS, load

FILES = Path(__file__).parent
KEYS = {"idempotency-key": "golden"}
ANA: dict[str, Any] = {
    "identifiers": [{"type": "email", "value": "ana@example.com"}, {"type": "mobile", "value": "+447700900199"}],
    "first_name": "Ana",
}
SHOP = {
    "shop_id": "1234",
    "account_id": "acme",
    "store_name": "High Street",
    "store_domain": "https://acme.example.com",
}
OAUTH = {"credentials": {"type": "oauth", "key": "fake-client-key", "secret": "fake-client-secret"}}


@pytest.fixture
def record() -> Iterator[Recorder]:
    with recorder() as made:
        yield made


def compare(record: Recorder, name: str) -> None:
    """Compare the record with the file of this name, or write that file."""
    file = FILES / f"{name}.json"
    text = pretty(record.steps) + "\n"
    if os.environ.get("RELAY_GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    expected = file.read_text(encoding="utf-8") if file.exists() else ""
    if text != expected:
        lines = difflib.unified_diff(expected.splitlines(), text.splitlines(), file.name, "this run", n=4, lineterm="")
        pytest.fail("\n".join(lines), pytrace=False)


@pytest.mark.parametrize("vendor", sorted(DESTINATIONS))
@pytest.mark.parametrize("platform", sorted(PLATFORMS))
def test_every_sample_delivery(record: Recorder, platform: str, vendor: str) -> None:
    record.world.connect(platform, vendor)
    for path in sorted((EVENTS / platform).glob("*.json")):
        if "headers" in json.loads(path.read_text()):
            record.deliver(load(platform, path.stem))
    compare(record, f"{platform}-{vendor}")


@pytest.mark.parametrize("more", [{}, OAUTH], ids=["basic", "oauth"])
def test_the_operations_of_capillary(record: Recorder, request: pytest.FixtureRequest, more: dict[str, Any]) -> None:
    record.world.connect(destination=more)
    made = record.call("POST", "/customers", ANA, headers=KEYS)
    record.call("POST", "/customers", ANA, headers=KEYS)
    more_fields = {"if_exists": "update", "custom_fields": {"employee": "true"}}
    record.call("POST", "/customers", {**ANA, **more_fields}, headers={"idempotency-key": "another"})
    record.call("PUT", "/customers/{customer_id}", {"first_name": "Eva"}, customer_id=made["loyalty_id"], headers=KEYS)
    record.call("PUT", "/customers", {"identifiers": ANA["identifiers"][:1], "last_name": "Baker"}, headers=KEYS)
    record.call("PUT", "/customers", {**ANA, "first_name": "Bea"}, headers={"prefer": "respond-async", **KEYS})
    record.call("POST", "/store-links", SHOP, headers=KEYS)
    compare(record, f"api-capillary-{request.node.callspec.id}")


def test_the_operations_of_kangaroo(record: Recorder) -> None:
    record.world.connect(vendor="kangaroo")
    made = record.call("POST", "/customers", ANA, headers=KEYS)["loyalty_id"]
    patch = {"fields": {"first_name": "Eva", "last_name": "Baker"}, "tags": {"add": ["VIP"]}}
    record.call("PATCH", "/customers/{customer_id}/crm-fields", patch, customer_id=made, headers=KEYS)
    record.call("GET", "/customers/{customer_id}/crm-fields", customer_id=made)
    record.call("GET", "/tags")
    record.call("POST", "/store-links", SHOP, headers=KEYS)
    record.call("POST", "/store-links", {**SHOP, "shop_id": "5678"}, headers={"prefer": "respond-async", **KEYS})
    record.call("GET", "/store-links")
    record.call("GET", "/store-links/{shop_id}", shop_id="1234")
    compare(record, "api-kangaroo")


def test_what_is_parked(record: Recorder) -> None:
    """A delivery that cannot be translated, and a command that the vendor refuses."""
    document = record.world.connect(mapping={"customers/create": {"custom_fields.note": "length(id)"}})
    record.deliver(load("shopify", "customers-create"))
    record.world.stack.put_connection("shop", {**document, "mapping": {}})
    record.world.restart()
    record.world.fault(_refusal(400, body={"errors": [{"code": 8014}]}))
    record.deliver(load("shopify", "customers-update"))
    compare(record, "parked")


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("unavailable", {"status": 503}),
        ("credentials-refused", {"status": 401, "body": {}}),
        ("rate-limited", {"status": 429, "headers": {"retry-after": "30"}}),
        ("answer-lost", {"reset": "after"}),
        ("timed-out", {"status": 504}),
    ],
)
def test_what_is_retried(record: Recorder, name: str, rule: dict[str, Any]) -> None:
    """Leases, intents, circuits and blocked rate limiters that an attempt leaves behind, and what the next one does."""
    record.world.connect()
    record.world.fault(_refusal(**rule))
    record.deliver(load("shopify", "customers-create"))
    record.again(after=1)
    record.world.fault()
    record.again(after=3600)
    compare(record, f"retried-{name}")


def _refusal(status: int | None = None, **rule: Any) -> dict[str, Any]:
    return {"vendor": "capillary", "method": "POST", **({"status": status} if status else {}), **rule}
