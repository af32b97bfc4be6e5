"""The platforms' read APIs in the sandbox."""

from typing import Any

import httpx
import pytest

from devkit.sandbox.app import create_app
from devkit.sandbox.platforms import VENDOR
from devkit.sandbox.vendor import UnknownFaultError
from tests.sandbox.kangaroo_client import START, SandboxClient

BIGCOMMERCE = {"X-Auth-Token": "fake-bigcommerce-token", "Accept": "application/json"}
CLOVER = {"Authorization": "Bearer fake-clover-token"}
LIGHTSPEED = {"Authorization": "Bearer fake-lightspeed-token"}
SQUARE = {"Authorization": "Bearer fake-square-token", "Square-Version": "2026-07-15"}

BC_CUSTOMERS = "/bigcommerce/stores/demohash1/v3/customers"
BC_STORE = "/bigcommerce/stores/demohash1/v2/store"
CLOVER_MERCHANT = "/clover/v3/merchants/DEMOMERCHANT1"
CLOVER_CUSTOMER = f"{CLOVER_MERCHANT}/customers/DEMOCUSTOMER1"
SQUARE_LOCATION = "/square/v2/locations/LDEMO00000001"
SQUARE_ORDER = f"/square/v2/orders/DEMOORDER{'A01':0>17}"
SQUARE_PAYMENT = f"/square/v2/payments/DEMOPAYMENT{'A01':0>15}"
SQUARE_CUSTOMER = "/square/v2/customers/DEMOCUSTOMER00000000000001"


@pytest.fixture
def client() -> SandboxClient:
    return SandboxClient(VENDOR)


def get(client: SandboxClient, path: str, headers: dict[str, str], **query: Any) -> httpx.Response:
    return client.send("GET", path, headers=headers, params=query)


@pytest.mark.parametrize(
    ("path", "good", "error"),
    [
        (BC_CUSTOMERS, BIGCOMMERCE, {"status": 401, "title": "X-Auth-Token header is required"}),
        (BC_STORE, BIGCOMMERCE, {"status": 401}),
        (CLOVER_CUSTOMER, CLOVER, {"message": "401 Unauthorized"}),
        (CLOVER_MERCHANT, CLOVER, {"message": "401 Unauthorized"}),
        (SQUARE_LOCATION, SQUARE, {}),
        (SQUARE_CUSTOMER, SQUARE, {}),
    ],
)
def test_a_read_needs_the_platforms_own_token(
    client: SandboxClient, path: str, good: dict[str, str], error: dict[str, object]
) -> None:
    assert get(client, path, good).status_code == 200
    for headers in ({}, dict.fromkeys(good, "Bearer wrong"), dict.fromkeys(good, "wrong")):
        answer = get(client, path, headers)
        assert answer.status_code == 401
        assert error.items() <= answer.json().items()


def test_a_token_is_no_good_for_a_store_or_merchant_it_does_not_belong_to(client: SandboxClient) -> None:
    assert get(client, "/bigcommerce/stores/other/v2/store", BIGCOMMERCE).status_code == 401
    assert get(client, "/clover/v3/merchants/OTHER", CLOVER).status_code == 401


def test_a_token_can_be_set(client: SandboxClient) -> None:
    client.set("square", access_token="fake-new-square-token")
    assert get(client, SQUARE_LOCATION, SQUARE).status_code == 401
    new = {"Authorization": "Bearer fake-new-square-token"}
    assert get(client, SQUARE_LOCATION, new).status_code == 200


def test_a_bigcommerce_customer_comes_in_a_list_with_only_the_included_parts(client: SandboxClient) -> None:
    query = {"id:in": "1001", "include": "addresses,attributes,formfields"}
    body = get(client, BC_CUSTOMERS, BIGCOMMERCE, **query).json()
    (customer,) = body["data"]
    assert (customer["id"], customer["email"]) == (1001, "bea.commerce@example.com")
    assert customer["addresses"][0]["country_code"] == "US"
    assert customer["form_fields"][0]["name"] == "Birthday"
    assert body["meta"]["pagination"] == {
        "total": 1,
        "count": 1,
        "per_page": 50,
        "current_page": 1,
        "total_pages": 1,
        "links": {"current": "?page=1&limit=50"},
    }
    (bare,) = get(client, BC_CUSTOMERS, BIGCOMMERCE, **{"id:in": "1001"}).json()["data"]
    assert set(customer) - set(bare) == {"addresses", "attributes", "form_fields"}


