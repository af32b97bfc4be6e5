"""Clover's list of a merchant's customers.

Source: docs.clover.com REST API reference, "Get all customers"; "Expandable fields". There is neither a number of all
customers nor a filter by change, and pages go by offset over a list that moves. So each page begins some rows before
the end of the last one, and the proof reads the list once more. The permission is to read customers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from loyalty_relay.connections.model import Source
from loyalty_relay.model.commands import Event
from loyalty_relay.sources.base import Change, Fetch, Page, PageRequest, ThinChange
from loyalty_relay.sources.clover.resources import HOST, LIMIT, PLATFORM, customer_changed
from loyalty_relay.sources.hydrating import needed_token
from loyalty_relay.sources.listing import changes_of, rows_of, shows_one, whole
from loyalty_relay.sources.parsing import text_id

TOPIC = "C:UPDATE"
SIZE = 200
OVERLAP = 10
"""Rows that are read twice, for customers who are deleted meanwhile."""


def request(page: PageRequest, source: Source) -> Fetch:
    """Return the request of a page. The cursor is the offset."""
    query = {
        "limit": str(SIZE),
        "offset": page.cursor or "0",
        "expand": "addresses,emailAddresses,phoneNumbers,metadata",
    }
    return Fetch(
        path=f"/v3/merchants/{quote(page.store, safe='')}/customers?{urlencode(query)}",
        headers={"authorization": f"Bearer {needed_token(source, page.store)}"},
        default_host=HOST,
        limit=LIMIT,
    )


def one(store: str, number: str, source: Source) -> Fetch:
    """Return the request that reads one customer."""
    return Fetch(
        path=f"/v3/merchants/{quote(store, safe='')}/customers/{quote(number, safe='')}",
        headers={"authorization": f"Bearer {needed_token(source, store)}"},
        default_host=HOST,
        limit=LIMIT,
    )


def is_there(status: int, body: Any) -> bool:
    """Return whether a response shows a customer."""
    return shows_one(status, body)


def page_of(page: PageRequest, source: Source, status: int, headers: Mapping[str, str], body: Any) -> Page:
    """Return the customers of a response."""
    rows = rows_of(status, body.get("elements") if isinstance(body, dict) else None)

    def read(row: dict[str, Any]) -> Change:
        number = text_id(row.get("id"))
        event = Event(source=PLATFORM, topic=TOPIC, id="", entity_id=text_id(f"{page.store}:{number}"))
        data = {"id": number}
        thin = ThinChange(event=event, resource="customer", data=data, store=page.store, read_at=page.read_at)
        return customer_changed(thin, row)

    offset = whole(page.cursor or 0) or 0
    return Page(
        changes=changes_of(rows, read, PLATFORM),
        cursor=str(offset + SIZE - OVERLAP) if len(rows) >= SIZE else "",
    )
