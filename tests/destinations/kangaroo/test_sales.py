"""Sales and returns: what is sent to the digit, what each answer means, and how a lost one is found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty_relay.connections.model import Sales
from loyalty_relay.destinations.base import Booking, BookingReceipt
from loyalty_relay.destinations.kangaroo.config import VENDOR
from loyalty_relay.model.commands import LinkStore, RecordRefund, RecordSale
from loyalty_relay.model.errors import (
    AmbiguousOutcome,
    CredentialsRefused,
    CustomerNotFound,
    InvalidCommand,
    PermanentError,
    RateLimited,
    RelayError,
    UnsupportedByDestination,
    UpstreamTimeout,
    UpstreamUnavailable,
    VendorRejected,
)
from loyalty_relay.model.orders import Order
from tests.destinations.kangaroo.support import CUSTOMER, PLAIN, Call, Script, answer, crm, deadline, destination

POST = "POST /transactions"
LIST = "GET /transactions"
BRANCH = "11e7038ade3780aca64e089e01cf89b5"
SALE = Booking(
    number=1,
    kind="sale",
    amount=Decimal("5.25"),
    currency="CAD",
    bill="shop-1001",
    marker="m-1",
    order_id="#1001",
    at="2026-11-01T10:20:30.400000Z",
    sold_at="2026-11-01T10:20:30.400000Z",
    loyalty_id=CUSTOMER,
)
RETURN = replace(SALE, number=2, kind="return", marker="m-2", refund_id="r-9", at="2026-11-03T00:00:00.000000Z")
COMMAND = RecordSale(order=Order(id="1001"))
MADE = {"id": 256560, "created_at": "2026-11-01T10:20:30+0000", "amount": 5.25, "points": 5, "name": "Reward"}
GIVEN_BACK = MADE | {"name": "Refund - Points"}


def ordered(**fields: Any) -> RecordSale:
    return RecordSale(order=Order(id="1001", custom_fields=fields))


def book(vendor: Script, booking: Booking = SALE, command: Any = COMMAND, **to: Any) -> BookingReceipt:
    return crm(vendor, destination(**to)).book(booking, command, deadline())


def accepting(data: Mapping[str, Any] = MADE) -> Script:
    return Script({POST: answer(200, {"data": data})})


# -- what is sent -------------------------------------------------------------------------------------------------


def test_a_sale_is_a_reward_of_a_customer_who_is_named_by_id_alone() -> None:
    vendor = accepting()

    receipt = book(vendor)

    (call,) = vendor.asked
    assert call.json == {
        "intent": "reward",
        "amount": 5.25,
        "customer": {"id": CUSTOMER},
        "created_at": "2026-11-01T10:20:30+00:00",
        "receipt": {"number": "shop-1001"},
        "transaction_details": {"external_order_id": "shop-1001", "custom_field_1": "m-1"},
    }
    assert (call.api, call.may_repeat, call.has_effect) == ("api", False, True)
    assert receipt == BookingReceipt(transaction_id="256560", points=Decimal(5))


def test_a_return_is_found_under_its_sales_bill_and_carries_the_refund() -> None:
    vendor = accepting(GIVEN_BACK)

    receipt = book(vendor, RETURN, RecordRefund(order=Order(id="1001")))

    (call,) = vendor.asked
    assert call.json["intent"] == "return"
    assert call.json["created_at"] == "2026-11-03T00:00:00+00:00"
    assert call.json["receipt"] == {"number": "shop-1001"}
    assert call.json["transaction_details"] == {
        "external_order_id": "shop-1001",
        "custom_field_1": "m-2",
        "custom_field_2": "r-9",
    }
    assert receipt.points == -5


@pytest.mark.parametrize(
    "amount", ["5.25", "10.00", "0.01", "1500", "1.005", "12345678901234567.89", "123456789012345678"]
)
def test_the_bytes_of_an_amount_are_its_digits(amount: str) -> None:
    seen: list[bytes] = []

    class Bytes(Script):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            seen.append(request.content)
            return answer(200, text=f'{{"data":{{"id":1,"amount":{amount},"points":1}}}}')

    receipt = book(Bytes(), replace(SALE, amount=Decimal(amount)))

    assert seen[0].startswith(f'{{"intent":"reward","amount":{amount},"customer":'.encode())
    assert receipt.notices == ()


@given(st.decimals(min_value="0.001", max_value=10**15, places=3))
def test_no_digit_of_any_amount_is_lost_on_either_way(amount: Decimal) -> None:
    sent: list[bytes] = []

    def echo(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return answer(200, text=f'{{"id":1,"amount":{amount:f},"points":{amount:f}}}')

    receipt = book(_Bytes(echo), replace(SALE, amount=amount))

    assert f'"amount":{amount:f},'.encode() in sent[0]
    assert (receipt.points, receipt.notices) == (amount, ())


class _Bytes(Script):
    def __init__(self, handle: Any) -> None:
        super().__init__()
        self._handle = handle

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        found: httpx.Response = self._handle(request)
        return found


def test_custom_fields_of_the_mapping_keep_their_digits_and_win_over_the_refunds_id() -> None:
    vendor = accepting(GIVEN_BACK)

    book(
        vendor,
        RETURN,
        ordered(custom_field_2="till 4", custom_field_3=19999.99, custom_field_4=True, custom_field_5=""),
    )

    assert vendor.asked[0].json["transaction_details"] == {
        "external_order_id": "shop-1001",
        "custom_field_1": "m-2",
        "custom_field_2": "till 4",
        "custom_field_3": "19999.99",
        "custom_field_4": "true",
    }


def test_what_does_not_fit_is_left_out_and_noticed() -> None:
    vendor = accepting()

    receipt = book(vendor, SALE, ordered(custom_field_1="x", custom_field_2="y" * 256, custom_field_3=["z"]))

    assert vendor.asked[0].json["transaction_details"] == {"external_order_id": "shop-1001", "custom_field_1": "m-1"}
    assert [(n.code, n.field) for n in receipt.notices] == [
        ("value_not_taken", f"custom_fields.custom_field_{number}") for number in (1, 2, 3)
    ]


def test_a_refunds_id_that_does_not_fit_is_left_out() -> None:
    vendor = accepting(GIVEN_BACK)

    book(vendor, replace(RETURN, refund_id="r" * 256))

    assert "custom_field_2" not in vendor.asked[0].json["transaction_details"]


def test_problems_are_named_before_anything_is_sent() -> None:
    command = ordered(custom_field_1="x", custom_field_2="y" * 256, custom_field_3=5, custom_field_5="v" * 255)
    order = replace(command.order, note="thank you", extended_fields={"colour": "red"})

    problems = crm(Script()).check_sale(RecordSale(order=order))

    assert [p.field for p in problems] == [
        "custom_fields.custom_field_1",
        "custom_fields.custom_field_2",
        "extended_fields.colour",
    ]


@pytest.mark.parametrize("booking", [replace(SALE, loyalty_id=None), replace(SALE, kind="conversion")])
def test_guests_and_conversions_are_never_sent(booking: Booking) -> None:
    vendor = accepting()

    with pytest.raises(UnsupportedByDestination):
        book(vendor, booking)

    assert vendor.asked == []


def test_the_employee_is_the_configured_one() -> None:
    vendor = accepting()

    book(vendor, options={"employee_id": "11e1"}, credentials=PLAIN | {"employee_pin_code": "3333"})

    assert vendor.asked[0].json["employee"] == {"id": "11e1", "pin_code": "3333"}


# -- where it is booked -------------------------------------------------------------------------------------------

BRANCH_REFUSALS = [
    answer(422, {"branch.id": ["The selected branch.id is invalid."]}),
    answer(422, {"errors": {"branch.id": ["The selected branch.id is invalid."]}}),
    answer(404, {"error": {"status_code": 404, "message": "Branch not found", "description": "No such resource."}}),
    answer(400, {"error": {"status_code": 400, "message": "Bad Request", "description": "Invalid branch"}}),
]


@pytest.mark.parametrize("kind", [SALE, RETURN])
def test_the_branch_of_the_store_goes_with_sales_and_their_returns(kind: Booking) -> None:
    vendor = accepting()

    book(vendor, replace(kind, place={"branch": BRANCH}, linked_branch="11e9"))

    assert vendor.asked[0].json["branch"] == {"id": BRANCH}


@pytest.mark.parametrize("refusal", BRANCH_REFUSALS)
def test_a_configured_branch_that_is_refused_stops_the_sale(refusal: httpx.Response) -> None:
    vendor = Script({POST: refusal})

    with pytest.raises(InvalidCommand) as caught:
        book(vendor, replace(SALE, place={"branch": BRANCH}))

    assert [p.field for p in caught.value.problems] == ["branch"]
    assert len(vendor.asked) == 1


@pytest.mark.parametrize("refusal", BRANCH_REFUSALS)
def test_a_links_branch_that_is_refused_yields_to_the_main_branch(refusal: httpx.Response) -> None:
    vendor = Script({POST: [refusal, answer(200, {"data": MADE})]})

    receipt = book(vendor, replace(SALE, linked_branch=BRANCH))

    first, second = (call.json for call in vendor.asked)
    assert (first.pop("branch"), first) == ({"id": BRANCH}, second)
    assert [n.code for n in receipt.notices] == ["branch_refused"]


def test_a_return_is_booked_although_the_branch_of_its_sale_is_there_no_more() -> None:
    vendor = Script({POST: [BRANCH_REFUSALS[0], answer(200, {"data": GIVEN_BACK})]})

    receipt = book(vendor, replace(RETURN, place={"branch": BRANCH}))

    assert [call.json.get("branch") for call in vendor.asked] == [{"id": BRANCH}, None]
    assert [n.code for n in receipt.notices] == ["branch_refused"]
    assert receipt.points == -5


@pytest.mark.parametrize(
    "reply",
    [
        answer(503, {"message": "branch"}),
        answer(422, {"branch.id": ["invalid"], "amount": ["invalid"]}),
        answer(422, {"amount": ["The amount is invalid."]}),
    ],
)
def test_nothing_is_repeated_after_any_other_refusal(reply: httpx.Response) -> None:
    vendor = Script({POST: reply})

    with pytest.raises(RelayError):
        book(vendor, replace(SALE, linked_branch=BRANCH))

    assert len(vendor.asked) == 1


def test_links_are_used_only_where_the_option_allows() -> None:
    support = VENDOR.sales
    assert support is not None
    assert not support.linked_branch(destination())
    assert support.linked_branch(destination(options={"sales_at_linked_branch": True}))


# -- what comes back ----------------------------------------------------------------------------------------------


def test_another_amount_in_the_answer_is_noticed() -> None:
    receipt = book(accepting(MADE | {"amount": 5.3}))

    assert (receipt.transaction_id, [n.code for n in receipt.notices]) == ("256560", ["amount_differs"])


@pytest.mark.parametrize(
    "data", [{"id": "7"}, {"id": 7, "amount": None, "points": None}, {"id": 7, "points": "many", "amount": "x"}]
)
def test_the_id_is_enough(data: Mapping[str, Any]) -> None:
    assert book(accepting(data)) == BookingReceipt(transaction_id="7")


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, {"data": {"amount": 5.25}}),
        answer(202, text=""),
        answer(204, text=""),
        answer(200, text="<html>ok</html>", kind="text/html"),
        answer(200, {"data": []}),
    ],
)
def test_a_success_without_an_id_is_unclear(reply: httpx.Response) -> None:
    with pytest.raises(UpstreamUnavailable) as caught:
        book(Script({POST: reply}))

    assert caught.value.reached


UNKNOWN_CUSTOMER = [
    answer(422, {"customer.id": ["The selected customer.id is invalid."]}),
    answer(422, {"errors": [{"status": "422", "title": "x", "detail": "The selected customer.id is invalid."}]}),
    answer(422, {"error": {"status_code": 422, "message": "x", "description": "The selected customer.id is invalid."}}),
    answer(404, {"error": {"status_code": 404, "message": "Customer not found", "description": "No such resource."}}),
]
EMPLOYEE = {
    "status_code": 400,
    "message": "Bad Request",
    "description": "Invalid Employee ID",
    "link": "https://x.test",
}


@pytest.mark.parametrize("reply", UNKNOWN_CUSTOMER)
@pytest.mark.parametrize("booking", [SALE, RETURN])
def test_an_unknown_customer_is_reported_as_such(reply: httpx.Response, booking: Booking) -> None:
    with pytest.raises(CustomerNotFound):
        book(Script({POST: reply}), booking)


@pytest.mark.parametrize(
    ("reply", "error", "fields"),
    [
        (answer(400, {"error": EMPLOYEE}), InvalidCommand, ["employee"]),
        (answer(422, {"employee.pin_code": ["The pin_code is invalid."]}), InvalidCommand, ["employee"]),
        (answer(422, {"amount": ["The amount must be greater than 0."]}), InvalidCommand, ["amount"]),
        (
            answer(422, {"transaction_details.custom_field_3": ["The text is too long."]}),
            InvalidCommand,
            ["custom_fields.custom_field_3"],
        ),
        (
            answer(400, {"error": {"status_code": 400, "message": "The customer does not have enough points"}}),
            VendorRejected,
            [],
        ),
        (answer(403, {"message": "This action is unauthorized."}), VendorRejected, []),
    ],
)
def test_a_refusal_is_permanent_and_names_what_is_wrong(
    reply: httpx.Response, error: type[PermanentError], fields: list[str]
) -> None:
    with pytest.raises(error) as caught:
        book(Script({POST: reply}))

    assert type(caught.value) is error
    assert [p.field for p in caught.value.problems] == fields


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer(401, {"error": "Unauthorized"}), CredentialsRefused),
        (answer(429, {"message": "Too Many Attempts."}), RateLimited),
        (answer(503, {"message": "Customer not found"}), UpstreamUnavailable),
        (answer(504, text="<html></html>", kind="text/html"), UpstreamTimeout),
    ],
)
def test_what_passes_by_itself_is_no_refusal(reply: httpx.Response, error: type[RelayError]) -> None:
    with pytest.raises(error):
        book(Script({POST: reply}))


def test_no_sent_value_is_in_an_error() -> None:
    reply = answer(422, {"transaction_details.custom_field_2": ["Not allowed: Ana Example at Hill Street"]})

    with pytest.raises(InvalidCommand) as caught:
        book(Script({POST: reply}), SALE, ordered(custom_field_2="Ana Example at Hill Street"))

    assert "Ana" not in str(caught.value) + caught.value.problems[0].message


# -- a lost answer ------------------------------------------------------------------------------------------------


def shown(booking: Booking = SALE, **changes: Any) -> dict[str, Any]:
    data = {
        **(MADE if booking.kind == "sale" else GIVEN_BACK),
        "customer": {"id": CUSTOMER, "email": "ana@example.com"},
        "transaction_details": {"external_order_id": booking.bill, "custom_field_1": booking.marker},
    }
    return {name: it for name, it in (data | changes).items() if it is not ...}


def listing(*items: Mapping[str, Any]) -> Script:
    return Script({LIST: answer(200, {"data": list(items), "meta": {"total": len(items)}})})


def find(vendor: Script, booking: Booking = SALE) -> BookingReceipt | None:
    return crm(vendor).find_booking(booking, deadline())


def test_a_booking_is_looked_up_by_its_bill_and_recognised_by_its_marker() -> None:
    seen: list[str] = []

    class Urls(Script):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            seen.append(str(request.url))
            return super().handle_request(request)

    vendor = Urls(listing(shown(RETURN), {**shown(), "transaction_details": None}, shown()).answers)

    assert find(vendor, replace(SALE, bill="a b|c&d")) == BookingReceipt(transaction_id="256560", points=Decimal(5))
    assert seen == [
        "https://api.kangaroorewards.com/transactions?transaction_details.external_order_id=eq%7Ca%20b%7Cc%26d"
        "&relationships=customer%2Ctransaction_details"
    ]
    (call,) = vendor.asked
    assert (call.may_repeat, call.has_effect) == (True, False)


def test_a_return_is_found_with_the_points_that_it_took() -> None:
    found = find(listing(shown(SALE), shown(RETURN, points=-4, amount=-5.25)), RETURN)

    assert found == BookingReceipt(transaction_id="256560", points=Decimal(-4))


def test_all_pages_are_read() -> None:
    def pages(call: Call) -> httpx.Response:
        page = int(call.params.get("page", "1"))
        assert call.params["transaction_details.external_order_id"] == "eq|shop-1001"
        cursor = {"next": page + 1, "next_uri": f"transactions?page={page + 1}"} if page < 3 else None
        item = shown() if page == 3 else shown(RETURN)
        return answer(200, {"data": [item] * 100 if page < 3 else [item], **({"cursor": cursor} if cursor else {})})

    vendor = Script({LIST: pages})

    assert find(vendor) is not None
    assert len(vendor.asked) == 3


@pytest.mark.parametrize(
    "items",
    [
        [],
        [shown(RETURN)],
        [{**shown(), "transaction_details": None}],
        [{**shown(), "transaction_details": {"external_order_id": "shop-1001", "custom_field_1": None}}],
        [{**shown(), "transaction_details": {"external_order_id": "shop-1001", "custom_field_1": "m-10"}}],
    ],
)
def test_other_records_of_the_order_are_not_this_booking(items: list[dict[str, Any]]) -> None:
    assert find(listing(*items)) is None


DIFFERING = {
    "another amount": shown(amount=5.26),
    "no amount": shown(amount=None),
    "another customer": shown(customer={"id": "11e0"}),
    "no customer": shown(customer=...),
    "a customer without an id": shown(customer={}),
    "a return": shown(name="Refund - Points"),
    "cancelled": shown(name="Transaction Canceled - Clerk"),
    "no id": shown(id=...),
}


@pytest.mark.parametrize("item", DIFFERING.values(), ids=DIFFERING)
def test_a_record_with_the_marker_that_differs_is_ambiguous(item: dict[str, Any]) -> None:
    with pytest.raises(AmbiguousOutcome):
        find(listing(item))


@pytest.mark.parametrize("name", ["Reward", "Transaction Canceled - Clerk"])
def test_a_return_that_is_shown_as_something_else_is_ambiguous(name: str) -> None:
    with pytest.raises(AmbiguousOutcome):
        find(listing(shown(RETURN, name=name)), RETURN)


def test_a_booking_that_is_there_twice_is_ambiguous() -> None:
    with pytest.raises(AmbiguousOutcome):
        find(listing(shown(), shown(id=256561)))


@pytest.mark.parametrize("customer", [CUSTOMER.upper(), CUSTOMER])
def test_ids_are_equal_in_either_case(customer: str) -> None:
    assert find(listing(shown(customer={"id": customer}))) is not None


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, {"data": [shown(transaction_details=...)]}),
        answer(200, {"data": None}),
        answer(403, {"message": "This action is unauthorized."}),
        answer(404, {"error": {"status_code": 404, "message": "Not Found"}}),
        answer(405, {"message": "The GET method is not supported for this route."}),
        answer(400, {"error": {"status_code": 400, "message": "Bad Request", "description": "filter"}}),
    ],
)
def test_a_list_that_cannot_show_it_is_ambiguous(reply: httpx.Response) -> None:
    with pytest.raises(AmbiguousOutcome):
        find(Script({LIST: reply}))


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer(401, {"error": "Unauthorized"}), CredentialsRefused),
        (answer(429, {"message": "Too Many Attempts."}), RateLimited),
        (answer(500, {"message": "Server Error"}), UpstreamUnavailable),
        (answer(200, text="<html></html>", kind="text/html"), UpstreamUnavailable),
    ],
)
def test_a_list_that_fails_for_now_proves_nothing(reply: httpx.Response, error: type[RelayError]) -> None:
    with pytest.raises(error):
        find(Script({LIST: reply}))


# -- what is configured -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(7))
def test_a_mapping_may_name_the_custom_fields_that_are_free(number: int) -> None:
    assert VENDOR.takes(f"sale.custom_fields.custom_field_{number}") is (2 <= number <= 5)


@pytest.mark.parametrize("name", ["sale.note", "sale.extended_fields.x", "sale.custom_fields.colour"])
def test_a_mapping_may_name_nothing_else_of_a_sale(name: str) -> None:
    assert not VENDOR.takes(name)


def test_sales_share_the_limit_of_the_business_host() -> None:
    held: list[str] = []

    class Limiter:
        def hold(self, api: str, deadline: Any) -> Any:
            held.append(api)

    client = crm(Script())
    client._client.limiter = Limiter()  # type: ignore[assignment]
    client.slot(COMMAND, deadline())
    client.slot(LinkStore(shop_id="s", account_id="a"), deadline())

    assert held == ["api", "integrations"]


# -- before the first sale ----------------------------------------------------------------------------------------


def probed(
    sales: Sales, *, branches: httpx.Response | None = None, **to: Any
) -> dict[str, tuple[bool | None, str, str]]:
    vendor = Script({"GET /me": answer(200, {"data": {}})})
    if branches is not None:
        vendor.answers["GET /branches"] = branches
    found = crm(vendor, destination(**to), sales=sales).probe(deadline())
    about = ("sales_branches", "linked_branch", "employee_rule")
    return {f.name: (f.ok, f.message, f.who) for f in found if f.name in about}


def test_a_connection_without_sales_has_no_findings_about_them() -> None:
    assert probed(Sales(), branches=answer(200, {"data": []}), options={"sales_at_linked_branch": True}) == {}


def test_branches_of_stores_must_exist() -> None:
    listed = answer(200, {"data": [{"id": BRANCH}]})
    known = Sales(enabled=True, stores={"1": {"branch": BRANCH.upper()}, "2": {"branch": BRANCH}})
    unknown = Sales(enabled=True, stores={"1": {"branch": BRANCH}, "2": {"branch": "11e9"}})

    assert probed(known, branches=listed)["sales_branches"][0] is True
    ok, message, who = probed(unknown, branches=listed)["sales_branches"]
    assert (ok, who) == (False, "operator")
    assert "11e9" in message
    assert BRANCH not in message


def test_branches_that_cannot_be_read_now_are_neither_good_nor_bad() -> None:
    sales = Sales(enabled=True, stores={"1": {"branch": BRANCH}})

    assert probed(sales, branches=answer(503, {"message": "later"}))["sales_branches"][0] is None


def test_what_cannot_be_read_is_named() -> None:
    found = probed(Sales(enabled=True), options={"sales_at_linked_branch": True})
    assert {name: (ok, who) for name, (ok, _, who) in found.items()} == {
        "linked_branch": (None, "vendor"),
        "employee_rule": (None, "business"),
    }
    assert probed(Sales(enabled=True), credentials=PLAIN | {"employee_pin_code": "3333"}) == {}
