"""Linking stores on Kangaroo's integrations host: the single steps; their order is the operation's."""

from __future__ import annotations

from typing import NoReturn

import httpx

from loyalty_relay.connections.model import Destination
from loyalty_relay.destinations.base import Branch, StoreLink
from loyalty_relay.destinations.kangaroo.errors import TAKEN, refuse
from loyalty_relay.destinations.kangaroo.session import PAGE_SIZE, KangarooSession, unwrapped
from loyalty_relay.destinations.kangaroo.shapes import Complaint
from loyalty_relay.destinations.kangaroo.stores import (
    existing,
    integration_body,
    link_body,
    link_problems,
    parse_branch,
    parse_integration_id,
    parse_link,
    pick_integration,
)
from loyalty_relay.http.messages import json_of
from loyalty_relay.model.commands import LinkStore
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import (
    AmbiguousOutcome,
    FieldProblem,
    InvalidCommand,
    StoreConflict,
    TransientError,
)

NO_LIST = "the destination does not list its integrations; give the integration's id in the connection's options"


class StoreLinks:
    """``crm.StoreLinkCrm`` for one destination."""

    def __init__(self, destination: Destination, session: KangarooSession) -> None:
        self._options = destination.options
        self._session = session

    def branches(self, deadline: Deadline) -> list[Branch]:
        """All branches, all pages (``GET /api/v1/branches``)."""
        request = self._session.request(
            "integrations", "GET", "/api/v1/branches", params={"per_page": PAGE_SIZE}, plain=True
        )
        return [branch for item in self._session.pages(request, deadline) if (branch := parse_branch(item)) is not None]

    def find_integration(self, name: str, deadline: Deadline) -> int | None:
        """The integration of this name, or the configured one.

        The list route is not documented. Raises AmbiguousOutcome where the connection says that there is none
        (``can_list_integrations``) and where the vendor answers 404 or 405.
        """
        configured = self._options.get("integration_id")
        if configured is not None:
            return int(configured)
        if not self._options.get("can_list_integrations", True):
            raise AmbiguousOutcome(NO_LIST)
        request = self._session.request("integrations", "GET", "/api/v1/integrations", plain=True)
        answer, said = self._session.ask(request, deadline)
        if said is not None and said.status in (404, 405):
            raise AmbiguousOutcome(NO_LIST, code=said.code)
        return pick_integration(self._session.pages(request, deadline, first=(answer, said)), name)

    def create_integration(self, name: str, deadline: Deadline) -> int:
        """``POST /api/v1/integrations``. Raises AmbiguousOutcome when it was created, but under which id is unknown."""
        request = self._session.request(
            "integrations", "POST", "/api/v1/integrations", json=integration_body(name), plain=True
        )
        answer, said = self._session.ask(request, deadline)
        if said is not None:
            refuse(answer, said)
        number = parse_integration_id(unwrapped(json_of(answer)))
        if number is None:
            number = self.find_integration(name, deadline)
        if number is None:
            raise AmbiguousOutcome("the integration was created, but the destination did not tell its id")
        return number

    def links(self, integration_id: int, deadline: Deadline) -> list[StoreLink]:
        """All branch links of an integration. Raises InvalidCommand for an integration that does not exist."""
        request = self._session.request(
            "integrations", "GET", f"/api/v1/integrations/{integration_id}/branch-links", plain=True
        )
        answer, said = self._session.ask(request, deadline)
        if said is not None and said.status == 404 and said.shape != "unknown":
            problem = FieldProblem("integration_id", "the destination has no such integration")
            raise InvalidCommand("the destination has no such integration", code=said.code, problems=[problem])
        found = []
        for item in self._session.pages(request, deadline, first=(answer, said)):
            link = parse_link({"integration_id": integration_id, **item})
            if link is not None:
                found.append(link)
        return found

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
        answer, said = self._session.ask(
            self._session.request("integrations", "POST", "/api/v1/branch-links", json=body), deadline
        )
        if said is not None:
            self._refuse_link(answer, said, command, integration_id, deadline)
        given = {"integration_id": integration_id, **unwrapped(json_of(answer))}
        link = parse_link(given, command, branch_id) or self._existing(command.shop_id, integration_id, deadline)
        if link is None:
            raise AmbiguousOutcome("the shop was linked, but the destination did not tell the link's id")
        return link

    def _refuse_link(
        self, answer: httpx.Response, said: Complaint, command: LinkStore, integration_id: int, deadline: Deadline
    ) -> NoReturn:
        about = said.about("shop_id")
        taken = any(TAKEN.search(p.message) for p in about) or (not said.problems and said.says(TAKEN))
        if said.status == 409 or (said.status in (400, 422) and taken):
            try:
                link = self._existing(command.shop_id, integration_id, deadline)
            except TransientError:
                link = None
            raise StoreConflict(
                "the shop is linked already", existing=existing(link) if link else {"shop_id": command.shop_id}
            )
        refuse(answer, said)

    def _existing(self, shop_id: str, integration_id: int, deadline: Deadline) -> StoreLink | None:
        return next((link for link in self.links(integration_id, deadline) if link.shop_id == shop_id), None)
