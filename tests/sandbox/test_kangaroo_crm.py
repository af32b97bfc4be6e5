"""Tags and CRM fields of the sandbox's Kangaroo business."""

from typing import Any

import pytest

from devkit.sandbox.kangaroo import VENDOR
from tests.sandbox.kangaroo_client import KangarooClient

TUTORIAL = {
    "first_name": "John edited",
    "gender": "male",
    "promotions_mail": True,
    "custom_field_1": "John custom field 1",
    "custom_field_2": "John custom field 2",
    "custom_field_3": "John custom field 3",
    "custom_field_4": "John custom field 4",
    "tags": [{"tag_name": "Red tag"}, {"tag_name": "Black tag"}],
}


@pytest.fixture
def client() -> KangarooClient:
    client = KangarooClient(VENDOR)
    client.sign_in()
    return client


@pytest.fixture
def customer(client: KangarooClient) -> str:
    return client.add_customer(email="john@example.com", first_name="John", last_name="Doe")


def fields(client: KangarooClient, customer: str) -> dict[str, Any]:
    listed = client.api("GET", f"/customers/{customer}/crm-fields").json()["data"]
    return {field["name"]: field["value"] for field in listed}


def patch(client: KangarooClient, customer: str, body: object, path: str = "crm-fields") -> Any:
    return client.api("PATCH", f"/customers/{customer}/{path}", json=body)


def test_tags_come_in_pages_whose_links_carry_the_page_alone(client: KangarooClient) -> None:
    first = client.api("GET", "/tags").json()
    assert [tag["name"] for tag in first["data"][:2]] == ["Red tag", "Black tag"]
    assert set(first["data"][0]) == {"id", "name", "abbreviation", "color", "created_at"}
    assert first["links"] == {
        "first": "http://sandbox.test/kangaroo/tags?page=1",
        "last": None,
        "prev": None,
        "next": "http://sandbox.test/kangaroo/tags?page=2",
    }
    assert first["meta"] == {
        "current_page": 1,
        "from": 1,
        "path": "http://sandbox.test/kangaroo/tags",
        "per_page": 15,
        "to": 15,
    }
    second = client.api("GET", "/tags?page=2").json()
    assert second["links"]["next"] is None
    assert second["links"]["prev"] == "http://sandbox.test/kangaroo/tags?page=1"
    assert len({tag["id"] for tag in first["data"] + second["data"]}) == 18


def test_a_page_size_is_obeyed_up_to_100_and_can_be_kept_in_the_links(client: KangarooClient) -> None:
    two = client.api("GET", "/tags?per_page=2").json()
    assert (len(two["data"]), two["links"]["next"]) == (2, "http://sandbox.test/kangaroo/tags?page=2")
    assert client.api("GET", "/tags?per_page=1000").json()["meta"]["per_page"] == 100
    assert client.api("GET", "/tags?per_page=x&page=-1").json()["meta"]["per_page"] == 15
    beyond = client.api("GET", "/tags?page=9").json()
    assert (beyond["data"], beyond["meta"]["from"], beyond["links"]["next"]) == ([], None, None)
    client.set("kangaroo", links_keep_query=True)
    kept = client.api("GET", "/tags?per_page=2").json()
    assert kept["links"]["next"] == "http://sandbox.test/kangaroo/tags?per_page=2&page=2"


def test_the_fields_come_in_display_order_with_their_configuration(client: KangarooClient, customer: str) -> None:
    listed = client.api("GET", f"/customers/{customer}/crm-fields").json()["data"]
    assert [it["display_order"] for it in listed] == sorted(it["display_order"] for it in listed)
    by_name = {it["name"]: it for it in listed}
    assert by_name["promotions_mail"] == {
        "name": "promotions_mail",
        "label": "Promotions by Mail",
        "value": False,
        "is_hidden": False,
        "is_required": False,
        "field_type": "checkbox",
        "is_custom_field": False,
        "display_order": 11,
    }
    assert by_name["email"]["is_required"] is True
    assert by_name["notes"]["is_hidden"] is True
    assert by_name["custom_field_5"]["is_custom_field"] is True
    assert (by_name["tags"]["value"], by_name["last_name"]["value"]) == ([], "Doe")
    assert client.api("GET", f"/customers/{customer}/crm-fields?page=2").json() == {"data": []}


