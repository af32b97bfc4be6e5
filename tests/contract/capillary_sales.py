"""Reference transactions 1: Capillary, POST /v2/transactions, its codes, reads, and conversions of guests' bills."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.contract.rows import Reply, Row, World, dig, pick

POST = "POST /v2/transactions"
BY_NUMBER = "GET /v2/transactions/getByBillNumber/num-1234"
RETRO = "POST /v1.1/transaction/update"
V1_GET = "GET /v1.1/transaction/get"
SEED = "ref transactions 1"
MEMBER = "98662653"
SALE: dict[str, Any] = {
    "number": 1,
    "kind": "sale",
    "amount": "200.00",
    "currency": "GBP",
    "bill": "num-1234",
    "marker": "LR-1",
    "order_id": "1001",
    "at": "2020-12-28T10:18:01.534000Z",
    "sold_at": "2020-12-28T10:18:01.534000Z",
    "loyalty_id": MEMBER,
}
RETURN = SALE | {
    "number": 2,
    "kind": "return",
    "amount": "50.00",
    "marker": "LR-2",
    "at": "2020-12-30T08:00:00.000000Z",
}
CONVERSION = SALE | {"number": 2, "kind": "conversion", "marker": "LR-2", "of": "6464658"}
ORDER: dict[str, Any] = {
    "sale": {
        "amounts": {"currency": "GBP", "goods": "200.00"},
        "sold_at": SALE["sold_at"],
        "lines": [
            {"id": "1", "item_code": "sku_1", "description": "ribbon box", "quantity": "2", "amount": "150.00"},
            {"id": "2", "item_code": "sku_2", "quantity": "1", "amount": "50.00", "discount": "10.00"},
        ],
        "payments": [{"mode": "visa", "amount": "120.00"}, {"mode": "cash", "amount": "80.00"}],
    },
    "refunds": [
        {"id": "R1", "amount": "50.00", "lines": [{"id": "2", "quantity": "1", "amount": "50.00", "discount": "10.00"}]}
    ],
    "note": "this is test",
    "custom_fields": {"paymentmode": "cash"},
    "extended_fields": {"ship_first_name": "Ram"},
}
SALES = {"enabled": True, "returns": "line", "payment_modes": {"visa": "Card Payment", "cash": "Cash"}}
EFFECT = {"entityType": "USER", "rawAwardedPoints": 150.0, "awardedPoints": 150, "type": "points"}
DONE = {"createdId": 2147939409, "warnings": [], "errors": [], "sideEffects": [EFFECT]}


def record(type: str = "REGULAR", amount: Any = 200.0, note: str = "LR-1 this is test", **more: Any) -> dict[str, Any]:
    """A transaction as the page of reading one shows it."""
    details = {"amount": amount, "billNumber": "num-1234", "billingTime": "2020-12-28T10:18:01Z", "note": note}
    given = {"id": 2147866485, "customerId": int(MEMBER), "type": type, "billDetails": details, "source": "instore"}
    return given | more


def listing(*records: Any) -> dict[str, Any]:
    """The answer of the look-up by bill number."""
    pagination = {"limit": 100, "offset": 0, "total": len(records)}
    return {"pagination": pagination, "data": list(records), "warnings": [], "errors": []}


def errors(*codes: int, **more: Any) -> dict[str, Any]:
    """A body with errors."""
    return {"errors": [{"status": False, "code": code, "message": f"refused with {code}"} for code in codes], **more}


def v1(*items: Mapping[str, Any]) -> dict[str, Any]:
    """An envelope of V1.1's transactions."""
    status = {"success": "true", "code": "200", "message": "SUCCESS"}
    return {"response": {"status": status, "transactions": {"transaction": list(items)}}}


def v1_failed(code: str) -> dict[str, Any]:
    """A V1.1 item that failed."""
    return v1({"item_status": {"success": "false", "code": code, "message": f"refused with {code}"}})


