"""What must be true when the storm is over."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from loyalty_relay.sources.bigcommerce.resources import LIMIT
from loyalty_relay.storage.table import unpack_item
from tests.faults.storm.events import BRANCHES, FORGED, Customer, branch_id
from tests.faults.storm.sales import Bought

if TYPE_CHECKING:
    from tests.faults.storm.run import Storm

FINAL = frozenset({"applied", "unchanged", "stale", "duplicate", "ignored", "recorded", "parked"})
READS = LIMIT
"""Of the platform with thin events: requests, and the seconds of the window."""
PERSONAL = re.compile(r"storm\d+@|First\d+|Last\d+|fake-[a-z]+-(?:secret|password|key)|whsec_\w+")


def judge(storm: Storm) -> None:
    """Fill in the storm's report; ``problems`` stays empty when every promise was kept."""
    problems = storm.report.problems
    problems += _members(storm)
    problems += _sales(storm)
    problems += _links(storm)
    problems += _journal(storm)
    problems += _parked(storm)
    problems += _limits(storm)
    problems += _left_behind(storm)
    problems += _told(storm)
    _count_faults(storm)


# -- the programmes hold the newest of everything ---------------------------------------------------------------------


def _members(storm: Storm) -> list[str]:
    capillary = _capillary(storm.sandbox.vendors["capillary"].state())
    kangaroo = _kangaroo(storm.sandbox.vendors["kangaroo"].state())
    problems = []
    for customer in [*storm.customers, *storm.season.buyers]:
        shop = customer.shop
        found = kangaroo if shop.vendor == "kangaroo" else capillary[shop.programme]
        members = found.get(customer.email, [])
        expected = customer.expected()
        if len(members) > 1:
            problems.append(f"{customer.email} is {len(members)} members of {shop.programme}")
        elif members:
            problems += _compared(customer, expected, members[0])
        elif expected:
            problems.append(f"{customer.email} of {shop.connection} is no member")
    everything = f"{capillary}{kangaroo}"
    if FORGED in everything:
        problems.append("a forged delivery had an effect")
    return problems


def _compared(customer: Customer, expected: dict[str, Any], member: dict[str, Any]) -> list[str]:
    problems = []
    for name in {*expected, *member} - {"id"}:
        has = member.get(name)
        if name.startswith("tags.") and has is None:
            has = False
        if name in expected and has != expected[name]:
            problems.append(f"{customer.email} of {customer.shop.connection}: {name} is {has}, not {expected[name]}")
        elif name not in expected and has not in (None, False) and has not in customer.ever(name):
            problems.append(f"{customer.email} of {customer.shop.connection}: {name} is {has}, which nobody said")
    return problems


def _capillary(state: Any) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Organisation -> e-mail -> members, each as our fields."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for customer in state["customers"]:
        for profile in customer["profiles"]:
            emails = [i["value"] for i in profile["identifiers"] if i["type"] == "email"]
            member = {"first_name": profile["first_name"] or None, "last_name": profile["last_name"] or None}
            for channel in profile["channels"]:
                # What a registration told; an update tells it to the older API, which keeps it by itself.
                if channel["type"] == "email" and channel["subscribed"] is not None:
                    member["subscriptions.email.bulk"] = channel["subscribed"]
            for subscription in customer["subscriptions"]:
                if (subscription["channel"].upper(), subscription["priority"].upper()) == ("EMAIL", "BULK"):
                    member["subscriptions.email.bulk"] = subscription["status"] == "1"
            for email in emails:
                found[customer["org"]][email].append(member)
    return found


def _kangaroo(state: Any) -> dict[str, list[dict[str, Any]]]:
    """E-mail -> customers, each as our fields."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for customer in state["customers"].values():
        crm = customer["crm"]
        member = {"first_name": customer["first_name"] or None, "last_name": customer["last_name"] or None}
        if "promotions_mail" in crm:
            member["subscriptions.email.bulk"] = crm["promotions_mail"]
        for tag in crm.get("tags") or ():
            member[f"tags.{tag['tag_name'] if isinstance(tag, dict) else tag}"] = True
        found[customer["email"]].append(member)
    return found


# -- the books add up to what was paid and given back ---------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One entry in a programme's books. ``owner``: e-mail of the member; None for a bill without one."""

    order: str
    amount: Decimal
    owner: str | None
    marker: str
    bill: str


