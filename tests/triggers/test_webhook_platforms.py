"""ingest with platforms that bring their own ways: batches, keys of the platform's, replies, formats, handshakes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from loyalty_relay.connections.model import Connection, WebhookSecret
from loyalty_relay.model.outcomes import Result
from loyalty_relay.sources import adobe
from loyalty_relay.sources.adobe.keys import PublicKeys
from loyalty_relay.telemetry import logs
from loyalty_relay.telemetry.allow_list import ALLOWED
from loyalty_relay.triggers import webhook
from loyalty_relay.triggers.webhook import Ingest
from tests.sources.samples import Sample, connection, load
from tests.triggers.test_webhook import World, gateway_event


@pytest.fixture
def world() -> World:
    made = World()
    for platform in ("adobe", "cloudevents", "lightspeed"):
        made.connections.connections[platform] = replace(connection(platform), id=platform)
    return made


def post(world: World, sample: Sample, **changes: Any) -> dict[str, Any]:
    """A signed delivery to the connection of its platform."""
    request = replace(sample.signed(), **changes)
    event = gateway_event(dict(request.headers), request.body, sample.platform)
    event["requestContext"]["http"]["method"] = request.method
    event["queryStringParameters"] = dict(request.query)
    event["pathParameters"] = {"connection": sample.platform, **({"topic": request.topic} if request.topic else {})}
    return Ingest(world).answer(event)


# -- batches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("platform", "reason"), [("adobe", "no_id"), ("cloudevents", "no_customer")])
def test_of_a_batch_the_good_are_sent_and_the_delivery_is_parked_for_the_bad(
    world: World, platform: str, reason: str
) -> None:
    sample = load(platform, "customers-batch")
    good, bad = sample.json()
    bad["data"] = {"error": "not found", "store_id": "store-1"}
    answer = post(world, sample.with_body([good, bad, good | {"id": "E-3", "eventid": "E-3"}]))
    assert 200 <= answer["statusCode"] < 300
    assert [envelope.position for envelope in world.sqs.envelopes] == [0, 2]
    ((parked, _, recorded),) = world.parking.parked
    assert recorded == reason
    assert [entry.result for entry in world.journal.entries] == [Result.PARKED]
    keys = [envelope.key for envelope in world.sqs.envelopes]

    again = Ingest(world).redrive(parked)
    assert again["outcome"] == "parked"
    assert [envelope.key for envelope in world.sqs.envelopes] == [*keys, *keys], "copies, and known as such"
    assert len(world.parking.parked) == 1


def test_of_a_batch_that_cannot_be_parked_everything_comes_again(world: World) -> None:
    from botocore.exceptions import EndpointConnectionError

    world.parking.broken = EndpointConnectionError(endpoint_url="https://sqs.example.com")
    sample = load("adobe", "customers-batch")
    assert post(world, sample.with_body([*sample.json(), sample.json()[0] | {"type": None}]))["statusCode"] == 503


def test_events_of_several_stores_are_ignored_each_for_itself(world: World) -> None:
    sample = load("cloudevents", "customers-batch")
    first, second = sample.json()
    second["data"]["store_id"] = "elsewhere"
    assert post(world, sample.with_body([first, second]))["statusCode"] == 202
    assert len(world.sqs.envelopes) == 1
    assert [(e.result, e.reason) for e in world.journal.entries] == [(Result.IGNORED, "store_not_connected")]


# -- adobe ----------------------------------------------------------------------------------------------------------


def test_a_hook_may_go_on_whatever_becomes_of_it(world: World) -> None:
    hook = load("adobe", "webhook-customer-saved")
    unreadable = hook.with_body({"customer": {"email": "zoe@example.com"}})
    unknown = replace(hook, topic="observer.sales_quote_add_item")
    for sample in (hook, unreadable, unknown):
        answer = post(world, sample)
        assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"op": "success"})
    assert len(world.sqs.envelopes) == 1
    assert [reason for _, _, reason in world.parking.parked] == ["no_id"]


def test_a_key_that_cannot_be_had_is_a_passing_fault(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adobe drops what is answered with a 4xx and repeats what is answered with a 503."""

    def fetch(url: str) -> bytes | None:
        raise TimeoutError

    module = adobe.Adobe(PublicKeys(fetch))
    monkeypatch.setattr(webhook, "source_module", lambda platform: module)
    known = world.connections.connections["adobe"]
    world.connections.connections["adobe"] = with_options(known, {"client_id": "fake-adobe-client-id"})
    answer = post(world, load("adobe", "customer-created"))
    assert answer["statusCode"] == 503
    assert not world.sqs.sent
    foreign = load("adobe", "customer-created").changed(recipientclientid="another")
    assert post(world, foreign)["statusCode"] == 401


