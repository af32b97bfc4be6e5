"""Authentication with tokens that can be renewed, the same for every vendor."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Generator, Mapping

import httpx

from loyalty_relay.http.messages import printable
from loyalty_relay.model.deadline import Deadline

MAX_SENDS = 3
"""Tokens tried for one request: two of them may be other executions' renewals, of which neither was ours."""


class TokenAuth(httpx.Auth):
    """Authenticate a request with a token, and send it again with a new one where the vendor refuses it.

    One renewal at most; the response is the vendor's last, and may still be a refusal. A refused request had no effect,
    so it is sent again even where repeating would not be safe. Responses are complete, and bounded in size, before
    ``refuses`` reads them: vendors refuse tokens in bodies.
    """

    renewable = True

    @abstractmethod
    def token(self, deadline: Deadline, rejected: str | None) -> tuple[str, bool]:
        """Return a token other than ``rejected``, and whether this very call obtained it."""

    @abstractmethod
    def headers(self, token: str) -> Mapping[str, str]:
        """Return the headers that carry the token."""

    @abstractmethod
    def refuses(self, response: httpx.Response) -> bool:
        """Return whether the vendor refuses the token, whatever the HTTP status."""

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """See ``httpx.Auth``."""
        deadline = request.extensions["deadline"]
        token, renewed = self.token(deadline, None)[0], False
        for send in range(1, MAX_SENDS + 1):
            request.headers.update(printable(self.headers(token)))
            response = yield request
            if renewed or send == MAX_SENDS or not self.renewable or not self.refuses(response):
                return
            token, renewed = self.token(deadline, token)
