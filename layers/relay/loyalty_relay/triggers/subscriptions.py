"""A connection's webhook subscriptions: look at them, and change them.

Requests go where reading goes, within its limits. What was found is compared afresh after each change, so that
repeating one that failed half-way, or whose answer was lost, does only what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from loyalty_relay.model.errors import InvalidCommand, RateLimited, RelayError, UpstreamUnavailable, VendorRejected
from loyalty_relay.sources import source_module
from loyalty_relay.sources.base import Throttled
from loyalty_relay.sources.subscriptions import (
    MAX_PAGES,
    Condition,
    Reviewed,
    Subscribing,
    Subscription,
    SubscriptionChange,
    SubscriptionPage,
    compare,
    planned,
    subscribing,
)
from loyalty_relay.translation.topics import needed_topics
from loyalty_relay.triggers.platform_reads import PlatformAnswer, manage_platform

if TYPE_CHECKING:
    from loyalty_relay.connections.model import Connection
    from loyalty_relay.model.deadline import Deadline
    from loyalty_relay.runtime.wiring import Services
    from loyalty_relay.sources.base import Fetch

T = TypeVar("T")

CREATED = frozenset({Condition.MISSING})
REVIVED = frozenset({Condition.DISABLED, Condition.INCOMPLETE, Condition.ELSEWHERE})
BY_ITSELF = frozenset({Condition.MISSING, Condition.DISABLED, Condition.INCOMPLETE})
"""What is mended without a person. A subscription that delivers elsewhere may be that of another stack."""
BAD = frozenset(Condition) - {Condition.PRESENT, Condition.SUPERFLUOUS}
MAX_SUMMARY = 1000
"""Characters."""
WAIT_SECONDS = 30.0
"""Longest wait for a platform's limit within one command."""
MOST_WAITS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """How a connection is subscribed. ``rows``: one for each topic that it needs, then what it does not need."""

    connection: str
    platform: str
    url: str
    """The connection's webhook URL."""
    managed: bool = True
    """Whether the platform has an API for subscriptions, and the connection leaves them to it."""
    rows: tuple[Reviewed, ...] = ()
    scopes: tuple[str, ...] = ()
    """What the API credentials have to be allowed."""
    lacking: tuple[str, ...] = ()
    """Those of ``scopes`` that they are known not to have."""
    problems: tuple[str, ...] = ()
    """Why some stores could not be looked at."""
    by_hand: tuple[str, ...] = ()
    """What only a person can do at the platform."""
    revived: int = 0
    """Subscriptions that were created or activated beforehand."""
    keys: tuple[str, ...] = field(default=(), repr=False)
    """Keys under which the platform signs, and that the connection does not have."""

    @property
    def bad(self) -> tuple[Reviewed, ...]:
        """The topics of which deliveries do not come, or are refused."""
        return tuple(row for row in self.rows if row.condition in BAD)

    @property
    def summary(self) -> str:
        """What is amiss, in a sentence; empty for nothing."""
        by_condition = {c: [row.topic for row in self.bad if row.condition is c] for c in Condition}
        found = [f"{condition.value}: {', '.join(topics)}" for condition, topics in by_condition.items() if topics]
        if self.lacking:
            found.append(f"the token lacks {', '.join(self.lacking)}")
        found += self.problems
        return "; ".join(found)[:MAX_SUMMARY]

    @property
    def good(self) -> bool:
        """Whether every topic that is needed is subscribed, as far as the platform shows it."""
        return not (self.bad or self.problems or self.lacking)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """A change that was attempted; ``problem`` is empty where it was made."""

    change: SubscriptionChange
    problem: str = ""


def review(connection: Connection, services: Services, deadline: Deadline, *, url: str) -> Review:
    """Compare the platform's subscriptions with those that the connection needs.

    ``url``: its webhook URL. Raises the errors of the platform where no store can be looked at.
    """
    source = connection.source
    platform = subscribing(source.platform)
    steps = tuple(step.format(url=url) for step in source_module(source.platform).by_hand)
    empty = Review(connection=connection.id, platform=source.platform, url=url, by_hand=steps)
    if platform is None or source.subscriptions == "unmanaged":
        return replace(empty, managed=False)
    topics = needed_topics(platform.purposes, connection)
    stores = platform.shops(source)
    found: list[Subscription] = []
    granted: frozenset[str] | None = None
    failed: dict[str, RelayError] = {}
    for store in stores:
        try:
            pages = list(_pages(platform, store, connection, services, deadline))
        except RelayError as error:
            failed[store] = error
            continue
        for page in pages:
            found += page.subscriptions
            granted = page.granted if granted is None else granted & (page.granted or granted)
    if failed and len(failed) == len(stores):
        raise next(iter(failed.values()))
    wanted = [(store, topic) for store in stores if store not in failed for topic in topics]
    rows = compare(wanted, found, url, platform)
    keys = _unknown_keys(rows, platform, connection, services, deadline) if platform.issues_keys else {}
    rows = [_keyed(row, keys) for row in rows]
    scopes = platform.needed_scopes(topics)
    return replace(
        empty,
        rows=tuple(rows),
        scopes=scopes,
        lacking=() if granted is None else tuple(scope for scope in scopes if scope not in granted),
        problems=tuple(f"{store}: {_why(error)}" for store, error in failed.items()),
        keys=tuple(keys.values()),
    )


