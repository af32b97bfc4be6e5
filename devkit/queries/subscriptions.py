"""The webhook subscriptions of a connection at its platform: against what it needs, and the changes of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from devkit.stacks.connection_store import rotated, store_of
from devkit.stacks.errors import CommandError
from devkit.stacks.services import services_of, unlogged
from devkit.stacks.stack import Stack
from loyalty_relay.connections.model import Connection
from loyalty_relay.model.deadline import Deadline
from loyalty_relay.model.errors import CredentialsRefused, RelayError, VendorRejected
from loyalty_relay.sources.subscriptions import Condition, SubscriptionChange, subscribing
from loyalty_relay.translation.topics import needed_topics
from loyalty_relay.triggers.subscriptions import Attempted, Review, review, review_and_revive

SECONDS = 600.0
"""For all requests of one command to the platform."""
OVERLAP_HOURS = 48.0
"""How long the secrets before a subscription's key stay good."""

TO_DO = {
    Condition.MISSING: "relay subscriptions create {id}",
    Condition.DISABLED: "relay subscriptions revive {id}",
    Condition.INCOMPLETE: "relay subscriptions revive {id}",
    Condition.ELSEWHERE: "relay subscriptions revive {id} moves it here; it may be another stack's",
    Condition.OTHER_KEY: "relay subscriptions create {id} takes its key into the connection",
}
"""What mends a topic's condition."""


def look(stack: Stack, connection: Connection, base: str | None = None) -> Review:
    """Return the connection's review. ``base``: the stack's public base URL, where it is not the stack's own."""
    services, url = services_of(stack), registered_url(stack, connection, base)
    try:
        with unlogged():
            return review(connection, services, deadline(), url=url)
    except (CredentialsRefused, VendorRejected) as error:
        platform = subscribing(connection.source.platform)
        needed = platform.needed_scopes(needed_topics(platform.purposes, connection)) if platform else ()
        raise CommandError(
            f"{error} ({error.code or error.reason})",
            where=f"{connection.id}: source.api_credentials",
            do=f"the least that they have to be allowed: {'; '.join(needed)}",
        ) from None


def needing_api(seen: Review) -> Review:
    """Return the review. Raises CommandError where nothing can be changed by an API."""
    if seen.managed:
        return seen
    unmanaged = subscribing(seen.platform) is not None
    raise CommandError(
        f"the subscriptions of connection {seen.connection} are unmanaged"
        if unmanaged
        else f"{seen.platform} has no API for webhook subscriptions",
        where=f"{seen.connection}: source.subscriptions" if unmanaged else seen.platform,
        do="set it to report or revive" if unmanaged else f"relay subscriptions list {seen.connection} has the steps",
    )


def with_keys(stack: Stack, connection: Connection, seen: Review) -> Review:
    """Store the keys under which the platform signs; return the review afterwards."""
    store = store_of(stack)
    data = store.raw(connection.id)
    for key in seen.keys:
        data = rotated(data, key, now=time.time(), overlap_hours=OVERLAP_HOURS)
    store.parse(connection.id, data)
    store.write(connection.id, data)
    with unlogged():
        return review(store.read(connection.id), services_of(stack), deadline(), url=seen.url)


def registered_url(stack: Stack, connection: Connection, base: str | None) -> str:
    """Return the webhook URL that the platform is given.

    Raises CommandError for one that it could not deliver to, or that is not the one which is signed.
    """
    own = connection.source.public_url
    if base is None:
        url = own or f"{stack.api_url}/webhooks/{quote(connection.id, safe='')}"
    else:
        url = f"{_base(base)}/webhooks/{quote(connection.id, safe='')}"
    if own and url != own:
        raise CommandError(
            "the URL is not the one that the connection states as registered",
            where=f"{connection.id}: source.public_url",
            do="leave --url out, or apply the connection with the new public_url",
        )
    parts = urlsplit(url)
    if parts.hostname in ("127.0.0.1", "localhost", "::1"):
        if not _at_sandbox(stack, connection):
            raise CommandError(
                "the platform cannot reach this machine", where=url, do="give the public base URL with --url"
            )
    elif parts.scheme != "https":
        raise CommandError("platforms deliver to https only", where=url, do="give the public base URL with --url")
    return url


