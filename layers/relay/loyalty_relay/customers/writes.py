"""The transactions that end a hold: which items they write, and under which conditions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from loyalty_relay.customers.entry import ALIAS_FIELDS, MEMBERS, Guard, aliases_of, hash_of, key
from loyalty_relay.customers.holds import Hold
from loyalty_relay.reliability.journal import Journal, JournalEntry
from loyalty_relay.storage.digests import Digests
from loyalty_relay.storage.table import Item, Table

Actions = dict[str, dict[str, Any]]
"""Actions of one transaction by label."""


def optional(label: str) -> bool:
    """Return whether an action may be left out when its condition fails, because an item of another customer is there.

    Not ``guard…``, which is conditional on the lease; ``loyalty``, which fails when another item has the loyalty id;
    nor ``heir``, which fails when the survivor of a merge is being worked on.
    """
    return not label.startswith("guard") and label not in ("loyalty", "heir")


def commit(
    table: Table,
    journal: Journal,
    digests: Digests,
    hold: Hold,
    loyalty_id: str | None,
    sent: tuple[str, ...],
    entry: JournalEntry | None,
    now: float,
) -> Actions:
    """The end of a hold: its item, pointers to it, and the journal's entry. One action per item, at most 100."""
    after = hold.settled(loyalty_id, sent)
    aliases = dict(after.aliases)
    for name in sent:
        if name in ALIAS_FIELDS and name in hold.asked:
            aliases[name] = aliases_of(digests, hold.connection, name, hold.asked[name].value)
    before = {pk for keys in hold.guard.aliases.values() for pk in keys} - {hold.guard.pk}
    wanted = {pk for keys in aliases.values() for pk in keys} - {hold.guard.pk}
    after = replace(after, aliases=aliases)
    ends = (after.pk, *after.others)
    actions: Actions = {"guard": guarded(table, after, hold.token, now)}
    for number, other in enumerate(hold.absorbed):
        item = pointer(other.guard.pk, hold.connection, after.pk)
        if other.guard.store is not None:
            item["store"] = other.guard.store
        actions[f"guard of the absorbed {number}"] = table.action(
            "Put", item, condition="lease_token = :token", values={":token": hold.token}
        )
    absorbed = {other.guard.pk for other in hold.absorbed}
    if after.loyalty_id is not None and (after.loyalty_id != hold.before.loyalty_id or hold.absorbed):
        pk = key(digests, hold.connection, "loyalty_id", after.loyalty_id)
        if pk != after.pk and pk not in absorbed:
            actions["loyalty"] = pointing(table, pk, hold.connection, after.pk, over=ends)
    for pk in sorted(wanted - before - absorbed):
        actions[f"alias {pk}"] = table.action(
            "Put",
            pointer(pk, hold.connection, after.pk),
            condition="attribute_not_exists(pk) OR attribute_exists(#to)",
            names={"#to": "to"},
        )
    for pk in sorted(before - wanted - absorbed):
        actions[f"alias {pk}"] = unpointing(table, pk, ends)
    if entry is not None:
        actions["journal"] = journal.put(entry)
    return actions


def guarded(table: Table, after: Guard, token: str, now: float) -> dict[str, Any]:
    """Write a customer's item and give up its lease, conditional on the lease."""
    values = after.attributes() | {"updated_at": now}
    gone = ["lease_token", "lease_until", "expires_at", *(m for m in MEMBERS if m not in values)]
    return table.action(
        "Update",
        {"pk": after.pk},
        expression="SET " + ", ".join(f"#{m} = :{m}" for m in values) + " REMOVE " + ", ".join(f"#{m}" for m in gone),
        condition="#lease_token = :token",
        names={f"#{m}": m for m in (*values, *gone)},
        values={f":{m}": v for m, v in values.items()} | {":token": token},
    )


def pointer(pk: str, connection: str, to: str) -> Item:
    return {"pk": pk, "connection": connection, "to": to}


def remaining(
    table: Table, pk: str, connection: str, ledger: str, *, over: tuple[str, ...], until: float
) -> dict[str, Any]:
    """In the place of such a pointer, or of nothing, what is known of points, for whoever begins there until then."""
    condition, values = _to_one_of(over)
    item = {"pk": pk, "connection": connection, "customer": hash_of(pk), "credits": ledger, "expires_at": int(until)}
    return table.action("Put", item, condition=condition, names={"#to": "to"}, values=values)


def pointing(table: Table, pk: str, connection: str, to: str, *, over: tuple[str, ...]) -> dict[str, Any]:
    """Make a pointer where there is nothing, or only one that points to an item among ``over``."""
    condition, values = _to_one_of(over)
    return table.action("Put", pointer(pk, connection, to), condition=condition, names={"#to": "to"}, values=values)


def unpointing(table: Table, pk: str, ends: tuple[str, ...]) -> dict[str, Any]:
    """Remove a pointer if it is there and points to one of ``ends``."""
    condition, values = _to_one_of(ends)
    return table.action("Delete", {"pk": pk}, condition=condition, names={"#to": "to"}, values=values)


def _to_one_of(ends: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    places = {f":to{number}": end for number, end in enumerate(ends)}
    return f"attribute_not_exists(pk) OR #to IN ({', '.join(places)})", places
