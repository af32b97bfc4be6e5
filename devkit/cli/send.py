"""``relay send`` and ``relay sign``: deliver sample events as a platform would."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from devkit.cli.following import follow, show_entries
from devkit.cli.options import AsJson, StackName, Wait
from devkit.cli.output import note, out, progress, show_json, show_text
from devkit.queries.delivery import entry_dict, settled, vendors_of
from devkit.samples.delivery import Delivered, deliver, live_secret, signed_headers, webhook_url, why_refused
from devkit.samples.fixtures import Sample, load
from devkit.samples.mapping import from_own_store, translation
from devkit.stacks.connection_store import store_of
from devkit.stacks.errors import CommandError
from devkit.stacks.stack import Stack, find_stack
from loyalty_relay.connections.model import Connection
from loyalty_relay.model.outcomes import Result

Platform = Annotated[str, typer.Argument(metavar="PLATFORM", help="Such as shopify; see relay catalogue.")]
Fixture = Annotated[
    str | None, typer.Option("--fixture", help="The sample's name, for topics with several (relay catalogue --json).")
]
Body = Annotated[Path | None, typer.Option("--file", help="A body in place of the sample's.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a value of the body; PATH:=JSON for JSON. Repeatable."),
]
Secret = Annotated[
    str | None, typer.Option("--secret", help="Sign with this webhook secret instead of the connection's.")
]


def add(root: typer.Typer) -> None:
    """Put ``send`` and ``sign`` among the commands."""
    root.command()(send)
    root.command()(sign)


def send(
    platform: Platform,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="Such as customers/create.")],
    connection: Annotated[
        str | None, typer.Option("--connection", help="The connection's id; default: the first of this platform.")
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Deliver here; default: the connection's webhook URL.")
    ] = None,
    fixture: Fixture = None,
    file: Body = None,
    assignments: Assignments = None,
    secret: Secret = None,
    count: Annotated[int, typer.Option("--count", help="Deliver the same event so many times.", min=1)] = 1,
    wait: Wait = 30,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Sign a sample event, deliver it, and follow it to its outcome."""
    sample = load(platform, topic, fixture)
    found = find_stack(stack)
    chosen = pick(found, platform, connection)
    sample = from_own_store(sample, chosen).changed(file, assignments or ())
    target = url or webhook_url(found, chosen.id, sample)
    answers: list[Delivered] = []
    with progress("delivering", count, quiet=json or count == 1) as bar:
        for _ in range(count):
            answers.append(deliver(sample, chosen, target, secret=secret))
            bar.advance(bar.task_ids[0])
    if not json:
        for answer in answers:
            _show(answer, target)
    results = []
    expected = translation(sample, chosen).entries
    with progress(f"waiting for the outcome, at most {wait:g} s", count, quiet=json or not wait) as bar:
        for answer in answers:
            delivery = answer.delivery_id
            entries = follow(found, delivery, seconds=wait, expected=expected) if delivery and wait else []
            results.append((answer, entries))
            bar.advance(bar.task_ids[0])
    if json:
        shown: list[dict[str, Any]] = [
            {
                "connection": chosen.id,
                "url": target,
                "status": answer.status,
                "delivery_id": answer.delivery_id,
                "outcomes": [entry_dict(entry) for entry in entries],
            }
            for answer, entries in results
        ]
        show_json(shown[0] if count == 1 else shown)
    else:
        vendor = vendors_of(store_of(found))
        for _, entries in results:
            show_entries(entries, vendor)
    refused = [answer for answer in answers if not answer.accepted]
    if refused:
        raise CommandError(
            f"the relay answered {refused[0].status}" + (f": {refused[0].body}" if refused[0].body else ""),
            where=target,
            do=_why(refused[0].status, sample, chosen, secret),
        )
    if wait and any(answer.delivery_id and not settled(entries) for answer, entries in results):
        note(f"no outcome after {wait:g} s; look again with relay events show, or relay logs")
        raise typer.Exit(1)
    if any(entry.result is Result.PARKED for _, entries in results for entry in entries):
        raise typer.Exit(1)


def _show(answer: Delivered, target: str) -> None:
    out.sentence(f"POST {target} → {answer.status} in {answer.seconds * 1000:.0f} ms")
    if answer.delivery_id is not None:
        out.sentence(f"delivery {answer.delivery_id}")
    elif answer.accepted:
        note("answered without a delivery: a handshake has no effect")


def _why(status: int, sample: Sample, connection: Connection, secret: str | None) -> str:
    if status == 401:
        return why_refused(sample, connection, secret=secret)
    if status == 404:
        return "the URL is not that of a relay; it ends in /webhooks/CONNECTION"
    return "relay logs ingest shows the cause"


def pick(stack: Stack, platform: str, given: str | None) -> Connection:
    """Return the connection that is named, else the first valid one of the platform. Raises CommandError."""
    store = store_of(stack)
    if given is not None:
        connection = store.read(given)
        if connection.source.platform != platform:
            raise CommandError(
                f"connection {given} is of {connection.source.platform}, not of {platform}",
                do="name another connection, or another platform",
            )
        return connection
    for name in store.ids():
        try:
            connection = store.read(name)
        except CommandError:
            continue
        if connection.source.platform == platform:
            return connection
    raise CommandError(
        f"this stack has no connection of {platform}",
        where=f"stack {stack.name}",
        do="apply one with relay connections apply (samples: events/connections/)",
    )


def sign(
    platform: Platform,
    topic: Annotated[str | None, typer.Argument(metavar="[TOPIC]", help="Takes this topic's sample.")] = None,
    secret: Secret = None,
    connection: Annotated[str | None, typer.Option("--connection", help="Take the secret of this connection.")] = None,
    url: Annotated[str, typer.Option("--url", help="The URL as registered, where it is signed (Square).")] = "",
    fixture: Fixture = None,
    file: Body = None,
    assignments: Assignments = None,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Print the headers that a platform would send with a body."""
    from devkit.samples.fixtures import first_topic

    sample = load(platform, topic or first_topic(platform), fixture).changed(file, assignments or ())
    now = time.time()
    if secret is None:
        if connection is None:
            raise CommandError("there is no secret to sign with", do="give --secret, or --connection ID")
        stored = store_of(find_stack(stack)).read(connection)
        secret = live_secret(stored, now)
        url = url or stored.source.public_url or ""
    headers = signed_headers(sample, secret=secret, url=url, now=now)
    if json:
        show_json(headers)
        return
    for name, value in headers.items():
        show_text(f"{name}: {value}")
    if file is None:
        note("(of the sample's body; --file signs another)")