RETURNED = {"id": "7", "number": "num-1234", "type": "RETURN", "amount": "50.00", "notes": "LR-2"}
V1_DONE = {"item_status": {"success": "true", "code": "600", "message": "Transaction retrieved successfully"}}


def book(
    world: World,
    answer: Any = None,
    booking: Mapping[str, Any] = SALE,
    order: Mapping[str, Any] = ORDER,
    more: Mapping[str, Any] | None = None,
    **to: Any,
) -> Any:
    """Make a booking."""
    reply = answer if isinstance(answer, Reply) else Reply(DONE if answer is None else answer)
    line = RETRO if booking["kind"] == "conversion" else POST
    answers = {name: value if isinstance(value, Reply) else Reply(value) for name, value in (more or {}).items()}
    world.stub.script({line: reply, **answers})
    return world.capillary(**{"sales": SALES, **to}).book(booking, order)


def find(world: World, answers: Mapping[str, Any], booking: Mapping[str, Any] = SALE) -> Any:
    """Look for a booking after a lost answer."""
    world.stub.script({line: a if isinstance(a, Reply) else Reply(a) for line, a in answers.items()})
    return world.capillary().find_booking(booking)


def _sent_rows() -> list[Row]:
    def part(path: str, line: str = POST, **changes: Any) -> Callable[[World], Any]:
        def do(world: World) -> Any:
            result = book(world, **changes)
            assert result["kind"] == "done", result
            request = world.stub.last(line)
            seen = {"line": request.line, "query": request.query, "headers": request.headers, "body": request.body}
            return dig(seen, path)

        return do

    def row(item: str, path: str, want: Any, **changes: Any) -> Row:
        return Row(SEED, "POST /v2/transactions", item, "sent", part(path, **changes), want)

    guest = {"loyalty_id": None}
    place = "body.attribution.createdBy"
    whole = RETURN | {"amount": "200.00", "whole": True}
    by_line = RETURN | {"refund_id": "R1", "by_line": True}
    app = {"source": "MOBILE_APP", "account_id": "app-1"}
    rows = [
        row("the request", "line", POST),
        row("source", "query.source", "INSTORE"),
        row("accountId", "query.accountId", "app-1", **app),
        row("no accountId", "query.accountId", None),
        row("identifierName id", "query.identifierName", "id"),
        row("identifierValue", "query.identifierValue", MEMBER),
        row("use_async", "query.use_async", "true", options={"use_async": True}),
        row("no use_async", "query.use_async", None),
        row("no identifier of a guest", "query.identifierName", None, booking=SALE | guest),
        row("type REGULAR", "body.type", "REGULAR"),
        row("type NOT_INTERESTED", "body.type", "NOT_INTERESTED", booking=SALE | guest),
        row("type RETURN", "body.type", "RETURN", booking=RETURN),
        row("type NOT_INTERESTED_RETURN", "body.type", "NOT_INTERESTED_RETURN", booking=RETURN | guest),
        row("billNumber", "body.billNumber", "num-1234"),
        row("billNumber of a return is the sale's", "body.billNumber", "num-1234", booking=RETURN),
        row("billingDate with offset", "body.billingDate", "2020-12-28T10:18:01+00:00"),
        row("billingDate in Asia", "body.billingDate", "2020-12-28T15:48:01+05:30", region="asia1"),
        row("billingDate of a return", "body.billingDate", "2020-12-30T08:00:00+00:00", booking=RETURN),
        row("purchaseTime of a return", "body.purchaseTime", "2020-12-28T10:18:01+00:00", booking=RETURN),
        row("no purchaseTime of a sale", "body.purchaseTime", None),
        row("grossAmount", "body.grossAmount", 210),
        row("discount", "body.discount", 10),
        row("note begins with the marker", "body.note", "LR-1 this is test"),
        row("no currencyCode", "body.currencyCode", None),
        row("currencyCode where configured", "body.currencyCode", "GBP", options={"local_currency": True}),
        row("addWithLocalCurrency", "body.addWithLocalCurrency", True, options={"local_currency": True}),
        row("returnType AMOUNT", "body.returnType", "AMOUNT", booking=RETURN),
        row("returnType FULL", "body.returnType", "FULL", booking=whole),
        row("returnType LINE_ITEM", "body.returnType", "LINE_ITEM", booking=by_line),
        row("no returnType of a sale", "body.returnType", None),
        row(
            "paymentModes",
            "body.paymentModes",
            [{"mode": "Card Payment", "value": 120}, {"mode": "Cash", "value": 80}],
        ),
        row("no paymentModes that are not the bill", "body.paymentModes", None, booking=SALE | {"amount": "190.00"}),
        row("lineItemsV2[].serial", "body.lineItemsV2.1.serial", 2),
        row("lineItemsV2[].itemCode", "body.lineItemsV2.0.itemCode", "sku_1"),
        row("lineItemsV2[].description", "body.lineItemsV2.0.description", "ribbon box"),
        row("lineItemsV2[].qty", "body.lineItemsV2.0.qty", 2),
        row("lineItemsV2[].rate", "body.lineItemsV2.0.rate", 75),
        row("lineItemsV2[].value", "body.lineItemsV2.1.value", 60),
        row("lineItemsV2[].discount", "body.lineItemsV2.1.discount", 10),
        row("lineItemsV2[].amount", "body.lineItemsV2.1.amount", 50),
        row("lineItemsV2 of a return", "body.lineItemsV2.0.itemCode", "sku_2", booking=by_line),
        row("no lineItemsV2 that are not the bill", "body.lineItemsV2", None, booking=SALE | {"amount": "190.00"}),
        row("no lineItemsV2 of a return by amount", "body.lineItemsV2", None, booking=RETURN),
        row("customFields", "body.customFields", {"paymentmode": "cash"}),
        row("extendedFields", "body.extendedFields", {"ship_first_name": "Ram"}),
        row("attribution TILL", place, {"code": "t1", "type": "TILL"}, booking=SALE | {"place": {"till": "t1"}}),
        row("attribution STORE", place, {"code": "s1", "type": "STORE"}, booking=SALE | {"place": {"store": "s1"}}),
        row("no attribution: the till of the login", "body.attribution", None),
    ]
    for amount in ("200.00", "0.01", "4808", "12345678901234567.89"):

        def digits(world: World, amount: str = amount) -> Any:
            book(world, booking=SALE | {"amount": amount})
            return f'"billAmount":{amount},'.encode() in world.stub.last(POST).content

        rows.append(
            Row(
                SEED,
                "POST /v2/transactions",
                f"billAmount {amount} is a number with these digits",
                "sent",
                digits,
                True,
            )
        )

    def retro(item: str, path: str, want: Any) -> Row:
        answer = v1({"id": 1, "item_status": {"success": "true", "code": "1630"}})
        do = part(path, RETRO, booking=CONVERSION, answer=answer)
        return Row(SEED, "POST /v1.1/transaction/update", item, "sent", do, want)

    first = "body.root.transaction.0"
    return [
        *rows,
        retro("the request", "line", RETRO),
        retro("format", "query.format", "json"),
        retro("X-CAP-CLIENT-SIGNATURE", "headers.x-cap-client-signature", "LOYALTY_RELAY"),
        retro("id", f"{first}.id", "6464658"),
        retro("old_type", f"{first}.old_type", "NOT_INTERESTED"),
        retro("new_type", f"{first}.new_type", "REGULAR"),
        retro("customer.id, and nothing else of the customer", f"{first}.customer", {"id": MEMBER}),
    ]