def _base(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.query or parts.fragment:
        raise CommandError("is not a base URL", where="--url", do="give one such as https://relay.example.com")
    return url.rstrip("/")


def _at_sandbox(stack: Stack, connection: Connection) -> bool:
    """Return whether the platform is played by a host of this stack."""
    given = (connection.source.api_host, connection.source.options.get("shop_url"))
    return any(isinstance(url, str) and urlsplit(url).netloc in stack.sandbox_hosts for url in given)


def deadline() -> Deadline:
    """Return when one command has to be done."""
    return Deadline(time.monotonic() + SECONDS, time.monotonic)


def findings_of(stack: Stack, connection: Connection, *, seconds: float) -> list[dict[str, Any]]:
    """Return what `relay connections check` reports of the subscriptions; nothing where the platform has no API.

    Where the connection allows it, what is missing or disabled is revived first.
    """
    if subscribing(connection.source.platform) is None or connection.source.subscriptions == "unmanaged":
        return []
    try:
        url = registered_url(stack, connection, None)
        with unlogged():
            seen = review_and_revive(
                connection, services_of(stack), Deadline(time.monotonic() + seconds, time.monotonic), url=url
            )
    except (RelayError, CommandError) as error:
        # Without credentials for it, many connections work all the same.
        ok = None if isinstance(error, CredentialsRefused | CommandError) else False
        return [_finding(ok, f"cannot be looked at: {error}", "operator")]
    return _findings(seen)


def _findings(seen: Review) -> list[dict[str, Any]]:
    found = []
    for condition in Condition:
        rows = [row for row in seen.bad if row.condition is condition]
        if rows:
            topics = ", ".join(dict.fromkeys(row.topic for row in rows))
            do = TO_DO[condition].format(id=seen.connection)
            found.append(_finding(False, f"{condition.value}: {topics}. {do}", "operator"))
    found += [_finding(False, problem, "operator") for problem in seen.problems]
    if seen.lacking:
        found.append(_finding(False, f"the token lacks {', '.join(seen.lacking)}", "whoever installs the app"))
    revived = f"; {seen.revived} revived just now" if seen.revived else ""
    return found or [_finding(True, f"{len(seen.rows)} deliver to {seen.url}{revived}", "")]


def _finding(ok: bool | None, message: str, who: str) -> dict[str, Any]:
    return {"what": "webhook subscriptions", "ok": ok, "message": message, "who": who}


def as_dict(seen: Review, tried: Sequence[Attempted] = (), *, planned: bool = False) -> dict[str, Any]:
    """Return a review with what was changed, as ``--json`` prints it. Keys and secrets are not in it."""
    return {
        "connection": seen.connection,
        "platform": seen.platform,
        "url": seen.url,
        "managed": seen.managed,
        "ok": seen.good,
        "topics": [
            {
                "store": row.store,
                "topic": row.topic,
                "condition": row.condition.value,
                "url": _without_query(row.url),
                "id": row.subscription.id if row.subscription else "",
            }
            for row in seen.rows
        ],
        "scopes": list(seen.scopes),
        "lacking_scopes": list(seen.lacking),
        "problems": list(seen.problems),
        "by_hand": list(seen.by_hand),
        "planned" if planned else "changed": [
            {"store": one.change.store, "action": one.change.action, "topics": topics_of(one.change)}
            | ({"problem": one.problem} if one.problem else {})
            for one in tried
        ],
    }


def topics_of(one: SubscriptionChange) -> list[str]:
    """Return the topics that a change is about."""
    return list(one.topics or (one.subscription.topics if one.subscription else ()))


def _without_query(url: str) -> str:
    return url.partition("?")[0]
