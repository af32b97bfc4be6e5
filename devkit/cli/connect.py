"""``relay connect``: from nothing to a shop that works, one step after another. Repeating it does what is left."""

from __future__ import annotations

import secrets as randomness
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from devkit.cli import subscriptions as at_platform
from devkit.cli.connections import variables_of
from devkit.cli.following import follow
from devkit.cli.options import AsJson, StackName
from devkit.cli.output import note, show_json
from devkit.cli.runs import begin_import
from devkit.connection_schema import grants, required
from devkit.queries.checking import probe
from devkit.queries.subscriptions import as_dict, look, registered_url
from devkit.samples.delivery import deliver, webhook_url
from devkit.samples.fixtures import Sample, load
from devkit.samples.mapping import from_own_store, translation
from devkit.stacks.connection_store import read_file, store_of
from devkit.stacks.errors import CommandError
from devkit.stacks.services import services_of
from devkit.stacks.stack import Stack, find_stack
from loyalty_relay.connections.model import Connection
from loyalty_relay.destinations.registry import vendors
from loyalty_relay.model.json_validation import did_you_mean
from loyalty_relay.sources import platforms, source_module
from loyalty_relay.sources.base import HydratingSource, ListingSource
from loyalty_relay.sources.subscriptions import subscribing
from loyalty_relay.translation.topics import needed_topics
from loyalty_relay.triggers.subscriptions import CREATED, REVIVED

FOR_A_PERSON = frozenset({"data_request", "app_uninstalled"})
"""Reasons for which an event leads to no command, and to work for a person."""
CHECK_SECONDS = 60.0
OUTCOME_SECONDS = 30.0


def add(root: typer.Typer) -> None:
    """Put ``connect`` among the commands."""
    root.command()(connect)


