"""A sample is sent by the connection's own store, and a refusal is explained by what the connection holds."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx
import pytest

from devkit.samples.delivery import signed_headers, unreachable, why_refused
from devkit.samples.fixtures import Sample, load, read
from devkit.samples.mapping import from_own_store, sample_connection
from loyalty_relay.connections.model import Connection
from loyalty_relay.sources import catalogue, source_module
from loyalty_relay.sources.base import Topic, listed

OWN = {
    "shopify": "my-shop.myshopify.com",
    "woocommerce": "https://my-shop.example.org",
    "adobe": "7",
}
SAMPLES = [(platform, topic) for platform, topic in catalogue() if topic.fixture and topic.becomes != "handshake"]
NOW = 1_800_000_000.0


def own_connection(platform: str) -> Connection:
    sample = sample_connection(platform)
    return replace(sample, source=replace(sample.source, stores=(OWN.get(platform, "myownshop1"),)))


def store_of(sample: Sample, connection: Connection) -> str | None:
    headers = signed_headers(sample, secret=connection.source.secrets[0].value, url="", now=NOW)
    request = replace(sample, headers=headers).request()
    return source_module(sample.platform).store(request, connection.source)


@pytest.mark.parametrize(("platform", "topic"), SAMPLES, ids=[f"{p}-{t.fixture}" for p, t in SAMPLES])
def test_every_sample_can_come_from_the_connections_own_store(platform: str, topic: Topic) -> None:
    connection = own_connection(platform)
    before = read(platform, topic)

    sample = from_own_store(before, connection)

    store = store_of(sample, connection)
    assert store is None or listed(store, connection.source)
    others = [name for name in sample_connection(platform).source.stores if len(name) > 3]
    assert not any(name in sample.body.decode() + json.dumps(dict(sample.headers)) for name in others)
    assert from_own_store(before, sample_connection(platform)) == before


def test_a_store_with_a_short_name_changes_nothing_but_store_ids() -> None:
    sample = replace(load("shopify", "customers/create"), body=b'{"store_id":1,"id":1,"group":"1"}')

    assert sample.of_stores({"1": "7"}).body == b'{"store_id":7,"id":1,"group":"1"}'


def test_a_delivery_that_the_connection_accepts_is_sent_again_later() -> None:
    connection = own_connection("shopify")
    sample = from_own_store(load("shopify", "customers/create"), connection)

    assert "in a minute" in why_refused(sample, connection)


def test_the_wrong_store_is_named_with_those_of_the_connection() -> None:
    why = why_refused(load("shopify", "customers/create"), own_connection("shopify"))

    assert "acme-test.myshopify.com" in why
    assert "my-shop.myshopify.com" in why


def test_a_body_of_another_store_is_recognised() -> None:
    connection = own_connection("shopify")
    sample = from_own_store(load("shopify", "shop/redact"), connection)
    sample = sample.changed(None, ["shop_domain=other.myshopify.com"])

    assert "the body is of a store" in why_refused(sample, connection)


def test_a_given_secret_that_is_not_the_connections_is_the_reason() -> None:
    connection = sample_connection("shopify")

    why = why_refused(load("shopify", "customers/create"), connection, secret="fake-other")

    assert why.startswith("--secret is none of the live webhook secrets")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (httpx.ConnectError("[Errno 111] Connection refused"), "connection refused"),
        (httpx.ReadTimeout("timed out"), "no response within 35 s"),
        (httpx.ConnectError("[Errno -2] Name or service not known"), "the host's name is unknown"),
        (httpx.RemoteProtocolError("peer closed connection"), "the request failed: peer closed connection"),
    ],
)
def test_a_failed_request_is_named_in_words(error: Exception, text: str) -> None:
    assert unreachable(error) == text
