"""``relay subscriptions``: the webhook subscriptions of a connection at its platform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from devkit.cli.connections import ConnectionId
from devkit.cli.options import AsJson, StackName, group
from devkit.cli.output import confirm, note, progress, show_json, show_pairs, show_table
from devkit.queries.subscriptions import (
    TO_DO,
    as_dict,
    deadline,
    look,
    needing_api,
    topics_of,
    with_keys,
)
from devkit.stacks.connection_store import store_of
from devkit.stacks.services import services_of, unlogged
from devkit.stacks.stack import Stack, find_stack
from loyalty_relay.connections.model import Connection
from loyalty_relay.sources.subscriptions import Condition, SubscriptionChange
from loyalty_relay.triggers.subscriptions import (
    CREATED,
    REVIVED,
    Attempted,
    Review,
    attempt,
    plan,
    removals,
    review,
)

app = group("List, create, revive and remove webhook subscriptions at a connection's platform.")

Url = Annotated[
    str | None,
    typer.Option("--url", help="The stack's public base URL, without /webhooks; default: the stack's own."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
Yes = Annotated[bool, typer.Option("--yes", help="Change without asking.")]


@app.command("list")
def list_(id: ConnectionId, url: Url = None, stack: StackName = None, json: AsJson = False) -> None:
    """Compare the platform's subscriptions with those that the connection needs."""
    found = find_stack(stack)
    show(look(found, store_of(found).read(id), url), [], as_json=json)


@app.command()
def create(
    id: ConnectionId,
    url: Url = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Create what is missing; a key that the platform makes becomes the connection's secret."""
    found = find_stack(stack)
    change(found, id, url, CREATED, dry_run=dry_run, yes=yes, as_json=json)


@app.command()
def revive(
    id: ConnectionId,
    url: Url = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Activate what was disabled, complete what leaves out fields, and move what delivers to a former address here."""
    found = find_stack(stack)
    change(found, id, url, REVIVED, dry_run=dry_run, yes=yes, as_json=json)


@app.command()
def remove(
    id: ConnectionId,
    superfluous: Annotated[
        bool, typer.Option("--superfluous", help="Only what the connection makes nothing of.")
    ] = False,
    url: Url = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Remove what delivers to this connection; those of others stay."""
    found = find_stack(stack)
    connection = store_of(found).read(id)
    seen = needing_api(look(found, connection, url))
    changes = removals(seen, connection, superfluous=superfluous)
    _carry_out(found, connection, seen, changes, dry_run=dry_run, yes=yes, as_json=json)


def change(
    stack: Stack,
    id: str,
    base: str | None,
    conditions: frozenset[Condition],
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    shown: bool = True,
) -> Review:
    """Bring the topics of these conditions to what they should be, and show the result; return the review afterwards.

    Raises typer.Exit where something could not be changed.
    """
    connection = store_of(stack).read(id)
    seen = needing_api(look(stack, connection, base))
    changes = plan(seen, conditions, connection, services_of(stack))
    return _carry_out(stack, connection, seen, changes, dry_run=dry_run, yes=yes, as_json=as_json, shown=shown)


def _carry_out(
    stack: Stack,
    connection: Connection,
    seen: Review,
    changes: Sequence[SubscriptionChange],
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    shown: bool = True,
) -> Review:
    if dry_run:
        show(seen, [Attempted(change=one) for one in changes], as_json=as_json, planned=True)
        return seen
    if not (changes or seen.keys):
        if shown:
            show(seen, [], as_json=as_json)
        return seen
    if not yes:
        _confirm(changes, connection, as_json=as_json)
    tried: list[Attempted] = []
    services, until = services_of(stack), deadline()
    with progress("changing subscriptions", len(changes), quiet=as_json) as bar, unlogged():
        for one in changes:
            tried += attempt([one], connection, services, until)
            bar.advance(bar.task_ids[0])
        after = review(connection, services, until, url=seen.url)
    if after.keys:
        after = with_keys(stack, connection, after)
        note("the subscription's signature key is a secret of the connection now; functions see it within five minutes")
    if shown:
        show(after, tried, as_json=as_json)
    if any(one.problem for one in tried):
        raise typer.Exit(1)
    return after


def _confirm(changes: Sequence[SubscriptionChange], connection: Connection, *, as_json: bool) -> None:
    def show() -> None:
        for one in changes:
            note(_in_words(one))

    confirm(
        f"Change {len(changes)} subscriptions of {connection.id} at {connection.source.platform}?",
        where=connection.id,
        terminal=not as_json,
        show=show,
    )


def show(seen: Review, tried: Sequence[Attempted], *, as_json: bool, planned: bool = False) -> None:
    """Show a review with what was changed, or would be."""
    if as_json:
        show_json(as_dict(seen, tried, planned=planned))
        return
    for one in tried:
        note(f"{'would ' if planned else ''}{_in_words(one.change)}{f': {one.problem}' if one.problem else ''}")
    show_pairs(
        [
            ("connection", seen.connection),
            ("webhook URL", seen.url),
            ("needs", "; ".join(seen.scopes)),
            ("lacks", ", ".join(seen.lacking)),
        ]
    )
    rows = [
        [row.store, row.topic, row.condition.value, TO_DO.get(row.condition, "").format(id=seen.connection)]
        for row in seen.rows
    ]
    if rows:
        show_table(["store", "topic", "condition", "note"], rows, drop=["store"])
    for problem in seen.problems:
        note(f"could not be looked at: {problem}")
    if seen.by_hand:
        note("what only a person can do at the platform:")
        for number, step in enumerate(seen.by_hand, 1):
            note(f"{number}. {step}")


def _in_words(one: SubscriptionChange) -> str:
    return f"{one.action} {', '.join(topics_of(one))}{f' of {one.store}' if one.store else ''}"
