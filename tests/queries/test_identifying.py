"""Whom a text can mean."""

from __future__ import annotations

import pytest

from devkit.queries.identifying import customer_hashes, readings
from loyalty_relay.connections.parse import parse_connection
from loyalty_relay.model.commands import CustomerRef, Identifier, RegisterCustomer
from tests.queries.makers import entry
from tests.support.stack import Stack


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("Ana@Example.com", {"email": "Ana@Example.com"}),
        ("+447700900123", {"mobile": "+447700900123"}),
        ("07700 900123", {"mobile": "+447700900123", "source_id": "07700 900123", "loyalty_id": "07700 900123"}),
        ("gid-7", {"source_id": "gid-7", "loyalty_id": "gid-7"}),
    ],
)
def test_a_text_is_read_as_whatever_it_can_be(text: str, kinds: dict[str, str]) -> None:
    assert dict(readings(text, "GB")) == kinds


CONNECTION = {
    "source": {"platform": "shopify", "stores": ["acme-test.myshopify.com"], "secrets": [{"value": "fake-secret"}]},
    "destination": {
        "vendor": "capillary",
        "region": "eu",
        "source": "ECOMMERCE",
        "credentials": {"type": "basic", "username": "demo.till01", "password": "fake-till-password"},
    },
    "default_country": "GB",
}


def test_a_customer_is_found_by_everything_the_relay_met_them_under(stack: Stack) -> None:
    services = stack.services()
    connection = parse_connection("shop-gb", CONNECTION)
    customer = CustomerRef(source_id="7", identifiers=(Identifier("email", "ana@example.com"),))
    fields = {"email": "ana@example.com", "phone": "+447700900123"}
    hold = services.customers.hold("shop-gb", RegisterCustomer(customer=customer, fields=fields), key="k")
    hold.commit(loyalty_id="600000001", sent=tuple(fields), entry=entry("a", received=services.clock()))

    for text in ("ANA@example.com", "07700 900123", "7", "600000001"):
        found = [e for h in customer_hashes(services, connection, text) for e in stack.journal.by_customer(h)]
        assert [e.delivery_id for e in found] == ["a"], text
    assert not [
        e for h in customer_hashes(services, connection, "bea@example.com") for e in stack.journal.by_customer(h)
    ]
