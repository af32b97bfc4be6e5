"""No version from the future: neither out of a signed body, nor by an unsigned header."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from loyalty_relay.model.commands import Event, Version, instant_at, revision
from loyalty_relay.sources.base import MAX_AHEAD, CustomerChanged, CustomerRetired, NothingToDo, StoreErased, not_later

NOW = 1_790_000_000.0
ARRIVAL, LATEST = instant_at(NOW), instant_at(NOW + MAX_AHEAD)
FUTURE, PAST = "9999-12-31T23:59:59.000000Z", "2026-09-01T00:00:00.000000Z"


def event(time: str) -> Event:
    return Event(source="shop", topic="t", id="e1", entity_id="7", time=time)


def changed(value: str, time: str, clock: str = "shop") -> CustomerChanged:
    version = Version(clock, value, time, "e1")
    return CustomerChanged(
        event=event(time), source_id="7", fields={}, version=version, versions={"subscriptions.sms.bulk": version}
    )


@pytest.mark.parametrize("signed", [True, False])
def test_a_time_that_is_past_is_left_as_it_is(signed: bool) -> None:
    change = changed(PAST, PAST)
    assert not_later(change, NOW, signed=signed) is change


@pytest.mark.attack(
    "senders",
    "a version from the future, which would make every true one stale",
    "times are clamped to the arrival and five minutes, with a line in the log; times that no "
    "signature covers to the arrival",
    "G3",
)
def test_a_clock_a_little_ahead_is_believed_and_the_future_is_not() -> None:
    ahead = changed(LATEST, LATEST)
    assert not_later(ahead, NOW, signed=True) is ahead
    change = cast("CustomerChanged", not_later(changed(FUTURE, FUTURE), NOW, signed=True))
    assert change.version == change.versions["subscriptions.sms.bulk"] == Version("shop", LATEST, LATEST, "e1")
    assert change.event.time == LATEST


def test_a_revision_counts_and_has_no_future() -> None:
    change = cast("CustomerChanged", not_later(changed(revision(10**19), PAST, "shop.revision"), NOW, signed=True))
    assert change.version is not None
    assert change.version.value == revision(10**19)


def test_an_unsigned_time_is_at_most_the_arrival_and_decides_nothing_over_a_signed_one() -> None:
    change = cast("CustomerChanged", not_later(changed(PAST, FUTURE), NOW, signed=False))
    assert change.version == Version("shop", PAST, ARRIVAL, "e1")
    assert change.event.time == ARRIVAL
    retired = CustomerRetired(
        event=event(FUTURE), source_id="7", reason="deleted", version=Version("shop", FUTURE, FUTURE, "e1")
    )
    erased = StoreErased(event=event(FUTURE), shop_id="s", version=Version("shop", FUTURE, FUTURE, "e1"))
    for final in (retired, erased):
        kept: Any = not_later(final, NOW, signed=False)
        assert kept.version == Version("shop", ARRIVAL, ARRIVAL, "e1")


def test_changes_without_a_version_keep_only_their_events_time() -> None:
    change = NothingToDo(event=event(FUTURE), reason="ping")
    assert not_later(change, NOW, signed=True) == replace(change, event=event(LATEST))
    assert not_later(replace(change, event=event("")), NOW, signed=False).event.time == ""