def books(storm: Storm) -> list[Entry]:
    """Return the entries of all programmes; what was taken back is negative."""
    capillary: Any = storm.sandbox.vendors["capillary"].state()
    kangaroo: Any = storm.sandbox.vendors["kangaroo"].state()
    emails = {
        customer["id"]: next((i["value"] for p in customer["profiles"] for i in p["identifiers"]), "")
        for customer in capillary["customers"]
    }
    found = []
    for bill in capillary["bills"]:
        sign = -1 if bill["type"].endswith("RETURN") else 1
        owner = None if bill["customer_id"] is None else emails[bill["customer_id"]]
        marker = bill["note"].split()[0]
        found.append(Entry(_order_id(bill["number"]), sign * Decimal(bill["amount"]), owner, marker, bill["number"]))
    for made in kangaroo["transactions"]:
        sign = -1 if made["intent"] == "return" else 1
        owner = kangaroo["customers"][made["customer_id"].lower()]["email"]
        bill, marker = made["details"]["external_order_id"], made["details"]["custom_field_1"]
        found.append(Entry(_order_id(bill), sign * Decimal(made["amount"]), owner, marker, bill))
    return found


def _order_id(bill: str) -> str:
    return next((part for part in bill.split("-") if part.startswith("6") and len(part) == 10), bill)


def _sales(storm: Storm) -> list[str]:
    entries: dict[str, list[Entry]] = defaultdict(list)
    for entry in books(storm):
        entries[entry.order].append(entry)
    problems = []
    for order in storm.season.orders:
        found = entries.pop(order.id, [])
        problems += [f"order {order.id} of {order.shop.connection}: {text}" for text in _booked(storm, order, found)]
        storm.report.books["sales"] += sum(entry.amount > 0 for entry in found)
        storm.report.books["returns"] += sum(entry.amount < 0 for entry in found)
        storm.report.books["supplementary"] += max(0, sum(entry.amount > 0 for entry in found) - 1)
        storm.report.books["under frozen rules"] += order.id in storm.booked_before and bool(order.happenings[1])
    kangaroo: Any = storm.sandbox.vendors["kangaroo"].state()
    if entries:
        problems.append(f"the books have {len(entries)} orders that were never placed")
    if kangaroo["welcomed"]:
        problems.append(f"{len(kangaroo['welcomed'])} customers were made and welcomed by a sale")
    return problems


def _booked(storm: Storm, order: Bought, found: list[Entry]) -> list[str]:
    total = sum((entry.amount for entry in found), Decimal(0))
    expected = order.expected(0 if order.id in storm.booked_before else 1)
    problems = []
    if total != expected:
        given = ", ".join(f"{entry.amount} {entry.marker[-2:]}" for entry in found)
        problems.append(f"the books have {total}, not {expected}: {given or 'nothing'}")
    if len({entry.marker for entry in found}) != len(found):
        problems.append("a booking was made twice")
    left: Counter[str] = Counter()
    for entry in found:
        left[entry.bill] += entry.amount  # type: ignore[assignment]
    # A guest's bill of which nothing is left when the guest registers is not converted.
    owners = {entry.owner for entry in found if entry.owner is not None or left[entry.bill]}
    if owners - order.owners:
        problems.append(f"is booked to {sorted(map(str, owners))}")
    if order.shop.vendor == "capillary" and any(amount < 0 for amount in left.values()):
        problems.append("more was taken back than sold")
    return problems


def _links(storm: Storm) -> list[str]:
    """Every branch is linked once, in one integration of ours."""
    state: Any = storm.sandbox.vendors["kangaroo"].state()
    linked = Counter(link["shop_id"] for link in state["branch_links"])
    expected = {branch_id(number): 1 for number in range(BRANCHES)}
    problems = [] if linked == expected else [f"branches are linked {dict(linked)}"]
    names = Counter(integration["name"] for integration in state["integrations"])
    return problems + [f"the integration {name} was made {times} times" for name, times in names.items() if times > 1]


# -- the journal knows the end of every delivery --------------------------------------------------------------------


def _journal(storm: Storm) -> list[str]:
    # The table also holds counts.
    entries = [item for i in _scan(storm, "RELAY_JOURNAL_TABLE") if "result" in (item := unpack_item(i) or {})]
    by_delivery: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in entries:
        by_delivery[entry["delivery_id"]].append(entry)
        storm.report.results[entry["result"]] += 1
    problems = []
    for delivery in storm.accepted:
        ends = {entry["result"] for entry in by_delivery.get(delivery, ())}
        if not ends:
            problems.append(f"delivery {delivery} was accepted and is not in the journal")
        elif not ends <= FINAL:
            reasons = {entry.get("reason", "") for entry in by_delivery[delivery]}
            problems.append(f"delivery {delivery} has no end: {', '.join(sorted(ends | reasons))}")
    # A command that leads to others, such as a sale that registers its customer, has an entry of each.
    carried_out = Counter((e["event_id"], e["position"]) for e in entries if e["result"] not in ("duplicate", "parked"))
    twice = sum(times - 1 for times in carried_out.values())
    # A killed function leaves up to a batch of keys that a second copy finds free before the first one comes back.
    allowed = 10 * sum(storm.report.kills.values()) + storm.report.sent["sent again"]
    if twice > allowed:
        problems.append(f"{twice} copies of events were not recognised; {allowed} can be explained by kills")
    return problems


