"""Customers, consents and rewards of the sandbox's Kangaroo business."""

import pytest

from devkit.sandbox.kangaroo import VENDOR
from tests.sandbox.kangaroo_client import KangarooClient


@pytest.fixture
def client() -> KangarooClient:
    client = KangarooClient(VENDOR)
    client.sign_in()
    return client


def emails(client: KangarooClient, query: str) -> list[str]:
    answer = client.api("GET", f"/customers?{query}")
    assert answer.status_code == 200, answer.text
    return [it["email"] for it in answer.json()["data"]]


def test_a_created_customer_can_be_read_under_either_case_of_its_id(client: KangarooClient) -> None:
    body = {
        "email": "ana@example.com",
        "phone": "5145550123",
        "country_code": "CA",
        "first_name": "Ana",
        "gender": "female",
        "birth_date": "1990-02-28",
        "language": "fr",
    }
    created = client.api("POST", "/customers", json=body)
    assert created.status_code == 200
    record = created.json()["data"]
    assert {name: record[name] for name in body} == body
    assert (len(record["id"]), record["created_at"]) == (32, "2023-11-14T22:13:20+00:00")
    for spelling in (record["id"].lower(), record["id"].upper()):
        assert client.api("GET", f"/customers/{spelling}").json()["data"] == record


def test_ids_come_in_both_cases(client: KangarooClient) -> None:
    ids = [client.add_customer(email=f"n{n}@example.com") for n in range(30)]
    assert len({it.lower() for it in ids}) == 30
    assert {it.isupper() for it in ids} == {True, False}


def test_the_status_of_a_creation_can_be_201(client: KangarooClient) -> None:
    client.set("kangaroo", create_status=201)
    assert client.api("POST", "/customers", json={"email": "a@example.com"}).status_code == 201


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, {"email", "phone"}),
        ({"first_name": "Ana"}, {"email", "phone"}),
        ({"phone": "5145550123"}, {"country_code"}),
        ({"email": "x"}, {"email"}),
        ({"email": "a@example.com", "gender": "nonbinary"}, {"gender"}),
        ({"email": "a@example.com", "language": "de"}, {"language"}),
        ({"email": "a@example.com", "birth_date": "28/02/1990"}, {"birth_date"}),
        ({"email": "a@example.com", "enabled": "yes"}, {"enabled"}),
        ({"email": "Existing.Member@example.com"}, {"email"}),
        ({"phone": "15145550142", "country_code": "CA"}, {"phone"}),
    ],
)
def test_a_bad_creation_is_refused_by_field_and_creates_nothing(
    client: KangarooClient, body: dict[str, object], names: set[str]
) -> None:
    answer = client.api("POST", "/customers", json=body)
    assert (answer.status_code, set(answer.json())) == (422, names)
    assert len(client.state("kangaroo")["customers"]) == 2


def test_a_taken_identifier_is_named_as_taken(client: KangarooClient) -> None:
    answer = client.api("POST", "/customers", json={"email": "existing.member@example.com"})
    assert answer.json() == {"email": ["The email has already been taken."]}


def test_customers_are_found_by_email_and_phone_filters(client: KangarooClient) -> None:
    client.add_customer(email="ana@example.com", phone="+1 514 555 0123", country_code="CA")
    assert emails(client, "email=eq%7CANA%40example.com") == ["ana@example.com"]
    assert emails(client, "email=eq|nobody@example.com") == []
    assert emails(client, "phone=eq%7C%2B15145550123") == ["ana@example.com"]
    assert emails(client, "phone=eq%7C15145550123&email=eq%7Cexisting.member%40example.com") == []


