"""WooCommerce's list of customers, by the REST API of the shop itself.

Source: WooCommerce REST API docs, "List all customers": ``role``, ``orderby``, ``per_page`` up to 100, ``page``; the
headers ``X-WP-Total`` and ``X-WP-TotalPages``. There is no filter by change. The consumer key needs the right to
read, and its user the capability to list customers.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from loyalty_relay.connections.model import Source
from loyalty_relay.model.errors import CredentialsRefused
from loyalty_relay.sources import woocommerce
from loyalty_relay.sources.base import Change, Fetch, Page, PageRequest
from loyalty_relay.sources.listing import after, changes_of, number_of, rows_of, shows_one, whole

SIZE = 100


def at_site(path: str, store: str, source: Source, *, json: Mapping[str, Any] | None = None, method: str = "") -> Fetch:
    """Return a request to a site's REST API. Raises CredentialsRefused when the connection has no consumer key."""
    key, secret = (source.api_credentials.get(name) for name in ("consumer_key", "consumer_secret"))
    if not key or not secret:
        raise CredentialsRefused("the connection's api_credentials hold no consumer_key and consumer_secret")
    token = base64.b64encode(f"{key}:{secret}".encode()).decode()
    return Fetch(
        path=f"/wp-json/wc/v3/{path}",
        headers={"authorization": f"Basic {token}"},
        default_host=source.api_host or f"https://{woocommerce.site_of(store)}",
        json=json,
        at_shop=True,
        method=method,
    )


def request(page: PageRequest, source: Source) -> Fetch:
    """Return the request of a page, by id, so that new customers come last. Every role: the reader leaves out staff."""
    query = {
        "role": "all",
        "orderby": "id",
        "order": "asc",
        "per_page": str(SIZE),
        "page": str(number_of(page.cursor)),
    }
    return at_site(f"customers?{urlencode(query)}", page.store, source)


def one(store: str, number: str, source: Source) -> Fetch:
    """Return the request that reads one customer."""
    return at_site(f"customers/{quote(number, safe='')}", store, source)


def is_there(status: int, body: Any) -> bool:
    """Return whether a response shows a customer."""
    return shows_one(status, body)


def page_of(page: PageRequest, source: Source, status: int, headers: Mapping[str, str], body: Any) -> Page:
    """Return the customers of a response."""
    rows = rows_of(status, body)
    total = whole(headers.get("x-wp-total"))

    def read(row: dict[str, Any]) -> Change:
        return woocommerce.listed_customer(row, woocommerce.site_of(page.store), source)

    return Page(
        changes=changes_of(rows, read, woocommerce.WooCommerce.platform),
        cursor=after(page.cursor, rows=len(rows), size=SIZE, total=total),
        total=total,
    )
