"""The lease: one conditional write gives one execution the sole right to work on an item, until it ends or runs out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from loyalty_relay.model.errors import LeaseBusy, StoreUnavailable, TransientError
from loyalty_relay.storage.table import Contended, Item, Refused, Table

BUSY_SECONDS = 2.0
"""Seconds after which a busy item is tried again: a lease is usually held for one upstream call."""

CONDITION = "(attribute_not_exists(lease_until) OR lease_until <= :now)"
"""True where no live lease exists; needs the value ``:now``."""


class LeaseLost(TransientError):
    """The lease ran out and another execution took it over before the work was committed."""

    reason = "lease_lost"
    status = 409


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease on one item. ``before``: the item as it was found; None when taking the lease created it."""

    pk: str
    token: str
    until: float
    before: Item | None = field(default=None, repr=False)


class Leases:
    """Leases on the items of a table. ``seconds``: how long one lasts."""

    def __init__(self, table: Table, *, clock: Callable[[], float], seconds: float) -> None:
        self.table = table
        self.clock = clock
        self.seconds = seconds

    def take(
        self,
        pk: str,
        token: str,
        *,
        sets: str = "",
        condition: str = "",
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> Lease:
        """Take the lease and write ``sets`` in the same request.

        Raises Refused with the item found when another execution has the lease or ``condition`` does not hold,
        LeaseBusy when a transaction is under way, StoreUnavailable.
        """
        now = self.clock()
        until = now + self.seconds
        try:
            before = self.table.update(
                {"pk": pk},
                "SET lease_token = :token, lease_until = :until" + (f", {sets}" if sets else ""),
                condition=CONDITION + (f" AND {condition}" if condition else ""),
                names=names,
                values={**(values or {}), ":token": token, ":until": until, ":now": now},
            )
        except Contended:
            raise LeaseBusy(retry_after=BUSY_SECONDS) from None
        except Refused as refused:
            if refused.item is None or refused.item.get("lease_token") != token:
                raise
            # botocore repeated a write whose answer was lost: the item is under this very lease already.
            before = refused.item
        return Lease(pk, token, until, before)

    def extend(self, lease: Lease, *, sets: str = "") -> Lease:
        """Return the lease with its whole duration again, writing ``sets``. Raises LeaseLost, or StoreUnavailable."""
        until = self.clock() + self.seconds
        self.change(lease, "SET lease_until = :until" + (f", {sets}" if sets else ""), values={":until": until})
        return replace(lease, until=until)

    def change(
        self,
        lease: Lease,
        expression: str,
        *,
        or_without: str = "",
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """Write to the item under the lease. Raises LeaseLost, or StoreUnavailable.

        ``or_without``: an attribute that must not exist so far; then it is written without the lease too,
        because what it records is a fact whoever holds the lease now.
        """
        fact = f" OR (attribute_exists(pk) AND attribute_not_exists({or_without}))" if or_without else ""
        try:
            self.table.update(
                {"pk": lease.pk},
                expression,
                condition="lease_token = :token" + fact,
                names=names,
                values={**(values or {}), ":token": lease.token},
            )
        except Refused:
            raise LeaseLost from None
        except Contended as error:
            raise StoreUnavailable("the item is being written by another execution") from error

    def release(
        self,
        lease: Lease,
        *,
        sets: str = "",
        removes: str = "",
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """End the lease, writing ``sets`` and removing ``removes`` with it. Never raises: a lease runs out."""
        expression = (f"SET {sets} " if sets else "") + "REMOVE lease_token, lease_until"
        try:
            self.change(lease, expression + (f", {removes}" if removes else ""), names=names, values=values)
        except (LeaseLost, StoreUnavailable):
            return

    def discard(self, lease: Lease) -> None:
        """Delete the item under the lease. Never raises: a lease runs out."""
        try:
            self.table.delete({"pk": lease.pk}, condition="lease_token = :token", values={":token": lease.token})
        except (Refused, Contended, StoreUnavailable):
            return

    def busy(self, item: Item | None) -> LeaseBusy | None:
        """Return the error to raise when another execution has the item's lease, else None."""
        left = float((item or {}).get("lease_until", 0.0)) - self.clock()
        return LeaseBusy(retry_after=min(left, BUSY_SECONDS)) if left > 0 else None