def _response_rows() -> list[Row]:
    def row(item: str, do: Callable[[World], Any], want: Any) -> Row:
        return Row(SEED, "POST /v2/transactions: response", item, "handled", do, want)

    def became(answer: Any, *names: str, **changes: Any) -> Callable[[World], Any]:
        return lambda world: pick(book(world, answer, **changes), *names)

    def warned(code: int) -> dict[str, Any]:
        return DONE | {"warnings": [{"status": False, "code": code, "message": f"warning {code}"}]}

    requested = Reply(DONE, headers={"X-CAP-REQUEST-ID": "0a1b2c"})
    coupon = {"type": "coupon", "id": 397760089, "couponCode": "2AWZSLSN"}
    plain = {"kind": "transient", "reached": True}
    rows = [
        row("createdId", became(None, "transaction_id"), "2147939409"),
        row("createdId as a text", became(DONE | {"createdId": "7"}, "transaction_id"), "7"),
        row("sideEffects: points", became(None, "points"), 150),
        row("sideEffects: a coupon gives no points", became(DONE | {"sideEffects": [coupon]}, "points"), None),
        row("no sideEffects", became({"createdId": 7}, "points"), None),
        row("header X-CAP-REQUEST-ID", became(requested, "request_id"), "0a1b2c"),
        row("a plain success has no notice", became(None, "codes"), []),
        row("200 with errors", became(errors(601), "kind", "code"), {"kind": "permanent", "code": "601"}),
        row("errors beside an id: looked up", _done(errors(8084, createdId=1)), "2147866485"),
        row("a success without body: looked up", _done(Reply("", 200)), "2147866485"),
        row("500 may have booked", became(Reply({}, 500), "kind", "reached"), plain),
        row("521 booked nothing", became(errors(521), "kind", "reached"), {"kind": "transient", "reached": False}),
        row(
            "429 booked nothing",
            became(Reply({}, 429), "reason", "reached"),
            {"reason": "rate_limited", "reached": False},
        ),
        row("517: limit", became(errors(517), "reason"), "rate_limited"),
        row("8015: never registers", became(errors(8015), "reason"), "customer_not_found"),
    ]
    rows += [
        row(f"{code}: no such customer", became(errors(code), "reason"), "customer_not_found")
        for code in (611, 641, 656)
    ]
    for code in (500, 608, 622, 623, 686):
        rows.append(row(f"{code}: general, may have booked", became(errors(code), "kind", "reached"), plain))
    rows += [
        row(f"{code}: refused", became(errors(code), "kind", "code"), {"kind": "permanent", "code": str(code)})
        for code in REFUSED
    ]
    rows += [
        row(
            f"{code} as a warning: booked without points", became(warned(code), "codes"), [str(code), "points_not_done"]
        )
        for code in NO_POINTS
    ]
    rows += [
        row(f"{code} as a warning: booked, with a notice", became(warned(code), "codes"), [str(code)])
        for code in (625, 669, 9601, 9603, 9604, 9605, 9606, 9607, 9616)
    ]
    return [*rows, *_undecided_rows(row)]


