"""What the seeds document about more than one request: a command's whole way, with its ledger, and what is checked."""

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


def _back_again(world: World) -> Any:
    """What INSTORE has is still known after the same customer was registered in WEBSITE."""
    world.stub.script({POST: Reply(DONE), PUT: Reply(DONE)})
    relay = world.capillary()
    relay.applied()
    relay.run("register_customer", NAMES)
    relay.run("register_customer", {**NAMES, "options": {"source": "WEBSITE"}})
    world.stub.requests.clear()
    results = [relay.run("update_customer", {**NAMES, "options": {"source": s}}) for s in ("INSTORE", "WEBSITE")]
    return [[result["result"] for result in results], world.stub.lines()]


def _must_be_new(world: World) -> Any:
    """A registration that must be of somebody new is about one source: the vendor is asked about the second one."""
    world.stub.script({POST: Reply(DONE), PUT: Reply(DONE)})
    relay = world.capillary()
    relay.applied()
    relay.run("register_customer", NAMES)
    world.stub.requests.clear()
    strict = {**NAMES, "if_exists": "error"}
    second = relay.run("register_customer", {**strict, "options": {"source": "WEBSITE"}}, source="api")
    again = relay.run("register_customer", {**strict, "options": {"source": "WEBSITE"}}, source="api")
    return [second.get("result"), again["reason"], world.stub.lines()]


def _exists_in_second(world: World) -> Any:
    """8006 in the second source leads to an update there; the member is looked up in that source."""
    exists = {"status": False, "code": 8006, "message": f"Customer already exists with id {ID} for same source"}
    found = Reply({"entity": int(ID), "warnings": []})
    world.stub.script({POST: [Reply(DONE), Reply({"errors": [exists]})], PUT: Reply(DONE), LOOKUP: found})
    relay = world.capillary()
    relay.applied()
    relay.run("register_customer", NAMES)
    relay.run("register_customer", {**NAMES, "options": {"source": "WEBSITE"}})
    return [world.stub.last(line).query["source"] for line in (LOOKUP, PUT)]


def _new_id(world: World) -> Any:
    """The member is gone at the vendor: what is registered again is the whole command, not what changed."""
    missing = {"errors": [{"status": False, "code": 8015, "message": "Customer not found"}]}
    answers = {POST: Reply(DONE), PUT: Reply(missing), LOOKUP: Reply(missing)}
    world.stub.script(answers)
    relay = world.capillary()
    relay.applied()
    command = {**NAMES, "fields": {**NAMES["fields"], "loyalty_type": "loyalty"}}
    relay.run("register_customer", command)
    relay.run("update_customer", {**command, "fields": {**command["fields"], "custom_fields.size": "M"}})
    body = world.stub.last(POST).body
    return [body["profiles"][0].get("firstName"), body.get("loyaltyInfo"), body["profiles"][0].get("fields")]


def _new_id_by_identifier(world: World) -> Any:
    """The same of a customer whom only identifiers name."""
    missing = {"errors": [{"status": False, "code": 8015, "message": "Customer not found"}]}
    world.stub.script({POST: Reply(DONE), LOOKUP: Reply(missing)})
    relay = world.capillary()
    relay.applied()
    command = {"customer": ids({"mobile": "+447700900123"}), "fields": NAMES["fields"]}
    relay.run("register_customer", command)
    relay.run("update_customer", {**command, "fields": {**NAMES["fields"], "loyalty_type": "loyalty"}})
    body = world.stub.last(POST).body
    return [body["profiles"][0].get("firstName"), body.get("loyaltyInfo")]


def _refused_identifier(world: World) -> Any:
    """ChangeIdentifier with warning 8074: not done, whatever the status is."""
    warned = {**DONE, "warnings": [{"status": False, "code": 8074, "message": "change refused"}]}
    missing = {"errors": [{"status": False, "code": 8015, "message": "Customer not found"}]}
    script = {
        PUT: Reply(DONE),
        LOOKUP: Reply(missing),
        f"GET /v2/customers/{ID}": Reply({"id": int(ID), "profiles": []}),
        f"POST /v2/customers/{ID}/changeIdentifier": Reply(warned),
    }
    world.stub.script(script)
    relay = world.capillary(options={"identifier_change": True})
    result = relay.update(ID, {"fields": {"email": "ana@example.com"}}, changed=("email",))
    return [result["codes"], result["sent"], result["unconfirmed"]]


def _tried_again(world: World) -> Any:
    """A consent that the vendor could not write is sent again, alone; the rest of the event is done."""
    item = {**capillary_v1.MEMBER, "user_id": int(ID)}
    status = {"success": "true", "code": "1000", "message": "ok"}
    failed = {**item, "item_status": {**status, "warnings": {"warning": ["91022"]}}}
    answers = [Reply(capillary_v1.envelope(failed)), Reply(capillary_v1.envelope({**item, "item_status": status}))]
    world.stub.script({POST: Reply(DONE), capillary_v1.UPDATE: answers})
    relay = world.capillary()
    relay.applied()
    relay.run("register_customer", NAMES)
    command = {"customer": CUSTOMER, "fields": {**CONSENT["fields"], "fraud_status": "NONE"}}
    version = {"version": ["test", "99999999999999999999", "", ""]}
    results = [relay.run("update_customer", {**command, **version}) for _ in range(2)]
    bodies = [r.body["root"]["customer"][0] for r in world.stub.requests if r.line == capillary_v1.UPDATE]
    return [[r.get("result", r.get("reason")) for r in results], ["fraud_status" in body for body in bodies]]


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