def test_the_tutorials_patch_returns_the_tutorials_list(client: KangarooClient, customer: str) -> None:
    unseen = ("email", "phone", "birth_date", "country_code", "postal_code", "notes")
    client.set("kangaroo", crm_fields={name: {"enabled": False} for name in unseen})

    answer = patch(client, customer, TUTORIAL)

    assert answer.status_code == 200
    shown = [(it["name"], it["value"], it["display_order"]) for it in answer.json()["data"]]
    assert shown == [
        ("first_name", "John edited", 3),
        ("last_name", "Doe", 4),
        ("gender", "male", 5),
        ("address", "", 8),
        ("promotions_mail", True, 11),
        ("tags", [{"tag_name": "Red tag"}, {"tag_name": "Black tag"}], 12),
        ("custom_field_1", "John custom field 1", 13),
        ("custom_field_2", "John custom field 2", 14),
        ("custom_field_3", "John custom field 3", 15),
        ("custom_field_4", "John custom field 4", 16),
        ("custom_field_5", "", 17),
    ]


def test_both_documented_paths_patch_and_put_is_not_allowed(client: KangarooClient, customer: str) -> None:
    assert patch(client, customer, {"last_name": "One"}).status_code == 200
    assert patch(client, customer, {"last_name": "Two"}, "crm-fields-values").status_code == 200
    assert fields(client, customer)["last_name"] == "Two"
    answer = client.api("PUT", f"/customers/{customer}/crm-fields", json={"last_name": "Three"})
    assert answer.status_code == 405
    assert {it.strip() for it in answer.headers["allow"].split(",")} >= {"GET", "PATCH"}
    assert fields(client, customer)["last_name"] == "Two"


def test_patched_identity_fields_are_the_customers_own(client: KangarooClient, customer: str) -> None:
    body = {"email": "jo@example.com", "phone": "+1 514 555 0199", "country_code": "CA"}
    body |= {"birth_date": "1990-02-28"}
    assert patch(client, customer.upper(), body).status_code == 200
    record = client.api("GET", f"/customers/{customer}").json()["data"]
    assert {name: record[name] for name in body} == body


def test_tags_are_replaced_by_the_sent_list_or_appended_when_set_so(client: KangarooClient, customer: str) -> None:
    patch(client, customer, {"tags": [{"tag_name": "VIP"}, {"tag_name": "Press"}]})
    patch(client, customer, {"tags": [{"tag_name": "Staff"}]})
    assert fields(client, customer)["tags"] == [{"tag_name": "Staff"}]
    client.set("kangaroo", tags_mode="append")
    patch(client, customer, {"tags": [{"tag_name": "VIP"}, {"tag_name": "Staff"}]})
    assert fields(client, customer)["tags"] == [{"tag_name": "Staff"}, {"tag_name": "VIP"}]


def test_a_tag_sent_twice_is_there_once(client: KangarooClient, customer: str) -> None:
    twice = [{"tag_name": "VIP"}, {"tag_name": "Staff"}, {"tag_name": "VIP"}]
    assert patch(client, customer, {"tags": twice}).status_code == 200
    assert fields(client, customer)["tags"] == twice[:2]


def test_no_tags_clear_the_tags(client: KangarooClient, customer: str) -> None:
    nothing: list[object] | None
    for nothing in ([], None):
        patch(client, customer, {"tags": [{"tag_name": "VIP"}]})
        assert patch(client, customer, {"tags": nothing}).status_code == 200
        assert fields(client, customer)["tags"] == []


def test_an_unknown_tag_is_refused_by_its_place_and_nothing_is_written(client: KangarooClient, customer: str) -> None:
    tags = [{"tag_name": "VIP"}, {"tag_name": "vip"}, {}, "Staff"]
    answer = patch(client, customer, {"first_name": "Changed", "tags": tags})
    assert answer.status_code == 422
    assert answer.json() == {
        "tags.1.tag_name": ["The selected tags.1.tag_name is invalid."],
        "tags.2.tag_name": ["The tags.2.tag_name field is required."],
        "tags.3.tag_name": ["The tags.3.tag_name field is required."],
    }
    assert fields(client, customer)["first_name"] == "John"
    assert patch(client, customer, {"tags": "VIP"}).json() == {"tags": ["The tags must be an array."]}


@pytest.mark.parametrize("body", [{}, [], {"unknown": 1}, {"address": "x"}, {"notes": "hidden"}])
def test_a_patch_of_nothing_that_can_be_written_counts_as_empty(
    client: KangarooClient, customer: str, body: object
) -> None:
    answer = patch(client, customer, body)
    assert (answer.status_code, set(answer.json())) == (422, {"attributes"})


def test_what_cannot_be_written_is_ignored_beside_what_can(client: KangarooClient, customer: str) -> None:
    answer = patch(client, customer, {"unknown": 1, "notes": "n", "address": "a", "last_name": "New"})
    assert answer.status_code == 200
    found = fields(client, customer)
    assert (found["last_name"], found["notes"], found["address"]) == ("New", "", "")


