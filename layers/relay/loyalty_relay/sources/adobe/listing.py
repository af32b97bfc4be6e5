"""Adobe Commerce's list of customers, by the REST API of the shop itself.

Source: Adobe Commerce "Search using REST endpoints"; "GET /V1/customers/search". The shop's address is the connection's
option ``shop_url``; the access token is that of an integration with the resource Customers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from loyalty_relay.connections.model import Source
from loyalty_relay.model.errors import CredentialsRefused
from loyalty_relay.sources.adobe.bodies import PLATFORM, AdobeEvent, customer
from loyalty_relay.sources.base import Change, Fetch, Page, PageRequest
from loyalty_relay.sources.hydrating import needed_token
from loyalty_relay.sources.listing import after, changes_of, number_of, rows_of, shows_one, whole

TOPIC = "observer.customer_save_commit_after"
SHOP_URL = "shop_url"
SIZE = 100


def at_shop(path: str, store: str, source: Source, *, json: Mapping[str, Any] | None = None, method: str = "") -> Fetch:
    """Return a request to the shop's REST API. Raises CredentialsRefused without the shop's address or a token."""
    address = source.options.get(SHOP_URL)
    if not isinstance(address, str) or not address:
        raise CredentialsRefused(f"the connection's source.options.{SHOP_URL} does not name the shop's address")
    return Fetch(
        path=path,
        headers={"authorization": f"Bearer {needed_token(source, store or None)}"},
        default_host=address.rstrip("/"),
        json=json,
        at_shop=True,
        method=method,
    )


def request(page: PageRequest, source: Source) -> Fetch:
    """Return the request of a page, by id, so that new customers come last."""
    criteria = {
        "pageSize": str(SIZE),
        "currentPage": str(number_of(page.cursor)),
        "sortOrders][0][field": "entity_id",
        "sortOrders][0][direction": "ASC",
    }
    if page.since:
        criteria |= {
            "filter_groups][0][filters][0][field": "updated_at",
            "filter_groups][0][filters][0][condition_type": "gteq",
            # UTC, although not written.
            "filter_groups][0][filters][0][value": page.since[:19].replace("T", " "),
        }
    query = urlencode({f"searchCriteria[{name}]": value for name, value in criteria.items()})
    return at_shop(f"/rest/V1/customers/search?{query}", page.store, source)


def one(store: str, number: str, source: Source) -> Fetch:
    """Return the request that reads one customer."""
    return at_shop(f"/rest/V1/customers/{quote(number, safe='')}", store, source)


def is_there(status: int, body: Any) -> bool:
    """Return whether a response shows a customer."""
    return shows_one(status, body)


def page_of(page: PageRequest, source: Source, status: int, headers: Mapping[str, str], body: Any) -> Page:
    """Return the customers of a response; after the last page Adobe repeats it, so that the number of all decides."""
    answer = body if isinstance(body, dict) else {}
    rows = rows_of(status, answer.get("items"))
    total = whole(answer.get("total_count"))

    def read(row: dict[str, Any]) -> Change:
        return customer(AdobeEvent(topic=TOPIC, value=row, id="", time=page.read_at, stores=source.stores))

    return Page(
        changes=changes_of(rows, read, PLATFORM),
        cursor=after(page.cursor, rows=len(rows), size=SIZE, total=total),
        total=total,
    )
