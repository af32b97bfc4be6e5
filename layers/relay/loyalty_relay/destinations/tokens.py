"""Vendors' access tokens, shared by all executions and renewed by one at a time.

Where a vendor's refresh token is valid for one use (Kangaroo API blueprint: OAuth), two executions that refresh at the
same time lock each other out, and a pair that is used but not stored is lost with the process. Hence this order:

    cached and fresh ──► use it
    in the secret and fresh (somebody else renewed it) ──► use it
    take the lease ──► look again ──► obtain ──► write the secret ──► use it ──► give up the lease

An execution that does not get the lease waits a moment, looks again, then raises LeaseBusy. A process that dies after
``obtain`` and before the write leaves the lease to run out; ``obtain`` of the next one decides what to do then.

Secrets Manager keeps every version for a day and refuses more than a hundred young ones, so this store is for tokens
that live for a quarter of an hour or longer (AWS docs: Secrets Manager quotas).
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import LeaseBusy, RelayError, StoreUnavailable
from loyalty_relay.storage import keys
from loyalty_relay.storage.aws import error_code, failures
from loyalty_relay.storage.digests import Digests
from loyalty_relay.storage.lease import Lease, LeaseLost, Leases
from loyalty_relay.storage.table import Refused, Table
from loyalty_relay.telemetry import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

LEASE_SECONDS = 40.0
"""How long a renewal excludes the others; longer than the longest renewal."""

RENEWAL_SECONDS = 30.0
"""The most that one renewal may take, so that it ends inside its lease."""

WAIT_SECONDS = 2.0
"""How long to wait for another execution's renewal before raising LeaseBusy."""

PREDECESSORS = "holder = :token, held_until = :until"
"""Written with the lease: executions of earlier versions honour only these, and a deployment or a way back runs both.
An earlier version's ``held_until`` is honoured, too.
"""

EARLY_SECONDS = 120.0
EARLY_SHARE = 0.1
"""A token is renewed this long, or this share of its life, before it ends, whichever is less."""


@dataclass(frozen=True, slots=True)
class TokenSet:
    """An access and a refresh token. Times are epoch seconds; ``expires_at`` is None where the end is unknown."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    obtained_at: float = 0.0
    expires_at: float | None = None

    def fresh(self, now: float) -> bool:
        """Return whether it is valid for a request now, and for some time after."""
        if self.expires_at is None:
            return True
        life = max(self.expires_at - self.obtained_at, 0.0)
        return now < self.expires_at - min(EARLY_SECONDS, life * EARLY_SHARE)

    def alive(self, now: float) -> bool:
        """Return whether it has not ended yet."""
        return self.expires_at is None or now < self.expires_at

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> TokenSet | None:
        """Return the tokens of a secret; None when the text is not a token set, so that new ones are obtained."""
        try:
            data = json.loads(text)
            access, refresh = data["access_token"], data.get("refresh_token")
            expires = data.get("expires_at")
            if not isinstance(access, str) or not (refresh is None or isinstance(refresh, str)):
                return None
            return cls(
                access, refresh, float(data.get("obtained_at") or 0), None if expires is None else float(expires)
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


Obtain = Callable[[TokenSet | None, Deadline], TokenSet]
"""Obtains tokens from the vendor, given the present ones."""


class Tokens(Protocol):
    """The source of a client's access tokens."""

    def get(self, key: str, obtain: Obtain, deadline: Deadline, *, rejected: str | None = None) -> tuple[str, bool]:
        """Return an access token, and whether this very call obtained it.

        ``key``: whose token. ``rejected``: an access token that the vendor refuses and that is not returned again.
        Raises LeaseBusy while another execution renews it, StoreUnavailable, and what ``obtain`` raises.
        """
        ...

    def put(self, key: str, tokens: TokenSet) -> None:
        """Store tokens that were obtained elsewhere. Raises StoreUnavailable."""
        ...


