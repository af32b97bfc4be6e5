"""Lightspeed X-Series' list of customers, in the order of their versions.

Source: x-series-api.lightspeedhq.com, "List customers" (API 2.0): ``after`` takes a version, ``page_size``; the
response has ``data`` and the ``version`` of its rows, and no rows at the end. A customer who changes meanwhile moves to
the end, so that none is left out. The scope is ``customers:read``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from loyalty_relay.connections.model import Source
from loyalty_relay.sources import lightspeed
from loyalty_relay.sources.base import Change, Fetch, Page, PageRequest
from loyalty_relay.sources.hydrating import needed_token, unreadable
from loyalty_relay.sources.listing import changes_of, rows_of, shows_one, whole
from loyalty_relay.sources.parsing import member

SIZE = 200


def request(page: PageRequest, source: Source) -> Fetch:
    """Return the request of a page. The cursor is the highest version of the page before."""
    query = {"page_size": str(SIZE), "after": page.cursor or "0"}
    return Fetch(
        path=f"/api/2.0/customers?{urlencode(query)}",
        headers={"authorization": f"Bearer {needed_token(source, page.store)}", "accept": "application/json"},
        default_host=f"https://{page.store}.retail.lightspeed.app",
        limit=lightspeed.LIMIT,
    )


def one(store: str, number: str, source: Source) -> Fetch:
    """Return the request that reads one customer."""
    return Fetch(
        path=f"/api/2.0/customers/{quote(number, safe='')}",
        headers={"authorization": f"Bearer {needed_token(source, store)}", "accept": "application/json"},
        default_host=f"https://{store}.retail.lightspeed.app",
        limit=lightspeed.LIMIT,
    )


def is_there(status: int, body: Any) -> bool:
    """Return whether a response shows a customer who was not deleted."""
    return shows_one(status, body) and not member(body, "data", "deleted_at")


def page_of(page: PageRequest, source: Source, status: int, headers: Mapping[str, str], body: Any) -> Page:
    """Return the customers of a response."""
    rows = rows_of(status, member(body, "data"))
    highest = whole(member(body, "version", "max"))
    if rows and (highest is None or highest <= (whole(page.cursor or 0) or 0)):
        raise unreadable()

    def read(row: dict[str, Any]) -> Change:
        return lightspeed.listed_customer(row, page.store)

    return Page(changes=changes_of(rows, read, lightspeed.Lightspeed.platform), cursor=str(highest) if rows else "")
