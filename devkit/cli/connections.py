"""``relay connections``: apply, look at, check and mend connections."""

from __future__ import annotations

import os
import secrets as randomness
import sys
import time
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.text import Text

from devkit.cli.options import AsJson, StackName, group
from devkit.cli.output import confirm, note, out, show_json, show_pairs, show_table, show_text, when, write_file
from devkit.queries.connections import (
    SecretAge,
    check_connection,
    list_connections,
    show_connection,
    webhook_url,
)
from devkit.queries.waking import awaited, wake
from devkit.stacks.connection_store import (
    ConnectionStore,
    new_key,
    read_file,
    rotated,
    store_of,
    valid,
    without_key,
    without_secrets,
)
from devkit.stacks.errors import CommandError
from devkit.stacks.local import NOWHERE
from devkit.stacks.services import services_of
from devkit.stacks.stack import Stack, find_stack
from loyalty_relay.connections.model import CONNECTION_ID, Connection
from loyalty_relay.destinations.registry import vendors
from loyalty_relay.model.json_validation import did_you_mean
from loyalty_relay.sources import platforms

app = group("Apply, look at, check and mend connections.")

ConnectionId = Annotated[str, typer.Argument(metavar="ID", help="The connection's id.", show_default=False)]


def variables_of(stack: Stack) -> dict[str, str]:
    """Return the values of placeholders in a connection file: the environment, and the local sandbox's URL."""
    local = {"RELAY_SANDBOX_URL": stack.local.sandbox, "RELAY_API_URL": stack.local.api} if stack.local else {}
    return {**local, **os.environ}


