"""Shopify's customers by the GraphQL Admin API, and their translation into the body of ``customers/update``.

Sources: shopify.dev GraphQL Admin API, "customers", "Customer"; "Shopify API limits" (a refused query is HTTP 200 with
THROTTLED, and reports how soon its cost is restored); "Search syntax" (``id:>``).

Pages end at 25,000 objects, so no page follows another by cursor: each selects the ids after the last one. Ids only
grow, so that no customer moves from one page to another. The scope is ``read_customers``, with access to protected
customer data for names and addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loyalty_relay.connections.model import Source
from loyalty_relay.model.errors import UpstreamUnavailable, VendorRejected
from loyalty_relay.sources.base import Change, Fetch, Page, PageRequest, Throttled
from loyalty_relay.sources.hydrating import needed_token
from loyalty_relay.sources.listing import changes_of, rows_of, shows_one, whole
from loyalty_relay.sources.parsing import member, text_id
from loyalty_relay.sources.shopify import bodies
from loyalty_relay.sources.shopify.delivery import PLATFORM, ShopifyDelivery

TOPIC = "customers/update"
API_VERSION = "2025-07"
SIZE = 100
"""A customer with addresses and consents costs about five points; a query may cost 1,000 at most."""
DEFAULT_WAIT = 10.0

QUERY = """query($size: Int!, $filter: String, $counted: Boolean!) {
  customersCount(limit: null) @include(if: $counted) { count }
  customers(first: $size, query: $filter, sortKey: ID) {
    pageInfo { hasNextPage }
    nodes {
      id legacyResourceId firstName lastName note tags state verifiedEmail createdAt updatedAt
      defaultEmailAddress { emailAddress marketingState marketingUpdatedAt }
      defaultPhoneNumber { phoneNumber marketingState marketingUpdatedAt }
      defaultAddress { address1 address2 city province zip countryCodeV2 phone }
    }
  }
}"""


def request(page: PageRequest, source: Source) -> Fetch:
    """Return the query of a page: the customers after the id that is the cursor."""
    filters = [f"id:>{page.cursor}"] if page.cursor else []
    if page.since:
        filters.append(f"updated_at:>='{page.since}'")
    variables = {"size": SIZE, "filter": " AND ".join(filters) or None, "counted": not page.cursor}
    return Fetch(
        path=f"/admin/api/{API_VERSION}/graphql.json",
        headers={"x-shopify-access-token": needed_token(source, page.store)},
        default_host=f"https://{page.store}",
        json={"query": QUERY, "variables": variables},
    )


ONE = "query($id: ID!) { customer(id: $id) { id } }"


def one(store: str, number: str, source: Source) -> Fetch:
    """Return the query of one customer."""
    return Fetch(
        path=f"/admin/api/{API_VERSION}/graphql.json",
        headers={"x-shopify-access-token": needed_token(source, store)},
        default_host=f"https://{store}",
        json={"query": ONE, "variables": {"id": f"gid://shopify/Customer/{number}"}},
    )


def is_there(status: int, body: Any) -> bool:
    """Return whether a response shows a customer: null for one who is not there. Raises what ``page_of`` raises."""
    raise_for_errors(body)
    if not shows_one(status, body) or not isinstance(body.get("data"), dict) or "customer" not in body["data"]:
        raise UpstreamUnavailable("Shopify's answer is not of the documented shape")
    return body["data"]["customer"] is not None


def page_of(page: PageRequest, source: Source, status: int, headers: Mapping[str, str], body: Any) -> Page:
    """Return the customers of a response. Raises Throttled, VendorRejected for any other error."""
    raise_for_errors(body)
    found = member(body, "data", "customers")
    nodes = rows_of(status, member(found, "nodes"))

    def read(node: dict[str, Any]) -> Change:
        body = as_webhook(node)
        delivery = ShopifyDelivery(topic=TOPIC, body=body, raw=b"", time=page.read_at, shop=page.store)
        return bodies.customer(delivery)

    more = member(found, "pageInfo", "hasNextPage") is True
    last = text_id(nodes[-1].get("legacyResourceId")) if more and nodes and isinstance(nodes[-1], dict) else ""
    total = None if page.since else whole(member(body, "data", "customersCount", "count"))
    return Page(changes=changes_of(nodes, read, PLATFORM), cursor=last, total=total)


def raise_for_errors(body: Any) -> None:
    """Return where GraphQL reports no error. Raises Throttled, UpstreamUnavailable, VendorRejected."""
    errors = body.get("errors") if isinstance(body, dict) else None
    if not errors:
        return
    if not isinstance(errors, list):
        raise UpstreamUnavailable("Shopify's answer is not of the documented shape")
    codes = {str(member(error, "extensions", "code") or "") for error in errors}
    if "THROTTLED" in codes:
        raise Throttled(_wait(member(body, "extensions", "cost")))
    # The messages of GraphQL errors may repeat what was sent; the codes do not.
    raise VendorRejected("Shopify refuses the query: see the scopes of the access token", code=" ".join(sorted(codes)))


def _wait(cost: Any) -> float:
    """Return how long it takes until the query's cost is restored."""
    requested = member(cost, "requestedQueryCost")
    available, rate = (member(cost, "throttleStatus", name) for name in ("currentlyAvailable", "restoreRate"))
    numbers = [float(n) for n in (requested, available, rate) if isinstance(n, int | float)]
    if len(numbers) < 3 or numbers[2] <= 0:
        return DEFAULT_WAIT
    return min(max((numbers[0] - numbers[1]) / numbers[2], 1.0), 60.0)


def as_webhook(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return a customer as the body of ``customers/update`` has them, for the one reader and for mappings.

    What the response does not have is absent.
    """
    email, phone = node.get("defaultEmailAddress"), node.get("defaultPhoneNumber")
    names = {
        "id": "legacyResourceId",
        "admin_graphql_api_id": "id",
        "first_name": "firstName",
        "last_name": "lastName",
        "note": "note",
        "state": "state",
        "verified_email": "verifiedEmail",
        "created_at": "createdAt",
        "updated_at": "updatedAt",
    }
    body: dict[str, Any] = {ours: node[theirs] for ours, theirs in names.items() if theirs in node}
    if isinstance(body.get("state"), str):
        body["state"] = body["state"].lower()
    if isinstance(node.get("tags"), list):
        body["tags"] = ", ".join(str(tag) for tag in node["tags"])
    if "defaultEmailAddress" in node:
        body["email"] = member(email, "emailAddress")
        body["email_marketing_consent"] = _consent(email)
    if "defaultPhoneNumber" in node:
        body["phone"] = member(phone, "phoneNumber")
        body["sms_marketing_consent"] = _consent(phone)
    if "defaultAddress" in node:
        body["default_address"] = _address(node["defaultAddress"])
    return body


def _consent(contact: Any) -> dict[str, Any] | None:
    state = member(contact, "marketingState")
    if not isinstance(state, str):
        return None
    return {"state": state.lower(), "consent_updated_at": member(contact, "marketingUpdatedAt")}


def _address(address: Any) -> dict[str, Any] | None:
    if not isinstance(address, dict):
        return None
    return {**address, "country_code": address.get("countryCodeV2")}