def test_bigcommerce_filters_choose_and_pages_cut(client: SandboxClient) -> None:
    people = {f"stores/demohash1/v3/customers/{n}": {"email": f"n{n}@example.com"} for n in range(1, 6)}
    client.set("bigcommerce", entities=people)

    def ids(**query: Any) -> list[int]:
        return [it["id"] for it in get(client, BC_CUSTOMERS, BIGCOMMERCE, **query).json()["data"]]

    assert ids(**{"id:in": "2,4,99"}) == [2, 4]
    assert ids(**{"email:in": "N3@example.com"}) == [3]
    assert len(ids()) == 6
    assert len(ids(limit=4)) == 4
    assert len(ids(limit=4, page=2)) == 2
    middle = get(client, BC_CUSTOMERS, BIGCOMMERCE, limit=2, page=2).json()["meta"]["pagination"]
    assert middle["links"] == {
        "current": "?page=2&limit=2",
        "previous": "?page=1&limit=2",
        "next": "?page=3&limit=2",
    }
    assert get(client, BC_CUSTOMERS, BIGCOMMERCE, **{"id:in": "x"}).status_code == 422


def test_a_deleted_bigcommerce_customer_is_an_empty_list(client: SandboxClient) -> None:
    client.set("bigcommerce", entities={"stores/demohash1/v3/customers/1001": None})
    answer = get(client, BC_CUSTOMERS, BIGCOMMERCE, **{"id:in": "1001"})
    assert (answer.status_code, answer.json()["data"]) == (200, [])
    assert answer.json()["meta"]["pagination"]["total"] == 0


def test_a_bigcommerce_subscriber_is_read_by_number_and_by_email(client: SandboxClient) -> None:
    one = get(client, f"{BC_CUSTOMERS}/subscribers/501", BIGCOMMERCE).json()["data"]
    assert one["consents"] == ["marketing_newsletter"]
    for query in ({"email": "Bea.Commerce@example.com"}, {"id": "501"}, {}):
        assert get(client, f"{BC_CUSTOMERS}/subscribers", BIGCOMMERCE, **query).json()["data"] == [one]
    assert get(client, f"{BC_CUSTOMERS}/subscribers", BIGCOMMERCE, email="x@example.com").json()["data"] == []
    missing = get(client, f"{BC_CUSTOMERS}/subscribers/502", BIGCOMMERCE)
    assert (missing.status_code, missing.json()["status"]) == (404, 404)


def test_the_bigcommerce_store_is_a_bare_object(client: SandboxClient) -> None:
    store = get(client, BC_STORE, BIGCOMMERCE).json()
    assert (store["id"], store["domain"]) == ("demohash1", "store.example.com")


def test_bigcommerce_locations_are_chosen_by_number_and_by_code(client: SandboxClient) -> None:
    path = "/bigcommerce/stores/demohash1/v3/inventory/locations"
    more = {"stores/demohash1/v3/inventory/locations/8": {"code": "DEMO-8", "label": "Second"}}
    client.set("bigcommerce", entities=more)

    def labels(**query: Any) -> list[str]:
        return [it["label"] for it in get(client, path, BIGCOMMERCE, **query).json()["data"]]

    assert labels() == ["Demo Warehouse Shop", "Second"]
    assert labels(**{"location_id:in": "8"}) == ["Second"]
    assert labels(**{"location_code:in": "DEMO-7"}) == ["Demo Warehouse Shop"]
    assert labels(**{"location_id:in": "9"}) == []


def test_a_clover_customer_has_no_email_or_phone_until_it_is_expanded(client: SandboxClient) -> None:
    bare = get(client, CLOVER_CUSTOMER, CLOVER).json()
    assert set(bare) == {"href", "id", "firstName", "lastName", "marketingAllowed", "customerSince"}
    everything = "addresses,emailAddresses,phoneNumbers,cards,metadata"
    full = get(client, CLOVER_CUSTOMER, CLOVER, expand=everything).json()
    emails = full["emailAddresses"]["elements"]
    assert [it["emailAddress"] for it in emails if it["primaryEmail"]] == ["cleo@example.com"]
    assert full["phoneNumbers"]["elements"][0]["phoneNumber"] == "4155550142"
    assert full["metadata"]["dobYear"] == 1990
    only = get(client, CLOVER_CUSTOMER, CLOVER, expand="phoneNumbers").json()
    assert set(only) - set(bare) == {"phoneNumbers"}


def test_clovers_collections_can_be_plain_lists(client: SandboxClient) -> None:
    client.set("clover", collections="array")
    full = get(client, CLOVER_CUSTOMER, CLOVER, expand="phoneNumbers,metadata").json()
    assert full["phoneNumbers"][0]["phoneNumber"] == "4155550142"
    refused = client.send("PUT", "/_sandbox/settings/clover", json={"collections": "tuple"})
    assert refused.status_code == 422


