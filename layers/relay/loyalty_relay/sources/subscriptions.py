"""Webhook subscriptions: which there are at a platform, which a connection lacks, and what to change. Pure.

A platform's module ``subscriptions`` has ``SUBSCRIPTIONS``, a ``Subscribing``: which topics serve which purpose, the
requests, and what their responses show. A platform without an API for them has no such module; what a person does there
is ``SourceModule.by_hand``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar, cast
from urllib.parse import urlsplit

from loyalty_relay.connections.model import Source
from loyalty_relay.model.errors import UpstreamUnavailable, VendorRejected
from loyalty_relay.sources.base import Fetch
from loyalty_relay.sources.platforms import platforms

MAX_PAGES = 40
"""Of one store's list; more are no longer a list of webhooks."""

CUSTOMERS = "customers"
"""Purpose of topics that every connection needs."""
STORES = "stores"
"""Purpose of topics that link stores."""
SALES = "sales"
"""Purpose of topics of orders, payments and refunds."""
MAPPED = "mapped"
"""Purpose of topics of which only a mapping makes something."""
PROVEN = "proven"
"""Purpose of topics that count only under a secret that is for them."""
TAGS = "tags.any"
"""Purpose of topics that report tags. Any other purpose is a field: the topic serves where the destination takes it."""
BY_EMAIL = "subscriptions.email.bulk"
BY_SMS = "subscriptions.sms.bulk"
BY_WHATSAPP = "subscriptions.whatsapp.bulk"


class Condition(StrEnum):
    """How a topic that a connection needs is subscribed; or, ``SUPERFLUOUS``, a subscription that it does not need."""

    PRESENT = "present"
    MISSING = "missing"
    DISABLED = "disabled"
    INCOMPLETE = "incomplete"
    """It leaves out fields that are read."""
    OTHER_KEY = "other_key"
    """It signs with a key that is none of the connection's secrets."""
    ELSEWHERE = "elsewhere"
    """It delivers to this connection at another address, such as a stack's former one."""
    SUPERFLUOUS = "superfluous"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscription as the platform lists it. ``url`` is empty where the platform does not show it."""

    store: str
    id: str
    topics: tuple[str, ...]
    url: str
    active: bool = True
    lacks: tuple[str, ...] = ()
    """Fields that are read and that it leaves out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionPage:
    """One page of a store's subscriptions; ``cursor`` is empty after the last."""

    subscriptions: tuple[Subscription, ...]
    cursor: str = ""
    granted: frozenset[str] | None = None
    """The scopes that the credentials have, where the platform reports them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionChange:
    """A subscription as it is to be: active, with these topics and this URL. Without topics: removed.

    ``subscription``: the one that is changed; None for a new one. ``secret``: signs its deliveries, where the platform
    takes one.
    """

    store: str
    topics: tuple[str, ...]
    url: str
    subscription: Subscription | None = None
    secret: str = field(default="", repr=False)

    @property
    def action(self) -> str:
        """What the change is, in one word."""
        if self.subscription is None:
            return "create"
        return "update" if self.topics else "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """One topic of one store."""

    store: str
    topic: str
    condition: Condition
    url: str
    """Where it delivers to, or should."""
    subscription: Subscription | None = None


class Subscribing(ABC):
    """A platform whose subscriptions can be listed and changed by its API."""

    purposes: ClassVar[Mapping[str, str]]
    """Topic -> what it serves."""
    scopes: ClassVar[Mapping[str, str]]
    """Purpose -> what the API credentials have to be allowed, in the platform's own words; "" for all of them."""
    credentials: ClassVar[tuple[str, ...]] = ("access_token",)
    """Names of the ``api_credentials`` that the platform needs."""
    takes_secret: ClassVar[bool] = False
    """Whether a subscription is given the secret that signs its deliveries."""
    together: ClassVar[bool] = False
    """Whether one subscription has all topics."""
    issues_keys: ClassVar[bool] = False
    """Whether the platform makes a key for each subscription, under which it signs."""
    removable: ClassVar[bool] = True
    """False where a subscription also serves others than this connection."""

    def shops(self, source: Source) -> tuple[str, ...]:
        """Return the stores that have subscriptions of their own; one empty text where there is one list for all."""
        return source.stores

    def needed_scopes(self, topics: Iterable[str]) -> tuple[str, ...]:
        """Return what the credentials have to be allowed for these topics, each once."""
        purposes = ["", *(self.purposes[topic] for topic in topics)]
        return tuple(dict.fromkeys(scope for p in purposes if (scope := self.scopes.get(p, ""))))

    def address(self, url: str, topic: str) -> str:
        """Return where a topic is delivered to. ``url``: the connection's webhook URL."""
        return url

    @abstractmethod
    def listing(self, store: str, cursor: str, source: Source) -> Fetch:
        """Return the request for a page. Raises CredentialsRefused when the connection has no credentials."""

    @abstractmethod
    def page(self, store: str, cursor: str, status: int, headers: Mapping[str, str], body: Any) -> SubscriptionPage:
        """Return what a response to ``listing`` shows. Raises Throttled, UpstreamUnavailable, VendorRejected."""

    @abstractmethod
    def request(self, change: SubscriptionChange, source: Source) -> Fetch:
        """Return the request that makes a change."""

    @abstractmethod
    def done(self, change: SubscriptionChange, status: int, body: Any) -> None:
        """Return where a change was made, or was made before. Raises Throttled, UpstreamUnavailable, VendorRejected."""

    def key_request(self, subscription: Subscription, source: Source) -> Fetch:
        """Return the request that reads a subscription's key, where the platform issues them."""
        raise NotImplementedError

    def key(self, status: int, body: Any) -> str:
        """Return the key in a response to ``key_request``."""
        raise NotImplementedError


