"""A platform's clock that is far ahead makes nothing stale: each fixture is received long before the times in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from devkit.sandbox.platforms import VENDOR
from loyalty_relay.model.commands import REVISION, Version, instant_at
from loyalty_relay.model.errors import RelayError
from loyalty_relay.sources import platforms, source_module
from loyalty_relay.sources.base import (
    MAX_AHEAD,
    Change,
    CustomerChanged,
    HydratingSource,
    OrderChanged,
    ThinChange,
    not_later,
)
from tests.sandbox.kangaroo_client import SandboxClient
from tests.sources.outcome_of import queued, read_through
from tests.sources.samples import EVENTS, connection, load

EARLY = 1_000_000_000.0
"""2001: every time of a fixture is years ahead of it."""
LATEST = instant_at(EARLY + MAX_AHEAD)


def received(platform: str, now: float) -> Iterator[Change]:
    """Every change that the platform's fixtures lead to at ``now``, thin ones read through, in the same order."""
    module, to, sandbox = source_module(platform), connection(platform, "kangaroo"), SandboxClient(VENDOR)
    for path in sorted((EVENTS / platform).glob("*.json")):
        if path.stem == "schema" or (sample := load(platform, path.stem)).method != "POST":
            continue
        with suppress(RelayError):
            for change in module.read(sample.signed(), to.source):
                yield not_later(change, now, signed=module.signs_event_time)
                if isinstance(change, ThinChange) and isinstance(module, HydratingSource):
                    for read in read_through(module, queued(change), to, sandbox):
                        yield not_later(read, now, signed=True)


def versions(change: Change) -> list[Version]:
    """Every version that a change carries."""
    found = [getattr(change, "version", None)]
    if isinstance(change, CustomerChanged):
        found += change.versions.values()
    if isinstance(change, OrderChanged):
        entries = [entry.version for kind in ("captures", "refunds") for entry in getattr(change.order, kind)]
        found += [Version.from_list(list(version)) for version in entries if version]
    return [version for version in found if version is not None]


@pytest.mark.parametrize("platform", platforms())
def test_no_time_of_a_delivery_or_a_reading_is_later_than_its_arrival(platform: str) -> None:
    clamped = 0
    for early, true in zip(received(platform, EARLY), received(platform, 4e9), strict=True):
        assert early.event.time <= LATEST
        for ahead, later in zip(versions(early), versions(true), strict=True):
            assert ahead.time <= LATEST
            if ahead.clock.endswith(REVISION):
                assert ahead.value == later.value
            else:
                assert ahead.value <= LATEST
                assert ahead.older_than(later), "a true state that comes later is stale"
                clamped += 1
    assert clamped, "no fixture of the platform has a version that is a time"
