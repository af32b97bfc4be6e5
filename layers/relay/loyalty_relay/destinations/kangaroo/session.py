"""Authorized requests to both of Kangaroo's hosts: headers, tokens, errors and pages.

Header facts: Kangaroo API blueprint (REST API) and the wiki pages "Customer CRM Fields - Update" and "Integration -
Connect Integrations". The vendor's samples write the media type with a semicolon at its end; the wiki's own sample for
branch links writes it without, which is also what HTTP allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

import httpx

from loyalty_relay.connections.model import Destination
from loyalty_relay.destinations.kangaroo.auth import KangarooAuth
from loyalty_relay.destinations.kangaroo.errors import ONE_REQUEST, VendorError, refuse, unreadable, vendor_error
from loyalty_relay.destinations.kangaroo.redaction import excerpt, texts_in
from loyalty_relay.destinations.tokens import Tokens
from loyalty_relay.http.client import Client
from loyalty_relay.http.messages import NotJson, build_request, json_of
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import RelayError, VendorRejected

VENDOR_TYPE = "application/vnd.kangaroorewards.api.v1+json"

PAGE_SIZE = 100
MAX_PAGES = 100
"""Pages after which a list counts as endless: ten thousand items."""

Host = Literal["api", "integrations"]


class KangarooSession:
    """Requests in the name of one destination. Safe to use from several threads."""

    def __init__(self, destination: Destination, client: Client, tokens: Tokens, clock: Callable[[], float]) -> None:
        self._destination = destination
        self._client = client
        self.auth = KangarooAuth(destination, client, tokens, clock)

    def request(
        self,
        host: Host,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str | int] | None = None,
        idempotent: bool = False,
        plain: bool = False,
    ) -> httpx.Request:
        """Return a request without its token. ``plain``: accept ``application/json``, not the vendor's media type."""
        base = self._destination.host if host == "api" else self._destination.integrations_host
        headers = {"Accept": "application/json" if plain else VENDOR_TYPE, "Content-Type": "application/json"}
        if key := self._destination.credentials.get("application_key"):
            headers["X-Application-Key"] = key
        request = build_request(
            api=host,
            method=method,
            url=f"{base}{path}",
            headers=headers,
            params=params,
            json=json,
            idempotent=idempotent,
        )
        request.extensions["sent"] = (*texts_in(json), *texts_in(params))
        return request

    def ask(self, request: httpx.Request, deadline: Deadline) -> tuple[httpx.Response, VendorError | None]:
        """Send a request with a token and return the response with its vendor error, which may be a final 401.

        Raises the errors of ``Client.fetch`` and of the token store.
        """
        response = self._client.fetch(request, deadline, self.auth)
        refused = vendor_error(response, request.extensions["sent"])
        strange = refused is not None and (refused.status, refused.shape) == (403, "unknown")
        if refused is not None and strange and self._accepted(request.extensions["api"], deadline):
            refused = replace(refused, shape=ONE_REQUEST)
        return response, refused

    def _accepted(self, host: Host, deadline: Deadline) -> bool:
        """Return whether a host serves these credentials at all: one reading request without anybody's data."""
        probe = self.request(host, "GET", "/me" if host == "api" else "/api/v1/branches", plain=host != "api")
        try:
            return vendor_error(self._client.fetch(probe, deadline, self.auth)) is None
        except RelayError:
            return False

    def read(self, request: httpx.Request, deadline: Deadline, *, customer: bool = False) -> Any:
        """Return the JSON of a success. ``customer``: the path names a customer, so that 404 is CustomerNotFound.

        Raises the errors of ``ask`` and ``refuse``, and UpstreamUnavailable for a success that cannot be read.
        """
        answer, refused = self.ask(request, deadline)
        if refused is not None:
            refuse(answer, refused, customer=customer)
        return body_of(answer)

    def page(self, request: httpx.Request, deadline: Deadline) -> list[dict[str, Any]]:
        """Return the objects of the first page of a list."""
        answer, refused = self.ask(request, deadline)
        if refused is not None:
            refuse(answer, refused)
        return listed(answer)

    def pages(
        self,
        request: httpx.Request,
        deadline: Deadline,
        *,
        customer: bool = False,
        first: tuple[httpx.Response, VendorError | None] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield the items of all pages of a list, in both of the vendor's styles (blueprint: Pagination).

        ``first``: the response with the first page where the caller has it already.

        The next page is requested by number at the same address: the links in the responses are plain http and lack
        the rest of the query. Raises VendorRejected for what is no list and for a list without an end.
        """
        for number in range(1, MAX_PAGES + 1):
            if first is not None and number == 1:
                answer, refused = first
            else:
                answer, refused = self.ask(_page(request, number) if number > 1 else request, deadline)
            if refused is not None:
                refuse(answer, refused, customer=customer)
            items = listed(answer)
            yield from items
            if not items or not _goes_on(json_of(answer)):
                return
        raise VendorRejected(f"the list at the destination does not end within {MAX_PAGES} pages")


def _page(request: httpx.Request, number: int) -> httpx.Request:
    """Return the same request for another page."""
    url = request.url.copy_set_param("page", number)
    return httpx.Request(request.method, url, headers=request.headers, extensions=request.extensions)


def body_of(answer: httpx.Response) -> Any:
    """Return the JSON of a success. Raises UpstreamUnavailable when it cannot be read."""
    body = json_of(answer)
    if isinstance(body, NotJson):
        raise unreadable(answer, body)
    return body


def listed(answer: httpx.Response) -> list[dict[str, Any]]:
    """Return the objects of one page of a list, with or without ``data`` around it.

    Raises UpstreamUnavailable when it cannot be read and VendorRejected when it is no list.
    """
    body = body_of(answer)
    items = body.get("data") if isinstance(body, dict) else body
    if not isinstance(items, list):
        raise VendorRejected(
            f"the destination returned {answer.status_code} with something that is not a list: {excerpt(answer)}",
            code=str(answer.status_code),
        )
    return [item for item in items if isinstance(item, dict)]


def shown(answer: httpx.Response) -> list[dict[str, Any]]:
    """Return the objects that the response to a successful write lists; nothing where it has no body or another one.

    Raises UpstreamUnavailable when there is a body that cannot be read: it may have held an error.
    """
    if not answer.content.strip():
        return []
    body = body_of(answer)
    items = body.get("data") if isinstance(body, dict) else body
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def unwrapped(body: Any) -> dict[str, Any]:
    """Return the object of a body, with or without ``data`` around it: the integrations host uses both."""
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