@app.command()
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The connection's JSON; - is standard input.")],
    id: Annotated[str | None, typer.Option("--id", help="The id; default: the file's `id`, else its name.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check only, store nothing.")] = False,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Check a connection's file, field by field, and store it as the connection's secret."""
    found = _stack_or_none(stack) if dry_run else find_stack(stack)
    if found is None:
        variables = {"RELAY_SANDBOX_URL": NOWHERE, "RELAY_API_URL": NOWHERE, **os.environ}
        given = read_file(file, id=id, variables=variables, stdin=sys.stdin.read)
        sandbox = urlsplit(variables["RELAY_SANDBOX_URL"]).netloc
        connection = valid(given.id, given.data, frozenset({sandbox}))
    else:
        given = read_file(file, id=id, variables=variables_of(found), stdin=sys.stdin.read)
        connection = store_of(found).parse(given.id, given.data)
        _check_bills(store_of(found), connection)
    action, changed, moved = "valid", list[str](), 0
    if found is not None and not dry_run:
        action, changed = store_of(found).write(given.id, given.data)
        # What waits for other credentials or another host need not wait to the end.
        moved = wake(found, given.id) if any(path.startswith(("destination", "source.api_")) for path in changed) else 0
    url = "" if found is None else webhook_url(found, given.id)
    if json:
        show_json({"connection": given.id, "action": action, "changed": changed, "woken": moved, "webhook_url": url})
        return
    result = Text.assemble("connection ", (given.id, "bold"), f" {action}")
    out.sentence(result.append(f": {', '.join(changed)}" if changed else ""))
    show_pairs(
        [
            ("source", connection.source.platform),
            ("destination", f"{connection.destination.vendor}, {connection.destination.host}"),
            ("webhook URL", url),
        ]
    )
    if moved:
        note(awaited(moved))
    if not dry_run and action != "unchanged":
        note(f"next: relay connections check {given.id}; functions see a change within five minutes")


def _check_bills(store: ConnectionStore, connection: Connection) -> None:
    """Raise CommandError for bill numbers that another connection at the same account makes as well.

    Where only the host is the same, it may be another organisation's: then it is a note.
    """
    for other in store.with_equal_bills(connection):
        alike = f"connection {other.id} has shops of the same names, so orders could get the same bill numbers"
        if other.destination.key == connection.destination.key:
            raise CommandError(
                alike,
                where="sales.shop_key",
                do="give this connection a shop_key of its own, such as the brand's initials; docs/connections.md",
            )
        note(f"{alike}, if both are of one organisation; sales.shop_key makes them differ")


def _stack_or_none(name: str | None) -> Stack | None:
    """Return the stack, None where none is running and none is named."""
    try:
        return find_stack(name)
    except CommandError:
        if name:
            raise
        return None


@app.command("new-id")
def new_id(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the id begins with.", show_default=False)],
    json: AsJson = False,
) -> None:
    """Print an id with 128 random bits, for the connection of a source that cannot sign."""
    made = f"{name}-{randomness.token_hex(16)}"
    if not CONNECTION_ID.fullmatch(made):
        raise CommandError(
            f"{name!r} cannot begin an id", do="take up to 30 lower-case letters, digits and hyphens, such as my-shop"
        )
    if json:
        show_json({"connection": made})
    else:
        show_text(made)


@app.command()
def init(
    platform: Annotated[str, typer.Argument(metavar="PLATFORM", help="Such as shopify.")],
    vendor: Annotated[str, typer.Argument(metavar="VENDOR", help="Such as kangaroo.")],
    grant: Annotated[str | None, typer.Option("--credentials", help="Type of the vendor's credentials.")] = None,
    file: Annotated[Path | None, typer.Option("--out", help="Write here; default: PLATFORM-VENDOR.json.")] = None,
    json: AsJson = False,
) -> None:
    """Write a commented connection file to begin with: what is required is there, the rest are comments."""
    from devkit.connection_schema import grants, start_file

    for kind, name, known in (("platform", platform, platforms()), ("vendor", vendor, vendors())):
        if name not in known:
            raise CommandError(
                f"there is no {kind} {name}{did_you_mean(name, known)}", do=f"one of: {', '.join(known)}"
            )
    types = grants(vendor)
    if grant is not None and grant not in types:
        raise CommandError(
            f"{vendor} has no credentials of type {grant}{did_you_mean(grant, types)}", do=f"one of: {', '.join(types)}"
        )
    path = file or Path(f"{platform}-{vendor}.json")
    write_file(path, start_file(platform, vendor, grant or types[0]), replace=False)
    if json:
        show_json({"file": str(path)})
    else:
        note(f"{path} is written; fill it in, then: relay connections apply {path} --dry-run")


@app.command("list")
def list_(stack: StackName = None, json: AsJson = False) -> None:
    """List the connections."""
    found = list_connections(store_of(find_stack(stack)))
    if json:
        show_json(found.as_json())
    elif found.rows:
        rows = [[row.id, row.source, row.destination, row.state] for row in found.rows]
        show_table(["id", "source", "destination", "state"], rows)
    else:
        note("no connections; `relay connections apply FILE` adds one (samples: events/connections/)")


@app.command()
def show(id: ConnectionId, stack: StackName = None, json: AsJson = False) -> None:
    """Show a connection; whatever authenticates is hidden."""
    found = show_connection(find_stack(stack), id, now=time.time())
    if json:
        show_json(found.as_json())
        return
    show_pairs(
        [
            ("id", id),
            ("webhook URL", found.webhook_url),
            ("changed", when(found.changed_at)),
            ("not valid", found.problem),
            *((secret.name, _age(secret)) for secret in found.secrets),
            ("secrets before", f"accepted until {when(found.previous_until)}" if found.previous_until else ""),
        ]
    )
    show_json(found.data)


def _age(secret: SecretAge) -> str:
    days = " ".join(filter(None, (secret.begins and f"from {secret.begins}", secret.ends and f"until {secret.ends}")))
    return f"{secret.state} {days}".strip()


@app.command()
def check(
    id: ConnectionId,
    seconds: Annotated[float, typer.Option("--timeout", help="Seconds for all probes.", min=1)] = 60,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Check what the connection needs at the destination, and its webhook subscriptions; report who can fix what.

    Where nothing is missing, events that wait for the destination are tried again within about a minute.
    """
    checked = check_connection(find_stack(stack), id, seconds=seconds)
    if json:
        show_json(checked.as_json())
    else:
        words = {True: "ok", False: "missing", None: "unknown"}
        rows = [[f["what"], words[f["ok"]], f["message"], f["who"]] for f in checked.findings]
        show_table(["what", "ok", "message", "who can fix it"], rows)
        if checked.woken:
            note(awaited(checked.woken))
    if not checked.ok:
        raise typer.Exit(1)


