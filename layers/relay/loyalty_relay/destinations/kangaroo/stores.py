"""Branches, integrations and branch links, on Kangaroo's integrations host.

Facts: Kangaroo wiki "Integration - Connect Integrations" and the vendor's OpenAPI fragments. A link's own reference is
not public: that reading them is wrapped in ``data`` and creating one is not is what the samples show.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from loyalty_relay.destinations.base import Branch, StoreLink
from loyalty_relay.destinations.kangaroo.crm_fields import truth, whole
from loyalty_relay.model.commands import LinkStore
from loyalty_relay.model.errors import FieldProblem

INTEGRATION_TYPE = 1
"""POS and e-commerce, the one type that is documented."""


def integration_body(name: str) -> dict[str, Any]:
    """The body that creates an integration."""
    return {"name": name, "type": INTEGRATION_TYPE}


def link_body(command: LinkStore, branch_id: str, integration_id: int) -> dict[str, Any]:
    """The body that creates a branch link; the optional members only where they are known."""
    body: dict[str, Any] = {
        "shop_id": command.shop_id,
        "branch_id": branch_id,
        "account_id": command.account_id,
        "integration_id": integration_id,
    }
    if command.store_name:
        body["store_name"] = command.store_name
    if command.store_domain:
        body["store_domain"] = absolute(command.store_domain)
    return body


def link_problems(command: LinkStore, branch_id: str) -> list[FieldProblem]:
    """Required members of a link that are empty."""
    given = {"account_id": command.account_id, "shop_id": command.shop_id, "branch_id": branch_id}
    return [FieldProblem(name, "is required") for name, value in given.items() if not value.strip()]


def absolute(domain: str) -> str:
    """A shop's domain as a URL, which is how the sample shows it; sources name the bare domain."""
    return domain if "://" in domain else f"https://{domain}"


def parse_branch(item: Mapping[str, Any]) -> Branch | None:
    """None for an item without an id."""
    value, name = item.get("id"), item.get("name")
    if not isinstance(value, str) or not value:
        return None
    return Branch(
        id=value, name=name if isinstance(name, str) and name else None, virtual=truth(item.get("virtual_branch_flag"))
    )


def parse_integration_id(item: Mapping[str, Any]) -> int | None:
    """The wiki calls it ``integration_id`` in its prose; the object's own ``id`` is the same number."""
    found = whole(item.get("integration_id"))
    return whole(item.get("id")) if found is None else found


def pick_integration(items: Iterable[Mapping[str, Any]], name: str) -> int | None:
    """The integration of that name; of several an active one, then the oldest, so that everybody picks the same."""
    found = [
        (not truth(item.get("active", True)), number)
        for item in items
        if item.get("name") == name and (number := parse_integration_id(item)) is not None
    ]
    return min(found)[1] if found else None


def parse_link(item: Mapping[str, Any], asked: LinkStore | None = None, branch_id: str = "") -> StoreLink | None:
    """A branch link, None without its id. What an answer does not repeat is what was asked for."""
    number = whole(item.get("id"))
    if number is None:
        return None

    def text(name: str, otherwise: str | None) -> str | None:
        value = item.get(name)
        return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else otherwise

    return StoreLink(
        branch_link_id=number,
        shop_id=text("shop_id", asked.shop_id if asked else None) or "",
        account_id=text("account_id", asked.account_id if asked else None) or "",
        branch_id=text("branch_id", branch_id) or "",
        integration_id=whole(item.get("integration_id")) or 0,
        store_name=text("store_name", None),
        store_domain=text("store_domain", None),
        enabled=truth(item.get("enabled", True)),
        created_at=text("created_at", None),
    )


def existing(link: StoreLink) -> dict[str, object]:
    """A link in the way, for StoreConflict."""
    return {
        "branch_link_id": link.branch_link_id,
        "shop_id": link.shop_id,
        "branch_id": link.branch_id,
        "integration_id": link.integration_id,
        "store_name": link.store_name,
        "enabled": link.enabled,
    }