REFUSED = (
    *(601, 602, 606, 610, 614, 618, 621, 626, 629, 630, 632, 635, 636, 638, 643, 644),
    *(code for code in range(646, 661) if code != 656),
    *(671, 672, 673, 674, 675, 676, 678, 681, 682, 685, 688, 820, 3045, 9605, 9606, 9607),
)
NO_POINTS = (683, 684, 687, 710, 9608, 9610, 9611)
POINTS_FAILED = (637, 687, *range(689, 700))


def _done(answer: Any, booking: Mapping[str, Any] = SALE, shown: Any = None) -> Callable[[World], Any]:
    """Which transaction was found after an answer that leaves open whether it was booked."""
    more = {BY_NUMBER: listing(record()) if shown is None else shown, V1_GET: v1_failed("668")}
    return lambda world: pick(book(world, answer, booking, more=more), "transaction_id")


def _undecided_rows(row: Callable[[str, Callable[[World], Any], Any], Row]) -> list[Row]:
    ours = listing(record(), record("RETURN", 50.0, "LR-2 this is test", id=7))

    def without(code: int, *names: str, booking: Mapping[str, Any] = RETURN) -> Callable[[World], Any]:
        more = {BY_NUMBER: listing(record()), V1_GET: v1_failed("668")}
        return lambda world: pick(book(world, errors(code), booking, more=more), *names)

    def taken(shown: Any) -> Callable[[World], Any]:
        more = {BY_NUMBER: shown, "GET /v1.1/customer/get": v1_failed("1012")}
        return lambda world: pick(book(world, errors(604), more=more), "reason")

    rows = [
        row("604 with our marker, amount and member: done", _done(errors(604)), "2147866485"),
        row("604 with another amount", taken(listing(record(amount=199.0))), "ambiguous"),
        row("604 with another member", taken(listing(record(customerId=5))), "ambiguous"),
        row("604 with another note", taken(listing(record(note="till 3"))), "ambiguous"),
        row("604 without a note", taken(listing(record(note=""))), "ambiguous"),
        row("604, and nothing can be read", taken(listing()), "ambiguous"),
    ]
    for code in (624, 625, 633, 634, 639):
        rows.append(row(f"{code} of a return that is in the books: done", _done(errors(code), RETURN, ours), "7"))
        item = f"{code} of a return that is not: refused"
        rows.append(row(item, without(code, "kind", "code"), {"kind": "permanent", "code": str(code)}))
    for code in POINTS_FAILED:
        rows.append(row(f"{code} of a return that is in the books: done", _done(errors(code), RETURN, ours), "7"))
        item = f"{code} of a return that is not: tried again after a look-up"
        rows.append(row(item, without(code, "kind", "reached"), {"kind": "transient", "reached": True}))

    def again(first: int, booking: Mapping[str, Any]) -> Callable[[World], Any]:
        def do(world: World) -> Any:
            world.stub.script({POST: [Reply(errors(first)), Reply(DONE)]})
            result = world.capillary(sales=SALES).book(booking, ORDER)
            return [result["kind"], [request.body["returnType"] for request in world.stub.requests]]

        return do

    whole = RETURN | {"amount": "200.00", "whole": True}
    by_line = RETURN | {"refund_id": "R1", "by_line": True}
    rows += [
        row(f"{code} of a whole return: by amount", again(code, whole), ["done", ["FULL", "AMOUNT"]])
        for code in (639, 676)
    ]
    rows += [
        row(f"{code} of a return by line: by amount", again(code, by_line), ["done", ["LINE_ITEM", "AMOUNT"]])
        for code in (632, 674, 688)
    ]
    return rows