@app.command()
def delete(
    id: ConnectionId,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Delete a connection: its deliveries are refused within a minute. Applying its file brings it back."""
    found = find_stack(stack)
    store = store_of(found)
    store.raw(id)
    if not yes:
        confirm(f"Delete connection {id}? Its deliveries and what is queued for it will be refused.", where=id)
    store.delete(id)
    services_of(found).revocations.announce()
    _done(json, f"connection {id} is deleted; its deliveries are refused within a minute", id=id)


@app.command()
def rotate(
    id: ConnectionId,
    value: Annotated[
        str, typer.Option("--secret", prompt="New webhook secret", hide_input=True, help="The platform's new secret.")
    ],
    overlap: Annotated[float, typer.Option("--overlap", help="Hours that the old one stays good.", min=0)] = 48,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Add a webhook secret; the ones before it stay good for a while, so no delivery is refused."""
    store = store_of(find_stack(stack))
    data = rotated(store.raw(id), value, now=time.time(), overlap_hours=overlap)
    store.parse(id, data)
    store.write(id, data)
    _done(json, f"connection {id} has a new webhook secret; the old one is good for {overlap:g} h", id=id)


@app.command("revoke-secret")
def revoke_secret(
    id: ConnectionId,
    value: Annotated[
        str | None,
        typer.Option("--secret", help="End this one; without it, all that were replaced.", show_default=False),
    ] = None,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """End webhook secrets at once, without the overlap that `rotate` leaves."""
    found = find_stack(stack)
    store = store_of(found)
    data = without_secrets(store.raw(id), store.previous(id), value, now=time.time())
    store.parse(id, data)
    store.write(id, data)
    # After the write, so that whoever sees the marker reads the new version.
    services_of(found).revocations.announce()
    which = "the secret" if value else "every webhook secret that was replaced"
    _done(json, f"{which} of connection {id} is revoked; every function refuses it within a minute", id=id)


@app.command("new-key")
def new_key_(
    id: ConnectionId,
    name: Annotated[str, typer.Option("--name", help="Who uses it; this name shows in logs.")] = "default",
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Make an API key for the HTTP API. It is printed once; only its SHA-256 is stored."""
    store = store_of(find_stack(stack))
    data, key = new_key(store.raw(id), name)
    store.parse(id, data)
    store.write(id, data)
    if json:
        show_json({"connection": id, "name": name, "key": key})
    else:
        show_text(key)
        note("this is the only time it is shown; callers send it as the header x-api-key")


@app.command("revoke-key")
def revoke_key(
    id: ConnectionId,
    name: Annotated[str, typer.Option("--name", help="The key's name.")],
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Take an API key away."""
    store = store_of(find_stack(stack))
    data = without_key(store.raw(id), name)
    store.write(id, data)
    _done(json, f"key {name} of connection {id} is revoked", id=id)


@app.command()
def authorize(
    id: ConnectionId,
    code: Annotated[str | None, typer.Option("--code", help="The authorization code of the redirect.")] = None,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Exchange an authorization code for tokens and store them; without --code, print the page that gives one."""
    from devkit.queries.checking import authorization_url, exchange

    found = find_stack(stack)
    connection = store_of(found).read(id)
    if code is None:
        url = authorization_url(found, connection)
        if json:
            show_json({"connection": id, "url": url})
        else:
            show_text(url)
            note(f"open it, allow access, then: relay connections authorize {id} --code CODE (from the redirect)")
        return
    exchange(found, connection, code)
    moved = wake(found, id, works=connection)
    _done(json, f"connection {id} is authorized; its tokens are stored", id=id, woken=moved)


@app.command("link-store")
def link_store(
    id: ConnectionId,
    shop: Annotated[str, typer.Option("--shop", help="The shop's id at the source.")],
    account: Annotated[str, typer.Option("--account", help="The account that the shop belongs to.")],
    name: Annotated[str | None, typer.Option("--name", help="What the shop is called.")] = None,
    domain: Annotated[str | None, typer.Option("--domain", help="The shop's domain; online shops need it.")] = None,
    branch: Annotated[str | None, typer.Option("--branch", help="The virtual branch, where there are several.")] = None,
    api_key: Annotated[
        str | None, typer.Option("--api-key", envvar="RELAY_API_KEY", help="Use the HTTP API instead of the queue.")
    ] = None,
    wait: Annotated[float, typer.Option("--wait", help="Seconds to follow it to its outcome.", min=0)] = 30,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Link a store, for platforms that send no store events."""
    from devkit.cli.linking import link_by_api, link_by_queue

    found = find_stack(stack)
    store_of(found).read(id)
    given = {"shop_id": shop, "account_id": account, "store_name": name, "store_domain": domain, "branch_id": branch}
    members = {key: value for key, value in given.items() if value is not None}
    if api_key:
        answer = link_by_api(found, id, members, api_key)
        show_json(answer)
    else:
        link_by_queue(found, id, members, wait=wait, as_json=json)


def _done(as_json: bool, message: str, **members: Any) -> None:
    if as_json:
        show_json({**members, "done": message})
    else:
        out.sentence(message)
