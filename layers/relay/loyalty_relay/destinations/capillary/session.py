"""One authenticated request after another, and reading the responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import httpx

from loyalty_relay.destinations.capillary.errors import CapillaryReply
from loyalty_relay.http.client import Client
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import RateLimited

T = TypeVar("T")


class CapillarySession:
    """Requests to one Capillary destination."""

    def __init__(self, client: Client, auth: httpx.Auth) -> None:
        self._client = client
        self._auth = auth

    def exchange(
        self,
        request: httpx.Request,
        read: Callable[[CapillaryReply], T],
        deadline: Deadline,
        *,
        values: tuple[str, ...] = (),
    ) -> T:
        """Send a request and return what ``read`` finds in its response.

        ``values``: what was sent about the customer, kept out of errors.

        ``read`` has no side effects: the authentication calls it too, to find a refused token. Raises
        CredentialsRefused when a new token is refused as well, and whatever ``read`` raises.
        """
        request.extensions["read"] = read
        response = self._client.fetch(request, deadline, self._auth)
        try:
            return read(CapillaryReply(response, values))
        except RateLimited as limited:
            if response.status_code != 429:
                # The transport recognises a limit by its status only.
                self._client.limiter.penalise(request.extensions["api"], limited.retry_after)
            raise
