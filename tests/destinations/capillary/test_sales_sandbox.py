"""Sales through the client against the sandbox: real routes and books, lost answers, merges, every way of errors."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from devkit.sandbox.faults import Fault
from loyalty_relay.connections.model import Sales
from loyalty_relay.destinations.base import Booking, Finding
from loyalty_relay.destinations.capillary.client import CapillaryCrm
from loyalty_relay.model.errors import (
    AmbiguousOutcome,
    CustomerNotFound,
    RelayError,
    UpstreamUnavailable,
    VendorRejected,
)
from loyalty_relay.model.orders import Line, Refund
from tests.destinations.capillary.bookings import BILL, SHIRT, booking, recorded, refunded, sale
from tests.destinations.capillary.upstream import MOBILE, OAUTH, SandboxUpstream, deadline, register

MODES = ["documented", "all_200", "all_400"]


@pytest.fixture(params=MODES)
def capillary(request: pytest.FixtureRequest) -> SandboxUpstream:
    """The sandbox, once per way of answering errors."""
    upstream = SandboxUpstream()
    upstream.configure(status_mode=request.param)
    return upstream


@pytest.fixture
def plain() -> SandboxUpstream:
    return SandboxUpstream()


def member(upstream: SandboxUpstream) -> str:
    return upstream.crm().register(register(MOBILE), {}, deadline()).loyalty_id


def sold(crm: CapillaryCrm, who: str, **members: Any) -> Booking:
    """Book a sale of 75.00 and return the booking with its id."""
    wanted = booking(loyalty_id=who, **members)
    return replace(wanted, transaction_id=crm.book(wanted, recorded(), deadline()).transaction_id)


def lost(upstream: SandboxUpstream) -> None:
    """Let the next booking have its effect and its answer be lost."""
    upstream.sandbox.faults.append(
        Fault(vendor="capillary", method="POST", path="/v2/transactions", reset="after", count=1)
    )


def net(upstream: SandboxUpstream) -> Decimal:
    return Decimal(upstream.books()[BILL]["net"])


def test_a_sale_and_its_returns_end_at_zero(capillary: SandboxUpstream) -> None:
    who, crm = member(capillary), capillary.crm()
    first = sold(crm, who)
    assert crm.find_booking(replace(first, transaction_id=""), deadline()) is not None
    part = booking("return", "25.00", loyalty_id=who, number=2, marker="LR-part")
    rest = booking("return", "50.00", loyalty_id=who, number=3, marker="LR-rest", whole=True)
    receipt = crm.book(part, refunded(), deadline())
    assert receipt.points == -2
    assert crm.find_booking(rest, deadline()) is None
    crm.book(rest, refunded(), deadline())
    for each in (part, rest):
        assert crm.find_booking(each, deadline()) is not None
    assert net(capillary) == 0


@pytest.mark.parametrize("kind", ["sale", "return"])
@pytest.mark.parametrize("by_number", [True, False])
def test_a_lost_answer_is_found_and_never_booked_twice(capillary: SandboxUpstream, kind: str, by_number: bool) -> None:
    capillary.configure(returns_by_number=by_number)
    who, crm = member(capillary), capillary.crm()
    wanted = booking(kind, "75.00" if kind == "sale" else "10.00", loyalty_id=who)
    if kind == "return":
        sold(crm, who)
    lost(capillary)
    with pytest.raises(UpstreamUnavailable) as caught:
        crm.book(wanted, recorded() if kind == "sale" else refunded(), deadline())
    assert caught.value.reached
    found = crm.find_booking(wanted, deadline())
    assert found is not None
    assert crm.find_booking(replace(wanted, transaction_id=found.transaction_id), deadline()) == found
    assert net(capillary) == Decimal(75 if kind == "sale" else 65)


def test_a_second_copy_of_a_sale_is_done(capillary: SandboxUpstream) -> None:
    who, crm = member(capillary), capillary.crm()
    first = sold(crm, who)
    again = crm.book(replace(first, transaction_id=""), recorded(), deadline())
    assert again.transaction_id == first.transaction_id
    assert [notice.code for notice in again.notices] == ["604"]
    assert net(capillary) == 75


@pytest.mark.parametrize("other", [{"amount": Decimal("74.00")}, {"marker": "LR-other"}])
def test_a_number_that_somebody_else_took_is_ambiguous(capillary: SandboxUpstream, other: dict[str, Any]) -> None:
    who, crm = member(capillary), capillary.crm()
    first = sold(crm, who)
    with pytest.raises(AmbiguousOutcome):
        crm.book(replace(first, transaction_id="", **other), recorded(), deadline())
    assert net(capillary) == 75


def test_a_return_is_ambiguous_where_the_vendor_shows_no_notes(plain: SandboxUpstream) -> None:
    who, crm = member(plain), plain.crm()
    sold(crm, who)
    lost(plain)
    back = booking("return", "10.00", loyalty_id=who)
    with pytest.raises(RelayError):
        crm.book(back, refunded(), deadline())
    plain.configure(notes_shown=False)
    with pytest.raises(AmbiguousOutcome):
        crm.find_booking(back, deadline())


def test_an_unknown_member_is_not_found_and_not_registered(capillary: SandboxUpstream) -> None:
    people = len(capillary.customers())
    with pytest.raises(CustomerNotFound):
        capillary.crm().book(booking(loyalty_id="12345"), recorded(), deadline())
    assert len(capillary.customers()) == people
    assert capillary.books() == {}


def test_a_return_whose_points_failed_is_done_with_a_notice(capillary: SandboxUpstream) -> None:
    who, crm = member(capillary), capillary.crm()
    sold(crm, who)
    capillary.configure(return_points="fail")
    receipt = crm.book(booking("return", "10.00", loyalty_id=who), refunded(), deadline())
    assert [notice.code for notice in receipt.notices] == ["637", "points_not_done"]
    assert net(capillary) == 65


def test_a_return_without_its_sale(capillary: SandboxUpstream) -> None:
    who, crm = member(capillary), capillary.crm()
    back = booking("return", "10.00", loyalty_id=who)
    with pytest.raises(VendorRejected) as caught:
        crm.book(back, refunded(), deadline())
    assert caught.value.code == "624"
    capillary.configure_org(allow_not_existing_bill_return=True)
    receipt = crm.book(back, refunded(), deadline())
    assert [notice.code for notice in receipt.notices] == ["625"]


def test_a_whole_return_is_one_where_it_is_certain(plain: SandboxUpstream) -> None:
    who, crm = member(plain), plain.crm()
    sold(crm, who)
    crm.book(booking("return", "75.00", loyalty_id=who, whole=True), refunded(), deadline())
    state = plain.vendor.state()
    assert isinstance(state, dict)
    bills = state["bills"]
    assert isinstance(bills, list)
    assert [bill["return_type"] for bill in bills if isinstance(bill, dict)] == ["", "FULL"]
    assert net(plain) == 0


@pytest.mark.parametrize("allowed", [["AMOUNT"], ["AMOUNT", "FULL"]])
def test_a_kind_of_return_that_is_not_allowed_is_made_by_amount(plain: SandboxUpstream, allowed: list[str]) -> None:
    plain.configure_org(returns_allowed=allowed)
    who = member(plain)
    crm = plain.crm()
    sold(crm, who)
    line = Line(id=SHIRT.id, quantity=Decimal(1), amount=Decimal("25.00"))
    refund = Refund(id="r1", amount=Decimal("25.00"), lines=(line,))
    crm.book(
        booking("return", "25.00", loyalty_id=who, refund_id="r1", by_line=True),
        refunded(refund, sale=sale()),
        deadline(),
    )
    assert net(plain) == 50


def test_lines_and_amounts_are_never_mixed_on_one_bill(plain: SandboxUpstream) -> None:
    """A refund by line, then one whose lines are not exact: the vendor refuses it, and nothing is forced."""
    who = member(plain)
    crm = plain.crm()
    sold(crm, who)
    line = Line(id=SHIRT.id, quantity=Decimal(1), amount=Decimal("25.00"))
    refund = Refund(id="r1", amount=Decimal("25.00"), lines=(line,))
    crm.book(
        booking("return", "25.00", loyalty_id=who, refund_id="r1", by_line=True),
        refunded(refund, sale=sale()),
        deadline(),
    )
    with pytest.raises(VendorRejected) as caught:
        crm.book(booking("return", "5.00", loyalty_id=who, number=3, marker="LR-5"), refunded(), deadline())
    assert caught.value.code == "635"
    assert net(plain) == 50


def test_a_guests_sale_is_converted_when_the_guest_registers(capillary: SandboxUpstream) -> None:
    crm = capillary.crm()
    guest = booking(loyalty_id=None)
    made = crm.book(guest, recorded(), deadline())
    assert crm.find_booking(guest, deadline()) is not None
    who = member(capillary)
    wanted = booking("conversion", loyalty_id=who, of=made.transaction_id)
    assert crm.find_booking(wanted, deadline()) is None
    receipt = crm.book(wanted, recorded(), deadline())
    assert receipt.points == 7
    assert receipt.transaction_id != made.transaction_id
    again = crm.book(wanted, recorded(), deadline())
    assert again.transaction_id == receipt.transaction_id
    crm.book(booking("return", "75.00", loyalty_id=who, number=3), refunded(), deadline())
    assert net(capillary) == 0


def test_a_conversion_that_the_organisation_does_not_allow_is_rejected(plain: SandboxUpstream) -> None:
    crm = plain.crm()
    made = crm.book(booking(loyalty_id=None), recorded(), deadline())
    plain.configure_org(retro_enabled=False)
    with pytest.raises(VendorRejected) as caught:
        crm.book(booking("conversion", loyalty_id=member(plain), of=made.transaction_id), recorded(), deadline())
    assert caught.value.code == "1631"


def test_returns_follow_a_merge(capillary: SandboxUpstream) -> None:
    who, crm = member(capillary), capillary.crm()
    sold(crm, who)
    store = capillary.vendor.engine.store
    other = store.create("demo")
    store.merge(other, store.customers[int(who)])
    back = booking("return", "10.00", loyalty_id=who)
    receipt = crm.book(back, refunded(), deadline())
    assert [notice.code for notice in receipt.notices] == ["merged"]
    # The survivor's record is the booking's, which was recorded for the merged member.
    assert crm.find_booking(back, deadline()) is not None


@pytest.mark.parametrize("place", [{"till": "demo.till02"}, {"store": "demo.store02"}])
def test_a_sale_is_attributed(plain: SandboxUpstream, place: dict[str, str]) -> None:
    crm = plain.crm(credentials=OAUTH)
    sold(crm, member(plain), place=place)
    bill = plain.vendor.engine.bills.bills[0]
    assert bill.store == "demo.store02"
    with pytest.raises(VendorRejected) as caught:
        crm.book(booking(bill="S1-2", place={"till": "nowhere"}), recorded(), deadline())
    assert caught.value.code == "671"


def test_a_bill_may_not_be_read_by_a_till_without_access(plain: SandboxUpstream) -> None:
    crm = plain.crm(credentials={"type": "basic", "username": "demo.writeonly", "password": "fake-till-password"})
    tills = plain.vendor.engine.orgs["demo"].config["tills"]
    plain.configure_org(tills=[*tills, {**tills[0], "code": "demo.writeonly", "access": ["write"]}])
    with pytest.raises(AmbiguousOutcome):
        crm.find_booking(booking(), deadline())


# -- the check of a connection ----------------------------------------------------------------------------------------

RULES = Sales(
    enabled=True,
    bill_days=30,
    guests="not_interested",
    stores={"1": {"till": "demo.till01"}, "2": {"store": "demo.store02"}},
    payment_modes={"visa": "Card"},
)


def findings(upstream: SandboxUpstream, sales: Sales) -> dict[str, Finding]:
    return {finding.name: finding for finding in upstream.crm(sales=sales).probe(deadline())}


def test_what_sales_need_is_read_before_the_first_one(plain: SandboxUpstream) -> None:
    found = findings(plain, RULES)
    names = [
        "reading of transactions",
        "tills of sales",
        "stores of sales",
        "payment modes",
        "unique bill numbers",
        "conversion of guests' bills",
        "returns take points back",
    ]
    assert {name: found[name].ok for name in names} == dict.fromkeys(names, True)
    assert not {*names} & set(findings(plain, replace(RULES, enabled=False)))
    assert plain.books() == {}


@pytest.mark.parametrize(
    ("change", "org", "name", "ok", "word"),
    [
        ({"stores": {"1": {"till": "demo.till09"}}}, {}, "tills of sales", False, "demo.till09"),
        ({"stores": {"1": {"store": "no.store"}}}, {}, "stores of sales", False, "no.store"),
        ({"payment_modes": {"visa": "Barter"}}, {}, "payment modes", False, "Barter"),
        ({"bill_days": 0}, {}, "unique bill numbers", False, "30"),
        ({"bill_days": 31}, {}, "unique bill numbers", False, "30"),
        ({}, {"retro_enabled": False}, "conversion of guests' bills", False, "1631"),
        ({}, {"points_return_enabled": False}, "returns take points back", False, "points"),
    ],
)
def test_the_check_names_what_is_wrong(
    plain: SandboxUpstream, change: dict[str, Any], org: dict[str, Any], name: str, ok: bool, word: str
) -> None:
    plain.configure_org(**org)
    found = findings(plain, replace(RULES, **change))[name]
    assert found.ok is ok
    assert word in found.message
    assert found.who in ("operator", "business")


def test_what_cannot_be_read_is_unknown(plain: SandboxUpstream) -> None:
    plain.sandbox.faults.append(Fault(vendor="capillary", path="/v1.1/organization/*", error="not_found"))
    plain.sandbox.faults.append(Fault(vendor="capillary", path="/v2/transactions/*", error="access_denied"))
    found = findings(plain, RULES)
    assert found["reading of transactions"].ok is False
    assert "ambiguous" in found["reading of transactions"].message
    for name in ("tills of sales", "stores of sales", "payment modes", "settings of transactions"):
        assert found[name].ok is None


def test_a_long_list_of_tills_proves_nothing(plain: SandboxUpstream) -> None:
    tills = [{"code": f"till{n}", "password_md5": "x", "store": "demo.store01"} for n in range(200)]
    demo = plain.vendor.engine.orgs["demo"].config["tills"]
    plain.configure_org(tills=[*demo, *tills])
    found = findings(plain, replace(RULES, stores={"1": {"till": "another"}}))
    assert found["tills of sales"].ok is None