@pytest.mark.parametrize("query", ["email=ana@example.com", "email=gt|a@example.com", "updated_at=gt|soon"])
def test_a_filter_that_cannot_be_read_is_a_400(client: KangarooClient, query: str) -> None:
    answer = client.api("GET", f"/customers?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "Bad Request"


def test_customers_are_found_by_the_time_of_their_change(client: KangarooClient) -> None:
    client.now += 60
    late = client.add_customer(email="late@example.com")
    assert emails(client, "created_at=gt|2023-11-14T22:13:20+0000") == ["late@example.com"]
    assert len(emails(client, "created_at=gte|2023-11-14T22%3A13%3A20%2B00%3A00")) == 3
    client.now += 60
    client.api("PUT", f"/customers/{late}", json={"first_name": "Later"})
    assert emails(client, "updated_at=eq|2023-11-14T22:15:20Z") == ["late@example.com"]
    assert emails(client, "updated_at=lt|2023-11-14T22:13:20Z") == []


def test_the_list_has_pages_of_100_with_a_cursor_until_the_last(client: KangarooClient) -> None:
    client.set("kangaroo", rate_limit=0)
    for number in range(100):
        client.add_customer(email=f"n{number}@example.com")
    first = client.api("GET", "/customers").json()
    assert first["cursor"] == {"count": 100, "next": 2, "next_uri": "/customers?page=2"}
    assert first["meta"] == {"total": 102}
    last = client.api("GET", first["cursor"]["next_uri"]).json()
    assert (len(last["data"]), "cursor" in last) == (2, False)
    assert len({it["id"] for it in first["data"] + last["data"]}) == 102


def test_a_put_changes_what_it_names_and_nothing_else(client: KangarooClient) -> None:
    customer = client.add_customer(email="ana@example.com", first_name="Ana", last_name="Silva")
    client.now += 5
    body = {"first_name": "Anna", "enabled": False, "address": {"city": "Laval", "unknown": 1}}
    answer = client.api("PUT", f"/customers/{customer}", json=body)
    record = answer.json()["data"]
    assert (record["first_name"], record["last_name"], record["enabled"]) == ("Anna", "Silva", False)
    assert record["updated_at"] > record["created_at"]
    read = client.api("GET", f"/customers/{customer}?relationships=address").json()["data"]
    assert read["address"] == {"city": "Laval"}


def test_a_put_cannot_take_over_anothers_identifier(client: KangarooClient) -> None:
    customer = client.add_customer(email="ana@example.com")
    own = client.api("PUT", f"/customers/{customer}", json={"email": "Ana@example.com"})
    assert own.status_code == 200
    other = client.api("PUT", f"/customers/{customer}", json={"email": "existing.member@example.com"})
    assert other.status_code == 422


def test_a_deleted_customer_is_not_found(client: KangarooClient) -> None:
    customer = client.add_customer(email="ana@example.com")
    deleted = client.api("DELETE", f"/customers/{customer}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    for method, path in (("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/crm-fields"), ("GET", "/consents")):
        assert client.api(method, f"/customers/{customer}{path}", json={}).status_code == 404
    assert emails(client, "email=eq|ana@example.com") == []


def test_includes_go_to_included_of_one_and_inline_in_a_list(client: KangarooClient) -> None:
    body = {"email": "ana@example.com", "note": "likes tea", "consent": {"allow_email": True}}
    customer = client.add_customer(**body)
    one = client.api("GET", f"/customers/{customer}?include=balance,consent,note").json()
    assert one["included"]["balance"] == {"points": 0}
    assert one["included"]["user_note"] == "likes tea"
    assert one["included"]["user_consent"]["allow_email"] is True
    assert "included" not in client.api("GET", f"/customers/{customer}").json()
    listed = client.api("GET", "/customers?include=balance&email=eq|ana@example.com").json()["data"]
    assert listed[0]["balance"] == {"points": 0}


def test_a_consent_is_a_new_record_each_time(client: KangarooClient) -> None:
    customer = client.add_customer(email="ana@example.com")
    path = f"/customers/{customer}/consents"
    yes = {"allow_sms": True, "allow_email": True, "allow_push": False}
    assert client.api("POST", path, json=yes).json()["data"]["allow_sms"] is True
    client.api("POST", path, json={**yes, "allow_sms": False})
    listed = client.api("GET", path).json()
    assert [it["allow_sms"] for it in listed["data"]] == [False, True]
    assert listed["meta"]["per_page"] == 15


def test_a_consent_needs_all_three_choices(client: KangarooClient) -> None:
    customer = client.add_customer(email="ana@example.com")
    answer = client.api("POST", f"/customers/{customer}/consents", json={"allow_sms": 1})
    assert (answer.status_code, set(answer.json())) == (422, {"allow_sms", "allow_email", "allow_push"})


def test_me_names_the_user_and_the_business(client: KangarooClient) -> None:
    data = client.api("GET", "/me").json()["data"]
    assert (data["profile"]["email"], data["business"]["name"]) == ("demo@example.com", "Demo Business")
    assert len(client.api("GET", "/me?include=branches").json()["included"]["branches"]) == 17