PLACE = ("source", "accountId")
LOOKUP = "GET /v2/customers/lookup"


def _updated(world: World, field: dict[str, Any], name: str, value: Any) -> Any:
    """Update a customer by mobile with an option; the look-up finds the member of the samples."""
    script = {LOOKUP: Reply({"entity": int(ID), "warnings": []}), PUT: Reply(DONE)}
    command = {"fields": field, "options": {name: value}}
    return capillary_v1.update(world, command, more=script)


def _by_v2(name: str, value: Any) -> Callable[[World], Any]:
    """The query of the V2 request that carries an option which V1.1 has no place for."""

    def do(world: World) -> Any:
        _updated(world, {"first_name": "Ana"}, name, value)
        return world.stub.last(PUT).query

    return do


def _only_v1(name: str, value: Any) -> Callable[[World], Any]:
    """Where the member was looked up, the id that V1.1 got, and the options that a notice names as not sent."""

    def do(world: World) -> Any:
        result = _updated(world, {"fraud_status": "NONE"}, name, value)
        places = [{n: r.query[n] for n in PLACE if n in r.query} for r in world.stub.requests if r.line == LOOKUP]
        sent = world.stub.last(capillary_v1.UPDATE).body["root"]["customer"][0]
        named = [notice["field"] for notice in result["notices"] if notice["code"] == "option_not_sent"]
        return [places[0] if places else None, sent.get("id"), named]

    return do


def _probe(world: World) -> Any:
    """A check of the prerequisites uses reading requests only."""
    world.stub.script({"*": Reply({"errors": [{"status": False, "code": 8015, "message": "not found"}]})})
    world.capillary().probe()
    return sorted({r.line for r in world.stub.requests if r.method not in ("GET", "HEAD")})


def _rows() -> Iterator[Row]:
    section = "a profile per source account"
    yield Row("004", section, "registering in a second source", "sent", _second_source, [["Ana", "Lind"]])
    yield Row("002", section, "updating in a second source", "sent", _second_source_update, True)
    yield Row("002", section, "a connection with another source", "sent", _changed_source, True)
    both = [["unchanged", "unchanged"], []]
    yield Row("004", section, "the first source is still known after the second", "handled", _back_again, both)
    asked = ["applied", "customer_exists", [POST]]
    yield Row("004", section, "a second source must be new: the vendor is asked", "sent", _must_be_new, asked)
    item = "8006 in the second source: an update there"
    yield Row("004", section, item, "sent", _exists_in_second, ["WEBSITE", "WEBSITE"])
    whole = ["Ana", {"loyaltyType": "loyalty"}]
    item = "the whole command where the vendor has a new id"
    yield Row("004", "registration", item, "sent", _new_id, [*whole, {"size": "M"}])
    yield Row("004", "registration", f"{item}, by identifier", "sent", _new_id_by_identifier, whole)
    item = "changeIdentifier with warning 8074: the e-mail counts as unsent"
    undone = [["identifier_not_updated"], (), ("email",)]
    yield Row("ref B8", "identifiers", item, "handled", _refused_identifier, undone)
    once = ["unchanged", [POST]]
    yield Row("002", "update", "the same state needs no second request", "handled", _unchanged, once)
    item = "a consent withdrawal with warning 91022 is sent again"
    yield Row("003", "subscriptions", item, "sent", _failed_consent, 2)
    item = "what warning 91022 reports is tried again, alone"
    again = [["part_not_done", "applied"], [True, False]]
    yield Row("003", "subscriptions", item, "sent", _tried_again, again)
    yield from _rows_of_403()
    item = "another value than was sent"
    yield Row("000", "PATCH crm-fields: response", item, "handled", _other_value, [False, True])
    section = "options"
    for name, value, query in (
        ("source", "WEBSITE", {"source": "WEBSITE"}),
        ("account_id", "acc-77", {"source": "INSTORE", "accountId": "acc-77"}),
        ("use_async", True, {"source": "INSTORE", "use_async": "true"}),
        ("single_enroll", True, {"source": "INSTORE", "mlp_single_enroll": "true"}),
    ):
        yield Row("003", section, f"{name} is honoured, by V2", "sent", _by_v2(name, value), query)
    for name, value, want in (
        ("source", "WEBSITE", [{"source": "WEBSITE"}, "171891944", []]),
        ("account_id", "acc-77", [{"source": "INSTORE", "accountId": "acc-77"}, "171891944", []]),
        ("use_async", True, [None, None, ["options.use_async"]]),
        ("single_enroll", True, [None, None, ["options.single_enroll"]]),
        ("raw_side_effects", True, [None, None, ["options.raw_side_effects"]]),
    ):
        item = f"{name} of what only V1.1 carries: by the id in that place, or named"
        yield Row("003", section, item, "handled", _only_v1(name, value), want)
    yield Row("ref B7", "connections check", "changes nothing", "sent", _probe, [])


ROWS = list(_rows())
