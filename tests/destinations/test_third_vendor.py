"""A third vendor is one more folder: no other file of the layer or the devkit changes for it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devkit.queries import checking
from devkit.samples.fixtures import load as load_sample
from devkit.samples.mapping import described, translation
from devkit.stacks.connection_store import ConnectionStore
from devkit.stacks.errors import CommandError
from devkit.stacks.stack import Stack as OperatorsStack
from loyalty_relay import destinations
from loyalty_relay.destinations.registry import vendor, vendors
from loyalty_relay.model.outcomes import Result
from loyalty_relay.triggers.queue import consume
from loyalty_relay.triggers.webhook import Ingest
from tests.sources.samples import document, load
from tests.support.stack import Context, Stack

FOLDER = Path(__file__).with_name("third")
DESTINATION = {"vendor": "tillbook", "credentials": {"key": "fake-tillbook-key"}}


@pytest.fixture(autouse=True)
def tillbook(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Add the folder to the registry's search path, as ``destinations.registry`` documents."""
    monkeypatch.setattr(destinations, "__path__", [*destinations.__path__, str(FOLDER)])
    vendors.cache_clear()
    yield
    vendor.cache_clear()
    vendors.cache_clear()
    for name in [name for name in sys.modules if name.startswith("loyalty_relay.destinations.tillbook")]:
        del sys.modules[name]


def connection_document(**changes: Any) -> dict[str, Any]:
    return {**document("shopify"), "destination": DESTINATION, **changes}


@pytest.fixture
def store(stack: Stack) -> ConnectionStore:
    return ConnectionStore(stack.client("secretsmanager"), "test", frozenset())


def test_its_folder_is_found() -> None:
    assert vendors() == ("capillary", "kangaroo", "tillbook")


def test_a_connection_to_it_is_applied(store: ConnectionStore) -> None:
    destination = store.parse("shop", connection_document()).destination
    assert store.write("shop", connection_document()) == ("created", [])
    assert destination.key == "tillbook:api.tillbook.example:fake-tillbook-key"
    assert destination.requests_per_minute == {"members": 600.0}


def test_what_is_wrong_with_a_connection_to_it_is_reported(store: ConnectionStore) -> None:
    with pytest.raises(CommandError) as wrong:
        store.parse("shop", connection_document(destination={"vendor": "tillbook", "host": "https://example.com"}))
    assert [detail["field"] for detail in wrong.value.details] == [
        "destination.credentials",
        "destination.credentials.key",
        "destination.host",
    ]
    mapping = {"*": {"first_name": "name", "notes.size": "size", "birthday": "born"}}
    with pytest.raises(CommandError) as unmapped:
        store.parse("shop", connection_document(mapping=mapping))
    assert unmapped.value.details == [
        {
            "field": "mapping.*.birthday",
            "message": "unknown field birthday; tillbook has email, first_name, notes.NAME",
        }
    ]


def test_its_prerequisites_are_probed(stack: Stack, store: ConnectionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "services_of", lambda _: stack.services())
    operators = OperatorsStack.__new__(OperatorsStack)
    findings = checking.probe(operators, store.parse("shop", connection_document()), seconds=5)
    assert findings == [{"what": "key", "ok": True, "message": "is accepted", "who": "operator"}]


@pytest.mark.parametrize(
    ("topic", "becomes"),
    [
        ("customers/create", "register_customer"),
        ("customers/update", "update_customer"),
        ("customer.tags_added", "no_tags_at_tillbook"),
        ("shop/update", "no_stores_at_tillbook"),
    ],
)
def test_each_kind_of_event_becomes_what_it_configures(store: ConnectionStore, topic: str, becomes: str) -> None:
    connection = store.parse("shop", connection_document())
    (shown,) = described(translation(load_sample("shopify", topic), connection))
    assert shown.get("kind", shown.get("skipped")) == becomes


def test_a_delivery_reaches_it(stack: Stack) -> None:
    """From the platform's signed request through ingest, the queue, the pipeline and the registry to the client."""
    stack.put_connection("shop", connection_document())
    request = load("shopify", "customers-create").signed(now=stack.clock.now)
    event = {
        "version": "2.0",
        "headers": dict(request.headers),
        "pathParameters": {"connection": "shop"},
        "requestContext": {"http": {"method": "POST"}},
        "body": request.body.decode(),
        "isBase64Encoded": False,
    }
    reply = Ingest(stack.services("ingest"), new_id=lambda now: "delivery-1").answer(event)
    assert reply["statusCode"] == 200
    services = stack.services("register")
    assert consume(stack.receive("register"), Context(), "register", services) == {"batchItemFailures": []}
    (outcome,) = stack.journal.show("delivery-1")
    assert (outcome.result, outcome.loyalty_id) == (Result.APPLIED, "member-1")
    crm: Any = services.crm(services.connections.get("shop"))
    assert crm.members["member-1"]["email"] == json.loads(request.body)["email"]


def test_reading_a_connection_loads_no_client_of_any_vendor() -> None:
    """Ingest parses connections on its cold path."""
    code = f"""
import sys
from loyalty_relay import destinations
destinations.__path__.append({str(FOLDER)!r})
from loyalty_relay.connections.parse import parse_connection
parse_connection("shop", {connection_document()!r})
print(sorted(m for m in sys.modules if m.endswith(".client") or m.split(".")[0] in ("httpx", "pydantic")))
print(sorted(m for m in sys.modules if m.endswith(".config") and m.startswith("loyalty_relay.destinations")))
"""
    layer = str(Path(destinations.__file__ or "").parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": layer}
    )
    assert done.stdout.splitlines() == ["[]", "['loyalty_relay.destinations.tillbook.config']"]
