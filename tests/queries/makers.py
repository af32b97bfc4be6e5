"""Entries of the journal for tests of queries."""

from __future__ import annotations

from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import JournalEntry


def entry(
    delivery: str, *, received: float = 100.0, result: Result = Result.APPLIED, **members: object
) -> JournalEntry:
    return JournalEntry(
        delivery_id=delivery,
        connection="shop-gb",
        result=result,
        received_at=received,
        **members,  # type: ignore[arg-type]
    )
