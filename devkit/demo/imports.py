"""What the demo shows of imports: a shop of 200 customers, and then three whose webhooks were lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from devkit.cli.runs import begin, watched
from devkit.sandbox import destinations
from devkit.sandbox.platforms.population import FIRST
from devkit.stacks.services import services_of
from devkit.stacks.stack import Stack
from loyalty_relay.connections.model import Connection
from loyalty_relay.runs.plan import since_last_proof
from loyalty_relay.runs.run import Kind, Run

IMPORTED = "imported-shop"
"""The connection of these steps, which is made for them."""
PLATFORM, VENDOR = "bigcommerce", "capillary"
SAMPLE = "bigcommerce-kangaroo"
"""The sample connection whose shop is read."""
PEOPLE = 200
LOST = 3
WRITTEN = 1
"""Customers whom the platform's sandbox has besides."""
PER_MINUTE = 60_000
"""Requests that the vendor takes here; at the published limit the import would take two minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopRead:
    """A run of the connection ``IMPORTED``, to its end."""

    kind: Kind
    expected: str = "proven"
    note: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the platform's sandbox, before the run."""
    missing: int
    """Customers of whom no member is known before the run; after it there is one of each."""
    connection: str = IMPORTED


def document(sample: Mapping[str, Any], sandbox: str) -> dict[str, Any]:
    """Return the connection's document. ``sample``: of the platform's sample connection; ``sandbox``: its URL."""
    destination = destinations.capillary(sandbox, per_minute=PER_MINUTE)
    return {"source": sample["source"], "destination": destination, "default_country": "US"}


def reads(now: float) -> Iterator[ShopRead]:
    """Yield the steps. ``now``: epoch seconds."""
    yield ShopRead(
        kind="import",
        note=f"a shop of {PEOPLE}",
        settings={"customers": PEOPLE},
        missing=PEOPLE + WRITTEN,
    )
    lost = {str(FIRST + PEOPLE + number): now - 60 for number in range(LOST)}
    yield ShopRead(
        kind="reconciliation",
        note=f"{LOST} webhooks were lost",
        settings={"customers": PEOPLE + LOST, "customers_saved": lost},
        missing=LOST,
    )


def ended(step: ShopRead, stack: Stack, connection: Connection) -> Run:
    """Return the run of a step as it ended; a reconciliation reads what changed since the last proof."""
    services = services_of(stack)
    since = since_last_proof(services.runs.reports(connection.id)) if step.kind == "reconciliation" else ""
    run = begin(services, connection, step.kind, since=since or None)
    return watched(services, connection, run, quiet=True)


def read_problem(step: ShopRead, run: Run, registered: int) -> str:
    """Describe how a run ended otherwise than expected. ``registered``: requests that made a member."""
    if not run.proven:
        return f"the run is {run.status}, and {run.proof.missing + run.proof.pending} are missing: {run.note}"
    if run.first.missing != step.missing or run.proof.missing:
        return f"expected {step.missing} missing before and none after, were {run.first.missing}, {run.proof.missing}"
    return "" if registered == step.missing else f"expected {step.missing} registrations, were {registered}"
