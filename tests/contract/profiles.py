"""What the seeds say about more than one request: the whole way of a command, with its ledger, and what is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.contract import capillary_v1, kangaroo_crm
from tests.contract.capillary_v2 import DONE, ID, POST, PUT
from tests.contract.rows import Reply, Row, World, ids

CUSTOMER = {"source_id": "7", **ids({"mobile": "+447700900123"})}
NAMES = {"customer": CUSTOMER, "fields": {"first_name": "Ana", "last_name": "Lind"}}
CONSENT = {"customer": CUSTOMER, "fields": {"subscriptions.sms.bulk": False}}


def _second_source(world: World) -> Any:
    """Register in INSTORE, then the same customer in WEBSITE: the second profile is a new one."""
    world.stub.script({POST: Reply(DONE), PUT: Reply(DONE)})
    relay = world.capillary()
    relay.applied()
    relay.run("register_customer", NAMES)
    world.stub.requests.clear()
    relay.run("register_customer", {**NAMES, "options": {"source": "WEBSITE"}})
    bodies = [request.body["profiles"][0] for request in world.stub.requests]
    return [[body.get("firstName"), body.get("lastName")] for body in bodies][-1:]


def _second_source_update(world: World) -> Any:
    """Values that INSTORE has are still to be sent to WEBSITE."""
    world.stub.script({POST: Reply(DONE), PUT: Reply(DONE)})
    relay = world.capillary()
    relay.applied()
    relay.run("register_customer", NAMES)
    world.stub.requests.clear()
    relay.run("update_customer", {**NAMES, "options": {"source": "WEBSITE"}})
    return len(world.stub.requests) > 0


def _changed_source(world: World) -> Any:
    """The connection is applied with another source: nothing is known about its profiles."""
    world.stub.script({POST: Reply(DONE), PUT: Reply(DONE)})
    relay = world.capillary()
    relay.applied()
    relay.run("register_customer", NAMES)
    world.stub.requests.clear()
    relay.applied(source="WEBSITE")
    relay.run("update_customer", NAMES)
    return len(world.stub.requests) > 0


def _failed_consent(world: World) -> Any:
    """A withdrawal that the vendor did not carry out is sent again when it is repeated."""
    status = {"success": "true", "code": "1000", "message": "ok", "warnings": {"warning": ["91022"]}}
    member = {**capillary_v1.MEMBER, "user_id": int(ID), "item_status": status}
    world.stub.script({POST: Reply(DONE), capillary_v1.UPDATE: Reply(capillary_v1.envelope(member))})
    relay = world.capillary()
    relay.applied()
    relay.run("register_customer", NAMES)
    world.stub.requests.clear()
    relay.run("update_customer", CONSENT)
    relay.run("update_customer", CONSENT)
    return world.stub.lines().count(capillary_v1.UPDATE)


def _unchanged(world: World) -> Any:
    """The same state twice is one request."""
    world.stub.script({POST: Reply(DONE), PUT: Reply(DONE)})
    relay = world.capillary()
    relay.applied()
    relay.run("register_customer", NAMES)
    return [relay.run("update_customer", NAMES)["result"], world.stub.lines()]


def _after_403(denied: Reply, **more: Reply) -> Callable[[World], Any]:
    """What comes of a command about a customer to whom the vendor answers 403, and of one about another customer."""
    other = kangaroo_crm.CUSTOMER[:-1] + "9"

    def do(world: World) -> Any:
        world.stub.script(
            {
                kangaroo_crm.FIELDS: Reply(kangaroo_crm.LIST),
                kangaroo_crm.PATCH: denied,
                f"GET /customers/{other}/crm-fields": Reply(kangaroo_crm.LIST),
                f"PATCH /customers/{other}/crm-fields": lambda r: Reply(kangaroo_crm.answered(r.body)),
                "GET /me": Reply({"data": {"id": "11eb"}}),
                **more,
            }
        )
        relay = world.kangaroo()
        relay.applied()
        results = [
            relay.run("patch_crm_fields", {"customer": {"loyalty_id": who}, "fields": {"first_name": "Ana"}})
            for who in (kangaroo_crm.CUSTOMER, other)
        ]
        return [result.get("result", result.get("reason")) for result in results]

    return do


def _rows_of_403() -> Iterator[Row]:
    page = Reply("<html><body>Request blocked</body></html>", 403, kind="text/html")
    about_one = {
        "E4": Reply({"message": "This action is unauthorized."}, 403),
        "E1": Reply({"error": {"status_code": 403, "message": "Forbidden", "description": "Not your customer."}}, 403),
        "E2": Reply({"client": ["This client is not yours."]}, 403),
        "E6": Reply({"errors": [{"status": "403", "title": "Forbidden", "detail": "Another branch's client."}]}, 403),
        "E7": Reply({"status_code": 403, "message": "Forbidden", "description": "frozen tokens"}, 403),
        "inside 200": Reply({"error": {"status_code": 403, "message": "Forbidden", "description": "no"}}),
        "a page": page,
        "nothing": Reply("", 403),
    }
    about_all = {
        "the scope": Reply({"message": "Invalid scope(s) provided."}, 403),
        "the token": Reply({"message": "The access token has expired."}, 403),
        "OAuth": Reply({"error": "access_denied", "error_description": "denied"}, 403),
    }
    for name, reply in about_one.items():
        want = ["invalid" if name == "E2" else "rejected", "applied"]
        item = f"about one customer: {name}"
        yield Row("000", "a 403", item, "handled", _after_403(reply), want)
    for name, reply in about_all.items():
        want = ["credentials", "circuit_open"]
        yield Row("000", "a 403", f"about the credentials: {name}", "handled", _after_403(reply), want)
    blocked = _after_403(page, **{"GET /me": page})
    want = ["credentials", "circuit_open"]
    yield Row("000", "a 403", "about the credentials: a page for every request", "handled", blocked, want)


def _other_value(world: World) -> Any:
    """The answer shows another value than was sent: a notice, and the field does not count as sent."""
    answer = Reply(kangaroo_crm.answered({"first_name": "Somebody"}))
    result = kangaroo_crm.patch(world, {"fields": {"first_name": "Ana"}}, answer)
    return ["first_name" in result["sent"], bool(result["notices"])]


def _v1_option(name: str, value: Any) -> Callable[[World], Any]:
    """Whether an option that the V1.1 update cannot carry is named: refused, or in a notice."""

    def do(world: World) -> bool:
        command = {**capillary_v1.FRAUD, "options": {name: value}}
        customer = ids({"mobile": "+447009000000"})
        relay = world.capillary()
        if relay.check("update_customer", {**command, "customer": customer, "if_missing": "error"}):
            return True
        result = capillary_v1.update(world, command)
        request = world.stub.last(capillary_v1.UPDATE)
        carried = {**request.query, **request.headers}
        return bool(
            result["kind"] != "done" or result["notices"] or str(value).lower() in map(str.lower, carried.values())
        )

    return do


def _probe(world: World) -> Any:
    """A check of the prerequisites uses reading requests only."""
    world.stub.script({"*": Reply({"errors": [{"status": False, "code": 8015, "message": "not found"}]})})
    world.capillary().probe()
    return sorted({r.line for r in world.stub.requests if r.method not in ("GET", "HEAD")})


def _rows() -> Iterator[Row]:
    per_source = "what was sent is remembered per customer, not per source and account"
    section = "a profile per source account"
    yield Row("004", section, "registering in a second source", "sent", _second_source, [["Ana", "Lind"]], per_source)
    yield Row("002", section, "updating in a second source", "sent", _second_source_update, True, per_source)
    yield Row("002", section, "a connection with another source", "sent", _changed_source, True, per_source)
    once = ["unchanged", [POST]]
    yield Row("002", "update", "the same state needs no second request", "handled", _unchanged, once)
    undone = "a warning that a part was not done counts as applied"
    item = "a consent withdrawal with warning 91022 is sent again"
    yield Row("003", "subscriptions", item, "sent", _failed_consent, 2, undone)
    yield from _rows_of_403()
    item = "another value than was sent"
    yield Row("000", "PATCH crm-fields: response", item, "handled", _other_value, [False, True])
    dropped = "options that V1.1 has no place for are dropped silently"
    for name, value in (("source", "WEBSITE"), ("account_id", "acc-77"), ("use_async", True), ("single_enroll", True)):
        yield Row("003", "options", f"{name} is honoured or named", "handled", _v1_option(name, value), True, dropped)
    writes = "the check of a connection sends writes to a customer id"
    yield Row("ref B7", "connections check", "changes nothing", "sent", _probe, [], writes)


ROWS = list(_rows())
