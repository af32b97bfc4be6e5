"""Count the requests of this thread that may change something at a vendor.

Errors of the relay have ``reached``. After any other exception the count shows whether a request was begun.
"""

from __future__ import annotations

from contextvars import ContextVar

from loyalty_relay.model.errors import RelayError

_begun: ContextVar[int] = ContextVar("requests_begun", default=0)


def begin() -> None:
    """Count a request that may have an effect, just before it is sent."""
    _begun.set(_begun.get() + 1)


def begun() -> int:
    """Return the number of such requests so far."""
    return _begun.get()


def may_have_acted(error: BaseException, since: int) -> bool:
    """Return whether something may have taken effect before ``error``. ``since``: what ``begun`` returned before."""
    return error.reached if isinstance(error, RelayError) else begun() != since