def _parked(storm: Storm) -> list[str]:
    problems = []
    for name, url in storm.environment.items():
        if not name.startswith("PARKED_"):
            continue
        got = storm.clients["sqs"].receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"])
        for message in got.get("Messages", []):
            attributes = {k: v["StringValue"] for k, v in message["MessageAttributes"].items()}
            problems.append(f"{name}: {attributes}")
    return problems


# -- no limit was exceeded in any window ----------------------------------------------------------------------------


def _limits(storm: Storm) -> list[str]:
    from tests.faults.storm.run import LIMITS

    limits = {api: (most, 60.0) for api, most in LIMITS.items()} | {"read": READS}
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for request in storm.sandbox.recorder.requests:
        storm.report.upstream += 1
        if request.vendor == "capillary" and request.method in ("POST", "PUT") and request.path.startswith("/v2/cust"):
            api = "v2-create" if request.method == "POST" else "v2-update"
            times[f"capillary {_organisation(request.headers)}", api].append(request.time)
        elif request.vendor == "kangaroo" and not request.path.startswith("/oauth"):
            times["kangaroo", "api"].append(request.time)
        elif request.path.startswith("/v2/transactions") and request.method == "POST":
            times[f"capillary {_organisation(request.headers)}", "v2-transaction"].append(request.time)
        elif request.path.startswith("/v1.1/transaction/update"):
            times[f"capillary {_organisation(request.headers)}", "v1-transaction"].append(request.time)
        elif request.vendor == "bigcommerce":
            times["bigcommerce", "read"].append(request.time)
    problems = []
    for (who, api), moments in times.items():
        most, window = limits[api]
        peak = _peak(sorted(moments), window)
        storm.report.peaks[f"{who} {api}"] = f"{peak} of {most} in the fullest {window:.0f} s"
        if peak > most:
            problems.append(f"{who} {api}: {peak} requests in {window:.0f} s, {most} allowed")
    refused = sum(vendor.rejections["rate_limit"] for vendor in storm.sandbox.vendors.values())
    if refused:
        problems.append(f"{refused} requests were refused for exceeding a limit")
    return problems


def _organisation(headers: dict[str, str]) -> str:
    return "demo" if headers.get("authorization", "").startswith("Basic ") else "second"


def _peak(moments: list[float], window: float) -> int:
    peak = end = 0
    for begin, moment in enumerate(moments):
        while end < len(moments) and moments[end] - moment < window:
            end += 1
        peak = max(peak, end - begin)
    return peak


# -- nothing stays behind -------------------------------------------------------------------------------------------


def _left_behind(storm: Storm) -> list[str]:
    problems = []
    now = storm.clock()
    for item in _scan(storm, "RELAY_STATE_TABLE"):
        guard = unpack_item(item) or {}
        if "lease_token" in guard and guard["lease_until"] > now:
            problems.append(f"a lease is held: {guard['pk'][:20]}")
    in_progress = [item for item in _scan(storm, "RELAY_IDEMPOTENCY_TABLE") if item["status"]["S"] == "INPROGRESS"]
    expired = sum(int(item["in_progress_expiration"]["N"]) / 1000 <= now for item in in_progress)
    if len(in_progress) > expired:
        problems.append(f"{len(in_progress) - expired} keys are in progress")
    return problems


def _told(storm: Storm) -> list[str]:
    """Names, addresses and secrets in what the functions logged or keep in tables."""
    kept = [storm.log.read_text(errors="replace")]
    for table in ("RELAY_STATE_TABLE", "RELAY_JOURNAL_TABLE", "RELAY_IDEMPOTENCY_TABLE"):
        kept += [str(item) for item in _scan(storm, table)]
    found = {match for text in kept for match in PERSONAL.findall(text)}
    return [f"logged or kept: {', '.join(sorted(found)[:5])}"] if found else []


def _scan(storm: Storm, table: str) -> list[dict[str, Any]]:
    pages = storm.clients["dynamodb"].get_paginator("scan").paginate(TableName=storm.environment[table])
    return [item for page in pages for item in page["Items"]]


def _count_faults(storm: Storm) -> None:
    for fault in [*storm._faults, *([storm._down] if hasattr(storm, "_down") else [])]:
        given = {k: v for k, v in fault.source.items() if k not in ("ratio", "seed", "headers", "body")}
        name = " ".join(f"{k}={v}" if isinstance(v, str | int) and v is not True else k for k, v in given.items())
        storm.report.faults[name] += fault.fired
