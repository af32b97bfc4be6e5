"""What reports of runs promise."""

from __future__ import annotations

from loyalty_relay.runs.run import Counts


def in_all(counts: Counts) -> int:
    """The rows in every number but ``read``: each row that was read is in exactly one of them."""
    return counts.equal + counts.different + counts.missing + counts.pending + sum(counts.skipped.values())