def _retro_rows() -> list[Row]:
    def row(item: str, do: Callable[[World], Any], want: Any) -> Row:
        return Row(SEED, "POST /v1.1/transaction/update: response", item, "handled", do, want)

    def became(answer: Any, *names: str) -> Callable[[World], Any]:
        return lambda world: pick(book(world, answer, CONVERSION), *names)

    effect = {"type": "points", "awarded_points": "75", "total_points": "75"}
    done = {
        "id": "34007568",
        "type": "REGULAR",
        "item_status": {"success": "true", "code": "1630", "message": "Transaction retrospectively marked REGULAR"},
        "side_effects": {"effect": effect},
        "old_id": "6464658",
    }
    member, other = record(note="", id=34007568), record(note="", customerId=5)

    def already(shown: Any) -> Callable[[World], Any]:
        more = {BY_NUMBER: listing(shown), "GET /v1.1/customer/get": v1_failed("1012")}
        return lambda world: pick(book(world, v1_failed("1627"), CONVERSION, more=more), "transaction_id", "reason")

    return [
        row("1630: done, under a new id", became(v1(done), "transaction_id"), "34007568"),
        row("side_effects: points", became(v1(done), "points"), 75),
        *(
            row(f"{code}: rejected", became(v1_failed(code), "kind", "code"), {"kind": "permanent", "code": code})
            for code in ("1623", "1625", "1626", "1628", "1629", "1631", "1632", "1633")
        ),
        row("1627 of the member's bill: done", already(member), {"transaction_id": "34007568", "reason": None}),
        row("1627 of another's bill", already(other), {"transaction_id": None, "reason": "ambiguous"}),
    ]


