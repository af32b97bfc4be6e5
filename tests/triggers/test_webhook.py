"""ingest, from the gateway's event to queues, journal and parking, with fakes that keep what they are given."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from loyalty_relay.connections.model import Connection, WebhookSecret
from loyalty_relay.model.commands import MAX_ID, Envelope, instant_at
from loyalty_relay.model.errors import ConnectionInvalid, FieldProblem, StoreUnavailable, UnknownConnection
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import JournalEntry
from loyalty_relay.runtime.settings import Settings
from loyalty_relay.sources.base import MAX_AHEAD, CustomerChanged, NothingToDo
from loyalty_relay.telemetry import logs
from loyalty_relay.triggers.webhook import Ingest
from tests.sources.samples import NOW, SECRETS, Sample, connection, load

CREATE = load("shopify", "customers-create")


@dataclass
class Connections:
    """Connections by id; ``next`` is what a refetch finds."""

    connections: dict[str, Connection] = field(default_factory=dict)
    previous: tuple[WebhookSecret, ...] = ()
    next: Connection | None = None
    broken: Exception | None = None
    refetches: int = 0

    def get(self, id: str) -> Connection:
        if self.broken:
            raise self.broken
        if id not in self.connections:
            raise UnknownConnection("there is no such connection")
        return self.connections[id]

    def forget_revoked(self) -> None: ...

    def previous_webhook_secrets(self, id: str) -> tuple[WebhookSecret, ...]:
        return self.previous

    def refetch(self, id: str) -> bool:
        self.refetches += 1
        if self.next is None:
            return False
        self.connections[id] = self.next
        return True


@dataclass
class Queues:
    """SQS, as far as ingest uses it: keeps the messages, and refuses those that the test names."""

    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    requests: int = 0
    refuse: Callable[[dict[str, Any]], bool] = lambda entry: False
    broken: Exception | None = None

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        self.requests += 1
        if self.broken:
            raise self.broken
        assert len(Entries) <= 10
        assert sum(len(entry["MessageBody"].encode()) for entry in Entries) <= 1024 * 1024
        assert len({entry["Id"] for entry in Entries}) == len(Entries)
        failed = [entry for entry in Entries if self.refuse(entry)]
        self.sent += [(QueueUrl, entry) for entry in Entries if entry not in failed]
        return {
            "Successful": [{"Id": e["Id"]} for e in Entries if e not in failed],
            "Failed": [{"Id": e["Id"], "Code": "InternalError", "SenderFault": False} for e in failed],
        }

    @property
    def envelopes(self) -> list[Envelope]:
        return [Envelope.from_json(entry["MessageBody"]) for _, entry in self.sent]


@dataclass
class Journal:
    entries: list[JournalEntry] = field(default_factory=list)
    broken: Exception | None = None

    def write(self, entry: JournalEntry) -> bool:
        if self.broken:
            raise self.broken
        self.entries.append(entry)
        return True


@dataclass
class DeadLetterQueue:
    parked: list[tuple[dict[str, Any], str, str]] = field(default_factory=list)
    fingerprints: set[str] = field(default_factory=set)
    broken: Exception | None = None

    def park_raw(self, body: dict[str, Any], connection: str, reason: str, delivery_id: str, fingerprint: str) -> bool:
        if self.broken:
            raise self.broken
        self.parked.append((body, connection, reason))
        self.fingerprints.add(fingerprint)
        return True


@dataclass
class Counters:
    refusals: dict[str, int] = field(default_factory=dict)

    def refused(self, connection: str, count: int) -> None:
        self.refusals[connection] = count


@dataclass
class World:
    """Everything around one ingest function."""

    connections: Connections = field(default_factory=Connections)
    sqs: Queues = field(default_factory=Queues)
    journal: Journal = field(default_factory=Journal)
    parking: DeadLetterQueue = field(default_factory=DeadLetterQueue)
    counters: Counters = field(default_factory=Counters)
    now: float = NOW
    settings: Settings = field(
        default_factory=lambda: Settings.from_env(
            {
                f"RELAY_QUEUE_{name}": f"queue:{name}"
                for name in ("REGISTER", "UPDATE", "CRM_PATCH", "LINK_STORE", "TRANSACTION", "HYDRATE")
            }
        )
    )

    @property
    def clock(self) -> Callable[[], float]:
        return lambda: self.now

    def post(self, sample: Sample, to: str = "shop", **event: Any) -> dict[str, Any]:
        """Sign a sample as its platform would and deliver it."""
        return self.deliver(gateway_event(sample.signed(now=self.now).headers, sample.body, to), **event)

    def deliver(self, event: dict[str, Any], **members: Any) -> dict[str, Any]:
        return Ingest(self, new_id=lambda now: "delivery-1").answer(event | members)

    def write_counts(self) -> None:
        pass

    @property
    def untouched(self) -> bool:
        return not (self.sqs.sent or self.journal.entries or self.parking.parked)


def gateway_event(headers: Any, body: bytes, to: str = "shop", method: str = "POST") -> dict[str, Any]:
    """An HTTP API event of payload 2.0, its body base64-encoded as the gateway does for most content types."""
    return {
        "version": "2.0",
        "rawPath": f"/webhooks/{to}",
        "headers": dict(headers),
        "pathParameters": {"connection": to},
        "requestContext": {"http": {"method": method}},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }


@pytest.fixture
def world() -> World:
    return World(Connections({"shop": connection("shopify"), "till": connection("standard")}))


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """What is logged: message and keys."""
    lines: list[tuple[str, dict[str, Any]]] = []
    for level in ("info", "warning", "error"):
        monkeypatch.setattr(logs, level, lambda text, **keys: lines.append((text, keys)))
    return lines


# -- accepted -------------------------------------------------------------------------------------------------------


def test_a_signed_delivery_is_enqueued_and_acknowledged(world: World) -> None:
    answer = world.post(CREATE)
    assert answer["statusCode"] == 200
    assert answer["headers"] == {"x-relay-delivery": "delivery-1"}
    ((url, entry),) = world.sqs.sent
    assert url == "queue:REGISTER"
    assert entry["MessageGroupId"] == "shop"
    (envelope,) = world.sqs.envelopes
    assert (envelope.delivery_id, envelope.connection, envelope.position) == ("delivery-1", "shop", 0)
    assert envelope.received_at == NOW
    assert envelope.event.topic == "customers/create"
    assert world.sqs.requests == 1
    assert not world.journal.entries


def test_text_and_base64_bodies_are_the_same_bytes(world: World) -> None:
    request = CREATE.signed()
    world.deliver(gateway_event(request.headers, request.body), body=request.body.decode(), isBase64Encoded=False)
    world.deliver(gateway_event(request.headers, request.body))
    first, second = world.sqs.envelopes
    assert first == second


def test_a_rest_api_event_is_understood_too(world: World) -> None:
    request = CREATE.signed()
    event = {
        "resource": "/webhooks/{connection}",
        "path": "/webhooks/shop",
        "httpMethod": "POST",
        "headers": {name.title(): value for name, value in request.headers.items()},
        "pathParameters": {"connection": "shop"},
        "queryStringParameters": None,
        "requestContext": {"stage": "prod"},
        "body": request.body.decode(),
        "isBase64Encoded": False,
    }
    assert world.deliver(event)["statusCode"] == 200
    assert len(world.sqs.sent) == 1


@pytest.mark.parametrize("path", ["/webhooks/shop", "/prod/webhooks/shop", "/webhooks/shop/customers.create"])
def test_the_connection_is_found_in_the_path_where_the_gateway_names_no_parameters(world: World, path: str) -> None:
    assert world.post(CREATE, rawPath=path, pathParameters=None)["statusCode"] == 200


def test_what_needs_nothing_is_journalled_with_its_reason(world: World) -> None:
    assert world.post(load("shopify", "customers-data-request"))["statusCode"] == 200
    (entry,) = world.journal.entries
    assert (entry.result, entry.reason, entry.operation) == (Result.IGNORED, "data_request", "ingest")
    assert (entry.source, entry.topic, entry.delivery_id) == ("shopify", "customers/data_request", "delivery-1")
    assert not world.sqs.sent
    assert "@" not in repr(entry)


def test_tags_for_capillary_are_journalled_as_ignored(world: World) -> None:
    world.post(load("shopify", "customer-tags-added"))
    assert [entry.reason for entry in world.journal.entries] == ["no_tags_at_capillary"]


def test_copies_have_one_key(world: World) -> None:
    world.post(CREATE)
    world.post(CREATE.with_headers(X_Shopify_Webhook_Id="fresh", X_Shopify_Triggered_At="2026-09-01T00:00:00Z"))
    assert len({envelope.key for envelope in world.sqs.envelopes}) == 1


# -- refused --------------------------------------------------------------------------------------------------------


def refusals(world: World) -> dict[str, dict[str, Any]]:
    """Every way in which a request is not authentic, each with its answer."""
    request, body = CREATE.signed(), CREATE.body
    headers = dict(request.headers)
    world.connections.connections["keyless"] = replace(
        connection("shopify"), source=replace(connection("shopify").source, secrets=())
    )
    world.connections.connections["unsigned"] = replace(
        connection("shopify"), source=replace(connection("shopify").source, secrets=(), unsigned=True)
    )
    ended = WebhookSecret(SECRETS["shopify"], not_after=connection_end())
    world.connections.connections["ended"] = replace(
        connection("shopify"), source=replace(connection("shopify").source, secrets=(ended,))
    )

    def without(name: str) -> dict[str, str]:
        return {header: value for header, value in headers.items() if header != name}

    empty = CREATE.signed("")
    shop = "x-shopify-shop-domain"
    redact = load("shopify", "shop-redact").changed(shop_domain="other.myshopify.com").signed()
    late = load("standard", "customer-created").signed(now=NOW - 301)
    return {
        "wrong_signature": world.deliver(gateway_event({**headers, "x-shopify-hmac-sha256": "A" * 44}, body)),
        "malformed_signature": world.deliver(gateway_event({**headers, "x-shopify-hmac-sha256": "x"}, body)),
        "no_signature": world.deliver(gateway_event(without("x-shopify-hmac-sha256"), body)),
        "changed body": world.deliver(gateway_event(headers, body + b" ")),
        "wrong_store": world.deliver(gateway_event({**headers, shop: "other.myshopify.com"}, body)),
        "no store": world.deliver(gateway_event(without(shop), body)),
        "store in the body": world.deliver(gateway_event(redact.headers, redact.body)),
        "unknown_connection": world.deliver(gateway_event(headers, body, "nosuch")),
        "impossible id": world.deliver(gateway_event(headers, body, "../secrets")),
        "no id": world.deliver(gateway_event(headers, body, "")),
        "no_secret": world.deliver(gateway_event(headers, body, "keyless")),
        "unsigned": world.deliver(gateway_event(headers, body, "unsigned")),
        "secret ended": world.deliver(gateway_event(headers, body, "ended")),
        "no secret and an empty key": world.deliver(gateway_event(empty.headers, empty.body, "keyless")),
        "secret ended and an empty key": world.deliver(gateway_event(empty.headers, empty.body, "ended")),
        "outside_window": world.deliver(gateway_event(late.headers, late.body, "till")),
        "method": world.deliver(gateway_event(headers, body, method="GET")),
        "options": world.deliver(gateway_event({}, b"", method="OPTIONS")),
        "malformed_body": world.deliver(gateway_event(headers, body), body="not base64!"),
        "nothing": world.deliver({}),
    }


def connection_end() -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(NOW - 1, UTC)


def test_all_refusals_look_the_same_and_have_no_effect(world: World, logged: list[tuple[str, dict[str, Any]]]) -> None:
    answers = refusals(world)
    first = answers["wrong_signature"]
    assert first["statusCode"] == 401
    assert "delivery" not in json.dumps(first).lower()
    for name, answer in answers.items():
        assert answer == first, name
    assert world.untouched
    assert len(logged) == len(answers)


def test_the_log_has_the_reason_and_nothing_of_the_request(
    world: World, logged: list[tuple[str, dict[str, Any]]]
) -> None:
    for reason in refusals(world):
        reasons = {keys.get("reason") for _, keys in logged}
        if "_" in reason or reason == "method":
            assert reason in reasons
    text = repr(logged)
    for private in ("ana.nunez", "Núñez", SECRETS["shopify"], "../secrets", "other.myshopify"):
        assert private not in text


def test_a_body_above_two_megabytes_is_too_large(world: World) -> None:
    sample = CREATE.with_body(CREATE.json() | {"note": "x" * (2 * 1024 * 1024)})
    assert world.post(sample)["statusCode"] == 413
    assert world.untouched


def test_the_shops_name_is_compared_without_letter_case(world: World) -> None:
    assert world.post(CREATE.with_headers(**{"X-Shopify-Shop-Domain": "ACME-Test.myshopify.com"}))["statusCode"] == 200


# -- rotation -------------------------------------------------------------------------------------------------------


def with_secret(value: str) -> Connection:
    shop = connection("shopify")
    return replace(shop, source=replace(shop.source, secrets=(WebhookSecret(value),)))


def test_the_secret_before_the_current_one_still_counts(world: World) -> None:
    world.connections.connections["shop"] = with_secret("fake-new-secret")
    world.connections.previous = (WebhookSecret(SECRETS["shopify"]),)
    assert world.post(CREATE)["statusCode"] == 200
    assert world.connections.refetches == 0


def test_a_secret_that_was_changed_a_moment_ago_is_fetched(world: World) -> None:
    world.connections.connections["shop"] = with_secret("fake-old-secret")
    world.connections.next = connection("shopify")
    assert world.post(CREATE)["statusCode"] == 200
    assert world.connections.refetches == 1


def test_nothing_is_fetched_for_a_request_without_a_signature(world: World) -> None:
    request = CREATE.signed()
    headers = {name: value for name, value in request.headers.items() if "hmac" not in name}
    world.deliver(gateway_event(headers, request.body))
    assert world.connections.refetches == 0


@pytest.mark.parametrize("where", ["headers", "body"])
def test_a_store_that_was_just_added_is_accepted_at_once(world: World, where: str) -> None:
    known = connection("shopify")
    world.connections.connections["shop"] = replace(known, source=replace(known.source, stores=("mine.myshopify.com",)))
    sample = CREATE
    if where == "body":
        world.connections.connections["shop"] = replace(known, source=replace(known.source, stores=("a", "b")))
        sample = load("shopify", "shop-redact")
    world.connections.next = known

    assert world.post(sample)["statusCode"] == 200
    assert world.connections.refetches == 1


def test_a_store_that_is_not_the_connections_is_looked_up_once(world: World) -> None:
    headers = {**CREATE.signed().headers, "x-shopify-shop-domain": "other.myshopify.com"}

    assert world.deliver(gateway_event(headers, CREATE.body))["statusCode"] == 401
    assert world.connections.refetches == 1
    assert world.untouched


def test_a_connection_that_is_removed_at_the_refetch_is_unknown(world: World) -> None:
    shop = world.connections.connections["shop"] = with_secret("fake-old-secret")

    class Vanishing(Connections):
        def refetch(self, id: str) -> bool:
            self.connections.clear()
            return True

    world.connections = Vanishing({"shop": shop})
    assert world.post(CREATE)["statusCode"] == 401


# -- our own faults -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "problem",
    [StoreUnavailable("secrets"), ConnectionInvalid("shop", [FieldProblem("source", "is required")])],
    ids=["unavailable", "invalid"],
)
def test_a_connection_that_cannot_be_read_is_read_again_later(world: World, problem: Exception) -> None:
    world.connections.broken = problem
    answer = world.post(CREATE)
    assert answer["statusCode"] == 503
    assert answer["headers"]["retry-after"]
    assert world.untouched


@pytest.mark.parametrize(
    "problem",
    [
        EndpointConnectionError(endpoint_url="http://127.0.0.1:9"),
        ClientError({"Error": {"Code": "RequestThrottled", "Message": "slow down"}}, "SendMessageBatch"),
    ],
    ids=["no connection", "throttled"],
)
def test_a_queue_that_does_not_answer_is_a_503(world: World, problem: Exception) -> None:
    world.sqs.broken = problem
    assert world.post(CREATE)["statusCode"] == 503


def test_one_refused_entry_is_a_503(world: World) -> None:
    world.sqs.refuse = lambda entry: entry["Id"] == "0"
    assert world.post(CREATE)["statusCode"] == 503


def test_an_ignored_delivery_that_cannot_be_journalled_is_a_503(world: World) -> None:
    world.journal.broken = StoreUnavailable("journal")
    assert world.post(load("shopify", "customers-data-request"))["statusCode"] == 503


def test_a_bug_of_ours_costs_no_delivery(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from loyalty_relay.sources import shopify

    def broken(delivery: Any) -> NothingToDo:
        raise ZeroDivisionError

    monkeypatch.setitem(shopify._READERS, "customers/create", broken)
    assert world.post(CREATE)["statusCode"] == 200
    assert [reason for _, _, reason in world.parking.parked] == ["crashed"]


# -- parked ---------------------------------------------------------------------------------------------------------

BROKEN = replace(CREATE, body=b'{"email":"ana.nunez@example.com"')


def test_a_signed_body_that_cannot_be_read_is_parked_whole_and_accepted(world: World) -> None:
    assert world.post(BROKEN)["statusCode"] == 200
    ((parked, to, reason),) = world.parking.parked
    assert (to, reason) == ("shop", "not_json")
    assert zlib.decompress(base64.b64decode(parked["body"])) == BROKEN.body
    assert parked["headers"]["x-shopify-topic"] == "customers/create"
    (entry,) = world.journal.entries
    assert (entry.result, entry.reason) == (Result.PARKED, "not_json")


def test_copies_of_a_body_that_cannot_be_read_are_parked_under_one_name(world: World) -> None:
    for body in (BROKEN, BROKEN, replace(BROKEN, body=b"{")):
        assert world.post(body)["statusCode"] == 200
    assert len(world.parking.fingerprints) == 2


@pytest.mark.parametrize("missing", ["id", "updated_at"])
def test_a_signed_body_without_what_its_topic_promises_is_parked(world: World, missing: str) -> None:
    assert world.post(CREATE.changed(**{missing: ..., "admin_graphql_api_id": ...}))["statusCode"] == 200
    assert len(world.parking.parked) == 1
    assert not world.sqs.sent


def test_credentials_are_not_parked(world: World) -> None:
    request = BROKEN.signed()
    headers = {**request.headers, "authorization": "Bearer fake", "cookie": "a=b"}
    world.deliver(gateway_event(headers, request.body), queryStringParameters={"access_token": "fake", "a": "1"})
    ((parked, _, _),) = world.parking.parked
    assert not {"authorization", "cookie"} & parked["headers"].keys()
    assert parked["query"] == {"a": "1"}


def test_what_cannot_be_parked_is_a_503(world: World) -> None:
    world.parking.broken = EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
    assert world.post(BROKEN)["statusCode"] == 503


def test_a_parked_delivery_needs_no_journal_to_be_kept(world: World) -> None:
    world.journal.broken = StoreUnavailable("journal")
    assert world.post(BROKEN)["statusCode"] == 200
    assert len(world.parking.parked) == 1


def test_a_body_that_no_message_can_hold_is_too_large(world: World) -> None:
    import random

    noise = base64.b64encode(random.Random(7).randbytes(1_400_000))
    assert world.post(replace(CREATE, body=b"{" + noise))["statusCode"] == 413
    assert world.untouched


def test_a_customer_that_no_message_can_hold_is_parked(world: World) -> None:
    world.connections.connections["shop"] = connection("shopify", "kangaroo")
    assert world.post(CREATE.changed(note="note " * 300_000))["statusCode"] == 200
    assert [reason for _, _, reason in world.parking.parked] == ["too_large"]
    assert not world.sqs.sent


def test_a_redriven_delivery_takes_the_normal_way_once_the_mapping_is_mended(world: World) -> None:
    bad = {"*": {"custom_fields.x": "length(verified_email)"}}
    world.connections.connections["shop"] = connection("shopify", mapping=bad)
    assert world.post(CREATE)["statusCode"] == 200
    ((parked, _, reason),) = world.parking.parked
    assert reason == "mapping_failed"
    ingest = Ingest(world)
    parked = json.loads(json.dumps(parked))
    assert ingest.redrive(parked) == {"outcome": "parked", "reason": "mapping_failed", "delivery_id": "delivery-1"}
    world.connections.connections["shop"] = connection("shopify")
    world.now += 86_400
    assert ingest.redrive(parked) == {"outcome": "sent", "reason": "", "delivery_id": "delivery-1"}
    (envelope,) = world.sqs.envelopes
    assert (envelope.delivery_id, envelope.received_at) == ("delivery-1", NOW)
    assert len(world.parking.parked) == 1


# -- several entities in one delivery -------------------------------------------------------------------------------


class Batch:
    """Shopify, if it sent many customers at once."""

    def __init__(self, bodies: int, size: int = 10) -> None:
        from loyalty_relay.sources import source_module

        shopify = source_module("shopify")
        (change,) = shopify.read(CREATE.signed(), connection("shopify").source)
        assert isinstance(change, CustomerChanged)
        self.changes: list[Any] = [
            replace(change, source_id=str(number), fields={"custom_fields.note": "x" * size})
            for number in range(bodies)
        ]
        self.changes += [NothingToDo(event=change.event, reason="topic_not_used")] * 30
        self._shopify = shopify

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shopify, name)

    def read(self, request: Any, source: Any) -> list[Any]:
        return self.changes


def batch(monkeypatch: pytest.MonkeyPatch, bodies: int, size: int = 10) -> None:
    from loyalty_relay.triggers import webhook

    module = Batch(bodies, size)
    monkeypatch.setattr(webhook, "source_module", lambda platform: module)


def test_each_entity_is_a_message_of_its_own_position(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    batch(monkeypatch, 23)
    assert world.post(CREATE)["statusCode"] == 200
    assert [envelope.position for envelope in world.sqs.envelopes] == list(range(23))
    assert len({envelope.key for envelope in world.sqs.envelopes}) == 23
    assert world.sqs.requests == 3
    assert [(entry.position, entry.reason) for entry in world.journal.entries] == [(23, "topic_not_used")]


def test_requests_to_the_queue_stay_below_a_mebibyte(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    batch(monkeypatch, 10, 400_000)
    assert world.post(CREATE)["statusCode"] == 200
    assert len(world.sqs.sent) == 10
    assert world.sqs.requests == 5


def test_more_entities_than_any_delivery_has_are_parked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    batch(monkeypatch, 2001)
    assert world.post(CREATE)["statusCode"] == 200
    assert [reason for _, _, reason in world.parking.parked] == ["too_many_entities"]
    assert not world.sqs.sent


# -- standard webhooks ----------------------------------------------------------------------------------------------


def test_a_till_is_heard_and_a_late_copy_is_not(world: World) -> None:
    sample = load("standard", "customer-created")
    assert world.post(sample, "till")["statusCode"] == 200
    event = gateway_event(sample.signed(now=NOW).headers, sample.body, "till")
    world.now += 301
    assert world.deliver(event)["statusCode"] == 401
    assert len(world.sqs.sent) == 1


# -- long texts -------------------------------------------------------------------------------------------------------


@pytest.mark.attack(
    "senders",
    "a topic, a type or an id of many kilobytes, which no table's key and no message takes",
    "200 characters at ingest; the delivery is parked as it came",
    "G1",
)
@pytest.mark.parametrize(
    "change",
    [
        lambda body: body | {"type": "x" * 450_000},
        lambda body: body | {"data": body["data"] | {"store_id": "s" * 2049}},
        lambda body: body | {"type": "store.updated", "data": {"store": {"id": "1", "account_id": "a" * 2049}}},
    ],
    ids=["type", "store", "account"],
)
def test_a_text_that_is_too_long_for_a_key_is_parked(world: World, change: Callable[[Any], Any]) -> None:
    sample = load("standard", "customer-updated")
    known = world.connections.connections["till"]
    world.connections.connections["till"] = replace(known, source=replace(known.source, stores=()))
    assert world.post(sample.with_body(change(sample.json())), to="till")["statusCode"] == 200
    ((parked, _, reason),) = world.parking.parked
    assert (reason, world.sqs.sent) == ("too_long", [])
    assert len(json.dumps(parked)) < 10_000
    assert all(len(entry.topic) <= MAX_ID for entry in world.journal.entries)


# -- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.attack("senders", "a version from the future, which would make every true one stale")
def test_a_version_from_the_future_is_clamped_with_a_warning(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    monkeypatch.setattr(logs, "warning", lambda event, **keys: warned.append(event))
    sample = load("standard", "customer-updated").changed(timestamp="9999-01-01T00:00:00Z")
    data = sample.json()
    data["data"]["customer"].pop("revision", None)
    data["data"]["customer"]["updated_at"] = "9999-01-01T00:00:00Z"
    assert world.post(sample.with_body(data), to="till")["statusCode"] == 200
    (envelope,) = world.sqs.envelopes
    assert envelope.command.version is not None
    assert envelope.command.version.value == envelope.event.time == instant_at(NOW + MAX_AHEAD)
    assert warned == ["version from the future"]


@pytest.mark.attack("senders", "a version from the future, which would make every true one stale")
def test_an_unsigned_time_in_the_future_is_the_time_of_arrival(world: World) -> None:
    sample = load("shopify", "customers-delete").with_headers(X_Shopify_Triggered_At="9999-01-01T00:00:00Z")
    assert world.post(sample)["statusCode"] == 200
    (envelope,) = world.sqs.envelopes
    assert envelope.command.version is not None
    assert envelope.command.version.value == instant_at(NOW)
