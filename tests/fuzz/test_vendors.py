"""A vendor may answer anything at all: its client ends in a result or in an error of ``model.errors``."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_relay.model.commands import (
    CustomerRef,
    Identifier,
    LinkStore,
    PatchCrmFields,
    RegisterCustomer,
    UpdateCustomer,
)
from loyalty_relay.model.errors import RelayError
from tests.destinations.capillary.upstream import BASIC, OAUTH, SandboxUpstream, deadline
from tests.destinations.kangaroo import support
from tests.fuzz.documents import bodies, fuzz

STATUSES = (200, 200, 201, 204, 302, 400, 401, 403, 404, 409, 422, 429, 500, 503, 504)
ANA = CustomerRef(identifiers=(Identifier("email", "ana@example.com"), Identifier("mobile", "+447700900123")))
FIELDS: dict[str, Any] = {
    "first_name": "Ana",
    "email": "ana@example.com",
    "phone": "+447700900199",
    "custom_fields.employee": "true",
    "subscriptions.sms.bulk": False,
}


class Unreliable(httpx.BaseTransport):
    """Pass requests on, and change some of the responses."""

    def __init__(self, inner: httpx.BaseTransport, data: st.DataObject) -> None:
        self.inner = inner
        self.data = data

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self.inner.handle_request(request)
        if not self.data.draw(st.booleans()):
            return response
        try:
            content = self.data.draw(bodies([json.loads(response.content)]))
        except ValueError:
            content = self.data.draw(st.binary(max_size=60))
        status = self.data.draw(st.sampled_from((response.status_code, *STATUSES)))
        return httpx.Response(status, headers={"content-type": "application/json"}, content=content)


CAPILLARY = {
    "find": lambda crm: crm.find(ANA, deadline()),
    "register": lambda crm: crm.register(RegisterCustomer(customer=ANA, fields=FIELDS), FIELDS, deadline()),
    "update": lambda crm: crm.update(
        "1", UpdateCustomer(customer=ANA, fields=FIELDS), FIELDS, deadline(), changed=frozenset({"email", "phone"})
    ),
    "update by identifier": lambda crm: crm.update(
        None, UpdateCustomer(customer=ANA, fields=FIELDS), FIELDS, deadline(), changed=frozenset()
    ),
    "probe": lambda crm: crm.probe(deadline(), ["gender"]),
}


@pytest.mark.parametrize("credentials", [BASIC, OAUTH], ids=["basic", "oauth"])
@pytest.mark.parametrize("operation", CAPILLARY)
@fuzz(4)
@given(data=st.data())
def test_capillary(operation: str, credentials: dict[str, str], data: st.DataObject) -> None:
    sandbox = SandboxUpstream()
    with suppress(RelayError):
        sandbox.crm().register(RegisterCustomer(customer=ANA), {}, deadline())
    upstream = SandboxUpstream()
    upstream.app, upstream.vendor = sandbox.app, sandbox.vendor
    upstream.handle_request = Unreliable(sandbox, data).handle_request  # type: ignore[method-assign]
    crm = upstream.crm(credentials=credentials, options={"identifier_change": True}, default_country="GB")
    with suppress(RelayError):
        CAPILLARY[operation](crm)


SHOP = LinkStore(shop_id="1234", account_id="acme", store_name="High Street", store_domain="acme.example.com")
PATCH: dict[str, Any] = {"first_name": "Ana", "tags.vip": True, "birthday": "1990-05-17"}
WITHIN = support.deadline()
KANGAROO = {
    "find": lambda crm: crm.find(ANA, WITHIN),
    "register": lambda crm: crm.register(PatchCrmFields(customer=ANA, fields=PATCH), PATCH, WITHIN),
    "patch": lambda crm: crm.patch_crm_fields(
        support.CUSTOMER, PatchCrmFields(customer=ANA, fields=PATCH), PATCH, None, WITHIN, strict=False
    ),
    "fields": lambda crm: crm.crm_fields(support.CUSTOMER, WITHIN),
    "tags": lambda crm: crm.tags(WITHIN),
    "branches": lambda crm: crm.branches(WITHIN),
    "integration": lambda crm: crm.find_integration("Loyalty Relay", WITHIN),
    "new integration": lambda crm: crm.create_integration("Loyalty Relay", WITHIN),
    "links": lambda crm: crm.links(1, WITHIN),
    "link": lambda crm: crm.create_link(SHOP, "11eb5b4433edf7bfaaffb42e99312ac8", 1, WITHIN),
    "probe": lambda crm: crm.probe(WITHIN),
}


@pytest.mark.parametrize("operation", KANGAROO)
@fuzz(4)
@given(data=st.data())
def test_kangaroo(operation: str, data: st.DataObject) -> None:
    world = support.World()
    world.upstream = Unreliable(world.upstream, data)  # type: ignore[assignment]
    with suppress(RelayError):
        KANGAROO[operation](world.crm())