def test_the_clover_merchant_is_read_with_its_address_on_request(client: SandboxClient) -> None:
    assert get(client, CLOVER_MERCHANT, CLOVER).json()["name"] == "Demo Cafe"
    assert "address" not in get(client, CLOVER_MERCHANT, CLOVER).json()
    assert get(client, CLOVER_MERCHANT, CLOVER, expand="address").json()["address"]["country"] == "US"


def test_a_deleted_clover_customer_is_a_404(client: SandboxClient) -> None:
    client.set("clover", entities={"v3/merchants/DEMOMERCHANT1/customers/DEMOCUSTOMER1": None})
    answer = get(client, CLOVER_CUSTOMER, CLOVER)
    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})


def test_a_square_customer_leaves_empty_fields_out_and_may_have_no_year_of_birth(
    client: SandboxClient,
) -> None:
    customer = get(client, SQUARE_CUSTOMER, SQUARE).json()["customer"]
    assert customer["birthday"] == "0000-02-28"
    assert customer["preferences"] == {"email_unsubscribed": False}
    assert not {"nickname", "group_ids"} & set(customer)


def test_square_locations_are_read_one_by_one_and_listed(client: SandboxClient) -> None:
    one = get(client, SQUARE_LOCATION, SQUARE).json()["location"]
    assert (one["name"], one["merchant_id"]) == ("Demo Bakery", "MLDEMOMERCHANT")
    assert get(client, "/square/v2/locations", SQUARE).json() == {"locations": [one]}


def test_a_clover_order_has_only_the_parts_that_are_expanded(client: SandboxClient) -> None:
    path = f"{CLOVER_MERCHANT}/orders/DEMOORDER0001"
    bare = get(client, path, CLOVER).json()
    assert not {"lineItems", "payments", "refunds", "serviceCharge"} & set(bare)
    full = get(client, path, CLOVER, expand="lineItems,payments,serviceCharge").json()
    assert [it["id"] for it in full["payments"]["elements"]] == ["DEMOPAYMENT01", "DEMOPAYMENT02"]
    payment = get(client, f"{CLOVER_MERCHANT}/payments/DEMOPAYMENT01", CLOVER).json()
    assert payment["order"] == {"id": "DEMOORDER0001"}
    for missing in ("orders/NONE", "payments/NONE"):
        assert get(client, f"{CLOVER_MERCHANT}/{missing}", CLOVER).status_code == 404


def test_bigcommerce_orders_come_apart_from_their_products_and_refunds(client: SandboxClient) -> None:
    path = "/bigcommerce/stores/demohash1/v2/orders/201"
    assert get(client, path, BIGCOMMERCE).json()["total_inc_tax"] == "31.9338"
    (product,) = get(client, f"{path}/products", BIGCOMMERCE).json()
    assert product["quantity"] == 2
    empty = get(client, f"{path}/products", BIGCOMMERCE, page=2)
    assert (empty.status_code, empty.content) == (204, b"")
    refunds = "/bigcommerce/stores/demohash1/v3/orders/201/payment_actions/refunds"
    assert [it["id"] for it in get(client, refunds, BIGCOMMERCE).json()["data"]] == [301, 302]
    missing = get(client, "/bigcommerce/stores/demohash1/v2/orders/9", BIGCOMMERCE)
    assert (missing.status_code, missing.json()[0]["status"]) == (404, 404)
    assert get(client, "/bigcommerce/stores/demohash1/v2/orders/9/products", BIGCOMMERCE).status_code == 404


def test_lightspeed_sales_name_their_customer_by_id_alone(client: SandboxClient) -> None:
    (path,) = (path for path in client.state("lightspeed") if "/sales/" in path)
    sale = get(client, f"/lightspeed/{path}", LIGHTSPEED).json()["data"]
    assert "customer" not in sale
    customer = get(client, f"/lightspeed/api/2.0/customers/{sale['customer_id']}", LIGHTSPEED).json()["data"]
    assert customer["customer_code"] == "Zoe-4F2K"
    missing = get(client, "/lightspeed/api/2.0/sales/NONE", LIGHTSPEED)
    assert (missing.status_code, missing.json()) == (404, {"errors": {"global": ["Not found"]}})
    assert get(client, f"/lightspeed/{path}", {"Authorization": "Bearer wrong"}).status_code == 401


def test_square_orders_and_payments_are_read_one_by_one(client: SandboxClient) -> None:
    order = get(client, SQUARE_ORDER, SQUARE).json()["order"]
    (tender,) = order["tenders"]
    payment = get(client, f"/square/v2/payments/{tender['id']}", SQUARE).json()["payment"]
    assert (payment["order_id"], payment["total_money"]) == (order["id"], tender["amount_money"])


