"""What the composition root makes one of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from loyalty_relay.connections.model import Connection, Destination, Sales, Source
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import RateLimited
from tests.support.stack import Stack


def destination(username: str, *, source: str = "INSTORE", password: str = "fake-password") -> Destination:
    return Destination(
        vendor="capillary",
        host="https://eu.api.capillarytech.com",
        credentials={"type": "basic", "username": username, "password": password},
        source=source,
        requests_per_minute={"v2-create": 1},
    )


def test_the_connections_of_an_account_share_its_limits(stack: Stack) -> None:
    services = stack.services()
    deadline = Deadline(stack.clock.now + 28, stack.clock)

    def acquire(of: Destination) -> None:
        services.destination_client(of).limiter.acquire("v2-create", deadline)

    acquire(destination("fake.till"))
    acquire(destination("fake.other"))
    with pytest.raises(RateLimited):
        acquire(destination("fake.till", source="ECOMMERCE", password="fake-former-password"))


@pytest.mark.parametrize(
    "changes",
    [
        {"sales": Sales(payment_modes={"card": "CARD"})},
        {"default_country": "DE"},
        {"destination": destination("fake.till", password="fake-next-password")},
    ],
)
def test_a_changed_connection_gets_another_client_and_an_unchanged_one_does_not(
    stack: Stack, changes: dict[str, Any]
) -> None:
    services = stack.services()
    connection = Connection(id="shop", source=Source(platform="shopify"), destination=destination("fake.till"))

    first = services.crm(connection)

    assert services.crm(replace(connection)) is first
    assert services.crm(replace(connection, **changes)) is not first
