"""What became of a delivery."""

from __future__ import annotations

from devkit.queries.delivery import entry_dict, settled
from loyalty_relay.model.outcomes import Result
from tests.queries.makers import entry


def test_only_retrying_is_no_outcome_yet() -> None:
    assert settled([entry("a"), entry("a", position=1, result=Result.PARKED)])
    assert not settled([entry("a"), entry("a", position=1, result=Result.RETRYING)])
    assert not settled([])


def test_an_entry_names_what_to_do_next() -> None:
    shown = entry_dict(entry("a", result=Result.PARKED, reason="rejected", code="3217"))

    assert (shown["outcome"], shown["reason"], shown["code"]) == ("parked", "rejected", "3217")
    assert "relay redrive" in shown["next"]