@pytest.mark.parametrize("path", [SQUARE_CUSTOMER, SQUARE_LOCATION, SQUARE_ORDER, SQUARE_PAYMENT])
def test_what_was_deleted_at_square_is_a_404_with_a_code(client: SandboxClient, path: str) -> None:
    client.set("square", entities={path.removeprefix("/square/"): None})
    answer = get(client, path, SQUARE)
    assert answer.status_code == 404
    (error,) = answer.json()["errors"]
    assert (error["category"], error["code"]) == ("INVALID_REQUEST_ERROR", "NOT_FOUND")
    assert path.rpartition("/")[2] in error["detail"]


def test_square_returns_the_requested_version(client: SandboxClient) -> None:
    asked = {**SQUARE, "Square-Version": "2024-01-18"}
    assert get(client, SQUARE_LOCATION, asked).headers["square-version"] == "2024-01-18"
    unasked = {"Authorization": SQUARE["Authorization"]}
    assert get(client, SQUARE_LOCATION, unasked).headers["square-version"] == "2026-07-15"
    assert get(client, SQUARE_LOCATION, {**SQUARE, "Square-Version": "latest"}).status_code == 400


def test_entities_are_created_changed_deleted_and_restored(client: SandboxClient) -> None:
    path, entity = "v2/customers/NEW1", {"given_name": "Nia", "version": 1}
    client.set("square", entities={path: entity})
    assert get(client, f"/square/{path}", SQUARE).json()["customer"] == {"id": "NEW1", **entity}
    client.set("square", entities={f"/{path}": {"given_name": "Nia", "version": 2}})
    assert client.state("square")[path]["version"] == 2
    client.set("square", entities={"v2/customers/NEW2": {}})
    assert get(client, f"/square/{path}", SQUARE).status_code == 200
    client.set("square", entities={path: None})
    assert get(client, f"/square/{path}", SQUARE).status_code == 404
    client.send("POST", "/_sandbox/reset")
    kept = {kind: [key for key in client.state("square") if key.startswith(f"v2/{kind}/")] for kind in ("customers",)}
    assert kept == {"customers": ["v2/customers/DEMOCUSTOMER00000000000001"]}


def test_entities_can_be_changed_in_the_same_process() -> None:
    square = next(it for it in VENDOR(lambda: START) if it.name == "square")
    square.put_entity("v2/customers/NEW1", {"given_name": "Nia"})
    assert square.find("v2/customers/NEW1") == {"id": "NEW1", "given_name": "Nia"}
    square.delete_entity("v2/customers/NEW1")
    assert square.find("v2/customers/NEW1") is None


@pytest.mark.parametrize(
    ("platform", "entities"),
    [
        ("bigcommerce", {"stores/demohash1/v3/customers/abc": {}}),
        ("bigcommerce", {"v3/customers/1": {}}),
        ("clover", {"v3/merchants/M/customers": {}}),
        ("square", {"v2/customers/C": "gone"}),
        ("square", {"v2/refunds/R": {}}),
        ("square", []),
    ],
)
def test_what_the_platform_does_not_serve_cannot_be_an_entity(
    client: SandboxClient, platform: str, entities: object
) -> None:
    answer = client.send("PUT", f"/_sandbox/settings/{platform}", json={"entities": entities})
    assert (answer.status_code, answer.json()["field"]) == (422, "entities")


@pytest.mark.parametrize("kind", ["rate_limit", "unauthorized", "forbidden", "server_error", "bad_request"])
def test_each_platform_has_its_own_shape_of_each_fault(client: SandboxClient, kind: str) -> None:
    client.send("PUT", "/_sandbox/faults", json=[{"error": kind}])
    statuses = {
        "rate_limit": 429,
        "unauthorized": 401,
        "forbidden": 403,
        "server_error": 500,
        "bad_request": 400,
    }
    reads = ((BC_STORE, BIGCOMMERCE, "title"), (CLOVER_MERCHANT, CLOVER, "message"))
    for path, headers, key in (*reads, (SQUARE_LOCATION, SQUARE, "errors")):
        answer = get(client, path, headers)
        assert answer.status_code == statuses[kind]
        assert key in answer.json()


def test_a_write_is_not_allowed_and_an_unknown_path_is_not_found(client: SandboxClient) -> None:
    for path, headers in ((BC_STORE, BIGCOMMERCE), (CLOVER_MERCHANT, CLOVER), (SQUARE_LOCATION, SQUARE)):
        assert client.send("PUT", path, headers=headers, json={}).status_code == 405
        assert get(client, f"{path}/nothing/here", headers).status_code == 404


def test_an_unknown_fault_is_no_fault() -> None:
    for vendor in VENDOR(lambda: START):
        with pytest.raises(UnknownFaultError):
            vendor.error_body("E1", 0)


def test_the_sandbox_finds_the_platforms_by_itself() -> None:
    vendors = create_app(clock=lambda: START).state.sandbox.vendors
    assert {"bigcommerce", "clover", "lightspeed", "square"} <= set(vendors)
