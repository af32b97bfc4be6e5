"""The sandbox's transactions: what it books and refuses, its books per bill, and what its reads show."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.capillary_client import CapillaryApi, codes

DAY = 86_400.0


def bill(number: str = "S1-1", amount: Any = 100, kind: str = "REGULAR", **members: Any) -> dict[str, Any]:
    return {"type": kind, "billNumber": number, "billAmount": amount, **members}


def returned(amount: Any = 100, how: str = "AMOUNT", **members: Any) -> dict[str, Any]:
    return bill(amount=amount, kind="RETURN", returnType=how, **members)


class Till:
    """A till of the demo organisation, and the member who buys there."""

    def __init__(self, capillary: CapillaryApi) -> None:
        self.api = capillary
        self.member = capillary.register(mobile="447700900123")

    def post(self, body: dict[str, Any], *, member: int | None = None, **query: Any) -> dict[str, Any]:
        who = (
            {} if body["type"].startswith("NOT") else {"identifierName": "id", "identifierValue": member or self.member}
        )
        return self.api.json("POST", "/v2/transactions", json=body, params={"source": "INSTORE", **who, **query})

    def refused(self, body: dict[str, Any], **query: Any) -> list[int]:
        before = self.books()
        found = codes(self.post(body, **query), "errors")
        assert self.books() == before
        return found

    def books(self) -> Any:
        return self.api.raw("GET", "/_sandbox/state/capillary", params={"part": "books"}).json()

    def points(self) -> float:
        points: float = self.api.customer(self.member)["points"]
        return points


@pytest.fixture
def till(capillary: CapillaryApi) -> Till:
    return Till(capillary)


def test_a_sale_gives_points_and_a_return_takes_them(till: Till) -> None:
    before = till.points()
    answer = till.post(bill(amount=480.8))
    assert answer["sideEffects"] == [
        {"entityType": "USER", "rawAwardedPoints": 48.08, "awardedPoints": 48, "type": "points"}
    ]
    assert till.points() == before + 48
    assert till.post(returned(80))["sideEffects"][0]["awardedPoints"] == -8
    assert till.points() == before + 40
    assert till.books() == {
        "S1-1": {
            "sold": "480.8",
            "returned": "80",
            "net": "400.8",
            "points": "40",
            "customers": [till.member],
            "types": ["REGULAR", "RETURN"],
            "notes": ["", ""],
        }
    }


def test_amounts_keep_their_digits(till: Till) -> None:
    content = b'{"type":"REGULAR","billNumber":"K","billAmount":1234567890123456.105}'
    till.api.call(
        "POST",
        "/v2/transactions",
        content=content,
        headers={"content-type": "application/json"},
        params={"source": "INSTORE", "identifierName": "id", "identifierValue": till.member},
    )
    assert till.books()["K"]["sold"] == "1234567890123456.105"


@pytest.mark.parametrize(
    ("scope", "other", "want"),
    [("org", "demo.till02", [604]), ("store", "demo.till02", []), ("till", "demo.till02", []), ("till", None, [604])],
)
def test_a_number_is_unique_in_its_scope(till: Till, scope: str, other: str | None, want: list[int]) -> None:
    till.api.org(bill_unique_scope=scope)
    till.post(bill())
    place: dict[str, Any] = {"attribution": {"createdBy": {"code": other, "type": "TILL"}}} if other else {}
    assert codes(till.post(bill(**place)), "errors") == want


def test_a_number_is_unique_for_some_days_only(till: Till) -> None:
    till.api.org(bill_unique_days=20)
    till.post(bill())
    till.api.clock.now += 19 * DAY
    assert till.refused(bill()) == [604]
    till.api.clock.now += 2 * DAY
    assert "createdId" in till.post(bill())
    till.api.org(bill_unique_days=0)
    assert till.refused(bill()) == [604]


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (bill(kind="SALE"), 605),
        (bill(number=""), 602),
        (bill(number="x" * 51), 685),
        (bill(note="x" * 256), 685),
        (bill(amount=None), 601),
        (bill(amount="ten"), 601),
        (bill(amount=-1), 631),
        (bill(grossAmount=-1), 665),
        (bill(discount=-1), 666),
        (bill(lineItemsV2=[{"itemCode": "A", "amount": -1}]), 661),
        (bill(lineItemsV2=[{"itemCode": "A", "value": -1}]), 662),
        (bill(lineItemsV2=[{"itemCode": "A", "rate": -1}]), 663),
        (bill(lineItemsV2=[{"itemCode": "A", "discount": -1}]), 664),
        (bill(lineItemsV2=[{"itemCode": "A", "qty": -1}]), 627),
        (bill(billingDate="yesterday"), 621),
        (bill(billingDate="2035-01-01T00:00:00Z"), 643),
        (bill(currencyCode="EUR"), 682),
        (bill(attribution={"createdBy": {"code": "no.till", "type": "TILL"}}), 671),
        (bill(attribution={"createdBy": {"code": "no.store", "type": "STORE"}}), 671),
        (returned(how=""), 628),
        (returned(), 624),
    ],
)
def test_what_is_not_valid_is_refused(till: Till, body: dict[str, Any], want: int) -> None:
    assert till.refused(body) == [want]


def test_a_member_is_needed_and_never_registered(till: Till) -> None:
    people = len(till.api.raw("GET", "/_sandbox/state/capillary").json()["customers"])
    assert till.refused(bill(), member=12345) == [8015]
    assert codes(till.api.json("POST", "/v2/transactions", json=bill(), params={"source": "INSTORE"}), "errors") == [
        606
    ]
    assert till.refused(bill(), identifierName="nickname") == [8013]
    assert till.refused(bill(), identifierName="mobile", identifierValue="447700900999") == [8015]
    assert "createdId" in till.post(bill(), identifierName="mobile", identifierValue="447700900123")
    assert len(till.api.raw("GET", "/_sandbox/state/capillary").json()["customers"]) == people


def test_a_fraud_may_not_buy(till: Till) -> None:
    till.api.vendor.engine.store.customers[till.member].fraud_status = "CONFIRMED"
    assert till.refused(bill()) == [618]


def test_a_date_too_far_back_is_refused_where_the_organisation_has_a_limit(till: Till) -> None:
    old = bill(billingDate="2024-01-01T00:00:00+00:00")
    till.api.org(bill_past_days=30)
    assert till.refused(old) == [644]
    till.api.org(bill_past_days=0)
    assert "createdId" in till.post(old)


def test_unknown_payment_modes_are_warned_about(till: Till) -> None:
    modes = [{"mode": "Card", "value": 60}, {"mode": "Barter", "value": 40}]
    assert codes(till.post(bill(paymentModes=modes))) == [9607]


def test_returns_by_amount_end_at_the_bill(till: Till) -> None:
    till.post(bill())
    assert till.refused(returned(100.01)) == [630]
    till.post(returned(60))
    assert till.refused(returned(40.01)) == [630]
    assert till.refused(returned(40, "LINE_ITEM")) == [632]
    assert till.refused(returned(40, "FULL")) == [639]
    till.post(returned(40))
    assert till.refused(returned(1)) == [633]


def test_the_whole_is_returned_once(till: Till) -> None:
    till.post(bill())
    till.post(returned(how="FULL"))
    for how in ("FULL", "AMOUNT"):
        assert till.refused(returned(1, how)) == [634]
    assert till.books()["S1-1"]["net"] == "0"


def test_returns_by_line_need_lines_of_the_bill(till: Till) -> None:
    lines = [{"itemCode": "A", "qty": 2, "amount": 60}, {"itemCode": "B", "qty": 1, "amount": 40}]
    till.post(bill(lineItemsV2=lines))
    assert till.refused(returned(30, "LINE_ITEM")) == [679]
    for code, quantity, want in (("C", 1, 688), ("A", 3, 626)):
        line = {"itemCode": code, "qty": quantity, "amount": 30}
        assert till.refused(returned(30, "LINE_ITEM", lineItemsV2=[line])) == [want]
    till.post(returned(30, "LINE_ITEM", lineItemsV2=[{"itemCode": "A", "qty": 1, "amount": 30}]))
    two = {"itemCode": "A", "qty": 2, "amount": 60}
    assert till.refused(returned(60, "LINE_ITEM", lineItemsV2=[two])) == [629]
    assert till.refused(returned(10)) == [635]


@pytest.mark.parametrize(
    ("allowed", "how", "want"),
    [
        ([], "AMOUNT", 673),
        (["FULL"], "AMOUNT", 675),
        (["AMOUNT"], "FULL", 676),
        (["AMOUNT"], "LINE_ITEM", 674),
    ],
)
def test_kinds_of_returns_can_be_forbidden(till: Till, allowed: list[str], how: str, want: int) -> None:
    till.post(bill())
    till.api.org(returns_allowed=allowed)
    assert till.refused(returned(10, how)) == [want]


def test_a_return_without_sale_is_booked_with_a_warning_where_it_is_allowed(till: Till) -> None:
    till.api.org(allow_not_existing_bill_return=True)
    answer = till.post(returned(10))
    assert codes(answer) == [625]
    assert "createdId" in answer
    assert till.books()["S1-1"]["net"] == "-10"


def test_another_member_may_not_return(till: Till) -> None:
    till.post(bill())
    other = till.api.register(mobile="447700900456")
    assert till.refused(returned(10), member=other) == [668]


def test_a_bill_follows_its_member_through_a_merge(till: Till) -> None:
    made = till.post(bill())["createdId"]
    store = till.api.vendor.engine.store
    other = till.api.register(mobile="447700900456")
    store.merge(store.customers[other], store.customers[till.member])
    assert till.refused(returned(10)) == [8069]
    assert till.api.json("GET", f"/v2/transactions/{made}")["customerId"] == other
    assert "createdId" in till.post(returned(10), member=other)


@pytest.mark.parametrize("switch", [{"bill_points": "fail"}, {"orgs": {"demo": {"outlier_above": 50}}}])
def test_a_bill_can_be_booked_without_points(till: Till, switch: dict[str, Any]) -> None:
    before = till.points()
    till.api.settings(**switch)
    answer = till.post(bill())
    assert codes(answer) == [9610 if "bill_points" in switch else 9611]
    assert answer["sideEffects"] == []
    assert till.points() == before
    assert till.books()["S1-1"]["sold"] == "100"


def test_a_return_whose_points_fail_is_booked_all_the_same(till: Till) -> None:
    till.post(bill())
    till.api.settings(return_points="fail")
    assert codes(till.post(returned(10)), "errors") == [637]
    assert till.books()["S1-1"]["returned"] == "10"


def test_points_stay_where_returns_take_none(till: Till) -> None:
    till.post(bill())
    before = till.points()
    till.api.org(points_return_enabled=False)
    assert till.post(returned(10))["sideEffects"] == []
    assert till.points() == before


def test_loyalty_in_the_background_shows_no_side_effects(till: Till) -> None:
    assert "sideEffects" not in till.post(bill(), use_async="true")


# -- guests -----------------------------------------------------------------------------------------------------------


def convert(till: Till, made: int, **members: Any) -> dict[str, Any]:
    given = {
        "id": made,
        "old_type": "NOT_INTERESTED",
        "new_type": "REGULAR",
        "customer": {"id": till.member},
        **members,
    }
    body = {"root": {"transaction": [given]}}
    headers = {"X-CAP-CLIENT-SIGNATURE": "TEST"}
    answer = till.api.json("POST", "/v1.1/transaction/update", json=body, params={"format": "json"}, headers=headers)
    item: dict[str, Any] = answer["response"]["transactions"]["transaction"][0]
    return item


def test_a_guests_bill_is_converted_once_under_a_new_id(till: Till) -> None:
    made = till.post(bill(kind="NOT_INTERESTED"))["createdId"]
    till.post(bill(amount=10, kind="NOT_INTERESTED_RETURN", returnType="AMOUNT"))
    before = till.points()
    item = convert(till, made)
    assert (item["item_status"]["code"], item["old_id"], item["type"]) == ("1630", str(made), "REGULAR")
    assert item["id"] != str(made)
    assert till.points() == before + 10
    assert till.books()["S1-1"]["types"] == ["REGULAR", "RETURN"]
    assert convert(till, made)["item_status"]["code"] == "1627"
    assert "createdId" in till.post(returned(90))


@pytest.mark.parametrize(
    ("switch", "members", "want"),
    [
        ({"retro_enabled": False}, {}, "1631"),
        ({}, {"new_type": "RETURN"}, "1626"),
        ({}, {"id": 1}, "1628"),
        ({}, {"customer": {"mobile": "447700900999"}}, "641"),
    ],
)
def test_a_conversion_can_be_refused(till: Till, switch: dict[str, Any], members: dict[str, Any], want: str) -> None:
    till.api.org(**switch)
    made = till.post(bill(kind="NOT_INTERESTED"))["createdId"]
    assert convert(till, made, **members)["item_status"]["code"] == want
    assert till.books()["S1-1"]["types"] == ["NOT_INTERESTED"]


def test_a_conversion_needs_a_signature_and_a_registration_in_time(till: Till) -> None:
    made = till.post(bill(kind="NOT_INTERESTED", billingDate="2025-01-01T00:00:00Z"))["createdId"]
    till.api.org(retro_max_age_days=10)
    assert convert(till, made)["item_status"]["code"] == "1632"
    answer = till.api.json(
        "POST", "/v1.1/transaction/update", json={"root": {"transaction": {"id": made}}}, params={"format": "json"}
    )
    assert answer["response"]["transactions"]["transaction"][0]["item_status"]["code"] == "1629"


def test_guests_bills_can_be_switched_off(till: Till) -> None:
    till.api.org(not_interested_enabled=False)
    assert till.refused(bill(kind="NOT_INTERESTED")) == [645]


# -- reads ------------------------------------------------------------------------------------------------------------


def test_a_bill_is_read_by_number_and_by_id(till: Till) -> None:
    made = till.post(bill(amount=12.5, note="marker-1", billingDate="2025-06-15T10:20:30+05:30"))["createdId"]
    back = till.post(returned(2.5, note="marker-2"))["createdId"]
    listed = till.api.json("GET", "/v2/transactions/getByBillNumber/S1-1")
    assert listed["pagination"] == {"limit": 100, "offset": 0, "total": 2}
    shown = [
        (e["id"], e["type"], e["customerId"], e["billDetails"]["amount"], e["billDetails"]["note"])
        for e in listed["data"]
    ]
    assert shown == [
        (made, "REGULAR", till.member, 12.5, "marker-1"),
        (back, "RETURN", till.member, 2.5, "marker-2"),
    ]
    one = till.api.json("GET", f"/v2/transactions/{made}")
    assert one["billDetails"]["billingTime"] == "2025-06-15T04:50:30Z"
    assert till.api.json("GET", f"/v2/transactions/{back}", params={"type": "RETURN"})["id"] == back
    assert codes(till.api.json("GET", f"/v2/transactions/{back}"), "errors") == [620]
    assert till.api.json("GET", "/v2/transactions/getByBillNumber/none")["data"] == []


def test_what_reads_show_can_be_switched(till: Till) -> None:
    till.post(bill(note="marker-1"))
    till.post(returned(1, note="marker-2"))
    till.api.settings(returns_by_number=False, notes_shown=False)
    listed = till.api.json("GET", "/v2/transactions/getByBillNumber/S1-1")["data"]
    assert [(entry["type"], entry["billDetails"]["note"]) for entry in listed] == [("REGULAR", "")]


def test_v1_reads_by_number_and_type(till: Till) -> None:
    till.post(bill(note="marker-1"))
    back = till.post(returned(2.5, note="marker-2"))["createdId"]

    def get(**query: Any) -> Any:
        answer = till.api.json("GET", "/v1.1/transaction/get", params={"format": "json", **query})
        return answer["response"]["transactions"]["transaction"]

    assert [item["type"] for item in get(number="S1-1")] == ["REGULAR"]
    assert [item["type"] for item in get(number="S1-1", type="ALL")] == ["REGULAR", "RETURN"]
    [item] = get(number="S1-1", type="RETURN", user_id="true")
    assert (item["id"], item["amount"], item["notes"]) == (str(back), "2.5", "marker-2")
    assert item["customer"]["user_id"] == str(till.member)
    assert get(id=back, type="RETURN")[0]["number"] == "S1-1"
    assert get(number="none")[0]["item_status"]["code"] == "668"


def test_the_organisation_can_be_read(till: Till) -> None:
    def get(name: str, **query: Any) -> Any:
        answer = till.api.json("GET", f"/v1.1/organization/{name}", params={"format": "json", **query})
        return answer["response"]["organization"]

    tills = get("entities", type="till")["entities"]["entity"]
    assert [entity["code"] for entity in tills] == ["demo.till01", "demo.till02", "demo.readonly"]
    assert get("entities", type="store")["entities"]["entity"][0]["code"] == "demo.store01"
    assert [tender["name"] for tender in get("tenders")["tenders"]["tender"]] == ["Cash", "Card"]
    assert {c["key"]: c["value"] for c in get("configs")["configs"]["config"]} == {
        "CONF_LOYALTY_BILL_NUMBER_UNIQUE_IN_DAYS": "30",
        "CONF_RETRO_TRANSACTION_ENABLE": "1",
        "CONF_POINTS_RETURN_ENABLED": "1",
    }


@pytest.mark.parametrize("name", ["bill_exists", "bill_unknown", "points_not_reverted"])
def test_transactions_have_faults_of_their_own(till: Till, name: str) -> None:
    rule = {"vendor": "capillary", "path": "/v2/transactions", "error": name, "effect": True}
    assert till.api.raw("PUT", "/_sandbox/faults", json=[rule]).status_code == 200
    assert codes(till.post(bill()), "errors") == [{"bill_exists": 604, "bill_unknown": 625}.get(name, 637)]
    assert till.books()["S1-1"]["sold"] == "100"


def test_the_published_limit_is_kept(till: Till) -> None:
    till.api.settings(rate_limits={"v2.transactions.post": 2})
    assert [codes(till.post(bill(str(n))), "errors") for n in range(3)] == [[], [], [429]]


def test_a_part_of_the_state_that_there_is_not_is_refused(capillary: CapillaryApi) -> None:
    assert capillary.raw("GET", "/_sandbox/state/capillary", params={"part": "moods"}).status_code == 404
