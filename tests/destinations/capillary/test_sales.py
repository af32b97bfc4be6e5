"""Sales and returns at Capillary: what is sent to the byte, what each code leads to, and which record is ours."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_relay.connections.model import Sales
from loyalty_relay.destinations.base import Booking, BookingReceipt
from loyalty_relay.destinations.capillary.codes import SALE_CODES, AsError
from loyalty_relay.destinations.capillary.config import VENDOR
from loyalty_relay.model.commands import OrderCommand
from loyalty_relay.model.errors import (
    AmbiguousOutcome,
    CredentialsRefused,
    CustomerErased,
    CustomerNotFound,
    PermanentError,
    RateLimited,
    RelayError,
    UpstreamTimeout,
    UpstreamUnavailable,
    VendorRejected,
)
from loyalty_relay.model.money import text_of
from loyalty_relay.model.orders import Amounts, Line, Payment, Refund
from tests.destinations.capillary.bookings import (
    BILL,
    MEMBER,
    MUG,
    SHIRT,
    booking,
    done,
    failure,
    listing,
    record,
    recorded,
    refunded,
    sale,
    v1_failure,
    v1_listing,
)
from tests.destinations.capillary.upstream import Canned, answer, deadline, query
from tests.support.limiters import NullLimiter

POST = ("POST", "/v2/transactions")
BY_NUMBER = ("GET", f"/v2/transactions/getByBillNumber/{BILL}")
V1_GET = ("GET", "/v1.1/transaction/get")


def upstream_with(*answers: Any) -> Canned:
    """The upstream that gives these answers: bodies, responses or exceptions."""
    return Canned(*(a if isinstance(a, httpx.Response | Exception) else answer(a) for a in answers))


def book(
    wanted: Booking, command: OrderCommand | None = None, *answers: Any, **options: Any
) -> tuple[BookingReceipt, Canned]:
    upstream = upstream_with(*(answers or (done(),)))
    return upstream.crm(**options).book(wanted, command or recorded(), deadline()), upstream


def sent(wanted: Booking, command: OrderCommand | None = None, **options: Any) -> dict[str, Any]:
    """The body of the first request."""
    body: dict[str, Any] = book(wanted, command, **options)[1].body()
    return body


def error_of(wanted: Booking, *answers: Any, command: OrderCommand | None = None, **options: Any) -> RelayError:
    upstream = upstream_with(*answers)
    with pytest.raises(RelayError) as caught:
        upstream.crm(**options).book(wanted, command or recorded(), deadline())
    assert upstream.answers == []
    return caught.value


# -- requests ---------------------------------------------------------------------------------------------------------


def test_a_sale_is_sent_by_loyalty_id_with_the_marker_in_its_note() -> None:
    receipt, upstream = book(booking(), recorded(note="Till 3"), done(points=75))
    assert upstream.seen() == [POST]
    assert query(upstream.requests[0]) == {"source": "INSTORE", "identifierName": "id", "identifierValue": MEMBER}
    body = upstream.body()
    assert {name: body[name] for name in ("type", "billNumber", "billingDate", "note")} == {
        "type": "REGULAR",
        "billNumber": BILL,
        "billingDate": "2025-06-15T10:20:30+00:00",
        "note": "LR-sale-1 Till 3",
    }
    assert receipt == BookingReceipt(
        transaction_id="2147000001", points=Decimal(75), notices=(), request_id="0123456789abc"
    )


def test_amounts_are_numbers_with_their_own_digits() -> None:
    """G10, at the bytes of the request."""
    command = recorded(sale=sale(lines=(), payments=()))
    content = book(booking(amount="1234567890123456.10"), command)[1].requests[0].content
    assert b'"billAmount":1234567890123456.10,' in content
    _, upstream = book(booking(), recorded(), sales=Sales(payment_modes={"visa": "Card"}))
    content = upstream.requests[0].content
    for part in (
        b'"billAmount":75.00,',
        b'"grossAmount":85.00,"discount":10.00,',
        b'{"serial":1,"itemCode":"SHIRT-M","qty":2,"value":60.00,"discount":10.00,"amount":50.00,"rate":30.00,',
        b'"paymentModes":[{"mode":"Card","value":75.00}]',
    ):
        assert part in content


@pytest.mark.parametrize("amount", ["100", "0.001", "7.50", "12345678901234567.89", "999999999999999999"])
@given(places=st.integers(min_value=0, max_value=3))
def test_every_amount_arrives_as_it_is(amount: str, places: int) -> None:
    exact = Decimal(amount).scaleb(-places)
    content = book(booking(amount=text_of(exact)), recorded(sale=None))[1].requests[0].content
    given = json.loads(content, parse_float=Decimal, parse_int=Decimal)["billAmount"]
    assert (given, text_of(given)) == (exact, text_of(exact))


def test_nothing_of_the_buyer_but_the_loyalty_id_is_sent() -> None:
    from loyalty_relay.model.commands import CustomerRef, Identifier, RecordSale

    contacts = (Identifier("email", "ana@example.com"), Identifier("mobile", "+447700900123"))
    command = RecordSale(
        order=recorded().order,
        customer=CustomerRef(source_id="77", identifiers=contacts),
        fields={"first_name": "Ana", "last_name": "Ames"},
    )
    _, upstream = book(booking(), command)
    request = upstream.requests[0]
    for text in ("ana@example.com", "447700900123", "Ana", "Ames"):
        assert text.encode() not in request.content
        assert text not in str(request.url)


@pytest.mark.parametrize(
    ("kind", "member", "type"),
    [
        ("sale", MEMBER, "REGULAR"),
        ("sale", None, "NOT_INTERESTED"),
        ("return", MEMBER, "RETURN"),
        ("return", None, "NOT_INTERESTED_RETURN"),
    ],
)
def test_a_booking_without_member_is_not_interested(kind: str, member: str | None, type: str) -> None:
    wanted = booking(kind, loyalty_id=member)
    _, upstream = book(wanted, recorded())
    assert upstream.body()["type"] == type
    assert ("identifierName" in query(upstream.requests[0])) is (member is not None)


def test_the_source_and_the_account_are_the_connections() -> None:
    _, upstream = book(booking(), source="MOBILE_APP", account_id="app-1", options={"use_async": True})
    assert query(upstream.requests[0]) == {
        "source": "MOBILE_APP",
        "accountId": "app-1",
        "identifierName": "id",
        "identifierValue": MEMBER,
        "use_async": "true",
    }


@pytest.mark.parametrize(
    ("place", "attribution"),
    [
        ({"till": "demo.till02"}, {"createdBy": {"code": "demo.till02", "type": "TILL"}}),
        ({"store": "demo.store02"}, {"createdBy": {"code": "demo.store02", "type": "STORE"}}),
        ({}, None),
    ],
)
def test_a_sale_is_attributed_to_its_till_or_store(place: dict[str, str], attribution: Any) -> None:
    assert sent(booking(place=place)).get("attribution") == attribution
    assert sent(booking("return", "10.00", place=place), refunded()).get("attribution") == attribution


def test_the_currency_is_sent_only_where_the_organisation_converts_it() -> None:
    assert "currencyCode" not in sent(booking())
    body = sent(booking(), options={"local_currency": True})
    assert (body["currencyCode"], body["addWithLocalCurrency"]) == ("GBP", True)


def test_mapped_fields_are_those_of_the_transaction() -> None:
    command = recorded(custom_fields={"channel": "web"}, extended_fields={"gift": True, "floor": 2})
    body = sent(booking(), command)
    assert body["customFields"] == {"channel": "web"}
    assert body["extendedFields"] == {"gift": "true", "floor": 2}


def test_payments_are_sent_by_the_connections_names_and_only_if_they_are_exactly_the_bill() -> None:
    modes = Sales(payment_modes={"visa": "Card", "cash": "Cash"})
    split = (
        Payment(mode="visa", amount=Decimal("70.00")),
        Payment(mode="cash", amount=Decimal("4.00")),
        Payment(mode="unlisted", amount=Decimal("1.00")),
    )
    command = recorded(sale=sale(payments=split))
    assert [(p["mode"], p["value"]) for p in sent(booking(), command, sales=modes)["paymentModes"]] == [
        ("Card", 70.0),
        ("Cash", 4.0),
    ]
    assert "paymentModes" not in sent(booking(amount="60.00"), command, sales=modes)
    assert "paymentModes" not in sent(booking(), command)
    assert "paymentModes" not in sent(booking(currency="EUR"), command, sales=modes)


@pytest.mark.parametrize(
    ("lines", "amount", "want"),
    [
        ((SHIRT, MUG), "75.00", ["50.00", "25.00"]),
        ((SHIRT, MUG), "74.99", None),
        # Each line's tax is part of its amount where the bill contains the tax, and not where it does not.
        ((Line(item_code="A", amount=Decimal(10), tax=Decimal(2)),), "12", ["12"]),
        ((Line(item_code="A", amount=Decimal(10), tax=Decimal(2)),), "10", ["10"]),
        # A gift card that was bought does not earn, and is left out.
        ((SHIRT, Line(item_code="GC", amount=Decimal("25.00"), kind="gift_card")), "50.00", ["50.00"]),
        # Capillary has no negative lines and no lines without item code.
        ((SHIRT, Line(item_code="B", amount=Decimal("-5.00"))), "45.00", None),
        ((Line(amount=Decimal("50.00")),), "50.00", None),
        ((), "75.00", None),
    ],
)
def test_lines_are_sent_only_if_their_sum_is_the_bill(lines: Any, amount: str, want: Any) -> None:
    content = book(booking(amount=amount), recorded(sale=sale(lines=lines)))[1].requests[0].content
    found = json.loads(content, parse_float=str, parse_int=str).get("lineItemsV2")
    assert (found and [line["amount"] for line in found]) == want


def test_a_line_without_an_exact_price_has_none() -> None:
    lines = sent(booking())["lineItemsV2"]
    assert ["rate" in line for line in lines] == [True, False]
    assert all(line["value"] - line["discount"] == line["amount"] for line in lines)


def test_lines_in_another_currency_than_the_bill_are_not_sent() -> None:
    body = sent(booking(currency="EUR"), recorded())
    assert not {"lineItemsV2", "grossAmount", "discount"} & set(body)


# -- returns ----------------------------------------------------------------------------------------------------------


def test_a_return_has_its_sales_number_and_its_own_marker() -> None:
    body = sent(booking("return", "10.00"), refunded(note="Damaged"))
    assert {k: body[k] for k in ("type", "returnType", "billNumber", "note", "billingDate", "purchaseTime")} == {
        "type": "RETURN",
        "returnType": "AMOUNT",
        "billNumber": BILL,
        "note": "LR-return-1 Damaged",
        "billingDate": "2025-06-16T08:00:00+00:00",
        "purchaseTime": "2025-06-15T10:20:30+00:00",
    }


@pytest.mark.parametrize(
    ("members", "kind"),
    [
        ({"whole": True}, "FULL"),
        # After another booking of the order, a part of the bill may be gone already.
        ({"whole": True, "number": 3}, "AMOUNT"),
        ({}, "AMOUNT"),
    ],
)
def test_the_whole_is_returned_as_such_only_where_it_is_certain(members: dict[str, Any], kind: str) -> None:
    assert sent(booking("return", **members), refunded())["returnType"] == kind


REFUND = Refund(
    id="r1",
    amount=Decimal("25.00"),
    lines=(Line(id="l1", quantity=Decimal(1), amount=Decimal("25.00")),),
)


def test_a_return_by_line_needs_the_setting_and_exact_lines() -> None:
    wanted = booking("return", "25.00", refund_id="r1", by_line=True)
    command = refunded(REFUND, sale=sale())
    body = sent(wanted, command)
    assert body["returnType"] == "LINE_ITEM"
    assert [(line["itemCode"], line["qty"], line["amount"]) for line in body["lineItemsV2"]] == [("SHIRT-M", 1, 25.0)]
    for other, report in (
        (replace(wanted, by_line=False), command),
        (booking("return", "24.99", refund_id="r1", by_line=True), command),
        (booking("return", "25.00", by_line=True), command),
        (wanted, refunded(REFUND)),
    ):
        body = sent(other, report)
        assert (body["returnType"], "lineItemsV2" in body) == ("AMOUNT", False)


@pytest.mark.parametrize("code", [626, 629, 632, 674, 678, 688])
def test_a_return_by_line_that_the_bill_does_not_take_is_made_by_amount(code: int) -> None:
    wanted = booking("return", "25.00", refund_id="r1", by_line=True)
    command = refunded(REFUND, sale=sale())
    receipt, upstream = book(wanted, command, failure(code), done(7))
    assert [upstream.body(n)["returnType"] for n in (0, 1)] == ["LINE_ITEM", "AMOUNT"]
    assert "lineItemsV2" not in upstream.body(1)
    assert receipt.transaction_id == "7"


@pytest.mark.parametrize("code", [639, 676])
def test_a_whole_return_that_is_refused_as_such_is_made_by_amount(code: int) -> None:
    receipt, upstream = book(booking("return", whole=True), refunded(), failure(code), done(7))
    assert [upstream.body(n)["returnType"] for n in (0, 1)] == ["FULL", "AMOUNT"]
    assert receipt.transaction_id == "7"


# -- responses --------------------------------------------------------------------------------------------------------

ANSWERS: dict[AsError, Any] = {
    AsError.REFUSED: VendorRejected,
    AsError.MISSING: CustomerNotFound,
    AsError.PASSING: (UpstreamUnavailable, RateLimited),
}


@pytest.mark.parametrize(
    ("code", "status"),
    [
        *((c, 200) for c, known in SALE_CODES.items() if known.error in ANSWERS),
        *((c, status) for c in ("601", "611", "608") for status in (400, 404, 500)),
    ],
)
def test_every_code_leads_to_its_error_whatever_the_status(code: str, status: int) -> None:
    error = error_of(booking(), answer(failure(int(code)), status))
    assert isinstance(error, ANSWERS[SALE_CODES[code].error])
    assert error.code == code
    if isinstance(error, UpstreamUnavailable):
        assert error.reached


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (8015, CustomerNotFound),
        (8026, CustomerErased),
        (401, CredentialsRefused),
        (4000, CredentialsRefused),
        (429, RateLimited),
        (517, RateLimited),
        (521, UpstreamUnavailable),
        (3217, VendorRejected),
        (99999, VendorRejected),
    ],
)
def test_codes_of_every_api_mean_what_they_mean_elsewhere(code: int, kind: type[RelayError]) -> None:
    assert isinstance(error_of(booking(), failure(code)), kind)


def test_a_code_means_something_else_for_a_customer() -> None:
    """618 is a fraud status there that can be corrected, 1101 a subscription."""
    error = error_of(booking(), failure(618))
    assert isinstance(error, VendorRejected)
    assert error.problems == ()


@pytest.mark.parametrize(("code", "field"), [(671, "sales.stores"), (9607, "sales.payment_modes")])
def test_a_code_about_the_configuration_names_its_setting(code: int, field: str) -> None:
    error = error_of(booking(), failure(code))
    assert isinstance(error, VendorRejected)
    assert [problem.field for problem in error.problems] == [field]


LOOKED_UP = [c for c, known in SALE_CODES.items() if known.error is AsError.LOOKED_UP and c != "1627"]
AGAIN = [c for c, known in SALE_CODES.items() if known.error is AsError.LOOKED_UP_AGAIN]


@pytest.mark.parametrize("code", [*LOOKED_UP, *AGAIN])
@pytest.mark.parametrize("kind", ["sale", "return"])
def test_what_may_be_booked_is_looked_up_and_done_where_marker_amount_and_member_are_ours(code: str, kind: str) -> None:
    ours = record() if kind == "sale" else record("RETURN", note="LR-return-1 Damaged", id=2147000009)
    shown = [ours] if kind == "sale" else [record(), ours]
    receipt, upstream = book(booking(kind), None, failure(int(code)), listing(*shown))
    assert upstream.seen() == [POST, BY_NUMBER]
    assert receipt.transaction_id == str(ours["id"])
    codes = [notice.code for notice in receipt.notices]
    assert codes[0] == code
    assert ("points_not_done" in codes) is SALE_CODES[code].no_points


@pytest.mark.parametrize("code", LOOKED_UP)
def test_what_the_books_do_not_have_is_refused(code: str) -> None:
    wanted = booking("return", "10.00")
    error = error_of(wanted, failure(int(code)), listing(record()), v1_failure("668"))
    assert isinstance(error, AmbiguousOutcome if code == "604" else VendorRejected)
    assert error.code == code


@pytest.mark.parametrize("code", AGAIN)
def test_a_return_whose_points_failed_and_that_the_books_do_not_have_is_tried_again(code: str) -> None:
    error = error_of(booking("return", "10.00"), failure(int(code)), listing(record()), v1_failure("668"))
    assert isinstance(error, UpstreamUnavailable)
    assert (error.code, error.reached) == (code, True)


@pytest.mark.parametrize("failed", [httpx.ReadTimeout("silence"), answer(b"", 503), failure(521), failure(401)])
@pytest.mark.parametrize("first", [failure(637), failure(604), answer(b"")])
def test_a_look_up_that_fails_leaves_open_whether_it_was_booked(first: Any, failed: Any) -> None:
    """Else the ledger would forget the intent, and the next attempt would book a second time."""
    upstream = upstream_with(first, *[failed] * 2)
    with pytest.raises(RelayError) as caught:
        upstream.crm().book(booking(), recorded(), deadline())
    assert caught.value.reached


@pytest.mark.parametrize(
    "other",
    [
        record(amount=74.0),
        record(member=7),
        record("NOT_INTERESTED", member=0),
        record(note="LR-sale-2"),
        record(note=""),
        record(note=None),
        record(note="Till 3"),
        record(amount=None),
    ],
)
def test_a_number_that_is_taken_by_another_bill_is_ambiguous(other: dict[str, Any]) -> None:
    answers: list[Any] = [failure(604), listing(other)]
    if other["customerId"] == 7:
        answers.append(v1_failure("1012"))
    error = error_of(booking(), *answers)
    assert isinstance(error, AmbiguousOutcome)


def test_a_number_that_is_taken_and_cannot_be_read_is_ambiguous() -> None:
    assert isinstance(error_of(booking(), failure(604), listing()), AmbiguousOutcome)
    assert isinstance(error_of(booking(), failure(604), answer(b"", 404)), AmbiguousOutcome)


@pytest.mark.parametrize("code", [c for c, known in SALE_CODES.items() if known.no_points])
def test_a_bill_without_points_is_no_plain_success(code: str) -> None:
    warning = {"status": False, "code": int(code), "message": "Points are not awarded"}
    receipt, _ = book(booking(), None, done(warnings=[warning]))
    assert receipt.points is None
    assert [notice.code for notice in receipt.notices] == [code, "points_not_done"]


@pytest.mark.parametrize("code", [625, 669, 9601, 9604, 9605, 9607, 9616, 91016, 1105, 4711])
def test_another_warning_is_a_notice(code: int) -> None:
    warning = {"status": False, "code": code, "message": "Something else"}
    receipt, _ = book(booking(), None, done(warnings=[warning]))
    assert [notice.code for notice in receipt.notices] == [str(code)]


def test_points_of_all_side_effects_are_counted() -> None:
    effects = [
        {"type": "points", "rawAwardedPoints": 480.8, "awardedPoints": 480, "entityType": "USER"},
        {"type": "coupon", "couponCode": "X", "id": 9},
        {"type": "points", "awardedPoints": 0.5},
    ]
    assert book(booking(), None, done(sideEffects=effects))[0].points == Decimal("480.5")
    assert book(booking("return", "1"), refunded(), done(points=-7))[0].points == Decimal(-7)
    assert book(booking(), None, done(sideEffects=None))[0].points is None


@pytest.mark.parametrize("body", [b"", b"{}", json.dumps({"createdId": 0}).encode()])
def test_a_success_without_an_id_is_looked_up(body: bytes) -> None:
    receipt, upstream = book(booking(), None, answer(body), listing(record()))
    assert upstream.seen() == [POST, BY_NUMBER]
    assert receipt.transaction_id == "2147000001"


def test_a_success_without_an_id_that_is_not_in_the_books_is_unclear() -> None:
    error = error_of(booking(), answer(b""), listing())
    assert isinstance(error, UpstreamUnavailable)
    assert error.reached


@pytest.mark.parametrize("code", [8084, 618, 8015])
def test_an_error_beside_an_id_is_looked_up(code: int) -> None:
    body = failure(code, createdId=2147000001)
    receipt, _ = book(booking(), None, body, listing(record()))
    assert receipt.transaction_id == "2147000001"
    error = error_of(booking(), body, listing())
    assert isinstance(error, UpstreamUnavailable)
    assert error.reached


def test_of_several_errors_one_that_may_be_booked_decides() -> None:
    receipt, _ = book(booking("return"), None, failure(9601, 637), listing(record("RETURN", note="LR-return-1")))
    assert [notice.code for notice in receipt.notices] == ["637", "points_not_done"]


def test_a_merged_member_is_followed_to_the_survivor() -> None:
    merged = failure(8069, message="Merged customer found with id 600000002")
    receipt, upstream = book(booking(), None, merged, done())
    assert [query(request)["identifierValue"] for request in upstream.requests] == [MEMBER, "600000002"]
    assert [notice.code for notice in receipt.notices] == ["merged"]


def test_a_merged_member_whose_survivor_is_unknown_is_not_found() -> None:
    error = error_of(booking(), failure(8069, message="Merged"), v1_failure("1012"))
    assert isinstance(error, CustomerNotFound)
    assert error.code == "8069"


@pytest.mark.parametrize("error", [httpx.ReadTimeout("silence"), httpx.ReadError("reset")])
def test_a_lost_answer_is_marked_as_one_that_may_have_booked(error: Exception) -> None:
    found = error_of(booking(), error)
    assert isinstance(found, UpstreamTimeout | UpstreamUnavailable)
    assert found.reached


@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "createdId",
                        "errors",
                        "warnings",
                        "code",
                        "data",
                        "billDetails",
                        "id",
                        "note",
                        "type",
                        "response",
                        "sideEffects",
                        "pagination",
                        "total",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
def test_no_body_breaks_the_reading_of_a_booking(body: Any) -> None:
    upstream = Canned(*(answer(json.dumps(body).encode()) for _ in range(30)))
    with suppress(RelayError):
        upstream.crm().book(booking(), recorded(), deadline())
    with suppress(RelayError):
        upstream.crm().find_booking(booking("return"), deadline())


# -- conversions ------------------------------------------------------------------------------------------------------


def converted(**item: Any) -> dict[str, Any]:
    status = {"success": "true", "code": "1630", "message": "Transaction retrospectively marked REGULAR"}
    effect = {"type": "points", "awarded_points": "75", "total_points": "75"}
    given = {"id": "34007568", "type": "REGULAR", "item_status": status, "side_effects": {"effect": effect}}
    whole = {"success": "true", "code": "200", "message": "SUCCESS"}
    return {"response": {"status": whole, "transactions": {"transaction": {**given, **item}}}}


def test_a_guests_bill_is_converted_by_v1_with_our_signature() -> None:
    receipt, upstream = book(booking("conversion"), None, converted())
    request = upstream.requests[0]
    assert (request.method, request.url.path) == ("POST", "/v1.1/transaction/update")
    assert request.headers["X-CAP-CLIENT-SIGNATURE"] == "LOYALTY_RELAY"
    assert upstream.body() == {
        "root": {
            "transaction": [
                {
                    "id": "2147000001",
                    "old_type": "NOT_INTERESTED",
                    "new_type": "REGULAR",
                    "customer": {"id": MEMBER},
                    "notes": "LR-conversion-1",
                }
            ]
        }
    }
    assert (receipt.transaction_id, receipt.points) == ("34007568", Decimal(75))


@pytest.mark.parametrize("code", ["1626", "1628", "1629", "1631", "1632", "1633"])
def test_a_conversion_that_the_organisation_does_not_allow_is_rejected(code: str) -> None:
    error = error_of(booking("conversion"), v1_failure(code))
    assert isinstance(error, VendorRejected)
    assert error.code == code


def test_a_bill_that_is_converted_already_is_done_if_it_is_the_members() -> None:
    receipt, _ = book(booking("conversion"), None, v1_failure("1627"), listing(record(note="LR-sale-1", id=34007568)))
    assert receipt.transaction_id == "34007568"
    error = error_of(booking("conversion"), v1_failure("1627"), listing(record(member=7)), v1_failure("1012"))
    assert isinstance(error, AmbiguousOutcome)


# -- look-ups ---------------------------------------------------------------------------------------------------------


def find(wanted: Booking, *answers: Any) -> tuple[BookingReceipt | None, Canned]:
    upstream = upstream_with(*answers)
    found = upstream.crm().find_booking(wanted, deadline())
    assert upstream.answers == []
    return found, upstream


def test_a_sale_is_found_by_its_number() -> None:
    found, upstream = find(booking(), listing(record(note="LR-sale-1 Till 3")))
    assert found == BookingReceipt(transaction_id="2147000001")
    assert upstream.seen() == [BY_NUMBER]


@pytest.mark.parametrize("answers", [listing(), *(failure(c) for c in (620, 624, 625, 667, 668, 680))])
def test_a_number_that_the_books_do_not_have_is_none(answers: Any) -> None:
    assert find(booking(), answers)[0] is None


def test_a_return_is_found_among_others_of_its_bill() -> None:
    others = [record("RETURN", 10.0, "LR-return-7", id=5), record("RETURN", 75.0, "by hand", id=6)]
    ours = record("RETURN", 75.0, "LR-return-1 Damaged", id=7)
    found, upstream = find(booking("return"), listing(record(), *others, ours))
    assert found == BookingReceipt(transaction_id="7")
    assert upstream.seen() == [BY_NUMBER]
    assert find(booking("return"), listing(record(), *others))[0] is None


def test_a_return_that_v2_does_not_list_is_read_from_v1() -> None:
    given = {"id": "7", "number": BILL, "type": "return", "amount": "75.00", "notes": "LR-return-1"}
    member = {"customer": {"user_id": MEMBER, "firstname": "Ana"}}
    found, upstream = find(booking("return"), listing(record()), v1_listing({**given, **member}))
    assert found == BookingReceipt(transaction_id="7")
    assert upstream.seen() == [BY_NUMBER, V1_GET]
    assert query(upstream.requests[1]) == {
        "format": "json",
        "number": BILL,
        "type": "RETURN",
        "user_id": "true",
        "limit": "100",
    }
    assert find(booking("return"), listing(record()), v1_failure("668"))[0] is None
    assert find(booking("return"), listing(record()), v1_listing({**given, **member, "notes": "x"}))[0] is None


def test_a_booking_with_an_id_is_read_by_it() -> None:
    wanted = booking("return", transaction_id="7")
    found, upstream = find(wanted, record("RETURN", 75.0, "LR-return-1", id=7))
    assert found == BookingReceipt(transaction_id="7")
    assert upstream.seen() == [("GET", "/v2/transactions/7")]
    assert query(upstream.requests[0]) == {"type": "RETURN"}


@pytest.mark.parametrize(
    "shown",
    [
        [record("RETURN", 74.0, "LR-return-1")],
        [record("RETURN", 75.0, "LR-return-1", member=0)],
        [record("REGULAR", 75.0, "LR-return-1")],
        # Twice in the books: somebody has to look.
        [record("RETURN", 75.0, "LR-return-1", id=7), record("RETURN", 75.0, "LR-return-1", id=8)],
        # A return of this amount, and the vendor does not show notes.
        [record("RETURN", 75.0, "")],
        [record("RETURN", None, None)],
    ],
)
def test_a_record_that_differs_or_shows_no_marker_is_ambiguous(shown: list[dict[str, Any]]) -> None:
    with pytest.raises(AmbiguousOutcome):
        find(booking("return"), listing(*shown))


def test_a_return_of_another_amount_without_note_is_not_ours() -> None:
    assert find(booking("return"), listing(record("RETURN", 10.0, "")))[0] is None


def test_a_record_of_the_survivor_of_a_merge_is_ours() -> None:
    item = {"response": {"customers": {"customer": [{"user_id": 7, "item_status": {"success": "true"}}]}}}
    found, upstream = find(booking(), listing(record(member=7)), item)
    assert found is not None
    assert upstream.seen() == [BY_NUMBER, ("GET", "/v1.1/customer/get")]


def test_every_page_of_a_bill_is_read() -> None:
    pages = [
        listing(record(), *(record("RETURN", 1.0, f"LR-{n}", id=100 + n) for n in range(99)), total=101),
        listing(record("RETURN", 75.0, "LR-return-1", id=999), total=101),
    ]
    found, upstream = find(booking("return"), *pages)
    assert found == BookingReceipt(transaction_id="999")
    assert [query(request).get("offset") for request in upstream.requests] == [None, "100"]


def test_a_bill_that_cannot_be_read_to_its_end_is_ambiguous() -> None:
    with pytest.raises(AmbiguousOutcome):
        find(booking("return"), listing(record(), total=3), listing(record(), total=3))


def test_records_of_other_numbers_are_ignored() -> None:
    assert find(booking(), listing(record(bill="S1-1001-2")))[0] is None


@pytest.mark.parametrize("answers", [answer(b"", 404), failure(601), failure(4000), answer(failure(403), 403)])
def test_a_bill_that_may_not_be_read_is_ambiguous(answers: Any) -> None:
    """The account as a whole is not refused: bookings go on, only this one needs a person."""
    with pytest.raises(AmbiguousOutcome):
        find(booking(), answers)


@pytest.mark.parametrize("answers", [answer(b"", 503), failure(521), failure(500), httpx.ConnectError("x")])
def test_a_look_up_that_fails_for_now_is_tried_again(answers: Any) -> None:
    upstream = upstream_with(*[answers] * 2)
    with pytest.raises(RelayError) as caught:
        upstream.crm().find_booking(booking(), deadline())
    assert not isinstance(caught.value, PermanentError)


def test_a_number_is_one_segment_of_the_path() -> None:
    _, upstream = find(booking(bill="S/1 #7"), listing())
    assert upstream.requests[0].url.raw_path == b"/v2/transactions/getByBillNumber/S%2F1%20%237"


@pytest.mark.parametrize(
    ("wanted", "shown", "id"),
    [
        ("NOT_INTERESTED", record("NOT_INTERESTED", note="LR-sale-1", member=0), None),
        ("REGULAR", record(note="LR-sale-1", id=8), "8"),
    ],
)
def test_a_conversion_is_found_by_the_type_and_member_of_its_bill(
    wanted: str, shown: dict[str, Any], id: str | None
) -> None:
    found, _ = find(booking("conversion"), listing(shown))
    assert (found.transaction_id if found else None) == id


# -- the rest of the interface ----------------------------------------------------------------------------------------


def test_what_is_wrong_with_an_order_is_found_before_anything_is_sent() -> None:
    crm = upstream_with().crm()
    assert crm.check_sale(recorded(note="x" * 200, custom_fields={"a": "b"}, extended_fields={"n": 1})) == []
    problems = crm.check_sale(
        recorded(note="x" * 201, custom_fields={"a": None}, extended_fields={"list": [1], "map": {}})
    )
    assert [problem.field for problem in problems] == [
        "sale.note",
        "sale.custom_fields.a",
        "sale.extended_fields.list",
        "sale.extended_fields.map",
    ]


class Held(NullLimiter):
    """Remembers for which APIs slots were held or taken."""

    def __init__(self) -> None:
        self.apis: list[str] = []

    def acquire(self, api: str, deadline: Any) -> None:
        self.apis.append(api)


def test_requests_count_against_the_limits_of_their_apis() -> None:
    limiter = Held()
    crm = upstream_with(done(), converted()).crm(limiter)
    crm.book(booking(), recorded(), deadline())
    crm.book(booking("conversion"), recorded(), deadline())
    assert limiter.apis == ["v2-transaction", "v1-transaction"]


def test_codes_are_put_into_words() -> None:
    assert VENDOR.code_text("604") == "the bill number exists"
    assert VENDOR.code_text("8015") == "no such customer"
    assert VENDOR.code_text("618") == "the fraud status; of a transaction: the customer is marked as fraud"
    assert VENDOR.code_text("4711") == ""


def test_a_mapping_may_name_the_fields_of_a_transaction() -> None:
    assert all(VENDOR.takes(name) for name in ("sale.note", "sale.custom_fields.a b", "sale.extended_fields.x"))
    assert not any(VENDOR.takes(name) for name in ("sale", "sale.amount", "sale.custom_fields."))
    assert "transaction" in VENDOR.operations
    assert VENDOR.sales is not None


def test_personal_data_of_a_transaction_is_in_no_error_and_no_notice() -> None:
    """G7: the vendor's messages echo what was sent."""
    command = recorded(
        note="Gift for Rita",
        custom_fields={"name": "Rita Ames"},
        extended_fields={"ship_to": "1 Harbour Row", "count": 2},
    )
    echo = "Rita Ames of 1 Harbour Row, rita@example.com, 447700900123: Gift for Rita"
    error = error_of(booking(), failure(601, message=echo), command=command)
    warning = {"status": False, "code": 669, "message": echo}
    receipt, _ = book(booking(), command, done(warnings=[warning]))
    looked_up, _ = book(booking(), command, failure(637, message=echo), listing(record()))
    texts = [str(error), *(notice.message for notice in (*receipt.notices, *looked_up.notices))]
    for text in ("Rita", "Harbour", "rita@", "447700900123"):
        assert not any(text in each for each in texts), texts


def test_a_tax_excluded_sale_in_another_base_has_no_lines() -> None:
    amounts = Amounts(currency="GBP", goods=Decimal("75.00"), shipping=Decimal("5.00"))
    assert "lineItemsV2" not in sent(booking(amount="80.00"), recorded(sale=sale(amounts=amounts)))
    assert "lineItemsV2" in sent(booking(amount="75.00"), recorded(sale=sale(amounts=amounts)))
    assert MUG.item_code == "MUG"
