"""Who looked at personal data: one item of the journal for each request, kept as long as the journal's others."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from devkit.stacks.stack import Stack
from loyalty_relay.reliability.journal import KEPT_DAYS
from loyalty_relay.storage import keys
from loyalty_relay.storage.table import Refused, Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """One request for bodies of parked work.

    ``who``: the ARN of the AWS identity. ``what``: ``body``, with the id of the work, or ``export``, with how many.
    """

    who: str
    at: float
    what: str
    subject: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def disclose(stack: Stack, connection: str, what: str, subject: str) -> None:
    """Record a request for personal data. Raises where that is impossible: then nothing may be shown."""
    who = str(stack.client("sts").get_caller_identity()["Arn"])
    at = time.time()
    position = int(at * 1000)
    item = {"who": who, "at": round(at, 3), "what": what, "subject": subject}
    item |= {"delivery_id": keys.disclosures(connection), "expires_at": int(at) + KEPT_DAYS * 86_400}
    table = _table(stack)
    while True:
        try:
            table.put({**item, "position": position}, condition="attribute_not_exists(delivery_id)")
        except Refused:
            # Another one of the same millisecond.
            position += 1
        else:
            return


def disclosures(stack: Stack, connection: str, *, limit: int = 50) -> list[Disclosure]:
    """Return the latest requests about a connection, newest first. One query; an item has less than 1 kB."""
    items = _table(stack).query(None, "delivery_id", keys.disclosures(connection), limit=limit, newest_first=True)
    return [
        Disclosure(who=str(i["who"]), at=float(i["at"]), what=str(i["what"]), subject=str(i["subject"])) for i in items
    ]


def _table(stack: Stack) -> Table:
    return Table(stack.client("dynamodb"), stack.need("JournalTableName"))