def test_a_body_that_is_not_json_is_a_400_and_another_media_type_is_no_body(
    client: KangarooClient, customer: str
) -> None:
    path = f"/customers/{customer}/crm-fields"
    assert client.api("PATCH", path, content=b'{"last_name"').status_code == 400
    headers = client.headers(content_type="text/plain")
    answer = client.send("PATCH", f"/kangaroo{path}", headers=headers, content=b'{"last_name":"x"}')
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"first_name": 5}, "first_name"),
        ({"custom_field_1": ["x"]}, "custom_field_1"),
        ({"email": "no address"}, "email"),
        ({"email": ""}, "email"),
        ({"email": None}, "email"),
        ({"phone": "call me", "country_code": "CA"}, "phone"),
        ({"phone": "5145550123"}, "country_code"),
        ({"country_code": "Canada"}, "country_code"),
        ({"birth_date": "0000-05-01"}, "birth_date"),
        ({"birth_date": "1990-02-30"}, "birth_date"),
        ({"birth_date": "19900228"}, "birth_date"),
        ({"gender": "Male"}, "gender"),
        ({"promotions_mail": "yes"}, "promotions_mail"),
        ({"promotions_mail": [1]}, "promotions_mail"),
        ({"email": "EXISTING.member@example.com"}, "email"),
        ({"phone": "1 (514) 555-0142", "country_code": "CA"}, "phone"),
    ],
)
def test_a_bad_value_is_refused_under_its_field(
    client: KangarooClient, customer: str, body: dict[str, object], field: str
) -> None:
    before = client.state("kangaroo")["customers"]
    answer = patch(client, customer, body)
    assert (answer.status_code, set(answer.json())) == (422, {field})
    assert client.state("kangaroo")["customers"] == before


@pytest.mark.parametrize("value", ["", None])
def test_an_optional_field_can_be_cleared(client: KangarooClient, customer: str, value: str | None) -> None:
    filled = {"gender": "female", "postal_code": "H2X", "phone": "5145550123", "country_code": "CA"}
    assert patch(client, customer, {**filled, "last_name": "Doe"}).status_code == 200
    cleared = {"gender": value, "postal_code": value, "phone": value, "last_name": value}
    assert patch(client, customer, cleared).status_code == 200
    found = fields(client, customer)
    assert {name: found[name] for name in cleared} == dict.fromkeys(cleared, "")


def test_a_field_that_the_business_requires_cannot_be_cleared(client: KangarooClient, customer: str) -> None:
    client.set("kangaroo", crm_fields={"tags": {"is_required": True}, "last_name": {"is_required": True}})
    answer = patch(client, customer, {"tags": [], "last_name": ""})
    assert answer.status_code == 422
    assert answer.json() == {
        "tags": ["The tags field is required."],
        "last_name": ["The last_name field is required."],
    }


def test_the_third_gender_of_the_reference_is_good_unless_strict(client: KangarooClient, customer: str) -> None:
    assert patch(client, customer, {"gender": "nonbinary"}).status_code == 200
    client.set("kangaroo", strict_gender=True)
    assert patch(client, customer, {"gender": "nonbinary"}).status_code == 422
    assert patch(client, customer, {"gender": "female"}).status_code == 200


def test_without_the_module_no_field_is_visible_and_none_can_be_patched(client: KangarooClient, customer: str) -> None:
    client.set("kangaroo", crm_enabled=False)
    assert client.api("GET", f"/customers/{customer}/crm-fields").json() == {"data": []}
    answer = patch(client, customer, {"last_name": "x"})
    assert (answer.status_code, answer.json()) == (403, {"message": "This action is unauthorized."})


def test_an_unknown_customer_is_a_404_in_the_wrapped_shape(client: KangarooClient) -> None:
    for answer in (
        client.api("GET", f"/customers/{'11e' + '0' * 29}/crm-fields"),
        patch(client, "11e" + "0" * 29, {"last_name": "x"}),
    ):
        assert answer.status_code == 404
        assert answer.json()["error"]["message"] == "Customer not found"


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("E1", {"error": {"status_code", "message", "description"}}),
        ("E2", {"gender": None}),
        ("E3", {"errors": {"gender"}}),
        ("E6", {"errors": None}),
    ],
)
def test_refused_values_can_be_reported_in_any_of_the_vendors_shapes(
    client: KangarooClient, customer: str, shape: str, expected: dict[str, set[str] | None]
) -> None:
    client.set("kangaroo", validation_shape=shape)
    answer = patch(client, customer, {"gender": "x"})
    assert answer.status_code == 422
    assert set(answer.json()) == set(expected)
    for key, inner in expected.items():
        assert inner is None or set(answer.json()[key]) == inner
    if shape == "E6":
        (error,) = answer.json()["errors"]
        assert (error["status"], error["detail"]) == ("422", "The selected gender is invalid.")
