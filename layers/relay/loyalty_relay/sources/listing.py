"""Pages by number, and what platforms' listings share.

A customer who is deleted while the shop is read moves everybody after them one place forward, so that the next page by
number begins too late. The number of customers shows it: whenever it is lower than before, the pages before are read
again. Rows that are read twice have the same event, and count as one command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from loyalty_relay.model.commands import Event
from loyalty_relay.model.errors import Untranslatable, UpstreamUnavailable, VendorRejected
from loyalty_relay.sources.base import Change, Unreadable

LISTED = "listed"
"""Identity of what cannot be read in a listing, for want of an id."""


def rows_of(status: int, rows: Any) -> list[Any]:
    """Return the rows of a page. Raises VendorRejected for an error, UpstreamUnavailable for no list."""
    if status >= 400:
        raise VendorRejected("the platform does not list its customers", code=str(status))
    if not isinstance(rows, list):
        raise UpstreamUnavailable("the platform's listing is not of the documented shape")
    return rows


def shows_one(status: int, body: Any) -> bool:
    """Return whether a response shows one customer; False for a 404.

    Raises VendorRejected for any other error, UpstreamUnavailable for what is no object: neither proves an absence.
    """
    if status in (404, 410):
        return False
    if status >= 400:
        raise VendorRejected("the platform does not show its customer", code=str(status))
    if not isinstance(body, dict):
        raise UpstreamUnavailable("the platform's customer is not of the documented shape")
    return True


def changes_of(rows: Iterable[Any], read: Callable[[dict[str, Any]], Change], platform: str) -> tuple[Change, ...]:
    """Return the change of each row; one that cannot be read is ``Unreadable`` and takes no other with it."""
    return tuple(_change(row, read, platform) for row in rows)


def _change(row: Any, read: Callable[[dict[str, Any]], Change], platform: str) -> Change:
    try:
        if not isinstance(row, dict):
            raise Untranslatable("not_an_object")
        return read(row)
    except Untranslatable as problem:
        number = str(row.get("id", ""))[:100] if isinstance(row, dict) else ""
        return Unreadable(event=Event(source=platform, topic=LISTED, id="", entity_id=number), problem=problem)


def number_of(cursor: str) -> int:
    """Return the page that a cursor of ``after`` names; the first for an empty one."""
    return int(cursor.partition(":")[0]) if cursor else 1


def after(cursor: str, *, rows: int, size: int, total: int | None) -> str:
    """Return the cursor of the next page by number; empty after the last.

    ``size``: of a full page. ``total``: how many customers there are now, None where the platform does not report it:
    then the last page is the first one that is not full.
    """
    page = number_of(cursor)
    _, _, before = cursor.partition(":")
    fewer = max(int(before) - total, 0) if before and total is not None else 0
    following = max(page - -(-fewer // size), 1) if fewer else page + 1
    more = rows >= size if total is None else (following - 1) * size < total
    if not more:
        return ""
    return f"{following}:{'' if total is None else total}"


def whole(value: Any) -> int | None:
    """Return a count or a version of 64 bits, written as a number or as text; None for anything else."""
    text = str(value) if not isinstance(value, bool) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