def subscribing(platform: str) -> Subscribing | None:
    """Return a platform's ``SUBSCRIPTIONS``; None where it has no API for them."""
    package = f"{__package__}.{platform}"
    if platform not in platforms() or find_spec(package) is None or not _is_package(package):
        return None
    if find_spec(f"{package}.subscriptions") is None:
        return None
    return cast("Subscribing", import_module(f"{package}.subscriptions").SUBSCRIPTIONS)


def _is_package(name: str) -> bool:
    found = find_spec(name)
    return found is not None and found.submodule_search_locations is not None


def accepted(status: int, *, already: Iterable[int] = ()) -> None:
    """Return for a success, and for what is as wanted already. Raises VendorRejected for every other status.

    The body is not looked at: it may repeat what was sent.
    """
    if status >= 400 and status not in already:
        raise VendorRejected("the platform refuses the subscription", code=str(status))


def items(status: int, found: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list. Raises VendorRejected for an error, UpstreamUnavailable for no list."""
    if status >= 400:
        raise VendorRejected("the platform does not list its subscriptions", code=str(status))
    if not isinstance(found, list):
        raise UpstreamUnavailable("the platform's list of subscriptions is not of the documented shape")
    return [item for item in found if isinstance(item, dict)]


def same_url(one: str, other: str) -> bool:
    """Return whether two URLs are one address: letter case of the host and a slash at the end do not count."""
    return _address(one) == _address(other)


def _address(url: str) -> tuple[str, ...]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ("", url)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    host = parts.hostname or ""
    return (parts.scheme, host, "" if port in (None, default) else str(port), parts.path.rstrip("/"), parts.query)


def moved(found: str, wanted: str) -> bool:
    """Return whether a URL is of the same connection at another address: its path ends alike, from /webhooks on."""
    tail = _tail(wanted)
    return bool(tail) and not same_url(found, wanted) and _tail(found) == tail


def _tail(url: str) -> str:
    path = _address(url)[3] if len(_address(url)) > 2 else ""
    return path[path.rfind("/webhooks/") :] if "/webhooks/" in path else ""


def compare(
    wanted: Sequence[tuple[str, str]], found: Sequence[Subscription], url: str, platform: Subscribing
) -> list[Reviewed]:
    """Return the condition of each (store, topic) that is wanted, then what at this URL is superfluous.

    A subscription counts for every topic that its own topics name, as patterns. Those of others are left out.
    """
    rows: list[Reviewed] = []
    used: set[tuple[str, str, str]] = set()
    for store, topic in wanted:
        address = platform.address(url, topic)
        best = _best([s for s in found if s.store == store and _covers(s, topic)], address)
        if best is None:
            rows.append(Reviewed(store=store, topic=topic, condition=Condition.MISSING, url=address))
            continue
        condition, chosen = best
        if condition is not Condition.ELSEWHERE:
            used.add((store, chosen.id, topic))
        shown = chosen.url or address
        rows.append(Reviewed(store=store, topic=topic, condition=condition, url=shown, subscription=chosen))
    return rows + _superfluous(found, url, platform, used)


def _best(candidates: Iterable[Subscription], address: str) -> tuple[Condition, Subscription] | None:
    """Return the best of the subscriptions to a topic: where several deliver here, the first active one."""
    ranked: list[tuple[int, Condition, Subscription]] = []
    for candidate in candidates:
        if not candidate.url or same_url(candidate.url, address):
            if not candidate.active:
                ranked.append((2, Condition.DISABLED, candidate))
            elif candidate.lacks:
                ranked.append((1, Condition.INCOMPLETE, candidate))
            else:
                ranked.append((0, Condition.PRESENT, candidate))
        elif moved(candidate.url, address):
            ranked.append((3, Condition.ELSEWHERE, candidate))
    chosen = min(ranked, key=lambda entry: entry[0], default=None)
    return chosen and chosen[1:]


def _covers(subscription: Subscription, topic: str) -> bool:
    return any(fnmatchcase(topic, pattern) for pattern in subscription.topics)


def _superfluous(
    found: Iterable[Subscription], url: str, platform: Subscribing, used: set[tuple[str, str, str]]
) -> list[Reviewed]:
    rows = []
    for one in found:
        here = [t for t in one.topics if same_url(one.url, platform.address(url, t)) or same_url(one.url, url)]
        serves = [topic for store, number, topic in used if (store, number) == (one.store, one.id)]
        if not here or (serves and not platform.together):
            continue
        rows += [
            Reviewed(store=one.store, topic=t, condition=Condition.SUPERFLUOUS, url=one.url, subscription=one)
            for t in here
            if t not in serves
        ]
    return rows


def planned(
    rows: Sequence[Reviewed],
    conditions: frozenset[Condition],
    url: str,
    platform: Subscribing,
    secret: Callable[[str], str],
) -> list[SubscriptionChange]:
    """Return the changes that bring the rows of these conditions to what they should be, each subscription once.

    ``secret``: the webhook secret of a topic. Superfluous ones are removed.
    """
    chosen = [row for row in rows if row.condition in conditions]
    if platform.together:
        return _together(rows, chosen, url)
    changes: dict[tuple[str, str], SubscriptionChange] = {}
    for row in chosen:
        one = row.subscription
        topics = one.topics if one else (row.topic,)
        change = SubscriptionChange(
            store=row.store,
            topics=() if row.condition is Condition.SUPERFLUOUS else topics,
            url=platform.address(url, row.topic),
            subscription=one,
            secret=secret(row.topic),
        )
        changes.setdefault((row.store, one.id if one else row.topic), change)
    return list(changes.values())


def _together(rows: Sequence[Reviewed], chosen: Sequence[Reviewed], url: str) -> list[SubscriptionChange]:
    """Return one change for each subscription that has all topics; what is missing goes to the one that is here."""
    here = next(
        (r.subscription for r in rows if r.subscription and r.condition is not Condition.ELSEWHERE),
        next((r.subscription for r in chosen if r.subscription), None),
    )
    groups: dict[str, tuple[Subscription | None, list[str]]] = {}
    for row in chosen:
        if row.condition is Condition.OTHER_KEY:
            continue
        one = row.subscription or here
        _, topics = groups.setdefault(one.id if one else "", (one, list(one.topics if one else ())))
        if row.condition is Condition.SUPERFLUOUS:
            topics.remove(row.topic)
        elif row.topic not in topics:
            topics.append(row.topic)
    return [
        SubscriptionChange(store=rows[0].store, topics=tuple(topics), url=url, subscription=one)
        for one, topics in groups.values()
    ]
