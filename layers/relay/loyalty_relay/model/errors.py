"""All errors, as one tree; each class defines whether trying again can help.

    RelayError
    ├── TransientError                 trying again can help
    │   ├── ConnectionFailed           the request never left
    │   ├── UpstreamTimeout            no answer in time; it may have taken effect
    │   ├── UpstreamUnavailable        5xx, 408, 425, Capillary 521, a broken answer
    │   ├── RateLimited                429 from the vendor, or no slot under our own limit
    │   ├── LeaseBusy                  another execution works on the same customer or store
    │   ├── KeyInProgress              another execution works on the same event
    │   ├── PartNotDone                the vendor did a part of the command; the rest may succeed later
    │   ├── RunContinues               an import or reconciliation goes on later
    │   ├── CustomerUnknown            the event only makes sense after another one that has not come yet
    │   ├── CircuitOpen                the destination is known to be down
    │   │   └── CredentialsBlocked     the credentials are known to be refused
    │   ├── DeadlineTooShort           the call could not have ended inside this invocation
    │   └── StoreUnavailable           our own tables, queues or secrets cannot be reached
    ├── CredentialsRefused             the vendor refuses our credentials: an operator must act; nothing is parked
    ├── PermanentError                 the same command can never succeed as it is
    │   ├── InvalidCommand             fields that cannot be sent; names each of them
    │   ├── IdempotencyKeyReused       the key completed another request
    │   ├── UnsupportedByDestination   this operation or field does not exist at this destination
    │   ├── CustomerNotFound           no such customer, and the command does not allow to register one
    │   ├── IdentifierUnverified       only an unverified identifier leads to the customer
    │   ├── CustomerExists             already registered; carries the existing loyalty id
    │   ├── CustomerErased             a tombstone forbids it
    │   ├── StoreConflict              the shop is linked elsewhere, or its link is disabled
    │   ├── VendorRejected             the vendor refused the command, with its code
    │   ├── AdjustmentNeeded           an amount that cannot be booked has to be put right by a person
    │   └── AmbiguousOutcome           it may have been done and must not be repeated unseen
    ├── ConnectionInvalid              a connection's configuration is wrong; names the field
    ├── UnknownConnection              there is no such connection
    └── DeliveryRefused                an inbound request we do not accept
        ├── NotAuthentic               signature, secret, store or replay window; never names which
        ├── BodyTooLarge               over the limit
        ├── UnsupportedFormat          authentic, in a format that is not supported
        └── Untranslatable             authentic, but not what its topic promises; parked raw

``status`` is the HTTP status that the API returns. ``reason`` is a short stable word used in journals, metrics and
parked messages. Messages never carry personal data: they reach logs and journals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One thing wrong with one field: a dotted path and a sentence without the value."""

    field: str
    message: str

    def to_dict(self) -> dict[str, str]:
        return {"field": self.field, "message": self.message}


class RelayError(Exception):
    """Base of all errors of the relay."""

    reason = "error"
    status = 500

    def __init__(self, message: str = "", *, code: str | None = None, request_id: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])
        self.code = code
        """The vendor's own error code, as text."""
        self.request_id = request_id
        """The vendor's id of the request, for their support."""
        self.reached = False
        """True when the command, or a part of it, may have taken effect at the vendor all the same."""


@contextmanager
def after_effect() -> Iterator[None]:
    """Mark whatever is raised after a write that succeeded: the command has had an effect."""
    try:
        yield
    except RelayError as error:
        error.reached = True
        raise


class TransientError(RelayError):
    """A passing fault: the same command may succeed later."""

    reason = "transient"
    status = 503

    def __init__(
        self,
        message: str = "",
        *,
        retry_after: float | None = None,
        reached: bool = False,
        code: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message, code=code, request_id=request_id)
        self.retry_after = retry_after
        """Seconds to wait at least, when the destination or our pacing gave a time."""
        self.reached = reached


class ConnectionFailed(TransientError):
    """No connection to the destination; nothing was sent."""

    reason = "connection_failed"


class UpstreamTimeout(TransientError):
    """The destination did not answer in time."""

    reason = "timeout"
    status = 504


class UpstreamUnavailable(TransientError):
    """The destination reported that it cannot serve now, or its response was unreadable."""

    reason = "unavailable"


class RateLimited(TransientError):
    """The destination's rate limit is used up for now."""

    reason = "rate_limited"
    status = 429


class NoSlot(RateLimited):
    """Our own rate limiter has no slot so soon; nothing was sent."""


class LeaseBusy(TransientError):
    """Another execution is working on the same customer or store."""

    reason = "lease_busy"
    status = 409