def _look_up_rows() -> list[Row]:
    def row(section: str, item: str, do: Callable[[World], Any], want: Any, way: Any = "handled") -> Row:
        return Row(SEED, section, item, way, do, want)

    def found(answers: Mapping[str, Any], booking: Mapping[str, Any] = SALE, name: str = "transaction_id") -> Any:
        return lambda world: pick(find(world, answers, booking), name)

    def asked(answers: Mapping[str, Any], booking: Mapping[str, Any], line: str) -> Callable[[World], Any]:
        def do(world: World) -> Any:
            find(world, answers, booking)
            return world.stub.last(line).query

        return do

    by_number, by_id, by_v1 = (
        "GET /v2/transactions/getByBillNumber/{n}",
        "GET /v2/transactions/{id}",
        "GET /v1.1/transaction/get",
    )
    id_line = "GET /v2/transactions/2147866485"
    known = {"transaction_id": "2147866485"}
    returned = record("RETURN", 50.0, "LR-2", id=7)
    v1_item = RETURNED | V1_DONE | {"customer": {"user_id": MEMBER, "mobile": "44700900999"}}
    none = {BY_NUMBER: listing(record()), V1_GET: v1_failed("668")}
    return [
        row(by_number, "a sale", found({BY_NUMBER: listing(record())}), "2147866485"),
        row(by_number, "a return", found({BY_NUMBER: listing(record(), returned)}, RETURN), "7"),
        row(by_number, "no record", found({BY_NUMBER: listing()}), None),
        *(
            row(by_number, f"{code}: no record", found({BY_NUMBER: errors(code)}), None)
            for code in (620, 624, 625, 668)
        ),
        row(by_number, "another amount", found({BY_NUMBER: listing(record(amount=1))}, name="reason"), "ambiguous"),
        row(by_number, "404", found({BY_NUMBER: Reply("", 404)}, name="reason"), "ambiguous"),
        row(by_number, "no access", found({BY_NUMBER: errors(4000)}, name="reason"), "ambiguous"),
        row(by_number, "500", found({BY_NUMBER: Reply({}, 500)}, name="kind"), "transient"),
        row(by_id, "type", asked({id_line: record()}, SALE | known, id_line), {"type": "REGULAR"}, "sent"),
        row(
            by_id,
            "type of a return",
            asked({id_line: record("RETURN", 50.0, "LR-2")}, RETURN | known, id_line),
            {"type": "RETURN"},
            "sent",
        ),
        row(by_id, "a sale", found({id_line: record()}, SALE | known), "2147866485"),
        row(by_id, "620: no record", found({id_line: errors(620)}, SALE | known), None),
        row(
            by_v1,
            "the request, where V2 lists no return",
            asked(none, RETURN, V1_GET),
            {"format": "json", "number": "num-1234", "type": "RETURN", "user_id": "true", "limit": "100"},
            "sent",
        ),
        row(by_v1, "a return", found(none | {V1_GET: v1(v1_item)}, RETURN), "7"),
        row(by_v1, "another return", found(none | {V1_GET: v1(v1_item | {"notes": "LR-3"})}, RETURN), None),
        row(by_v1, "no return", found(none, RETURN), None),
        row(by_v1, "no notes", found(none | {V1_GET: v1(v1_item | {"notes": ""})}, RETURN, "reason"), "ambiguous"),
    ]


ROWS = [*_sent_rows(), *_response_rows(), *_retro_rows(), *_look_up_rows()]
