"""Circuits: nothing is sent to an account that is known to be down, or with credentials that are known to be refused.

An account and each of the credentials used at it have circuits of their own, so that refused credentials stop only what
is sent with them.

Closed is the absence of an item: healthy traffic reads once in five seconds per process and writes nothing. Failures
are counted in the process; the one that reaches the threshold writes the item for everybody. When the circuit has been
open long enough, one conditional write elects a probe; the probe's success deletes the item.

This is not the circuit breaker of Powertools, which is alike: its clock cannot be given, it opens by
count only (refused credentials must open at once), a probe that ends without a verdict keeps its half-open state until
the lease ends, and it does not report when to come back.
"""

from __future__ import annotations

import random as random_module
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from loyalty_relay.model.errors import (
    CircuitOpen,
    ConnectionFailed,
    CredentialsBlocked,
    CredentialsRefused,
    PermanentError,
    RelayError,
    StoreUnavailable,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from loyalty_relay.storage import keys
from loyalty_relay.storage.table import Contended, Item, Refused, Table

THRESHOLD = 5
"""Failures in a row, in one process, that open the circuit."""
CACHED_SECONDS = 5.0
FIRST_OPEN = 10.0
LONGEST_OPEN = 60.0
"""The circuit stays open for FIRST_OPEN seconds, then twice as long after each failed probe, up to this."""
CREDENTIALS_OPEN = 60.0
PROBE_SECONDS = 10.0
"""A probe without a verdict for so long is replaced."""
LONGEST_WAIT = 900.0
KEPT_SECONDS = 7 * 86_400
MOST_CACHED = 1000

OUTAGES = (ConnectionFailed, UpstreamTimeout, UpstreamUnavailable)


@dataclass(frozen=True, slots=True)
class CircuitState:
    """An open circuit. Times are epoch seconds."""

    opened_at: float
    open_until: float
    """When a probe may be sent."""
    reason: str
    openings: int
    """1, and one more for each probe that failed."""
    probe_until: float = 0.0


@dataclass(slots=True)
class CircuitCall:
    """One use of a destination."""

    succeeded: bool = False
    """Set by the block when the destination has responded. A block that ends without it used nothing."""


class Circuit:
    """The circuits of all accounts and credentials. Safe for threads. A failure of the table never stops traffic."""

    def __init__(
        self,
        dynamodb: Any,
        table: str,
        *,
        clock: Callable[[], float],
        random: Callable[[], float] = random_module.random,
        new_token: Callable[[], str] = lambda: uuid4().hex,
    ) -> None:
        self._table = Table(dynamodb, table)
        self._clock = clock
        self._random = random
        self._new_token = new_token
        self._lock = threading.Lock()
        self._failures: dict[str, int] = {}
        self._cache: dict[str, tuple[float, CircuitState | None]] = {}

    @contextmanager
    def call(self, destination: str, *, credentials: bool = False) -> Iterator[CircuitCall]:
        """Run the block if the circuit is closed, or as the probe, and record how it ended.

        ``destination``: an account, whose circuit is opened by outages; or, with ``credentials``, credentials, whose
        circuit is opened by their refusal.

        A block that sets ``succeeded``, or raises a rejection of the vendor's, closes the circuit as the probe. An
        outage counts, and opens an account's circuit as the fifth in a row or as the probe; a refusal opens the
        credentials' at once. Whatever else ends the block (our rate limit, a lease, our tables, a bug) is no verdict,
        and leaves the probe to the next call.

        Raises CircuitOpen, or CredentialsBlocked, with the seconds to wait. The wait grows with the age of the outage,
        up to a quarter of an hour, and is spread: a message that waits for a day is received a few hundred times at
        most, and there is soon a call that can be the probe.
        """
        call = CircuitCall()
        opened_by, blocked = ((CredentialsRefused,), CredentialsBlocked) if credentials else (OUTAGES, CircuitOpen)
        probe = self._admit(destination, blocked)
        try:
            yield call
        except PermanentError as error:
            if error.code is not None or error.request_id is not None:
                self._succeeded(destination, probe)
            else:
                self._free(destination, probe)
            raise
        except opened_by as error:
            self._failed(destination, probe, error)
            raise
        except Exception:
            self._free(destination, probe)
            raise
        if call.succeeded:
            self._succeeded(destination, probe)
        else:
            self._free(destination, probe)

    def _admit(self, destination: str, blocked: type[CircuitOpen]) -> str | None:
        """Return the token of the probe, None while the circuit is closed. Raise ``blocked`` while it is open."""
        state = self._read(destination)
        if state is None:
            return None
        now = self._clock()
        if now < state.open_until:
            raise blocked(retry_after=self._wait(state, now))
        token = self._new_token()
        try:
            self._table.update(
                {"pk": keys.circuit(destination)},
                "SET probe = :token, probe_until = :until",
                condition=(
                    "attribute_exists(pk) AND open_until <= :now"
                    " AND (attribute_not_exists(probe_until) OR probe_until <= :now)"
                ),
                values={":token": token, ":until": now + PROBE_SECONDS, ":now": now},
            )
        except Refused as refused:
            found = state_of(refused.item)
            self._remember(destination, found)
            if found is None:
                return None
            # A probe is usually decided within a second or two.
            left = found.probe_until - now if found.probe_until > now else found.open_until - now
            raise blocked(retry_after=max(left, 1.0)) from None
        except (Contended, StoreUnavailable):
            return None
        return token

    def _succeeded(self, destination: str, probe: str | None) -> None:
        with self._lock:
            self._failures.pop(destination, None)
        if probe is None:
            return
        try:
            self._table.delete({"pk": keys.circuit(destination)}, condition="probe = :token", values={":token": probe})
        except (Refused, Contended, StoreUnavailable):
            return
        self._remember(destination, None)

    def _failed(self, destination: str, probe: str | None, error: RelayError) -> None:
        with self._lock:
            self._failures[destination] = failures = self._failures.get(destination, 0) + 1
        if isinstance(error, CredentialsRefused) or failures >= THRESHOLD or probe is not None:
            self._open(destination, error)

    def states(self, destinations: Iterable[str]) -> dict[str, CircuitState]:
        """Return the open circuits among these destinations, as they are now. Raises StoreUnavailable."""
        found = ((d, state_of(self._table.get({"pk": keys.circuit(d)}))) for d in dict.fromkeys(destinations))
        return {destination: state for destination, state in found if state is not None}

    def close(self, destinations: Iterable[str]) -> None:
        """Close the circuits of destinations that were seen to work; each process sees it within five seconds.

        Raises StoreUnavailable.
        """
        for destination in destinations:
            self._table.delete({"pk": keys.circuit(destination)})
            self._remember(destination, None)

    def _open(self, destination: str, error: RelayError) -> None:
        now = self._clock()
        with self._lock:
            self._failures.pop(destination, None)
            known = self._cache.get(destination, (0.0, None))[1]
        openings = known.openings + 1 if known else 1
        refused = isinstance(error, CredentialsRefused)
        lasts = CREDENTIALS_OPEN if refused else min(FIRST_OPEN * 2.0 ** min(openings - 1, 10), LONGEST_OPEN)
        asked = getattr(error, "retry_after", None)
        if asked is not None:
            lasts = min(max(lasts, asked), LONGEST_WAIT)
        state = CircuitState(known.opened_at if known else now, now + lasts, error.reason, openings)
        try:
            self._table.update(
                {"pk": keys.circuit(destination)},
                "SET opened_at = if_not_exists(opened_at, :now), open_until = :until, reason = :reason,"
                " openings = :openings, expires_at = :expires REMOVE probe, probe_until",
                # Further requests that were under way in the same outage are no failed probes.
                condition="attribute_not_exists(open_until) OR open_until <= :now",
                values={
                    ":now": now,
                    ":until": state.open_until,
                    ":reason": error.reason,
                    ":openings": openings,
                    ":expires": int(now) + KEPT_SECONDS,
                },
            )
        except Refused as found:
            self._remember(destination, state_of(found.item))
        except (Contended, StoreUnavailable):
            return
        else:
            self._remember(destination, state)

    def _free(self, destination: str, probe: str | None) -> None:
        if probe is None:
            return
        with suppress(Refused, Contended, StoreUnavailable):
            self._table.update(
                {"pk": keys.circuit(destination)},
                "REMOVE probe, probe_until",
                condition="probe = :token",
                values={":token": probe},
            )

    def _read(self, destination: str) -> CircuitState | None:
        with self._lock:
            cached = self._cache.get(destination)
        if cached is not None and self._clock() - cached[0] < CACHED_SECONDS:
            return cached[1]
        try:
            state = state_of(self._table.get({"pk": keys.circuit(destination)}))
        except StoreUnavailable:
            return None
        self._remember(destination, state)
        return state

    def _remember(self, destination: str, state: CircuitState | None) -> None:
        with self._lock:
            if len(self._cache) >= MOST_CACHED:
                self._cache.clear()
            self._cache[destination] = (self._clock(), state)

    def _wait(self, state: CircuitState, now: float) -> float:
        longest = max(state.open_until - now, min((now - state.opened_at) / 4, LONGEST_WAIT))
        return max(state.open_until - now, longest * (0.5 + self._random() / 2))


def state_of(item: Item | None) -> CircuitState | None:
    """Return the circuit of an item of the table, None when it is closed."""
    if item is None or "open_until" not in item:
        return None
    return CircuitState(
        opened_at=float(item["opened_at"]),
        open_until=float(item["open_until"]),
        reason=str(item.get("reason", "")),
        openings=int(item.get("openings", 1)),
        probe_until=float(item.get("probe_until", 0.0)),
    )
