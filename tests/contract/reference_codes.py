"""The reference's code lists: V2 errors, V2 and V1.1 warnings, and the codes of a request as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.contract import capillary_v1, capillary_v2
from tests.contract.capillary_v2 import DONE, post, put
from tests.contract.rows import Reply, Row, World, pick

PERMANENT = (
    "3213 3214 3215 3216 3217 3218 3219 3220 3221 3222 3017 1006 1061 1062 1064 8001 8002 8003 8004 8005 "
    "8007 8008 8010 8011 8012 8013 8014 8016 8017 8018 8019 8020 8021 8022 8023 8024 8025 8027 8126 8045 "
    "8051 8053 8055 8056 8057 8058 8059 8064 8066 8070 8071 8072 8073 8074 8075 8084 8085 8086 8087 8088 "
    "8089 8090 8091 8092 8093 8100 8101 8102 8103 8104 8105 8110 8111 8106 8107 8108 8112 8113 8114 8115 "
    "8117 8118 8119 8120 8121 8122 8123 8124 8125 8127 400 402 404 405 406 407 408 415 1060"
)
SPECIAL = {
    "8009": "customer_not_found",
    "8015": "customer_not_found",
    "8065": "customer_not_found",
    "8006": "customer_exists",
    "8028": "customer_exists",
    "8026": "customer_erased",
}
BLAMED = {
    "8086": "status_label",
    "8018": "loyalty_type",
    "8017": "registered_on",
    "8014": "identifiers",
    "8045": "destination.account_id",
    "8003": "destination.source",
    "8004": "destination.source",
    "8106": "channels",
}
PASSING = {
    "521": "unavailable",
    "461": "unavailable",
    "503": "unavailable",
    "4001": "unavailable",
    "429": "rate_limited",
}
REFUSED = ("401", "403", "498", "4000")


def _error(code: str, status: int = 200) -> Reply:
    item = {"status": False, "code": int(code), "message": f"refused with {code}"}
    return Reply({"errors": [item]}, status)


def _asked(code: str, *names: str, status: int = 200) -> Callable[[World], Any]:
    return lambda world: pick(put(world, {"fields": {"first_name": "Ana"}}, _error(code, status)), *names)


def _error_rows() -> list[Row]:
    def row(item: str, do: Callable[[World], Any], want: Any) -> Row:
        return Row("ref B11", "V2 error", item, "handled", do, want)

    rows = [row(c, _asked(c, "kind", "code"), {"kind": "permanent", "code": c}) for c in PERMANENT.split()]
    rows += [row(c, _asked(c, "reason", "code"), {"reason": reason, "code": c}) for c, reason in SPECIAL.items()]
    rows += [row(f"{c} names {f}", _asked(c, "fields"), [f]) for c, f in BLAMED.items()]
    rows += [
        row(f"{c}: passes", _asked(c, "kind", "reason"), {"kind": "transient", "reason": reason})
        for c, reason in PASSING.items()
    ]
    rows += [row(f"{c}: credentials", _asked(c, "kind"), "credentials") for c in REFUSED]

    def merged(world: World) -> Any:
        """The member was merged away: V1.1 shows the survivor."""
        item = {"status": False, "code": 8069, "message": "merged customer found"}
        gone = Reply({"errors": [item]})
        world.stub.script(
            {
                capillary_v2.PUT: gone,
                "GET /v1.1/customer/get": Reply(capillary_v1.envelope({**capillary_v1.MEMBER, "user_id": 5001})),
                "PUT /v2/customers/5001": Reply({**DONE, "createdId": 5001}),
            }
        )
        command = {
            "fields": {"first_name": "Ana"},
            "customer": {"identifiers": [{"type": "external_id", "value": "X"}]},
        }
        return pick(world.capillary().update(capillary_v2.ID, command), "kind", "loyalty_id")

    rows.append(row("8069: the survivor is updated", merged, {"kind": "done", "loyalty_id": "5001"}))
    return rows


CONTACTS = {"fields": {"first_name": "Ana", "email": "ana@example.com", "phone": "+447700900123"}}
UNDONE_V2 = {
    "8055": ("email", "an invalid e-mail"),
    "8056": ("phone", "an invalid mobile"),
    "8053": ("phone", "conflicting customers"),
    "8057": ("email", "an e-mail that is the same in a channel"),
    "8060": ("subscriptions.email.bulk", "a subscription that could not be queued"),
    "8058": ("phone", "a mobile that is the same in a channel"),
    "8077": ("associated_with", "an associatedWith that is not valid"),
}
DONE_V2 = [
    "8052",
    "8054",
    "8059",
    "8061",
    "8062",
    "8063",
    "8068",
    "8071",
    "8072",
    "8073",
    "8078",
    "8079",
    "8080",
    "8081",
    "8082",
    "8083",
    "8088",
    "8090",
    "8107",
    "1302",
    "521",
]
COMBINED = ("8050", "8051", "8066", "8069")
UNDONE_V1 = {
    "91022": ("subscriptions.sms.bulk", False, "a subscription that failed"),
    "1017": ("custom_fields.age", "46", "a custom field that is not valid"),
    "1018": ("custom_fields.age", "46", "custom fields that failed"),
    "91015": ("extended_fields.gender", "Male", "an extended field that is too long or failed"),
    "91021": ("associated_with", "till.1", "a till of the attribution that is not valid"),
    "91020": ("registered_till", "till.1", "a till that is not valid"),
}
PLAIN_V1 = ("1053", *(str(code) for code in range(91001, 91008)), "91009", "91021")


def _warning_rows() -> list[Row]:
    def warned(code: str) -> dict[str, Any]:
        return {**DONE, "warnings": [{"status": False, "code": int(code), "message": f"warning {code}"}]}

    def v2(code: str, *names: str) -> Callable[[World], Any]:
        more = {"associated_with": "till.1", "subscriptions.email.bulk": False}
        command = {"fields": {**CONTACTS["fields"], **more}}
        return lambda world: pick(post(world, command, warned(code)), *names)

    def unsent(code: str, field: str) -> Callable[[World], Any]:
        return lambda world: field in v2(code, "sent")(world)

    rows = [
        Row(
            "ref B11",
            "V2 warning",
            f"{c}: done, with a notice",
            "handled",
            v2(c, "kind", "codes"),
            {"kind": "done", "codes": [c]},
        )
        for c in DONE_V2
    ]
    rows += [
        Row("ref B11", "V2 warning", f"{c}: the member was there before", "handled", v2(c, "created"), False)
        for c in COMBINED
    ]
    rows += [
        Row(
            "ref B11",
            "V2 warning",
            f"{c}: {text} counts as unsent",
            "handled",
            unsent(c, field),
            False,
        )
        for c, (field, text) in UNDONE_V2.items()
    ]

    def v1(code: str, field: str, value: Any) -> Callable[[World], Any]:
        def do(world: World) -> Any:
            status = {"success": "true", "code": "1000", "message": "ok", "warnings": {"warning": [code]}}
            answer = capillary_v1.envelope({**capillary_v1.MEMBER, "item_status": status})
            result = capillary_v1.update(world, {"fields": {field: value, "fraud_status": "NONE"}}, answer)
            return [result["codes"], field in result["sent"]]

        return do

    for code in PLAIN_V1:
        do = v1(code, "first_name", "Ana")
        rows.append(Row("ref B11", "V1.1 warning", f"{code}: done, with a notice", "handled", do, [[code], True]))
    for code, (name, value, text) in UNDONE_V1.items():
        item = f"{code}: {text} counts as unsent"
        rows.append(Row("ref B11", "V1.1 warning", item, "handled", v1(code, name, value), [[code], False]))
    return rows


ROWS = [*_error_rows(), *_warning_rows()]
