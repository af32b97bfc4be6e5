"""What must be true when the storm is over."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from loyalty_relay.sources.bigcommerce.resources import LIMIT
from loyalty_relay.storage.table import unpack_item
from tests.faults.storm.events import BRANCHES, FORGED, Customer, branch_id

if TYPE_CHECKING:
    from tests.faults.storm.run import Storm

FINAL = frozenset({"applied", "unchanged", "stale", "duplicate", "ignored", "parked"})
READS = LIMIT
"""Of the platform with thin events: requests, and the seconds of the window."""
PERSONAL = re.compile(r"storm\d+@|First\d+|Last\d+|fake-[a-z]+-(?:secret|password|key)|whsec_\w+")


def judge(storm: Storm) -> None:
    """Fill in the storm's report; ``problems`` stays empty when every promise was kept."""
    problems = storm.report.problems
    problems += _members(storm)
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
    for customer in storm.customers:
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
    entries = [unpack_item(item) or {} for item in _scan(storm, "RELAY_JOURNAL_TABLE")]
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
            problems.append(f"delivery {delivery} has no end: {', '.join(sorted(ends))}")
    carried_out = Counter(e["event_id"] for e in entries if e["result"] not in ("duplicate", "parked"))
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
