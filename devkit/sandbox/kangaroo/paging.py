"""The two ways the Kangaroo API cuts a list into pages (Kangaroo API blueprint: pagination)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from devkit.sandbox.kangaroo.wire import Call

CURSOR_PAGE = 100
LINKS_PAGE = 15
LINKS_PAGE_MAX = 100


def cursor_page(call: Call, items: Sequence[Any]) -> dict[str, Any]:
    """Return the older style: 100 items, `cursor.next_uri`, and `meta.total`; the last page has no cursor.

    The samples write the address of customers with a slash at its beginning and that of transactions without.
    """
    page = _number(call.first("page"), 1)
    start = (page - 1) * CURSOR_PAGE
    data = list(items[start : start + CURSOR_PAGE])
    body: dict[str, Any] = {"data": data}
    if start + CURSOR_PAGE < len(items):
        following = page + 1
        uri = f"{call.path.removeprefix('/') if call.path == '/transactions' else call.path}?page={following}"
        body["cursor"] = {"count": len(data), "next": following, "next_uri": uri}
    body["meta"] = {"total": len(items)}
    return body


def links_page(call: Call, items: Sequence[Any], keep_query: bool = False) -> dict[str, Any]:
    """Return the newer style: `per_page` (15, at most 100), `links.next` is null on the last page, and no total.

    The links carry `page` alone, as the vendor's samples do, so a client that sent another `per_page`
    has to send it again; `keep_query` makes them carry the whole query. They are plain http, also as there.
    """
    page = _number(call.first("page"), 1)
    per_page = min(_number(call.first("per_page"), LINKS_PAGE), LINKS_PAGE_MAX)
    start = (page - 1) * per_page
    data = list(items[start : start + per_page])
    path = f"{call.base_url}{call.path}".replace("https://", "http://", 1)
    rest = [pair for pair in call.query if pair[0] != "page"] if keep_query else []

    def link(number: int) -> str:
        return f"{path}?{urlencode([*rest, ('page', str(number))])}"

    more = start + per_page < len(items)
    return {
        "data": data,
        "links": {
            "first": link(1),
            "last": None,
            "prev": link(page - 1) if page > 1 else None,
            "next": link(page + 1) if more else None,
        },
        "meta": {
            "current_page": page,
            "from": start + 1 if data else None,
            "path": path,
            "per_page": per_page,
            "to": start + len(data) if data else None,
        },
    }


def _number(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else default
