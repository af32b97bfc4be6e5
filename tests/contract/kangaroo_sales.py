"""Reference A8.9: Kangaroo, POST /transactions and finding a copy. No page of the seeds has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.contract.rows import PLAIN_TOKEN, Reply, Row, World, dig, pick
from tests.contract.stub import Recorded

POST = "POST /transactions"
LIST = "GET /transactions"
CUSTOMER = "11e696103f8ff5eabb02089e01cf89b5"
BRANCH = "11e7038ade3780aca64e089e01cf89b5"
SALE: dict[str, Any] = {
    "number": 1,
    "kind": "sale",
    "amount": "5.25",
    "currency": "CAD",
    "bill": "ORD0001",
    "marker": "34-28599475251",
    "order_id": "1001",
    "at": "2017-03-06T20:19:24.000000Z",
    "sold_at": "2017-03-06T20:19:24.000000Z",
    "loyalty_id": CUSTOMER,
}
RETURN = SALE | {"number": 2, "kind": "return", "amount": "2.25", "marker": "34-2", "refund_id": "R7"}
MADE = {"id": 256560, "created_at": "2017-03-06T20:19:24+0000", "amount": 5.25, "points": 5, "name": "Reward"}
DETAILS = {"external_order_id": "ORD0001", "custom_field_1": "34-28599475251", "custom_field_2": None}
LISTED = MADE | {"customer": {"id": CUSTOMER, "email": "john@example.com"}, "transaction_details": DETAILS}


def book(
    world: World,
    answer: Any = None,
    booking: Mapping[str, Any] = SALE,
    order: Mapping[str, Any] | None = None,
    **destination: Any,
) -> Any:
    """Make the booking of the sample."""
    world.stub.script(
        {POST: answer if isinstance(answer, Reply) else Reply({"data": MADE} if answer is None else answer)}
    )
    return world.kangaroo(**destination).book(booking, order or {})


def find(world: World, answer: Any, booking: Mapping[str, Any] = SALE) -> Any:
    """Look for the booking of the sample after a lost response."""
    world.stub.script({LIST: answer if isinstance(answer, Reply) or callable(answer) else Reply(answer)})
    return world.kangaroo().find_booking(booking)


def _sent_rows() -> list[Row]:
    def part(path: str, **changes: Any) -> Callable[[World], Any]:
        def do(world: World) -> Any:
            result = book(world, **changes)
            assert result["kind"] == "done", result
            request = world.stub.last(POST)
            return dig({"line": request.line, "headers": request.headers, "body": request.body}, path)

        return do

    def row(item: str, do: Callable[[World], Any], want: Any) -> Row:
        return Row("ref A8.9", "POST /transactions", item, "sent", do, want)

    headers = {
        "Authorization": "Bearer fake-access",
        "X-Application-Key": "fake-app-key",
        "Accept": "application/vnd.kangaroorewards.api.v1+json",
        "Content-Type": "application/json",
    }
    mapped = {"custom_fields": {f"custom_field_{n}": f"value {n}" for n in range(2, 6)}}
    pin = {"credentials": PLAIN_TOKEN | {"employee_pin_code": "3333"}}
    rows = [
        row("the request", part("line"), POST),
        *(row(f"header {name}", part(f"headers.{name.lower()}"), want) for name, want in headers.items()),
        row("intent reward", part("body.intent"), "reward"),
        row("intent return", part("body.intent", booking=RETURN), "return"),
        row("customer.id, and no e-mail or phone", part("body.customer"), {"id": CUSTOMER}),
        row("created_at of a late sale", part("body.created_at"), "2017-03-06T20:19:24+00:00"),
        row("receipt.number", part("body.receipt"), {"number": "ORD0001"}),
        row("receipt.number of a return", part("body.receipt", booking=RETURN), {"number": "ORD0001"}),
        row("transaction_details.external_order_id", part("body.transaction_details.external_order_id"), "ORD0001"),
        row(
            "transaction_details.external_order_id of a return",
            part("body.transaction_details.external_order_id", booking=RETURN),
            "ORD0001",
        ),
        row("transaction_details.custom_field_1", part("body.transaction_details.custom_field_1"), "34-28599475251"),
        row(
            "the refund's id in transaction_details.custom_field_2",
            part("body.transaction_details.custom_field_2", booking=RETURN),
            "R7",
        ),
        *(
            row(
                f"transaction_details.custom_field_{n}",
                part(f"body.transaction_details.custom_field_{n}", order=mapped),
                f"value {n}",
            )
            for n in range(2, 6)
        ),
        row(
            "255 characters in a custom field",
            part("body.transaction_details.custom_field_3", order={"custom_fields": {"custom_field_3": "x" * 255}}),
            "x" * 255,
        ),
        row(
            "256 characters are not cut off",
            part("body.transaction_details.custom_field_3", order={"custom_fields": {"custom_field_3": "x" * 256}}),
            None,
        ),
        row("branch.id", part("body.branch", booking=SALE | {"place": {"branch": BRANCH}}), {"id": BRANCH}),
        row("no branch: the main one", part("body.branch"), None),
        row("employee.id", part("body.employee", options={"employee_id": "11e1"}), {"id": "11e1"}),
        row("employee.pin_code", part("body.employee", **pin), {"pin_code": "3333"}),
        row("no employee", part("body.employee"), None),
        row(
            "optional members are absent where unknown",
            part("body"),
            {
                "intent": "reward",
                "amount": 5.25,
                "customer": {"id": CUSTOMER},
                "created_at": "2017-03-06T20:19:24+00:00",
                "receipt": {"number": "ORD0001"},
                "transaction_details": {"external_order_id": "ORD0001", "custom_field_1": "34-28599475251"},
            },
        ),
    ]
    for amount in ("5.25", "10.00", "0.01", "1500", "12345678901234567.89"):

        def digits(world: World, amount: str = amount) -> Any:
            book(world, {"data": {"id": 1}}, SALE | {"amount": amount})
            return f'"amount":{amount},'.encode() in world.stub.last(POST).content

        rows.append(row(f"amount {amount} is a number with these digits", digits, True))
    return rows


def _handled_rows() -> list[Row]:
    def row(item: str, do: Callable[[World], Any], want: Any) -> Row:
        return Row("ref A8.9", "POST /transactions: response", item, "handled", do, want)

    def became(answer: Any, *names: str, **changes: Any) -> Callable[[World], Any]:
        return lambda world: pick(book(world, answer, **changes), *names)

    def error(message: str, description: str, status: int) -> Reply:
        wrapped = {"status_code": status, "message": message, "description": description}
        return Reply({"error": wrapped | {"link": "https://api.kangaroorewards.local/docs"}}, status)

    def refused(body: Any) -> Reply:
        return Reply(body, 422)

    unknown = "The selected customer.id is invalid."
    rows = [
        row("id", became(None, "transaction_id"), "256560"),
        row("id as a text", became({"data": {"id": "490"}}, "transaction_id"), "490"),
        row("points", became(None, "points"), 5),
        row("points of a return are taken", became(None, "points", booking=RETURN | {"amount": "5.25"}), -5),
        row("points as a text", became({"data": MADE | {"points": "5"}}, "points"), 5),
        row("without a wrapper", became(MADE, "transaction_id"), "256560"),
        row(
            "with a customer, offers and a coupon", became({"data": MADE | {"offers": [], "customer": {}}}, "codes"), []
        ),
        row("another amount", became({"data": MADE | {"amount": 5}}, "codes"), ["amount_differs"]),
        row("202 without data", became(Reply("", 202), "kind", "reached"), {"kind": "transient", "reached": True}),
        row("200 without an id", became({"data": {}}, "kind", "reached"), {"kind": "transient", "reached": True}),
        row("422 unknown customer.id", became(refused({"customer.id": [unknown]}), "reason"), "customer_not_found"),
        row(
            "404 customer not found",
            became(error("Customer not found", "The requested resource doesn't exist.", 404), "reason"),
            "customer_not_found",
        ),
        row(
            "400 Invalid Employee ID",
            became(error("Bad Request", "Invalid Employee ID", 400), "reason", "fields"),
            {"reason": "invalid", "fields": ["employee"]},
        ),
        row(
            "422 of an amount",
            became(refused({"amount": ["The amount must be greater than 0."]}), "reason", "fields"),
            {"reason": "invalid", "fields": ["amount"]},
        ),
        row(
            "422 of a custom field",
            became(refused({"transaction_details.custom_field_2": ["Too long."]}), "reason", "fields"),
            {"reason": "invalid", "fields": ["custom_fields.custom_field_2"]},
        ),
        row(
            "422 of a configured branch",
            became(
                refused({"branch.id": ["The selected branch.id is invalid."]}),
                "reason",
                "fields",
                booking=SALE | {"place": {"branch": BRANCH}},
            ),
            {"reason": "invalid", "fields": ["branch"]},
        ),
        row(
            "403 This action is unauthorized is about the transaction",
            became(Reply({"message": "This action is unauthorized."}, 403), "reason"),
            "rejected",
        ),
        row("500 may have booked", became(Reply({}, 500), "kind", "reached"), {"kind": "transient", "reached": True}),
        row("429 booked nothing", became(Reply({}, 429), "kind", "reached"), {"kind": "transient", "reached": False}),
        row("a guest is not booked", _never(SALE | {"loyalty_id": None}), ["unsupported_by_destination", []]),
    ]

    def main_branch(world: World) -> Any:
        answers = [refused({"branch.id": ["The selected branch.id is invalid."]}), Reply({"data": MADE})]
        world.stub.script({POST: answers})
        result = world.kangaroo().book(SALE | {"linked_branch": BRANCH}, {})
        return [result["codes"], [request.body.get("branch") for request in world.stub.requests]]

    rows.append(row("422 of a link's branch: the main one", main_branch, [["branch_refused"], [{"id": BRANCH}, None]]))
    return rows


def _never(booking: Mapping[str, Any]) -> Callable[[World], Any]:
    return lambda world: [book(world, booking=booking)["reason"], world.stub.lines()]


def _look_up_rows() -> list[Row]:
    def row(item: str, do: Callable[[World], Any], want: Any, way: Any = "handled") -> Row:
        return Row("ref A8.9", "GET /transactions", item, way, do, want)

    def query(name: str) -> Callable[[World], Any]:
        def do(world: World) -> Any:
            find(world, {"data": []})
            return world.stub.last(LIST).query.get(name)

        return do

    def found(*items: Any, booking: Mapping[str, Any] = SALE) -> Callable[[World], Any]:
        return lambda world: pick(find(world, {"data": list(items)}, booking), "transaction_id")

    def reason(answer: Any, booking: Mapping[str, Any] = SALE) -> Callable[[World], Any]:
        return lambda world: pick(find(world, answer, booking), "reason")

    def later_page(world: World) -> Any:
        def pages(request: Recorded) -> Reply:
            if request.query.get("page") == "2" and "transaction_details.external_order_id" in request.query:
                return Reply({"data": [LISTED]})
            cursor = {"count": 1, "next": 2, "next_uri": "transactions?page=2"}
            return Reply({"data": [LISTED | {"transaction_details": None}], "cursor": cursor})

        return pick(find(world, pages), "transaction_id")

    returned = LISTED | {"name": "Refund - Points", "amount": 2.25, "points": 2}
    returned["transaction_details"] = DETAILS | {"custom_field_1": "34-2"}
    return [
        row("eq filter", query("transaction_details.external_order_id"), "eq|ORD0001", "sent"),
        row("relationships", query("relationships"), "customer,transaction_details", "sent"),
        row("a copy", found(LISTED), "256560"),
        row("a copy on the second page", later_page, "256560"),
        row("a copy of a return", found(LISTED, returned, booking=RETURN), "256560"),
        row("a return with a negative amount", found(returned | {"amount": -2.25}, booking=RETURN), "256560"),
        row("an id in capitals", found(LISTED | {"customer": {"id": CUSTOMER.upper()}}), "256560"),
        row("nothing", found(), None),
        row("the return of the sale is not the sale", found(returned), None),
        row("transaction_details null", found(LISTED | {"transaction_details": None}), None),
        row("another amount", reason({"data": [LISTED | {"amount": 5.24}]}), "ambiguous"),
        row("another customer", reason({"data": [LISTED | {"customer": {"id": BRANCH}}]}), "ambiguous"),
        row("cancelled", reason({"data": [LISTED | {"name": "Transaction Canceled -  Clerk"}]}), "ambiguous"),
        row("a redemption", reason({"data": [LISTED | {"name": "Redemption"}]}), "ambiguous"),
        row("twice", reason({"data": [LISTED, LISTED | {"id": 256561}]}), "ambiguous"),
        row("without details", reason({"data": [MADE]}), "ambiguous"),
        row("403", reason(Reply({"message": "This action is unauthorized."}, 403)), "ambiguous"),
        row("404", reason(Reply({"error": {"status_code": 404, "message": "Not found"}}, 404)), "ambiguous"),
        row("500", lambda world: pick(find(world, Reply({}, 500)), "kind"), "transient"),
    ]


ROWS = [*_sent_rows(), *_handled_rows(), *_look_up_rows()]
