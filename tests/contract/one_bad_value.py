"""What a shop got wrong takes nothing else of its event with it: every kind of field and of wrong value at Capillary.

The same for Kangaroo is in ``kangaroo_crm``, beside what its live list of fields adds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tests.contract.capillary_v2 import DONE, ID, POST, PUT
from tests.contract.rows import Reply, Row, World, ids

WHO = {"customer": {"source_id": "7", **ids({"email": "ana@example.com"})}}
CONSENT = {"subscriptions.email.bulk": False}
ODD: dict[str, Any] = {"a list": ["x"], "an object": {"a": 1}, "a boolean": True, "a number": 7}
FIELDS = (
    *("first_name", "last_name", "language", "gender", "status_label", "associated_with", "fraud_status"),
    *("loyalty_type", "registered_on", "registered_till", "email", "phone", "custom_fields.size"),
    *("extended_fields.city", "channels.line"),
)
WRONG: dict[str, dict[str, Any]] = {
    "an e-mail that is none": {"email": "nobody"},
    "a phone that is none": {"phone": "12"},
    "a day that there is not": {"registered_on": "2026-02-30"},
    "a fraud status that there is not": {"fraud_status": "PERHAPS"},
    "a channel that there is not": {"channels.pigeon": [{"value": "x"}]},
    "a consent that is neither true nor false": {"subscriptions.sms.bulk": "perhaps"},
    "a line break in a till": {"associated_with": "till\r\nx: y"},
    "a tag": {"tags.Red": True},
}


def _registered(bad: dict[str, Any]) -> Callable[[World], Any]:
    def do(world: World) -> Any:
        world.stub.script(
            {
                POST: Reply(DONE),
                PUT: Reply(DONE),
                "POST /v1.1/customer/update": Reply(_done()),
                "GET /v2/customers/lookup": Reply({"entity": int(ID), "warnings": []}),
            }
        )
        relay = world.capillary()
        relay.applied()
        result = relay.run("register_customer", {**WHO, "fields": {**CONSENT, **bad}})
        channels = [
            c for r in world.stub.requests if r.line == POST for c in r.body["profiles"][0].get("commChannels", ())
        ]
        subscribed = [c["subscribed"] for c in channels if c["type"] == "email"]
        return [result.get("result", result.get("reason")), result.get("created"), subscribed]

    return do


def _refused(world: World) -> Any:
    def answer(request: Any) -> Reply:
        error = {"status": False, "code": 3017, "message": "Invalid status label"}
        return Reply({"errors": [error], "warnings": []}, 400) if "statusLabel" in request.body else Reply(DONE)

    world.stub.script({POST: answer})
    relay = world.capillary()
    relay.applied()
    result = relay.run("register_customer", {**WHO, "fields": {**CONSENT, "status_label": "GOLD"}})
    return [result.get("result", result.get("reason")), result.get("created"), result.get("codes")]


def _done() -> Any:
    status = {"success": "true", "code": "1000", "message": "ok", "warnings": []}
    customer = {"user_id": int(ID), "item_status": status}
    return {
        "response": {
            "status": {"success": "true", "code": 200, "message": "ok", "total": "1", "success_count": "1"},
            "customers": {"customer": [customer]},
        }
    }


def _rows() -> Iterator[Row]:
    section = "a shop's event: one bad value"
    want = ["applied", True, [False]]
    for name, bad in WRONG.items():
        yield Row("004", section, name, "handled", _registered(bad), want)
    item = "a label that only the vendor knows to be wrong"
    yield Row("ref B11", section, item, "handled", _refused, ["applied", True, ["value_refused"]])
    for field in FIELDS:
        for name, value in ODD.items():
            yield Row("004", section, f"{name} for {field}", "handled", _registered({field: value}), want)


ROWS = list(_rows())
