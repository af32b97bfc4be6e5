"""Store links, and the checkpoints of making them.

One item per (connection, shop) and one per (connection, integration). Each has a lease, so that two callers never make
the same thing side by side, and holds what has been achieved, so that whoever comes after a crash goes on from there.
Before the one step that cannot be looked up everywhere, creating the integration, the intent to do so is written down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

from loyalty_relay.destinations.base import StoreLink
from loyalty_relay.model.errors import LeaseBusy, StoreUnavailable
from loyalty_relay.storage.table import Contended, Item, Refused, Table

INDEX = "by_store"
BUSY_SECONDS = 2.0
MOST_LINKS = 10_000
"""Links of one connection that are listed."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on one item until it is released or runs out."""

    pk: str
    token: str
    integration_id: int | None = None
    """Of an integration's item: the one that was made."""
    interrupted: bool = False
    """Of an integration's item: an earlier holder meant to create one, and nobody knows whether it did."""


class Links:
    """Store links in the state table. Every method may raise StoreUnavailable."""

    def __init__(
        self,
        dynamodb: Any,
        table: str,
        *,
        clock: Callable[[], float],
        lease_seconds: float,
        new_token: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        self._table = Table(dynamodb, table)
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._new_token = new_token

    def get(self, connection: str, shop_id: str) -> StoreLink | None:
        """The link of a shop; None when it has none."""
        return _link(self._table.get({"pk": _shop(connection, shop_id)}))

    def list(self, connection: str) -> list[StoreLink]:
        """All links of a connection, by shop id. A link made a moment ago may be missing: the index follows behind."""
        keys = self._table.query(INDEX, "store", _index(connection), limit=MOST_LINKS)
        found = (_link(self._table.get({"pk": key["pk"]})) for key in keys)
        return sorted((link for link in found if link is not None), key=lambda link: link.shop_id)

    def take_shop(self, connection: str, shop_id: str) -> Lease:
        """The lease of a shop. Raises LeaseBusy."""
        pk = _shop(connection, shop_id)
        return Lease(pk, self._take(pk, {"store": _index(connection)})[0])

    def take_integration(self, connection: str) -> Lease:
        """The lease of a connection's integration, with what is known of it. Raises LeaseBusy."""
        pk = f"I#{connection}"
        token, before = self._take(pk, {})
        made = before.get("integration_id")
        return Lease(pk, token, int(made) if made is not None else None, bool(before.get("intended")))

    def _take(self, pk: str, members: dict[str, Any]) -> tuple[str, Item]:
        now, token = self._clock(), self._new_token()
        sets = {"lease_token": token, "lease_until": now + self._lease_seconds, **members}
        try:
            before = self._table.update(
                {"pk": pk},
                "SET " + ", ".join(f"#{name} = :{name}" for name in sets),
                condition="attribute_not_exists(lease_until) OR lease_until <= :now",
                names={f"#{name}": name for name in sets},
                values={**{f":{name}": value for name, value in sets.items()}, ":now": now},
            )
        except Refused as refused:
            until = float((refused.item or {}).get("lease_until", now))
            raise LeaseBusy(retry_after=max(BUSY_SECONDS, min(until - now, self._lease_seconds))) from None
        except Contended:
            raise LeaseBusy(retry_after=BUSY_SECONDS) from None
        return token, before or {}

    def intend(self, lease: Lease) -> None:
        """Write down that an integration is about to be created."""
        self._change(lease, "SET intended = :true", {":true": True})

    def withdraw(self, lease: Lease) -> None:
        """It was not created: the request never left, or was refused."""
        self._change(lease, "REMOVE intended", {})

    def save_integration(self, lease: Lease, integration_id: int) -> None:
        """Keep the integration's id."""
        self._change(lease, "SET integration_id = :id REMOVE intended", {":id": integration_id})

    def save_link(self, lease: Lease, link: StoreLink) -> None:
        """Keep the link of the shop."""
        members = {name: value for name, value in asdict(link).items() if value is not None}
        self._change(lease, "SET link = :link", {":link": members})

    def release(self, lease: Lease) -> None:
        """Give the lease back; nothing happens when another has taken it over."""
        try:
            self._change(lease, "REMOVE lease_token, lease_until", {})
        except LeaseBusy:
            return

    def remove(self, connection: str, shop_id: str) -> None:
        """Forget the link of a shop."""
        self._table.delete({"pk": _shop(connection, shop_id)})

    def _change(self, lease: Lease, expression: str, values: dict[str, Any]) -> None:
        """Raises LeaseBusy when the lease ran out and another has it."""
        try:
            self._table.update(
                {"pk": lease.pk}, expression, condition="lease_token = :token", values={**values, ":token": lease.token}
            )
        except Refused:
            raise LeaseBusy("the lease ran out before the work was done") from None
        except Contended as error:
            raise StoreUnavailable("the item is being written by another") from error


def _shop(connection: str, shop_id: str) -> str:
    return f"L#{connection}#{shop_id}"


def _index(connection: str) -> str:
    return f"links#{connection}"


def _link(item: Item | None) -> StoreLink | None:
    return StoreLink(**item["link"]) if item and "link" in item else None
