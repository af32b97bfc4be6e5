"""Square's search for customers.

Source: developer.squareup.com API reference, "Search customers": ``limit`` up to 100, ``cursor``, ``count``, the filter
``updated_at``. Customers can be sorted by creation only, and the index of the search lags by up to some minutes, so a
window of changes is read whole and begins early. The permission is CUSTOMERS_READ.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from loyalty_relay.connections.model import Source
from loyalty_relay.sources import square
from loyalty_relay.sources.base import Change, Fetch, Page, PageRequest
from loyalty_relay.sources.hydrating import needed_token
from loyalty_relay.sources.listing import changes_of, rows_of, shows_one, whole
from loyalty_relay.sources.parsing import member, text_or_none

SIZE = 100


def request(page: PageRequest, source: Source) -> Fetch:
    """Return the search of a page, oldest customers first, so that new ones come last."""
    query: dict[str, Any] = {"sort": {"field": "CREATED_AT", "order": "ASC"}}
    if page.since:
        query["filter"] = {"updated_at": {"start_at": page.since}}
    search: dict[str, Any] = {"limit": SIZE, "query": query, "count": not page.cursor}
    if page.cursor:
        search["cursor"] = page.cursor
    token = needed_token(source, page.store)
    return Fetch(
        path="/v2/customers/search",
        headers={"authorization": f"Bearer {token}", "square-version": square.API_VERSION},
        default_host=square.HOST,
        json=search,
    )


def one(store: str, number: str, source: Source) -> Fetch:
    """Return the request that reads one customer."""
    token = needed_token(source, store)
    return Fetch(
        path=f"/v2/customers/{quote(number, safe='')}",
        headers={"authorization": f"Bearer {token}", "square-version": square.API_VERSION},
        default_host=square.HOST,
    )


def is_there(status: int, body: Any) -> bool:
    """Return whether a response shows a customer."""
    return shows_one(status, body)


def page_of(page: PageRequest, source: Source, status: int, headers: Mapping[str, str], body: Any) -> Page:
    """Return the customers of a response, which has no list where it has none."""
    rows = rows_of(status, member(body, "customers") if body != {} else [])

    def read(row: dict[str, Any]) -> Change:
        return square.listed_customer(row, page.store, page.read_at)

    return Page(
        changes=changes_of(rows, read, square.Square.platform),
        cursor=text_or_none(member(body, "cursor")) or "",
        total=whole(member(body, "count")),
    )
