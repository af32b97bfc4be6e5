"""Branches, integrations and branch links on Kangaroo's integrations host: the single steps; the operation orders them.

Facts: Kangaroo wiki "Integration - Connect Integrations" and the vendor's OpenAPI fragments. A link's own reference is
not public: the samples show that reading links is wrapped in ``data`` and creating one is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import httpx

from loyalty_relay.connections.model import Destination
from loyalty_relay.destinations.base import Branch, StoreLink
from loyalty_relay.destinations.kangaroo.errors import TAKEN, VendorError, refuse
from loyalty_relay.destinations.kangaroo.responses import number_id, text_id, truth
from loyalty_relay.destinations.kangaroo.session import PAGE_SIZE, KangarooSession, unwrapped
from loyalty_relay.http.messages import NotJson, json_of, raise_for_transient
from loyalty_relay.model.commands import LinkStore
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import (
    AmbiguousOutcome,
    FieldProblem,
    InvalidCommand,
    StoreConflict,
    TransientError,
    VendorRejected,
    after_effect,
)

INTEGRATION_TYPE = 1
"""POS and e-commerce, the one type that is documented."""

NO_LIST = "the destination does not list its integrations; give the integration's id in the connection's options"


class StoreLinks:
    """``base.StoreLinkCrm`` for one destination.

    Only the routes of the wiki page have to exist: branches, creating an integration, creating a link. The lists of
    integrations and links are used where the vendor has them.
    """

    def __init__(self, destination: Destination, session: KangarooSession) -> None:
        self._options = destination.options
        self._session = session

    def branches(self, deadline: Deadline) -> list[Branch]:
        """Return all branches, all pages (``GET /api/v1/branches``)."""
        request = self._session.request(
            "integrations", "GET", "/api/v1/branches", params={"per_page": PAGE_SIZE}, plain=True
        )
        return [branch for item in self._session.pages(request, deadline) if (branch := parse_branch(item)) is not None]

    def find_integration(self, name: str, deadline: Deadline) -> int | None:
        """Return the integration of this name, or the configured one.

        Raises AmbiguousOutcome where the vendor has no list of them, or the connection excludes it
        (``can_list_integrations``).
        """
        configured = self._options.get("integration_id")
        if configured is not None:
            return int(configured)
        if not self._options.get("can_list_integrations", True):
            raise AmbiguousOutcome(NO_LIST)
        return pick_integration(self._undocumented("/api/v1/integrations", NO_LIST, deadline), name)

    def create_integration(self, name: str, deadline: Deadline) -> int:
        """Create it by ``POST /api/v1/integrations``. Raises AmbiguousOutcome when its id is not in the response."""
        request = self._session.request(
            "integrations", "POST", "/api/v1/integrations", json=integration_body(name), plain=True
        )
        answer, refused = self._session.ask(request, deadline)
        if refused is not None:
            refuse(answer, refused)
        number = parse_integration_id(unwrapped(json_of(answer)))
        with after_effect():
            number = number or self.find_integration(name, deadline)
            if number is None:
                raise AmbiguousOutcome("the integration was created, but the response has no id")
        return number

    def links(self, integration_id: int, deadline: Deadline) -> list[StoreLink]:
        """Return all branch links of an integration. Raises AmbiguousOutcome where the vendor has no list of them."""
        path = f"/api/v1/integrations/{integration_id}/branch-links"
        items = self._undocumented(path, "the destination does not list the integration's links", deadline)
        return [link for item in items if (link := parse_link(item, integration_id)) is not None]

    def _undocumented(self, path: str, absent: str, deadline: Deadline) -> list[dict[str, Any]]:
        """Return the items of a list that is no part of the wiki page.

        Raises AmbiguousOutcome with the text ``absent`` when the route is refused or returns no list: a missing route
        and one that the business may not read (403) look alike, and neither is about the credentials.
        """
        request = self._session.request("integrations", "GET", path, plain=True)
        answer, refused = self._session.ask(request, deadline)
        if refused is not None and refused.status != 401:
            if refused.status >= 400:
                raise_for_transient(answer, status=refused.status, code=refused.code)
            raise AmbiguousOutcome(absent, code=refused.code)
        if refused is None and isinstance(json_of(answer), NotJson):
            raise AmbiguousOutcome(absent)
        try:
            return list(self._session.pages(request, deadline, first=(answer, refused)))
        except VendorRejected:
            raise AmbiguousOutcome(absent) from None

    def create_link(self, command: LinkStore, branch_id: str, integration_id: int, deadline: Deadline) -> StoreLink:
        """Link a shop (``POST /api/v1/branch-links``).

        Raises StoreConflict when the shop is linked already, naming the link where it can be read; InvalidCommand for a
        branch that is not virtual or unknown, and for an unknown integration; AmbiguousOutcome when it was linked and
        the link cannot be read.
        """
        problems = link_problems(command, branch_id)
        if problems:
            raise InvalidCommand("the shop cannot be linked", problems=problems)
        body = link_body(command, branch_id, integration_id)
        answer, refused = self._session.ask(
            self._session.request("integrations", "POST", "/api/v1/branch-links", json=body), deadline
        )
        if refused is not None:
            self._refuse_link(answer, refused, command, integration_id, deadline)
        link = parse_link(unwrapped(json_of(answer)), integration_id, command, branch_id)
        with after_effect():
            link = link or self._existing(command.shop_id, integration_id, deadline)
            if link is None:
                raise AmbiguousOutcome("the shop was linked, but the response has no id of the link")
        return link

    def _refuse_link(
        self, answer: httpx.Response, refused: VendorError, command: LinkStore, integration_id: int, deadline: Deadline
    ) -> NoReturn:
        about = refused.about("shop_id")
        taken = any(TAKEN.search(p.message) for p in about) or (not refused.problems and refused.matches(TAKEN))
        if refused.status == 409 or (refused.status in (400, 422) and taken):
            try:
                link = self._existing(command.shop_id, integration_id, deadline)
            except TransientError:
                link = None
            raise StoreConflict(
                "the shop is linked already", existing=existing(link) if link else {"shop_id": command.shop_id}
            )
        refuse(answer, refused)

    def _existing(self, shop_id: str, integration_id: int, deadline: Deadline) -> StoreLink | None:
        try:
            return next((link for link in self.links(integration_id, deadline) if link.shop_id == shop_id), None)
        except AmbiguousOutcome:
            return None


def integration_body(name: str) -> dict[str, Any]:
    """Return the body that creates an integration."""
    return {"name": name, "type": INTEGRATION_TYPE}


def link_body(command: LinkStore, branch_id: str, integration_id: int) -> dict[str, Any]:
    """Return the body that creates a branch link; the optional members only where they are known."""
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
    """Return required members of a link that are empty."""
    given = {"account_id": command.account_id, "shop_id": command.shop_id, "branch_id": branch_id}
    return [FieldProblem(name, "is required") for name, value in given.items() if not value.strip()]


def absolute(domain: str) -> str:
    """Return a shop's domain as a URL, which is how the sample shows it; sources name the bare domain."""
    return domain if "://" in domain else f"https://{domain}"


