"""Square's search for customers.

Source: developer.squareup.com API reference, "Search customers": ``limit`` up to 100, ``cursor``, ``count``, the filter
``updated_at`` and ``created_at``. Customers can be sorted by creation only, and the index of the search lags by up to
some minutes, so a window of changes is read whole and begins early. The permission is CUSTOMERS_READ.

A cursor is not good for ever, and a run may wait longer than that between two pages. A search whose cursor is refused
is begun anew with the customers created since the last one that was read.
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
_SEPARATOR = "|"


def request(page: PageRequest, source: Source) -> Fetch:
    """Return the search of a page, oldest customers first, so that new ones come last."""
    begun, _, cursor = _parts(page.cursor)
    query: dict[str, Any] = {"sort": {"field": "CREATED_AT", "order": "ASC"}}
    filters = {name: {"start_at": at} for name, at in (("updated_at", page.since), ("created_at", begun)) if at}
    if filters:
        query["filter"] = filters
    search: dict[str, Any] = {"limit": SIZE, "query": query, "count": not page.cursor}
    if cursor:
        search["cursor"] = cursor
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
    begun, last, cursor = _parts(page.cursor)
    if cursor and last not in ("", begun) and _is_refused(status, body):
        return Page(changes=(), cursor=_SEPARATOR.join((last, last, "")))
    rows = rows_of(status, member(body, "customers") if body != {} else [])

    def read(row: dict[str, Any]) -> Change:
        return square.listed_customer(row, page.store, page.read_at)

    following = text_or_none(member(body, "cursor"))
    last = (text_or_none(member(rows[-1], "created_at")) if rows else None) or last
    return Page(
        changes=changes_of(rows, read, square.Square.platform),
        cursor=_SEPARATOR.join((begun, last, following)) if following else "",
        total=whole(member(body, "count")),
    )


def _parts(cursor: str) -> tuple[str, str, str]:
    """Return since when customers are searched, when the last one that was read was created, and Square's cursor."""
    begun, _, rest = cursor.partition(_SEPARATOR)
    last, _, following = rest.partition(_SEPARATOR)
    return begun, last, following


def _is_refused(status: int, body: Any) -> bool:
    errors = member(body, "errors")
    codes = {member(error, "code") for error in errors} if isinstance(errors, list) else set()
    return status == 400 and bool(codes & {"INVALID_CURSOR", "BAD_REQUEST"})