class TokenStore:
    """Tokens in one secret per key, with a lease in the state table. Safe to use from several threads.

    ``secrets`` and ``dynamodb`` are botocore clients. ``new_token``: a fresh unguessable text per call. ``random``
    returns numbers in [0, 1).
    """

    def __init__(
        self,
        secrets: Any,
        dynamodb: Any,
        *,
        table: str,
        prefix: str,
        digests: Digests,
        new_token: Callable[[], str],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        random: Callable[[], float],
    ) -> None:
        self._secrets = secrets
        self._leases = Leases(Table(dynamodb, table), clock=clock, seconds=LEASE_SECONDS)
        self._prefix = prefix
        self._digests = digests
        self._new_token = new_token
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._known: dict[str, TokenSet] = {}
        self._unsaved: dict[str, TokenSet] = {}
        self._kept: dict[str, Lease] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def name(self, key: str) -> str:
        """Return the secret's name, a digest of the key: keys contain user names."""
        return f"{self._prefix}/tokens/{self._digest(key)}"

    def get(self, key: str, obtain: Obtain, deadline: Deadline, *, rejected: str | None = None) -> tuple[str, bool]:
        """See ``Tokens.get``."""
        if known := self._usable(self._known.get(key), rejected):
            return known.access_token, False
        with self._alone(key, deadline):
            return self._renewed(key, obtain, deadline, rejected)

    def put(self, key: str, tokens: TokenSet) -> None:
        """See ``Tokens.put``."""
        self._write(self.name(key), tokens)
        self._unsaved.pop(key, None)
        self._known[key] = tokens

    def read(self, key: str) -> TokenSet | None:
        """Return the tokens in the secret; None when there is no secret. Raises StoreUnavailable."""
        try:
            found = self._secrets.get_secret_value(SecretId=self.name(key))
        except failures() as error:
            if error_code(error) == "ResourceNotFoundException":
                return None
            raise StoreUnavailable(f"the tokens cannot be read ({error_code(error)})") from None
        return TokenSet.from_json(found.get("SecretString") or "")

    # -- one at a time --------------------------------------------------------------------------------------------

    @contextmanager
    def _alone(self, key: str, deadline: Deadline) -> Iterator[None]:
        """Run the block in one thread of this process at a time; the others find its result in the cache."""
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        if not lock.acquire(timeout=max(0.0, min(RENEWAL_SECONDS, deadline.remaining()))):
            raise LeaseBusy("the access token is being renewed", retry_after=1.0)
        try:
            yield
        finally:
            lock.release()

    def _renewed(self, key: str, obtain: Obtain, deadline: Deadline, rejected: str | None) -> tuple[str, bool]:
        waited, pause = 0.0, 0.1
        while True:
            if found := self._shared(key, rejected):
                return found.access_token, False
            if lease := self._take(key):
                return self._renew(key, lease, obtain, deadline, rejected)
            left = min(WAIT_SECONDS - waited, deadline.remaining())
            if left <= 0:
                return self._better_than_nothing(key, rejected), False
            nap = min(pause * (1 + self._random()), left)
            self._sleep(nap)
            waited, pause = waited + nap, pause * 2

    def _renew(
        self, key: str, lease: Lease, obtain: Obtain, deadline: Deadline, rejected: str | None
    ) -> tuple[str, bool]:
        """Renew under the lease, which this process keeps when tokens were obtained that could not be written."""
        try:
            # Another execution may have renewed it between our look and our lease.
            stored = self.read(key)
            unsaved = self._unsaved.get(key)
            if unsaved is None and (found := self._usable(stored, rejected)):
                self._known[key] = found
                return found.access_token, False
            renewed = self._usable(unsaved, rejected)
            if renewed is None:
                within = Deadline(deadline.clock() + min(deadline.remaining(), RENEWAL_SECONDS), deadline.clock)
                try:
                    renewed = obtain(unsaved or stored, within)
                except RelayError as error:
                    metrics.count("TokenRefreshFailed", reason=error.reason)
                    raise
            self._unsaved[key] = renewed
            self._kept[key] = lease
            self._write(self.name(key), renewed)
            del self._unsaved[key], self._kept[key]
            self._known[key] = renewed
            return renewed.access_token, True
        finally:
            if key not in self._kept:
                self._leases.discard(lease)

    def _shared(self, key: str, rejected: str | None) -> TokenSet | None:
        """Return what another thread or execution has obtained meanwhile, None when nothing."""
        if known := self._usable(self._known.get(key), rejected):
            return known
        stored = None if key in self._unsaved else self._usable(self.read(key), rejected)
        if stored:
            self._known[key] = stored
        return stored

    def _usable(self, tokens: TokenSet | None, rejected: str | None) -> TokenSet | None:
        return tokens if tokens and tokens.access_token != rejected and tokens.fresh(self._clock()) else None

    def _better_than_nothing(self, key: str, rejected: str | None) -> str:
        """Return a token that is due for renewal but still alive, while another execution takes long to renew it."""
        known = self._known.get(key)
        if known is not None and known.access_token != rejected and known.alive(self._clock()):
            return known.access_token
        raise LeaseBusy("another execution is renewing the access token", retry_after=1.0)

    # -- the stores -----------------------------------------------------------------------------------------------

    def _digest(self, key: str) -> str:
        # Hexadecimal, because a secret's name must not end in a hyphen and six characters (AWS docs: CreateSecret).
        return hashlib.sha256(self._digests.identity("", "destination", key).encode()).hexdigest()[:32]

    def _take(self, key: str) -> Lease | None:
        """Take the lease, or extend the one that this process kept; return None while another execution has it."""
        kept = self._kept.pop(key, None)
        if kept is not None:
            with suppress(LeaseLost):
                return self._leases.extend(kept, sets=PREDECESSORS)
        values = {":expires": int(self._clock() + 86_400)}
        try:
            return self._leases.take(
                keys.token_lease(self._digest(key)),
                self._new_token(),
                sets=f"{PREDECESSORS}, expires_at = :expires",
                condition="(attribute_not_exists(held_until) OR held_until <= :now)",
                values=values,
            )
        except (Refused, LeaseBusy):
            return None

    def _write(self, name: str, tokens: TokenSet) -> None:
        """Write the secret, three tries: a refresh token that is not written is lost."""
        text = tokens.to_json()
        why = ""
        for attempt in range(3):
            if attempt:
                self._sleep(0.1 * 2**attempt * (1 + self._random()))
            try:
                self._write_once(name, text)
            except failures() as error:
                why = error_code(error)
            else:
                return
        raise StoreUnavailable(f"the tokens cannot be written ({why})")

    def _write_once(self, name: str, text: str) -> None:
        try:
            self._secrets.put_secret_value(SecretId=name, SecretString=text)
        except failures() as error:
            if error_code(error) != "ResourceNotFoundException":
                raise
            self._secrets.create_secret(Name=name, SecretString=text, Description="Access tokens of a destination")
