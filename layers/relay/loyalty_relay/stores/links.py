"""Store links, and the checkpoints of making them.

One item per (connection, shop) and one per (connection, integration). Each has a lease, so that two executions never
create the same thing side by side, and holds what has been achieved, so that the next execution after a crash
continues there. The intent to create something is recorded first, because not every vendor can look it up. A result is
recorded also by an execution that has lost its lease meanwhile: where it cannot be looked up, it would be lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

from loyalty_relay.destinations.base import StoreLink
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import LeaseBusy
from loyalty_relay.storage import keys
from loyalty_relay.storage.lease import BUSY_SECONDS, Lease, Leases
from loyalty_relay.storage.table import Item, Refused, Table

MOST_LINKS = 10_000
"""Links of one connection that are listed."""
PAGE = 100
"""Links read with one request: what BatchGetItem takes."""
PAGE_SECONDS = 0.5
"""What has to be left for a page."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A leased item of a shop or an integration, and what earlier executions achieved."""

    lease: Lease
    integration_id: int | None = None
    """The integration that was created; None for a shop's item."""
    interrupted: bool = False
    """An earlier execution was about to create the integration or the link and did not record the result."""


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
        self._leases = Leases(self._table, clock=clock, seconds=lease_seconds)
        self._new_token = new_token

    def get(self, connection: str, shop_id: str) -> StoreLink | None:
        """Return the link of a shop; None when it has none."""
        return _link(self._table.get({"pk": keys.store_link(connection, shop_id)}))

    def list(self, connection: str, deadline: Deadline) -> list[StoreLink]:
        """Return all links of a connection, by shop id; the index may miss one that was made a moment ago.

        Raises DeadlineTooShort when not all can be read in time.
        """
        found = self._table.query(keys.BY_STORE, "store", keys.links_of(connection), limit=MOST_LINKS)
        links: list[StoreLink | None] = []
        for start in range(0, len(found), PAGE):
            deadline.require(PAGE_SECONDS)
            links += map(_link, self._table.get_many([{"pk": item["pk"]} for item in found[start : start + PAGE]]))
        return sorted((link for link in links if link is not None), key=lambda link: link.shop_id)

    def take_shop(self, connection: str, shop_id: str) -> Checkpoint:
        """Take the lease of a shop. Raises LeaseBusy."""
        pk = keys.store_link(connection, shop_id)
        return self._take(
            pk, sets="#store = :store", names={"#store": "store"}, values={":store": keys.links_of(connection)}
        )

    def take_integration(self, connection: str, name: str) -> Checkpoint:
        """Take the lease of a connection's integration of this name. Raises LeaseBusy."""
        return self._take(keys.integration(connection, name))

    def _take(self, pk: str, **more: Any) -> Checkpoint:
        try:
            lease = self._leases.take(pk, self._new_token(), **more)
        except Refused as refused:
            raise self._leases.busy(refused.item) or LeaseBusy(retry_after=BUSY_SECONDS) from None
        before = lease.before or {}
        made = before.get("integration_id")
        return Checkpoint(lease, int(made) if made is not None else None, bool(before.get("intended")))

    def intend(self, checkpoint: Checkpoint) -> None:
        """Record that something is about to be created. Raises LeaseLost, as do the other writes."""
        self._leases.change(checkpoint.lease, "SET intended = :true", values={":true": True})

    def withdraw(self, checkpoint: Checkpoint) -> None:
        """Remove the intent: the request never left, or was refused."""
        self._leases.change(checkpoint.lease, "REMOVE intended")

    def save_integration(self, checkpoint: Checkpoint, integration_id: int) -> None:
        """Store the integration's id."""
        self._leases.change(
            checkpoint.lease,
            "SET integration_id = :id REMOVE intended",
            or_without="integration_id",
            values={":id": integration_id},
        )

    def save_link(self, checkpoint: Checkpoint, link: StoreLink) -> None:
        """Store the link of the shop."""
        members = {name: value for name, value in asdict(link).items() if value is not None}
        self._leases.change(
            checkpoint.lease, "SET link = :link REMOVE intended", or_without="link", values={":link": members}
        )

    def release(self, checkpoint: Checkpoint) -> None:
        """End the lease; without effect when another execution has taken it over."""
        self._leases.release(checkpoint.lease)

    def remove(self, connection: str, shop_id: str) -> None:
        """Delete the link of a shop."""
        self._table.delete({"pk": keys.store_link(connection, shop_id)})


def _link(item: Item | None) -> StoreLink | None:
    return StoreLink(**item["link"]) if item and "link" in item else None
