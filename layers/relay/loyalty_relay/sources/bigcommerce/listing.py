"""BigCommerce's list of customers.

Source: BigCommerce API reference, "Get all customers" (v3): ``limit`` up to 250, ``page``, ``date_modified:min``,
``meta.pagination``; X-Auth-Token with the scope Customers, read-only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from loyalty_relay.connections.model import Source
from loyalty_relay.model.commands import Event
from loyalty_relay.sources.base import Change, Fetch, Page, PageRequest, ThinChange
from loyalty_relay.sources.bigcommerce.resources import HOST, LIMIT, PLATFORM, customer_changed
from loyalty_relay.sources.hydrating import needed_token
from loyalty_relay.sources.listing import after, changes_of, number_of, rows_of, shows_one, whole
from loyalty_relay.sources.parsing import member, text_id

TOPIC = "store/customer/updated"
SIZE = 250


def request(page: PageRequest, source: Source) -> Fetch:
    """Return the request of a page, oldest customers first, so that new ones come last."""
    query = {
        "limit": str(SIZE),
        "page": str(number_of(page.cursor)),
        "sort": "date_created:asc",
        "include": "addresses,attributes,formfields",
    }
    if page.since:
        query["date_modified:min"] = page.since
    return Fetch(
        path=f"/stores/{quote(page.store, safe='')}/v3/customers?{urlencode(query)}",
        headers={"x-auth-token": needed_token(source, page.store), "accept": "application/json"},
        default_host=HOST,
        limit=LIMIT,
    )


def one(store: str, number: str, source: Source) -> Fetch:
    """Return the request that reads one customer: a list of those with the id."""
    return Fetch(
        path=f"/stores/{quote(store, safe='')}/v3/customers?id:in={quote(number, safe='')}",
        headers={"x-auth-token": needed_token(source, store), "accept": "application/json"},
        default_host=HOST,
        limit=LIMIT,
    )


def is_there(status: int, body: Any) -> bool:
    """Return whether a response shows a customer. BigCommerce returns an empty list for one who is not there."""
    return shows_one(status, body) and bool(rows_of(status, body.get("data")))


def page_of(page: PageRequest, source: Source, status: int, headers: Mapping[str, str], body: Any) -> Page:
    """Return the customers of a response."""
    rows = rows_of(status, body.get("data") if isinstance(body, dict) else None)
    total = whole(member(body, "meta", "pagination", "total"))

    def read(row: dict[str, Any]) -> Change:
        number = text_id(row.get("id"))
        event = Event(source=PLATFORM, topic=TOPIC, id="", entity_id=f"{page.store}:{number}")
        thin = ThinChange(event=event, resource="customer", data={"id": number}, store=page.store, read_at=page.read_at)
        return customer_changed(thin, row)

    return Page(
        changes=changes_of(rows, read, PLATFORM),
        cursor=after(page.cursor, rows=len(rows), size=SIZE, total=total),
        total=total,
    )
