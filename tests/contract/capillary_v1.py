"""Seed 003: Capillary V1.1, update of a customer by an identifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.contract.rows import Reply, Row, World, dig, ids, pick

UPDATE = "POST /v1.1/customer/update"
Command = Mapping[str, Any]

MEMBER: dict[str, Any] = {
    "user_id": 343000001,
    "firstname": "Rita",
    "lastname": "Ames",
    "mobile": "447009000000",
    "email": None,
    "external_id": "X-6",
    "lifetime_points": 120,
    "loyalty_points": 75,
    "current_slab": "bronze",
    "tier_expiry_date": "2112-09-11 23:59:59",
    "points_summaries": {
        "points_summary": [
            {
                "programId": "1016",
                "redeemed": "5",
                "expired": "1",
                "returned": "2",
                "adjusted": "-3",
                "lifetimePoints": "120",
                "loyaltyPoints": "75",
                "cumulativePurchases": "199.5",
                "currentSlab": "bronze",
                "nextSlab": "silver",
                "nextSlabSerialNumber": "2",
                "nextSlabDescription": "Silver tier",
                "slabSNo": "1",
                "slabExpiryDate": "2112-09-11 23:59:59",
                "totalPoints": "",
            }
        ]
    },
    "lifetime_purchases": 199.5,
    "registered_on": "2012-09-11 11:11:15",
    "updated_on": "2019-12-09 14:59:49",
    "type": "LOYALTY",
    "source": "instore",
    "fraud_status": "NONE",
    "custom_fields": {"field": [{"name": "age", "value": "46"}]},
    "extended_fields": {"field": [{"name": "gender", "value": "Male"}]},
    "subscriptions": {
        "subscription": [
            {"channel": "SMS", "priority": "BULK", "scope": "ALL", "status": "1"},
            {"channel": "EMAIL", "priority": "TRANS", "scope": "ALL", "status": "0"},
        ]
    },
    "side_effects": {
        "effect": [{"type": "points", "awarded_points": "10", "total_points": "85", "customer_id": "343"}]
    },
    "item_status": {"success": "true", "code": "1000", "message": "Customer successfully updated"},
}


def envelope(member: Any = MEMBER, code: Any = 200, success: str = "true", **status: Any) -> dict[str, Any]:
    """The documented answer."""
    counted = {"success": success, "code": code, "message": "Success", "total": "1", "success_count": "1", **status}
    return {"response": {"status": counted, "customers": {"customer": [member]}}}


def item(code: Any, message: str = "", *, success: str = "false", warnings: Any = None) -> dict[str, Any]:
    """A member whose item status is another one."""
    status = {"success": success, "code": code, "message": message}
    return {**MEMBER, "item_status": {**status, **({} if warnings is None else {"warnings": warnings})}}


KNOWN = {"GET /v2/customers/lookup": Reply({"entity": 343000001, "warnings": []})}
FRAUD = {"fields": {"fraud_status": "NONE"}}


def update(
    world: World, command: Command = FRAUD, answer: Any = None, *, customer: Any = None, more: Any = None, **to: Any
) -> Any:
    """Update a customer by identifier, with a field that only V1.1 carries."""
    reply = answer if isinstance(answer, Reply) else Reply(envelope() if answer is None else answer)
    world.stub.script({UPDATE: reply, **(more or {})})
    who = customer or ids({"mobile": "+447009000000"})
    return world.capillary(**to).update(None, {"customer": who, **command})


def sent(path: str, command: Command = FRAUD, **more: Any) -> Callable[[World], Any]:
    """Return the value at a path of the customer in the request."""

    def do(world: World) -> Any:
        result = update(world, command, **more)
        assert result["kind"] == "done", result
        request = world.stub.last(UPDATE)
        body = dig(request.body, "root.customer.0")
        return dig({"customer": body, "query": request.query, "headers": request.headers, "body": request.body}, path)

    return do


def read(answer: Any, *names: str, command: Command = FRAUD, more: Any = None) -> Callable[[World], Any]:
    return lambda world: pick(update(world, command, answer, more=more), *names)


def _request_rows() -> list[Row]:
    def row(item: str, path: str, want: Any, command: Command = FRAUD, deviates: str = "", **more: Any) -> Row:
        return Row("003", "request", item, "sent", sent(path, command, **more), want, deviates)

    def line(world: World) -> Any:
        update(world)
        return world.stub.lines()

    def by(kind: str, value: str) -> dict[str, Any]:
        return {"customer": ids({kind: value})}

    def by_id(world: World) -> Any:
        world.stub.script({UPDATE: Reply(envelope())})
        world.capillary().update("343000001", FRAUD)
        return world.stub.last(UPDATE).body["root"]["customer"][0]

    def fields(**given: Any) -> dict[str, Any]:
        return {"fields": {name.replace("__", "."): value for name, value in given.items()}}

    def till(value: str) -> Row:
        return row(f"registered_till {value}", "customer.registered_till", value, fields(registered_till=value))

    def subscription(channel: str, priority: str, value: bool) -> Row:
        command = {"fields": {f"subscriptions.{channel}.{priority.lower()}": value}}
        want = [
            {"priority": priority, "scope": "all", "is_subscribed": "1" if value else "0", "channel": channel},
        ]
        return row(f"subscriptions {channel} {priority} {value}", "customer.subscriptions.subscription", want, command)

    names = {"firstname": "first_name", "lastname": "last_name", "associated_with": "associated_with"}
    pair = [{"name": "age", "value": "46"}]
    context = {**FRAUD, "options": {"user_context": {"type": "TILL", "source_id": "shop-1"}}}
    return [
        Row("003", "request", "POST /v1.1/customer/update", "sent", line, [UPDATE]),
        row("format=json", "query.format", "json"),
        row("Content-Type", "headers.content-type", "application/json"),
        row("USER-CONTEXT-ENTITY-TYPE", "headers.user-context-entity-type", "TILL", context),
        row("USER-CONTEXT-ENTITY-SOURCE-ID", "headers.user-context-entity-source-id", "shop-1", context),
        row("root.customer is an array of one", "body.root.customer.1", None),
        row("mobile", "customer.mobile", "447009000000", **by("mobile", "+447009000000")),
        row("email", "customer.email", "rita@example.com", **by("email", "rita@example.com")),
        row("external_id", "customer.external_id", "X-6", **by("external_id", "X-6")),
        Row("003", "request", "id", "sent", by_id, {"id": "343000001", "fraud_status": {"status": "NONE"}}),
        row(
            "one identifier only, since a second one can merge",
            "customer",
            {"external_id": "X-6", "fraud_status": {"status": "NONE"}},
            customer=ids({"mobile": "+447009000000", "external_id": "X-6"}),
        ),
        *(row(theirs, f"customer.{theirs}", "Ana", {"fields": {ours: "Ana"}}) for theirs, ours in names.items()),
        row(
            "registered_on",
            "customer.registered_on",
            "2016-09-11 11:11:11",
            fields(registered_on="2016-09-11T11:11:11+00:00"),
        ),
        row(
            "registered_on in the clock of an Asian cluster",
            "customer.registered_on",
            "2016-09-11 16:41:11",
            fields(registered_on="2016-09-11T11:11:11+00:00"),
            region="asia1",
        ),
        till("till.01"),
        till("1001.10.12"),
        till("1234"),
        row("type LOYALTY", "customer.type", "LOYALTY", fields(loyalty_type="loyalty")),
        row(
            "custom_fields name and value",
            "customer.custom_fields.field",
            pair,
            {"fields": {"custom_fields.age": "46"}},
        ),
        row(
            "extended_fields name and value",
            "customer.extended_fields.field",
            pair,
            {"fields": {"extended_fields.age": "46"}},
        ),
        subscription("sms", "TRANS", True),
        subscription("sms", "BULK", False),
        subscription("email", "TRANS", False),
        subscription("email", "BULK", True),
        row(
            "fraud_status CONFIRMED", "customer.fraud_status", {"status": "CONFIRMED"}, fields(fraud_status="CONFIRMED")
        ),
        row("fraud_status NONE", "customer.fraud_status", {"status": "NONE"}),
    ]


def _type_row() -> Row:
    def non_loyalty(world: World) -> Any:
        result = update(world, {"fields": {"fraud_status": "NONE", "loyalty_type": "non_loyalty"}})
        return [dig(world.stub.last(UPDATE).body, "root.customer.0.type"), result["codes"]]

    return Row("003", "request", "type NON_LOYALTY is not possible", "handled", non_loyalty, [None, ["not_updatable"]])


def _response_rows() -> list[Row]:
    def row(name: str, path: str, want: Any, answer: Any = None, deviates: str = "") -> Row:
        return Row("003", "response", name, "handled", read(answer, path), want, deviates)

    def member(**changes: Any) -> dict[str, Any]:
        return envelope({**MEMBER, **changes})

    summary = "details.points_summaries.0."
    without = {name: value for name, value in MEMBER.items() if name != "item_status"}
    last = {**MEMBER["points_summaries"]["points_summary"][0], "nextSlab": "", "nextSlabSerialNumber": "-1"}
    none = member(points_summaries={"points_summary": [last]})
    empty = member(
        points_summaries=[],
        custom_fields={"field": []},
        extended_fields=[],
        subscriptions=None,
        side_effects={"effect": []},
    )
    one = {"response": {**envelope()["response"], "customers": {"customer": MEMBER}}}
    return [
        row("user_id", "loyalty_id", "343000001"),
        row("user_id as a text", "loyalty_id", "343000001", member(user_id="343000001")),
        row("lifetime_points", "details.lifetime_points", 120),
        row("lifetime_points as a text", "details.lifetime_points", 120, member(lifetime_points="120")),
        row("lifetime_purchases", "details.lifetime_purchases", 199.5),
        row("loyalty_points", "details.loyalty_points", 75),
        row("current_slab", "details.current_slab", "bronze"),
        row("tier_expiry_date", "details.tier_expiry_date", "2112-09-11 23:59:59"),
        row("points_summaries", "details.points_summaries.1", None),
        row("programId", summary + "program_id", 1016),
        row("redeemed", summary + "redeemed", 5),
        row("expired", summary + "expired", 1),
        row("returned", summary + "returned", 2),
        row("adjusted, negative", summary + "adjusted", -3),
        row("cumulativePurchases", summary + "cumulative_purchases", 199.5),
        row("currentSlab", summary + "current_slab", "bronze"),
        row("nextSlab", summary + "next_slab", "silver"),
        row("nextSlabSerialNumber", summary + "next_slab_serial_number", 2),
        row("no next slab", summary + "next_slab_serial_number", None, none),
        row("nextSlabDescription", summary + "next_slab_description", "Silver tier"),
        row("slabSNo", summary + "slab_serial_number", 1),
        row("slabExpiryDate", summary + "slab_expiry_date", "2112-09-11 23:59:59"),
        row("registered_on", "details.registered_on", "2012-09-11 11:11:15"),
        row("updated_on", "details.updated_on", "2019-12-09 14:59:49"),
        row("type LOYALTY", "details.type", "loyalty"),
        row("type NON_LOYALTY", "details.type", "non_loyalty", member(type="NON_LOYALTY")),
        row("custom_fields", "details.custom_fields", {"age": "46"}),
        row("extended_fields", "details.extended_fields", {"gender": "Male"}),
        row("subscriptions.channel SMS", "details.subscriptions.0.channel", "sms"),
        row("subscriptions.channel EMAIL", "details.subscriptions.1.channel", "email"),
        row("subscriptions.priority BULK", "details.subscriptions.0.priority", "bulk"),
        row("subscriptions.priority TRANS", "details.subscriptions.1.priority", "trans"),
        row("subscriptions.status 1", "details.subscriptions.0.subscribed", True),
        row("subscriptions.status 0", "details.subscriptions.1.subscribed", False),
        row("side_effects", "details.side_effects.0.points", 10),
        row("empty collections in every form", "kind", "done", empty),
        row("one customer as an object", "loyalty_id", "343000001", one),
        row(
            "success as a boolean", "kind", "done", envelope({**MEMBER, "item_status": {"success": True, "code": 1000}})
        ),
        row("no item_status: status.code 200 is success", "kind", "done", envelope(without)),
        row("no item_status: status.code 200 as a text", "kind", "done", envelope(without, "200")),
        row("no item_status: user_id", "loyalty_id", "343000001", envelope(without)),
        Row(
            "003",
            "response",
            "success_count 0 without item_status",
            "handled",
            read(envelope(without, success_count="0"), "kind", more=KNOWN),
            "permanent",
        ),
        row("total and success_count as numbers", "kind", "done", envelope(total=1, success_count=1)),
    ]


def _outcome_rows() -> list[Row]:
    """Request level and item level of an answer (reference B9)."""

    def row(name: str, answer: Any, want: Any, *names: str, deviates: str = "", more: Any = None) -> Row:
        return Row("ref B9", "V1.1 outcome", name, "handled", read(answer, *names, more=more), want, deviates)

    nothing = {"GET /v2/customers/lookup": Reply({"errors": [{"status": False, "code": 8015, "message": "not found"}]})}
    unauthorized = {
        "response": {"status": {"success": "true", "code": "401", "message": "Unauthorized"}, "customers": None}
    }
    denied = {
        "response": {
            "status": {
                "code": 403,
                "message": "Client doesn't have access to the requested resource",
                "success": False,
                "warnings": {"warning": []},
            }
        }
    }
    found = {"kind": "permanent", "reason": "customer_not_found", "code": "1012"}
    xml = """<?xml version="1.0"?><response><status><success>false</success><code>500</code></status><customers>
        <customer><item_status><success>false</success><code>1012</code><message>Customer not found</message>
        </item_status></customer></customers></response>"""
    one = """<customer><user_id>343000001</user_id><item_status><success>true</success><code>1000</code></item_status>
        </customer>"""
    status = "<status><success>true</success><code>200</code></status>"
    success = f"<response>{status}<customers>{one}</customers></response>"
    listed = one.replace("customer>", "element>")
    elements = f"<root><response>{status}<customers><customer>{listed}</customer></customers></response></root>"
    typed = "<!DOCTYPE response>" + success
    return [
        row("item failure under 500", envelope(item(1012, "Customer not found"), 500, "false"), found, *found),
        row("item failure under 201", envelope(item("1012", "Customer not found"), 201), found, *found),
        row("item failure although the request says 200", envelope(item("1012")), found, *found),
        row("all failed, empty item, member exists", envelope({}, 500, "false"), "permanent", "kind", more=KNOWN),
        row(
            "all failed, empty item, no member",
            envelope({}, 500, "false"),
            "customer_not_found",
            "reason",
            more=nothing,
        ),
        row("refused although success says true", unauthorized, "credentials", "kind"),
        row("no access to the resource", denied, "credentials", "kind"),
        row("HTTP 500 with an all-failed envelope passes", Reply(envelope({}, 500, "false"), 500), "transient", "kind"),
        row(
            "warnings as bare codes",
            envelope(item("1000", success="true", warnings={"warning": ["1053"]})),
            ["1053"],
            "codes",
        ),
        row(
            "warnings as objects",
            envelope(item("1000", success="true", warnings={"warning": [{"code": 1053}]})),
            ["1053"],
            "codes",
        ),
        row(
            "warning 91009: the survivor answers",
            envelope(item("1000", success="true", warnings={"warning": ["91009"]})),
            ["91009"],
            "codes",
        ),
        row(
            "XML instead of JSON: an item error is permanent by its code",
            Reply(xml, kind="application/xml"),
            found,
            *found,
        ),
        row("XML instead of JSON: a success", Reply(success, kind="application/xml"), "343000001", "loyalty_id"),
        row("XML with list items as elements", Reply(elements, kind="text/xml"), "343000001", "loyalty_id"),
        row("XML with a document type is not read", Reply(typed, kind="application/xml"), "transient", "kind"),
    ]


PERMANENT = [
    "1001",
    "1002",
    "1003",
    "1004",
    "1006",
    "1039",
    "1043",
    "1007",
    "1013",
    "1020",
    "1015",
    "1016",
    "1032",
    "1033",
    "1018",
    "1024",
    "1034",
    "1041",
    "1042",
    "1044",
    "1045",
    "1046",
    "1047",
    "1048",
    "1049",
    "1060",
    "1101",
    "1102",
    "1103",
    "1104",
    "1105",
    "1106",
    "1107",
    "1108",
    "1109",
    "1110",
    "10001",
    "10002",
    "618",
]


def _code_rows() -> list[Row]:
    def code(number: str, reason: str = "") -> Row:
        do = read(
            envelope(item(number, f"refused with {number}"), 500, "false"),
            "kind",
            "code",
            *(["reason"] if reason else []),
        )
        want = {"kind": "permanent", "code": number, **({"reason": reason} if reason else {})}
        return Row("ref B11", "V1.1 item code", number, "handled", do, want)

    return [
        *(code(number) for number in PERMANENT),
        code("1011", "customer_not_found"),
        code("1012", "customer_not_found"),
        code("816", "customer_not_found"),
        code("1014", "customer_exists"),
    ]


ROWS = [*_request_rows(), _type_row(), *_response_rows(), *_outcome_rows(), *_code_rows()]