def parse_branch(item: Mapping[str, Any]) -> Branch | None:
    """Return a branch; None for an item without an id."""
    found, name = text_id(item.get("id")), item.get("name")
    if found is None:
        return None
    return Branch(
        id=found, name=name if isinstance(name, str) and name else None, virtual=truth(item.get("virtual_branch_flag"))
    )


def parse_integration_id(item: Mapping[str, Any]) -> int | None:
    """Return an integration's id. The wiki's prose calls it ``integration_id``; the object's own ``id`` is the same."""
    return number_id(item.get("integration_id")) or number_id(item.get("id"))


def pick_integration(items: Iterable[Mapping[str, Any]], name: str) -> int | None:
    """Return the integration of that name; of several an active one, then the oldest, always the same one."""
    found = [
        (not truth(item.get("active", True)), number)
        for item in items
        if item.get("name") == name and (number := parse_integration_id(item)) is not None
    ]
    return min(found)[1] if found else None


def parse_link(
    item: Mapping[str, Any], integration_id: int, asked: LinkStore | None = None, branch_id: str = ""
) -> StoreLink | None:
    """Return a branch link, None without its id. What a response does not repeat is as requested."""
    number = number_id(item.get("id"))
    if number is None:
        return None

    def text(name: str, otherwise: str | None) -> str | None:
        value = item.get(name)
        return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else otherwise

    return StoreLink(
        branch_link_id=number,
        shop_id=text("shop_id", asked.shop_id if asked else None) or "",
        account_id=text("account_id", asked.account_id if asked else None) or "",
        branch_id=text_id(item.get("branch_id")) or branch_id,
        integration_id=number_id(item.get("integration_id")) or integration_id,
        store_name=text("store_name", None),
        store_domain=text("store_domain", None),
        enabled=truth(item.get("enabled", True)),
        created_at=text("created_at", None),
    )


def existing(link: StoreLink) -> dict[str, object]:
    """Return an existing link, for StoreConflict."""
    return {
        "branch_link_id": link.branch_link_id,
        "shop_id": link.shop_id,
        "branch_id": link.branch_id,
        "integration_id": link.integration_id,
        "store_name": link.store_name,
        "enabled": link.enabled,
    }
