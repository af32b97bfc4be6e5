"""Authorized requests to both of Kangaroo's hosts: headers, tokens, errors and pages.

Header facts: Kangaroo API blueprint (REST API) and the wiki pages "Customer CRM Fields - Update" and "Integration -
Connect Integrations". The vendor's samples write the media type with a semicolon at its end; the wiki's own sample for
branch links writes it without, which is also what HTTP allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, Protocol

from loyalty_relay.connections.model import Destination
from loyalty_relay.destinations.kangaroo.auth import Grants
from loyalty_relay.destinations.kangaroo.errors import credentials_refused, refuse, unreadable
from loyalty_relay.destinations.kangaroo.shapes import Complaint, complaint, excerpt, texts_in
from loyalty_relay.destinations.tokens import Tokens
from loyalty_relay.http.client import Answer, Call, NotJson
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import VendorRejected

VENDOR_TYPE = "application/vnd.kangaroorewards.api.v1+json"

PAGE_SIZE = 100
MAX_PAGES = 100
"""Pages after which a list is taken to have no end: ten thousand items."""

Host = Literal["api", "integrations"]


class Sender(Protocol):
    """The part of ``clients.transport.Transport`` that is used here."""

    def send(self, call: Call, deadline: Deadline) -> Answer: ...


class Session:
    """Requests in the name of one destination. Safe to use from several threads."""

    def __init__(self, destination: Destination, transport: Sender, tokens: Tokens, clock: Callable[[], float]) -> None:
        self._destination = destination
        self._transport = transport
        self._tokens = tokens
        self.grants = Grants(destination, transport.send, clock)

    def call(
        self,
        host: Host,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str | int] | None = None,
        idempotent: bool = False,
        plain: bool = False,
    ) -> Call:
        """A request without its token. ``plain``: ask for ``application/json`` instead of the vendor's media type."""
        base = self._destination.host if host == "api" else self._destination.integrations_host
        headers = {"Accept": "application/json" if plain else VENDOR_TYPE, "Content-Type": "application/json"}
        if key := self._destination.credentials.get("application_key"):
            headers["X-Application-Key"] = key
        return Call(
            api=host,
            method=method,
            url=f"{base}{path}",
            headers=headers,
            params=params or {},
            json=json,
            idempotent=idempotent,
        )

    def ask(self, call: Call, deadline: Deadline) -> tuple[Answer, Complaint | None]:
        """Send with a token and hand back the answer with what it complains of.

        A 401 is answered with one renewal of the token; a token that somebody else renewed meanwhile is no renewal of
        ours. Raises CredentialsRefused when the vendor still refuses, and the errors of transport and token store.
        """
        token, _ = self._token(deadline, None)
        renewed, adopted = False, 0
        while True:
            answer = self._transport.send(_bearing(call, token), deadline)
            said = complaint(answer, (*texts_in(call.json), *texts_in(call.params)))
            if said is None or said.status != 401:
                return answer, said
            if renewed or adopted > 1 or not self.grants.renewable:
                raise credentials_refused(f"the destination answered 401: {said.message}", code=said.code)
            token, renewed = self._token(deadline, token)
            adopted += not renewed

    def read(self, call: Call, deadline: Deadline, *, customer: bool = False) -> Any:
        """The JSON of a success. ``customer``: the path names a customer, so that 404 is CustomerNotFound.

        Raises the errors of ``ask`` and ``refuse``, and UpstreamUnavailable for a success that cannot be read.
        """
        answer, said = self.ask(call, deadline)
        if said is not None:
            refuse(answer, said, customer=customer)
        return body_of(answer)

    def page(self, call: Call, deadline: Deadline) -> list[dict[str, Any]]:
        """The objects of the first page of a list."""
        answer, said = self.ask(call, deadline)
        if said is not None:
            refuse(answer, said)
        return listed(answer)

    def pages(
        self,
        call: Call,
        deadline: Deadline,
        *,
        customer: bool = False,
        first: tuple[Answer, Complaint | None] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The items of all pages of a list, in both of the vendor's styles (Kangaroo API blueprint: Pagination).
        ``first``: the answer to the first page where the caller has asked for it already.

        The next page is asked for by number under the same address: the links in the answers are plain http and drop
        the rest of the query. Raises VendorRejected for what is no list and for a list without an end.
        """
        for number in range(1, MAX_PAGES + 1):
            if first is not None and number == 1:
                answer, said = first
            else:
                params = {**call.params, "page": number} if number > 1 else call.params
                answer, said = self.ask(replace(call, params=params), deadline)
            if said is not None:
                refuse(answer, said, customer=customer)
            items = listed(answer)
            yield from items
            if not items or not _goes_on(answer.json()):
                return
        raise VendorRejected(f"the list at the destination does not end within {MAX_PAGES} pages")

    def _token(self, deadline: Deadline, rejected: str | None) -> tuple[str, bool]:
        if not self.grants.renewable:
            return self._destination.credentials["access_token"], False
        return self._tokens.get(self.grants.key, self.grants.obtain, deadline, rejected=rejected)


def body_of(answer: Answer) -> Any:
    """The JSON of a success. Raises UpstreamUnavailable when it cannot be read."""
    body = answer.json()
    if isinstance(body, NotJson):
        raise unreadable(answer, body)
    return body


def listed(answer: Answer) -> list[dict[str, Any]]:
    """The objects of one page of a list, with or without ``data`` around it.

    Raises UpstreamUnavailable when it cannot be read and VendorRejected when it is no list.
    """
    body = body_of(answer)
    items = body.get("data") if isinstance(body, dict) else body
    if not isinstance(items, list):
        raise VendorRejected(
            f"the destination answered {answer.status} with something that is no list: {excerpt(answer)}",
            code=str(answer.status),
        )
    return [item for item in items if isinstance(item, dict)]


def unwrapped(body: Any) -> dict[str, Any]:
    """The object of an answer, with or without ``data`` around it: the integrations host does both. Empty if none."""
    if isinstance(body, dict) and isinstance(body.get("data"), dict):
        return dict(body["data"])
    return body if isinstance(body, dict) else {}


def _goes_on(body: Any) -> bool:
    if not isinstance(body, dict):
        return False
    links, cursor = body.get("links"), body.get("cursor")
    if isinstance(links, Mapping):
        return bool(links.get("next"))
    return isinstance(cursor, Mapping) and bool(cursor.get("next") or cursor.get("next_uri"))


def _bearing(call: Call, token: str) -> Call:
    return replace(call, headers={**call.headers, "Authorization": f"Bearer {token}"})
