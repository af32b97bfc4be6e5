"""One authenticated request after another: headers, one new token where the old one is refused, and reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from loyalty_relay.destinations.capillary.auth import Credentials
from loyalty_relay.destinations.capillary.errors import Said, TokenRefused
from loyalty_relay.http.client import Call, Transport
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import CredentialsRefused, RateLimited

T = TypeVar("T")

TOKEN = "X-CAP-API-OAUTH-TOKEN"


class Session:
    """Requests to one Capillary destination."""

    def __init__(self, transport: Transport, credentials: Credentials) -> None:
        self._transport = transport
        self._credentials = credentials

    def exchange(self, call: Call, read: Callable[[Said], T], deadline: Deadline, *, values: tuple[str, ...] = ()) -> T:
        """Send ``call`` and ``read`` its answer. ``values``: what was sent about the customer, kept out of errors.

        Raises CredentialsRefused when a new token is refused as well, and whatever ``read`` raises.
        """
        headers = self._credentials.headers(deadline)
        try:
            return self._once(call, headers, read, deadline, values)
        except TokenRefused as refused:
            if not self._credentials.renewable:
                raise _final(refused) from None
        # A refused request had no effect, so it is sent again even where repeating would not be safe.
        headers = self._credentials.headers(deadline, refused=headers[TOKEN])
        try:
            return self._once(call, headers, read, deadline, values)
        except TokenRefused as refused:
            raise _final(refused) from None

    def _once(
        self,
        call: Call,
        headers: Mapping[str, str],
        read: Callable[[Said], T],
        deadline: Deadline,
        values: tuple[str, ...],
    ) -> T:
        answer = self._transport.send(replace(call, headers={**call.headers, **headers}), deadline)
        try:
            return read(Said(answer, values))
        except RateLimited as limited:
            if answer.status != 429:
                # The transport knows a limit by its status only.
                self._transport.penalise(call.api, limited.retry_after)
            raise


def _final(refused: TokenRefused) -> CredentialsRefused:
    return CredentialsRefused(str(refused), code=refused.code, request_id=refused.request_id)