def with_options(known: Connection, options: dict[str, Any]) -> Connection:
    return replace(known, source=replace(known.source, options=options))


def test_handshakes_get_their_reply_and_have_no_effect(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(logs, "info", lambda event, **keys: logged.append((event, keys)))
    challenge = post(world, load("adobe", "challenge"))
    assert json.loads(challenge["body"]) == {"challenge": "8ec8d794-e0ab-42df-9017-e3dada8e84f7"}
    assert post(world, load("adobe", "validation-url"))["statusCode"] == 200
    leave = post(world, load("cloudevents", "validation"))
    assert leave["headers"]["webhook-allowed-origin"] == "till.example.com"
    assert [keys.get("where", "")[:20] for _, keys in logged] == ["", "https://csm.adobe.io", ""]
    assert all(keys.keys() <= ALLOWED for _, keys in logged)
    assert not world.sqs.sent
    assert not world.journal.entries


# -- cloudevents ----------------------------------------------------------------------------------------------------


def test_an_unsupported_format_is_a_415_for_who_has_the_token_and_a_401_for_others(world: World) -> None:
    xml = replace(load("cloudevents", "customer-updated"), body=b"<customer/>").with_headers(
        content_type="application/cloudevents+xml"
    )
    assert post(world, xml)["statusCode"] == 415
    assert not world.parking.parked
    request = xml.signed("fake-cloudevents-token-0009")
    assert post(world, xml, headers=request.headers)["statusCode"] == 401


def test_a_token_is_rotated_without_a_refused_event(world: World) -> None:
    sample = load("cloudevents", "customer-updated")
    world.connections.previous = (WebhookSecret("fake-token-of-another-length"),)
    before = sample.signed("fake-token-of-another-length")
    assert post(world, sample, headers=before.headers)["statusCode"] == 202
    assert post(world, sample)["statusCode"] == 202


def test_a_token_is_neither_parked_nor_kept(world: World) -> None:
    sample = load("cloudevents", "customer-updated").with_body({"store_id": "store-1"})
    assert post(world, sample)["statusCode"] == 202
    ((parked, _, _),) = world.parking.parked
    assert "token" not in json.dumps(parked)
    assert parked["headers"]["ce-type"] == "customer.updated"


# -- lightspeed -----------------------------------------------------------------------------------------------------


def test_a_form_is_read_and_its_topic_is_in_the_path(world: World) -> None:
    assert post(world, load("lightspeed", "customer-updated"))["statusCode"] == 200
    assert [envelope.event.topic for envelope in world.sqs.envelopes] == ["customer.update"]
    assert post(world, load("lightspeed", "customer-updated"), topic=None)["statusCode"] == 200
    assert [reason for _, _, reason in world.parking.parked] == ["no_topic"]


def test_a_webhook_added_by_hand_is_taken_where_the_operator_states_it(world: World) -> None:
    sample = load("lightspeed", "customer-updated")
    known = world.connections.connections["lightspeed"]
    unsigned = replace(known, source=replace(known.source, secrets=(), unsigned=True))
    bare = {"content-type": "application/x-www-form-urlencoded"}
    assert post(world, sample, headers=bare)["statusCode"] == 401
    world.connections.connections["lightspeed"] = unsigned
    assert post(world, sample, headers=bare)["statusCode"] == 200
    elsewhere = replace(sample, body=sample.body.replace(b"acme-test", b"other"))
    assert post(world, elsewhere, headers=bare)["statusCode"] == 401


# -- keys of the platform's -------------------------------------------------------------------------------------------


@pytest.mark.attack(
    "configuration",
    "a host from which Adobe's keys would be fetched, in a secret that another tool wrote",
    "below Adobe's own domain or a host of the stack's SandboxHosts, before anything is fetched",
    "G4",
)
def test_no_key_is_fetched_from_a_host_that_is_not_adobes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(adobe.SOURCE, "_keys", PublicKeys(fetched.append))
    known = world.connections.connections["adobe"]
    options = {"client_id": known.source.options["client_id"]}
    elsewhere = replace(known.source, options=options, api_host="https://169.254.169.254")
    world.connections.connections["adobe"] = replace(known, source=elsewhere)
    assert post(world, load("adobe", "customer-created"))["statusCode"] == 503
    assert (fetched, world.untouched) == ([], True)


# -- topics that no signature covers ----------------------------------------------------------------------------------


@pytest.mark.attack(
    "senders",
    "another webhook's signed body, sent again as a customer's deletion (WooCommerce, Adobe Commerce)",
    "a body that does not show its topic is a deletion only under a secret whose topics hold no other deletions",
    "G4",
)
@pytest.mark.parametrize(
    ("platform", "deleted", "topics"),
    [
        ("woocommerce", "customer-deleted", ["customer.*"]),
        ("adobe", "webhook-customer-deleted", ["plugin.magento.customer.*"]),
    ],
)
def test_a_deletion_needs_a_secret_that_signs_nothing_alike(
    world: World, platform: str, deleted: str, topics: list[str]
) -> None:
    known = replace(connection(platform), id=platform)
    value = known.source.secrets[0].value

    def with_secrets(*secrets: WebhookSecret) -> None:
        world.connections.connections[platform] = replace(known, source=replace(known.source, secrets=secrets))

    with_secrets(WebhookSecret(value))
    assert post(world, load(platform, deleted))["statusCode"] == 200
    assert [(entry.result, entry.reason) for entry in world.journal.entries] == [(Result.IGNORED, "topic_not_proven")]
    assert world.sqs.sent == []
    # The products' webhooks have a secret of their own: what it signed is no deletion of a customer.
    with_secrets(WebhookSecret("another", topics=tuple(topics)), WebhookSecret(value))
    assert post(world, load(platform, deleted))["statusCode"] == 401
    with_secrets(WebhookSecret(value, topics=tuple(topics)))
    assert post(world, load(platform, deleted))["statusCode"] == 200
    assert len(world.sqs.sent) == 1


def test_a_secret_for_some_topics_verifies_no_others(world: World) -> None:
    known = replace(connection("woocommerce"), id="woocommerce")
    only = replace(known.source.secrets[0], topics=("customer.deleted",))
    world.connections.connections["woocommerce"] = replace(known, source=replace(known.source, secrets=(only,)))
    assert post(world, load("woocommerce", "customer-updated"))["statusCode"] == 401
    assert world.untouched


# -- handshakes of nobody's connection --------------------------------------------------------------------------------


@pytest.mark.attack("senders", "finding out which connections exist")
@pytest.mark.parametrize(
    ("platform", "name"), [("woocommerce", "ping"), ("adobe", "challenge"), ("adobe", "validation-url")]
)
def test_a_handshake_gets_the_same_reply_at_every_id(world: World, platform: str, name: str) -> None:
    world.connections.connections["woocommerce"] = replace(connection("woocommerce"), id="woocommerce")
    sample = load(platform, name)
    replies = []
    for at in (platform, "lightspeed", "no-such-connection"):
        event = gateway_event(sample.headers, sample.body, at, sample.method)
        event["queryStringParameters"] = sample.query
        replies.append(Ingest(world).answer(event))
    assert replies[0]["statusCode"] == 200
    assert replies[1:] == replies[:1] * 2
    assert world.untouched