def review_and_revive(connection: Connection, services: Services, deadline: Deadline, *, url: str) -> Review:
    """Compare, and where the connection allows it, create and activate what is missing or disabled; compare again.

    A subscription that signs with a key of its own is not created: its key has to become the connection's secret, which
    no function may write.
    """
    seen = review(connection, services, deadline, url=url)
    platform = subscribing(connection.source.platform)
    if platform is None or connection.source.subscriptions != "revive" or not seen.bad:
        return seen
    conditions = BY_ITSELF - {Condition.MISSING} if platform.issues_keys else BY_ITSELF
    changes = plan(seen, conditions, connection, services)
    if not changes:
        return seen
    failed = [
        f"{one.change.store}: {one.problem}" for one in attempt(changes, connection, services, deadline) if one.problem
    ]
    after = review(connection, services, deadline, url=url)
    return replace(after, revived=len(changes) - len(failed), problems=(*after.problems, *failed))


def plan(
    seen: Review, conditions: frozenset[Condition], connection: Connection, services: Services
) -> list[SubscriptionChange]:
    """Return the changes for the topics of these conditions. Nothing is sent."""
    now = services.clock()
    secrets = [secret for secret in connection.source.secrets if secret.live(now)]

    def secret(topic: str) -> str:
        """Return the secret that verifies a topic's deliveries: one for it alone, else one for all."""
        own = [known for known in secrets if known.signs(topic)]
        general = [known for known in secrets if not known.topics]
        return next((known.value for known in (*own, *general)), "")

    return planned(seen.rows, conditions, seen.url, _platform(connection), secret)


def removals(seen: Review, connection: Connection, *, superfluous: bool) -> list[SubscriptionChange]:
    """Return the changes that remove what delivers to this connection; ``superfluous``: only what it does not need.

    Raises InvalidCommand where the platform's subscriptions serve others, too.
    """
    platform = _platform(connection)
    if not platform.removable:
        raise InvalidCommand("the platform's subscriptions may serve others than this connection: remove them there")
    if superfluous:
        return planned(seen.rows, frozenset({Condition.SUPERFLUOUS}), seen.url, platform, lambda topic: "")
    here = [row.subscription for row in seen.rows if row.condition is not Condition.ELSEWHERE]
    each = {(one.store, one.id): one for one in here if one is not None}
    return [SubscriptionChange(store=one.store, topics=(), url=one.url, subscription=one) for one in each.values()]


def attempt(
    changes: Sequence[SubscriptionChange], connection: Connection, services: Services, deadline: Deadline
) -> list[Attempted]:
    """Make changes one after another. One that fails takes no other with it."""
    platform = _platform(connection)
    return [_attempted(change, platform, connection, services, deadline) for change in changes]


def _attempted(
    change: SubscriptionChange,
    platform: Subscribing,
    connection: Connection,
    services: Services,
    deadline: Deadline,
) -> Attempted:
    def done(answer: PlatformAnswer) -> None:
        platform.done(change, answer.status, answer.body)

    try:
        _sent(platform.request(change, connection.source), done, connection, services, deadline, effect=True)
    except RelayError as error:
        return Attempted(change=change, problem=_why(error))
    return Attempted(change=change)


def _platform(connection: Connection) -> Subscribing:
    platform = subscribing(connection.source.platform)
    if platform is None:
        raise InvalidCommand(f"{connection.source.platform} has no API for subscriptions")
    return platform


def _pages(
    platform: Subscribing, store: str, connection: Connection, services: Services, deadline: Deadline
) -> Iterator[SubscriptionPage]:
    """Yield the pages of one store. Raises UpstreamUnavailable for a list without end."""
    cursor = ""
    for _ in range(MAX_PAGES):
        wanted = platform.listing(store, cursor, connection.source)

        def read(answer: PlatformAnswer, at: str = cursor) -> SubscriptionPage:
            return platform.page(store, at, answer.status, answer.headers, answer.body)

        page = _sent(wanted, read, connection, services, deadline)
        yield page
        if not page.cursor:
            return
        cursor = page.cursor
    raise UpstreamUnavailable("the platform's list of subscriptions does not end")


def _unknown_keys(
    rows: Sequence[Reviewed], platform: Subscribing, connection: Connection, services: Services, deadline: Deadline
) -> dict[str, str]:
    """Return the keys of subscriptions that deliver here, by id, as far as they are no secret of the connection."""
    now = services.clock()
    known = {secret.value for secret in connection.source.secrets if secret.live(now)}
    here = {row.subscription.id: row.subscription for row in rows if row.subscription and row.condition not in BAD}
    keys = {}
    for one in here.values():
        wanted = platform.key_request(one, connection.source)
        key = _sent(wanted, lambda answer: platform.key(answer.status, answer.body), connection, services, deadline)
        if key not in known:
            keys[one.id] = key
    return keys


def _keyed(row: Reviewed, keys: Mapping[str, str]) -> Reviewed:
    other = row.condition is Condition.PRESENT and row.subscription is not None and row.subscription.id in keys
    return replace(row, condition=Condition.OTHER_KEY) if other else row


def _sent(
    wanted: Fetch,
    read: Callable[[PlatformAnswer], T],
    connection: Connection,
    services: Services,
    deadline: Deadline,
    *,
    effect: bool = False,
) -> T:
    """Return what a response shows, after waiting for the platform's limit as long as a person would."""
    waits = 0
    while True:
        try:
            answer = manage_platform(wanted, connection, services, deadline, effect=effect)
            if answer.status in (401, 403):
                raise VendorRejected("the platform refuses the api_credentials for this", code=str(answer.status))
            return read(answer)
        except (RateLimited, Throttled) as limited:
            seconds = (limited.seconds if isinstance(limited, Throttled) else limited.retry_after) or 1.0
            waits += 1
            if waits > MOST_WAITS or seconds > WAIT_SECONDS or deadline.remaining() < seconds + WAIT_SECONDS:
                raise RateLimited("the platform's limit is used up", retry_after=seconds) from None
        services.sleep(seconds)


def _why(error: RelayError) -> str:
    return f"{error} ({error.code})" if error.code else str(error)