def connect(
    id: Annotated[str, typer.Argument(metavar="ID", help="The connection's id, such as the shop's name.")],
    file: Annotated[
        Path | None, typer.Option("--file", help="The connection's JSON; default: the stored one, else questions.")
    ] = None,
    url: at_platform.Url = None,
    begin: Annotated[bool, typer.Option("--import", help="Import the shop's customers at the end.")] = False,
    welcome: Annotated[
        bool, typer.Option("--welcome/--quiet", help="Accept that the vendor may greet everyone who is imported.")
    ] = False,
    yes: at_platform.Yes = False,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Connect a shop: describe, store and check it, subscribe its topics, deliver a test, offer the import.

    Each step finds what was done before, so that the command can be repeated after whatever stopped it.
    """
    found = find_stack(stack)
    guide = Guide(found, id, quiet=json)
    try:
        guide.run("apply", lambda: applied(found, id, file, url))
        guide.run("check", lambda: checked(found, store_of(found).read(id)))
        guide.run("subscriptions", lambda: subscribed(found, id, url, yes=yes, as_json=json))
        guide.run("test delivery", lambda: tested(found, store_of(found).read(id)))
        wanted = begin or (_interactive() and not (yes or json) and _wants_import(found, id))
        guide.run("import", lambda: imported(found, store_of(found).read(id), wanted=wanted, welcome=welcome))
    finally:
        if json:
            show_json({"connection": id, "ok": guide.good, "steps": guide.steps})


class Guide:
    """Runs the steps and keeps what each resulted in."""

    def __init__(self, stack: Stack, id: str, *, quiet: bool) -> None:
        self.steps: list[dict[str, Any]] = []
        self.good = True
        self._quiet = quiet

    def run(self, name: str, step: Callable[[], dict[str, Any]]) -> None:
        """Run one step. Raises CommandError where it cannot be done, so that none after it is run."""
        try:
            result = step()
        except CommandError as error:
            self.good = False
            self.steps.append({"step": name, "ok": False, **error.to_dict()})
            raise
        except typer.Exit:
            self.good = False
            self.steps.append({"step": name, "ok": False})
            raise
        self.steps.append({"step": name, "ok": True, **result})
        if not self._quiet:
            note(f"{name}: {result['message']}")


def applied(stack: Stack, id: str, file: Path | None, url: str | None) -> dict[str, Any]:
    """Store the connection of the file, else keep the stored one, else store what a person describes."""
    store = store_of(stack)
    if file is not None:
        data = read_file(file, id=id, variables=variables_of(stack), stdin=sys.stdin.read).data
    elif id in store.ids():
        return {"message": f"connection {id} is stored; --file replaces it", "action": "unchanged"}
    elif _interactive():
        data = questions(stack, id, url)
    else:
        raise CommandError(
            f"there is no connection {id}, and no terminal for a prompt",
            do="give --file FILE (relay connections init writes one to begin with)",
        )
    store.parse(id, data)
    action, _ = store.write(id, data)
    return {"message": f"connection {id} {action}", "action": action}


def questions(stack: Stack, id: str, url: str | None) -> dict[str, Any]:
    """Return the document of a connection that a person describes on the terminal. What authenticates is not shown."""
    platform = _choice("Platform", platforms())
    vendor = _choice("Loyalty programme", vendors())
    source: dict[str, Any] = {"platform": platform}
    if stores := _text("Stores that may send, as the platform's page names them, separated by commas"):
        source["stores"] = [store.strip() for store in stores.split(",")]
    api, module = subscribing(platform), source_module(platform)
    if api is not None and (api.takes_secret or api.issues_keys):
        # Where the platform makes a key, this is only in its place until then; it is known nowhere else.
        topics = {"topics": list(api.purposes)} if api.takes_secret else {}
        source["secrets"] = [{"value": randomness.token_hex(32), **topics}]
    elif module.needs_secrets:
        source["secrets"] = [{"value": _secret("Webhook secret, as the platform shows it")}]
    names = api.credentials if api else (("access_token",) if isinstance(module, HydratingSource) else ())
    if given := {name: value for name in names if (value := _secret(f"API credential {name}; empty: none"))}:
        source["api_credentials"] = given
    if api is not None and api.issues_keys:
        source["public_url"] = f"{(url or stack.api_url).rstrip('/')}/webhooks/{id}"
    if platform_options := _options(platform):
        source["options"] = platform_options
    data: dict[str, Any] = {"source": source, "destination": {"vendor": vendor}}
    grant = _choice("Type of the programme's credentials", tuple(grants(vendor)))
    for path, member in required(platform, vendor, grant).items():
        _put(data, path, member["const"] if "const" in member else _answer(path, member))
    if country := _text("Country of phone numbers without a country code, such as GB; empty: none"):
        data["default_country"] = country
    return data


def _options(platform: str) -> dict[str, Any]:
    """Return the options without which a platform's deliveries or API cannot be used."""
    needed = {"adobe": ("client_id", "shop_url")}.get(platform, ())
    return {name: value for name in needed if (value := _text(f"{name}; empty: none"))}


def checked(stack: Stack, connection: Connection) -> dict[str, Any]:
    """Check the destination. Raises CommandError with everything that is missing there."""
    findings = probe(stack, connection, seconds=CHECK_SECONDS)
    if missing := [finding for finding in findings if finding["ok"] is False]:
        raise CommandError(
            "the destination lacks what the connection needs",
            where=connection.id,
            do=f"correct it, then repeat: relay connect {connection.id}",
            details=[{"field": one["what"], "message": f"{one['message']} ({one['who']})"} for one in missing],
        )
    return {"message": f"{len(findings)} findings, nothing is missing", "findings": findings}


def subscribed(stack: Stack, id: str, url: str | None, *, yes: bool, as_json: bool) -> dict[str, Any]:
    """Create and revive the subscriptions; where the platform has no API or no credentials, return the steps."""
    connection = store_of(stack).read(id)
    api = subscribing(connection.source.platform)
    if api is not None and not connection.source.api_credentials:
        target = registered_url(stack, connection, url)
        topics = list(needed_topics(api.purposes, connection))
        return {
            "message": f"no api_credentials: subscribe at the platform, delivering to {target}: {', '.join(topics)}",
            "topics": topics,
            "url": target,
        }
    seen = look(stack, connection, url)
    if not seen.managed:
        if not as_json:
            at_platform.show(seen, [], as_json=False)
        return {"message": "to be made by a person, with the steps", "by_hand": list(seen.by_hand), "url": seen.url}
    for conditions in (CREATED, REVIVED):
        seen = at_platform.change(stack, id, url, conditions, dry_run=False, yes=yes, as_json=as_json, shown=False)
    if seen.bad or seen.problems:
        raise CommandError(
            "not every topic is subscribed", where=id, do=f"relay subscriptions list {id} shows which, and what to do"
        )
    return {"message": f"every topic is delivered to {seen.url}", **as_dict(seen)}


def tested(stack: Stack, connection: Connection) -> dict[str, Any]:
    """Deliver a sample that leads to nothing, signed as the platform signs, and follow it to its outcome."""
    sample = without_effect(connection)
    if sample is None or source_module(connection.source.platform).fetches_keys:
        return {"message": "not possible: only the platform itself can sign", "delivery_id": None}
    target = webhook_url(stack, connection.id, sample)
    signed = connection.source.public_url or registered_url(stack, connection, None)
    answer = deliver(sample, connection, target, signed_url=signed)
    if not answer.accepted:
        raise CommandError(
            f"the relay answered {answer.status}",
            where=target,
            do="functions see a changed connection within five minutes; then repeat the command",
        )
    entries = follow(stack, answer.delivery_id, seconds=OUTCOME_SECONDS, expected=1) if answer.delivery_id else []
    if not entries:
        raise CommandError(
            "the delivery was accepted, and no outcome followed", where=str(answer.delivery_id), do="see relay logs"
        )
    return {
        "message": f"{sample.topic} was accepted, verified and journalled as {entries[0].result.value}",
        "delivery_id": answer.delivery_id,
    }


def without_effect(connection: Connection) -> Sample | None:
    """Return a sample of the connection's platform that leads to no command, whoever it is about; None for none."""
    platform = connection.source.platform
    for topic in source_module(platform).topics:
        if topic.becomes != "ignored":
            continue
        sample = from_own_store(load(platform, topic.name, topic.fixture), connection)
        found = translation(sample, connection)
        if not (found.commands or found.problem or {why for _, why in found.skipped} & FOR_A_PERSON):
            return sample
    return None


def imported(stack: Stack, connection: Connection, *, wanted: bool, welcome: bool) -> dict[str, Any]:
    """Begin the import of the shop's customers where it is wanted; else return how to."""
    module = source_module(connection.source.platform)
    if not isinstance(module, ListingSource) or not connection.source.api_credentials:
        return {"message": "not possible: the platform's customers cannot be listed with these credentials"}
    if not wanted:
        return {"message": f"relay import {connection.id} sends the customers that the shop has already"}
    run = begin_import(services_of(stack), connection, welcome=welcome)
    return {"message": f"begun; follow it with: relay import {connection.id} --resume", "run": run.id}


def _wants_import(stack: Stack, id: str) -> bool:
    module = source_module(store_of(stack).read(id).source.platform)
    return isinstance(module, ListingSource) and typer.confirm("Import the shop's customers now?", default=False)


def _interactive() -> bool:
    return sys.stdin.isatty()


def _choice(what: str, known: tuple[str, ...]) -> str:
    while (given := _text(f"{what} ({', '.join(known)})")) not in known:
        note(f"there is no {given}{did_you_mean(given, known)}")
    return given


def _text(what: str) -> str:
    return str(typer.prompt(what, default="", show_default=False)).strip()


def _secret(what: str) -> str:
    return str(typer.prompt(what, default="", show_default=False, hide_input=True)).strip()


def _answer(path: str, member: dict[str, Any]) -> str:
    what = f"{path.removeprefix('destination.')}: {member.get('description', '')}"
    if "enum" in member:
        return _choice(what, tuple(member["enum"]))
    hidden = any(word in path for word in ("password", "secret", "key", "token"))
    return _secret(what) if hidden else _text(what)


def _put(data: dict[str, Any], path: str, value: Any) -> None:
    *parents, name = path.split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
    data[name] = value