class KeyInProgress(TransientError):
    """Another execution is working on the same event."""

    reason = "in_progress"
    status = 409


class CustomerUnknown(TransientError):
    """Nothing names the customer yet; the event that does may still be on its way."""

    reason = "customer_unknown"
    status = 409


class PartNotDone(TransientError):
    """The destination carried out a part of the command; what is left is sent again."""

    reason = "part_not_done"


class RunContinues(TransientError):
    """An import or reconciliation is not finished; it goes on with the next receive of its message."""

    reason = "running"


class CircuitOpen(TransientError):
    """The destination is known to be failing; nothing is sent until a probe succeeds."""

    reason = "circuit_open"


class CredentialsBlocked(CircuitOpen):
    """The destination is known to refuse these credentials; nothing is sent with them until a probe succeeds."""


class DeadlineTooShort(TransientError):
    """Too little time is left in this invocation to finish the call."""

    reason = "deadline"
    status = 504


class StoreUnavailable(TransientError):
    """One of the relay's own stores does not answer."""

    reason = "store_unavailable"


class CredentialsRefused(RelayError):
    """The destination refuses our credentials, also after refreshing them."""

    reason = "credentials"
    status = 502


class PermanentError(RelayError):
    """The command cannot succeed as it is."""

    reason = "rejected"
    status = 422

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        request_id: str | None = None,
        problems: Sequence[FieldProblem] = (),
    ) -> None:
        super().__init__(message, code=code, request_id=request_id)
        self.problems = tuple(problems)


class InvalidCommand(PermanentError):
    """Fields of the command cannot be sent to the destination."""

    reason = "invalid"


class IdempotencyKeyReused(PermanentError):
    """The idempotency key was used before with another request."""

    reason = "idempotency_key_reused"


class UnsupportedByDestination(PermanentError):
    """The destination has no such operation or field."""

    reason = "unsupported_by_destination"


class CustomerNotFound(PermanentError):
    """The destination has no such customer."""

    reason = "customer_not_found"
    status = 404


class IdentifierUnverified(PermanentError):
    """Only unverified identifiers lead to the member, who may be somebody else."""

    reason = "identifier_unverified"
    status = 409


class CustomerExists(PermanentError):
    """The destination already has this customer."""

    reason = "customer_exists"
    status = 409

    def __init__(self, message: str = "", *, loyalty_id: str | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.loyalty_id = loyalty_id


class CustomerErased(PermanentError):
    """This customer was erased or deleted at the source."""

    reason = "customer_erased"
    status = 410


class StoreConflict(PermanentError):
    """The shop cannot be linked as the command requires."""

    reason = "store_conflict"
    status = 409

    def __init__(
        self, message: str = "", *, existing: Mapping[str, object] | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, code=code)
        self.existing = dict(existing or {})
        """The existing link that prevents it, in our own terms."""


class VendorRejected(PermanentError):
    """The destination rejected the command."""

    reason = "rejected"


class AdjustmentNeeded(PermanentError):
    """An order's bookings cannot be brought to what it earns; the message has the amount."""

    reason = "adjustment_needed"
    status = 409


class AmbiguousOutcome(PermanentError):
    """The command may have been carried out and is not repeated unseen."""

    reason = "ambiguous"
    status = 409


class ConnectionInvalid(RelayError):
    """A connection's configuration is wrong."""

    reason = "connection_invalid"
    status = 500

    def __init__(self, connection: str, problems: Sequence[FieldProblem]) -> None:
        self.connection = connection
        self.problems = tuple(problems)
        reported = "; ".join(f"{p.field}: {p.message}" for p in problems)
        super().__init__(f"connection {connection!r} is not valid: {reported}")


class UnknownConnection(RelayError):
    """There is no such connection."""

    reason = "unknown_connection"
    status = 404


class DeliveryRefused(RelayError):
    """An inbound request that is not accepted."""

    reason = "refused"
    status = 400


class NotAuthentic(DeliveryRefused):
    """The request does not prove who sent it."""

    reason = "not_authentic"
    status = 401


class BodyTooLarge(DeliveryRefused):
    """The body is larger than any platform sends."""

    reason = "too_large"
    status = 413


class UnsupportedFormat(DeliveryRefused):
    """An authentic delivery in an unsupported format; the response may name the reason (CloudEvents)."""

    reason = "unsupported_format"
    status = 415


class Untranslatable(DeliveryRefused):
    """An authentic delivery whose body is not what its topic promises. ``position``: which of its entities is not."""

    reason = "untranslatable"
    status = 422

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason
        self.position = 0
