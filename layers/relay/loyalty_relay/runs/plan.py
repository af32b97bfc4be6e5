"""What a run reads: everyone, or what changed since the last proof."""

from __future__ import annotations

from collections.abc import Sequence

from loyalty_relay.model.commands import instant_at
from loyalty_relay.runs.run import Run

OVERLAP_SECONDS = 3600.0
"""How far before the last proof a reconciliation begins: platforms' search indexes and clocks lag."""
FULL_SECONDS = 6.5 * 86_400.0
"""Age of the last proof of everyone from which on a schedule reads everyone again: weekly, whatever the hour."""


def last_proof(reports: Sequence[Run], *, whole: bool = False) -> Run | None:
    """Return the newest run that proved every customer whom it read. ``reports``: newest first.

    ``whole``: only one that read everyone.
    """
    return next((run for run in reports if run.proven and not run.limit and not (whole and run.since)), None)


def since_last_proof(reports: Sequence[Run]) -> str:
    """Return the moment (``instant`` text) from which on changes have to be read; empty for everyone."""
    proof = last_proof(reports)
    return instant_at(proof.started_at - OVERLAP_SECONDS) if proof else ""


def scheduled_since(reports: Sequence[Run], now: float, *, lists_changed: bool) -> str:
    """Return the same for a run of a schedule, which reads everyone once a week. ``now``: epoch seconds.

    ``lists_changed``: whether the platform lists what changed; everyone is read of one that does not.
    """
    whole = last_proof(reports, whole=True)
    if not lists_changed or whole is None or now - whole.started_at >= FULL_SECONDS:
        return ""
    return since_last_proof(reports)
