"""What the records of every ledger are made of: a table with leases, keyed digests, and the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loyalty_relay.reliability.journal import Journal
from loyalty_relay.storage.digests import Digests
from loyalty_relay.storage.lease import Leases
from loyalty_relay.storage.table import Table


class LedgerRecords:
    """Base of the records of a ledger, in the state table. Safe for threads.

    ``lease_seconds``: longer than the function may run. ``new_token``: a fresh unguessable text per call. ``sleep``:
    waits between two tries of a commit, a few hundredths of a second at most.
    """

    def __init__(
        self,
        dynamodb: Any,
        table: str,
        digests: Digests,
        *,
        journal: Journal,
        clock: Callable[[], float],
        lease_seconds: float,
        new_token: Callable[[], str],
        sleep: Callable[[float], None],
    ) -> None:
        self.table = Table(dynamodb, table)
        self.digests = digests
        self.journal = journal
        self.clock = clock
        self.new_token = new_token
        self._leases = Leases(self.table, clock=clock, seconds=lease_seconds)
        self._sleep = sleep
