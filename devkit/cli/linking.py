"""Linking a store by hand: through the HTTP API with a key, or straight into the operation's queue."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from devkit.cli.following import follow, show_outcomes
from devkit.cli.output import show_pairs
from devkit.samples.delivery import unreachable
from devkit.stacks.errors import CommandError
from devkit.stacks.services import services_of
from devkit.stacks.stack import Stack
from loyalty_relay.model.commands import Envelope, Event, LinkStore, Version, instant
from loyalty_relay.model.delivery_ids import new_delivery_id
from loyalty_relay.pipeline.link_store import link_to_dict

SOURCE = "relay"
"""What the journal shows as the source of a command that this tool sent."""


def link_by_api(stack: Stack, connection: str, members: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Send the link to the API; return the response. Raises CommandError with the problem that the API names."""
    import httpx

    url = f"{stack.api_url}/connections/{connection}/store-links"
    try:
        response = httpx.post(url, json=dict(members), headers={"x-api-key": key}, timeout=35)
    except httpx.HTTPError as error:
        raise CommandError(unreachable(error), where=url, do="check that the stack is running") from error
    return answer_of(response, url)


def answer_of(response: Any, url: str) -> dict[str, Any]:
    """Return the JSON of a successful response. Raises CommandError with the detail of a problem response."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    if response.is_success:
        return dict(body)
    details = [{"field": e.get("field", ""), "message": e.get("message", "")} for e in body.get("errors", [])]
    said = body.get("detail") or body.get("title") or body.get("message") or response.text[:200]
    do = "make a key with relay connections new-key" if response.status_code in (401, 403) else ""
    raise CommandError(f"HTTP {response.status_code}: {said}", where=url, do=do, details=details)


def link_by_queue(stack: Stack, connection: str, members: Mapping[str, Any], *, wait: float, as_json: bool) -> None:
    """Send the command to link-store's queue and follow it to its outcome."""
    now = time.time()
    identity = str(uuid.uuid4())
    envelope = Envelope(
        delivery_id=new_delivery_id(now),
        connection=connection,
        event=Event(source=SOURCE, topic="store.link", id=identity, entity_id=members["shop_id"]),
        command=LinkStore(version=Version("relay", instant_of(now), event_id=identity), **members),
        received_at=now,
    )
    stack.client("sqs").send_message(
        QueueUrl=stack.queue("link-store"), MessageBody=envelope.to_json(), MessageGroupId=connection
    )
    entries = follow(stack, envelope.delivery_id, seconds=wait)
    link = services_of(stack).links.get(connection, members["shop_id"])
    if link is not None and not as_json:
        show_pairs([("branch link", str(link.branch_link_id)), ("branch", link.branch_id)])
    show_outcomes(stack, envelope.delivery_id, entries, as_json=as_json, link=link_to_dict(link) if link else None)


def instant_of(now: float) -> str:
    """Return epoch seconds as a version's text."""
    from datetime import UTC, datetime

    return instant(datetime.fromtimestamp(now, UTC))
