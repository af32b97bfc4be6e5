"""Connections: everything wrong with one is named at once, and nothing reaches a host that is not the vendor's."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from loyalty_relay.connections import parse
from loyalty_relay.connections.model import EarningBase, Sales
from loyalty_relay.connections.parse import parse_connection
from loyalty_relay.destinations.base import SalesSupport
from loyalty_relay.destinations.capillary.config import LIMITS, SOURCES
from loyalty_relay.destinations.registry import vendor
from loyalty_relay.model.errors import ConnectionInvalid

CAPILLARY: dict[str, Any] = {
    "source": {"platform": "shopify", "stores": ["acme.myshopify.com"], "secrets": [{"value": "fake-secret"}]},
    "destination": {
        "vendor": "capillary",
        "region": "eu",
        "source": "ECOMMERCE",
        "credentials": {"type": "basic", "username": "demo.till01", "password": "fake-till-password"},
    },
    "default_country": "GB",
    "api_keys": [{"id": "pos", "sha256": "a" * 64}],
}
KANGAROO: dict[str, Any] = {
    "source": {"platform": "standard", "secrets": [{"value": "whsec_ZmFrZQ=="}]},
    "destination": {
        "vendor": "kangaroo",
        "credentials": {
            "type": "password",
            "application_key": "fake-application-key",
            "client_id": "1",
            "client_secret": "fake",
            "username": "demo@example.com",
            "password": "fake-password",
        },
    },
}


def changed(base: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of ``base`` with one member replaced, or removed when the value is ``...``."""
    data = copy.deepcopy(base)
    node: Any = data
    *way, last = path.split(".")
    for part in way:
        node = node[int(part)] if part.isdigit() else node.setdefault(part, {})
    if value is ...:
        del node[last]
    else:
        node[last] = value
    return data


def problems(data: Any, **options: Any) -> dict[str, str]:
    with pytest.raises(ConnectionInvalid) as caught:
        parse_connection("shop-1", data, **options)
    return {p.field: p.message for p in caught.value.problems}


def test_a_full_connection_is_read() -> None:
    connection = parse_connection("shop-1", CAPILLARY)
    assert connection.source.stores == ("acme.myshopify.com",)
    assert connection.destination.host == "https://eu.api.capillarytech.com"
    published = {"v2-create": 100, "v2-update": 50, "v1-add": 400, "v1-update": 300}
    published |= {"v2-transaction": 100, "v1-transaction": 16}
    assert connection.destination.requests_per_minute == LIMITS["eu"] == published
    assert connection.api_keys[0].id == "pos"


def test_kangaroo_has_two_hosts_and_its_published_limit() -> None:
    destination = parse_connection("shop-1", KANGAROO).destination
    assert destination.integrations_host == "https://integrations.kangarooapis.com"
    assert destination.requests_per_minute == {"api": 240.0, "integrations": 240.0}


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("source.platform", "shopfiy", "source.platform"),
        ("source.secrets", [{"value": ""}], "source.secrets.0.value"),
        ("source.secrets", [{"value": "x", "not_after": "tomorrow"}], "source.secrets.0.not_after"),
        ("source.secrets", [{"value": "x", "not_after": "2026-01-01T00:00:00"}], "source.secrets.0.not_after"),
        ("source.stores", "acme", "source.stores"),
        ("source.stores", [""], "source.stores.0"),
        ("source.verified_identifiers", ["e-mail"], "source.verified_identifiers.0"),
        ("source.unsigned", True, "source.unsigned"),
        ("source.unknown", 1, "source.unknown"),
        ("destination.vendor", "capilary", "destination.vendor"),
        ("destination.region", "mars", "destination.region"),
        ("destination.source", "SHOP", "destination.source"),
        ("destination.source", "WECHAT", "destination.account_id"),
        ("destination.credentials.password", ..., "destination.credentials.password"),
        ("destination.credentials.type", "token", "destination.credentials.type"),
        ("destination.requests_per_minute", {"v2-create": 0}, "destination.requests_per_minute.v2-create"),
        ("destination.requests_per_minute", {"v9": 5}, "destination.requests_per_minute.v9"),
        ("destination.options", {"identifier_change": "yes"}, "destination.options.identifier_change"),
        ("default_country", "gb", "default_country"),
        ("mapping", {"*": "x"}, "mapping.*"),
        ("api_keys", [{"id": "a", "sha256": "abc"}], "api_keys.0.sha256"),
        ("extra", 1, "extra"),
    ],
)
def test_each_wrong_member_is_named(path: str, value: Any, field: str) -> None:
    assert field in problems(changed(CAPILLARY, path, value))


def test_all_problems_are_named_at_once() -> None:
    data = changed(changed(CAPILLARY, "default_country", "xx"), "destination.region", "mars")
    assert {"default_country", "destination.region"} <= problems(data).keys()


@pytest.mark.parametrize("data", [None, [], "x", 3, {}])
def test_what_is_no_connection_at_all_is_still_an_answer(data: Any) -> None:
    assert problems(data)


@pytest.mark.parametrize("id", ["", "-a", "a-", "A", "a_b", "a/b", "../x", "a" * 64, "é"])
def test_an_id_that_could_not_be_in_a_url_or_secret_name_is_refused(id: str) -> None:
    with pytest.raises(ConnectionInvalid, match="id"):
        parse_connection(id, CAPILLARY)


@pytest.mark.parametrize(
    "host",
    [
        "http://eu.api.capillarytech.com",
        "https://eu.api.capillarytech.com.evil.example",
        "https://evilcapillarytech.com",
        "https://user@eu.api.capillarytech.com",
        "https://eu.api.capillarytech.com/redirect",
        "https://eu.api.capillarytech.com?x=1",
        "https://eu.api.capillarytech.com:8443",
        "https://127.0.0.1",
        "https://169.254.169.254",
        "http://127.0.0.1:9000",
        "file:///etc/passwd",
        "https://[::1",
        "https://evil.example\\@eu.api.capillarytech.com",
    ],
)
def test_a_host_that_is_not_the_vendors_is_refused(host: str) -> None:
    assert "destination.host" in problems(changed(CAPILLARY, "destination.host", host))


def test_a_sandbox_host_is_allowed_only_when_the_stack_allows_it() -> None:
    data = changed(CAPILLARY, "destination.host", "http://127.0.0.1:9000/capillary")
    connection = parse_connection("shop-1", data, sandbox_hosts=frozenset({"127.0.0.1:9000"}))
    assert connection.destination.host == "http://127.0.0.1:9000/capillary"
    assert "destination.host" in problems(data, sandbox_hosts=frozenset({"127.0.0.1:9001"}))


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_of_the_vendors_pages_is_known(source: str) -> None:
    data = changed(changed(CAPILLARY, "destination.source", source), "destination.account_id", "acc-1")
    assert parse_connection("shop-1", data).destination.source == source


def test_a_secret_outside_its_dates_is_not_live() -> None:
    data = changed(
        CAPILLARY,
        "source.secrets",
        [{"value": "x", "not_before": "2026-01-01T00:00:00Z", "not_after": "2026-02-01T00:00:00Z"}],
    )
    secret = parse_connection("shop-1", data).source.secrets[0]
    assert [secret.live(t) for t in (1767225599, 1767225600, 1769904000, 1769904001)] == [False, True, True, False]


def test_connections_to_one_account_share_a_key_and_others_do_not() -> None:
    first = parse_connection("a", CAPILLARY).destination
    second = parse_connection("b", CAPILLARY).destination
    other = parse_connection("c", changed(CAPILLARY, "destination.credentials.username", "other.till")).destination
    assert first.key == second.key != other.key


@pytest.mark.parametrize("grant", ["authorization_code", "token"])
def test_credentials_that_do_not_distinguish_businesses_need_an_account(grant: str) -> None:
    assert "destination.credentials.account" in problems(changed(KANGAROO, "destination.credentials", {"type": grant}))


@pytest.mark.parametrize("value", ["a\r\nX-Other: b", "a\nb", "naïve", "tab\there"])
@pytest.mark.parametrize(
    ("base", "field"),
    [
        (CAPILLARY, "destination.credentials.attribution_type"),
        (CAPILLARY, "destination.credentials.attribution_code"),
        (CAPILLARY, "destination.options.user_context.id"),
        (KANGAROO, "destination.credentials.application_key"),
    ],
)
def test_what_travels_in_a_header_is_refused_before_any_request_is(
    base: dict[str, Any], field: str, value: str
) -> None:
    assert "header" in problems(changed(base, field, value))[field]


def test_an_access_token_with_a_line_break_is_refused() -> None:
    token = {"type": "token", "application_key": "fake-key", "access_token": "fake\ntoken", "account": "acme"}
    data = changed(KANGAROO, "destination.credentials", token)
    assert "header" in problems(data)["destination.credentials.access_token"]


SUPPORT = SalesSupport(
    bill_number_length=50,
    attributions=frozenset({"till", "store"}),
    returns=frozenset({"amount", "line"}),
    guests=frozenset({"skip", "hold", "not_interested"}),
)
RULES: dict[str, Any] = {
    "enabled": True,
    "earn_when": "fulfilled",
    "earning_base": {f.name: not f.default for f in fields(EarningBase)},
    "returns": "line",
    "unlinked_returns": "park",
    "guests": "hold",
    "hold_days": 14,
    "start_date": "2026-01-31",
    "return_window_days": 100,
    "bill_days": 90,
    "bill_number": "receipt",
    "shop_key": "ac",
    "currency": "JPY",
    "stores": {"68455432": {"till": "till.01"}, "web": {"store": "online"}},
    "payment_modes": {"shopify_payments": "CARD"},
    "minimum": "12.50",
    "test_orders": True,
}


@pytest.fixture
def sells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every vendor has an operation for sales, with ``SUPPORT``."""
    monkeypatch.setattr(parse, "vendor", lambda name: replace(vendor(name), sales=SUPPORT))


@pytest.mark.usefixtures("sells")
def test_the_rules_of_sales_are_read() -> None:
    assert parse_connection("shop-1", {**CAPILLARY, "sales": RULES}).sales == Sales(
        enabled=True,
        earn_when="fulfilled",
        earning_base=EarningBase(
            tax=False,
            shipping=False,
            tips=False,
            duties=False,
            fees=False,
            gift_card_products=True,
            gift_card_tender=False,
            store_credit=False,
        ),
        returns="line",
        unlinked_returns="park",
        guests="hold",
        hold_days=14,
        start_date=date(2026, 1, 31),
        return_window_days=100,
        bill_days=90,
        bill_number="receipt",
        shop_key="ac",
        currency="JPY",
        stores={"68455432": {"till": "till.01"}, "web": {"store": "online"}},
        payment_modes={"shopify_payments": "CARD"},
        minimum=Decimal("12.50"),
        test_orders=True,
    )


@pytest.mark.parametrize("given", [{}, {"sales": {}}, {"sales": {"earning_base": {}, "stores": {}}}])
def test_no_sale_is_recorded_by_default(given: dict[str, Any]) -> None:
    sales = parse_connection("shop-1", {**CAPILLARY, **given}).sales
    assert sales == Sales()
    assert not sales.enabled


@pytest.mark.usefixtures("sells")
@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("enabled", "yes", "must be true or false"),
        ("earn_when", "shipped", "must be one of paid, fulfilled"),
        ("earning_base", ["tax"], "must be an object"),
        ("earning_base.tax", 1, "must be true or false"),
        ("earning_base.taxes", True, "unknown field taxes (did you mean tax?)"),
        ("returns", "lines", "must be one of amount, line (did you mean line?)"),
        ("unlinked_returns", "return", "must be one of skip, park"),
        ("guests", True, "must be a string"),
        ("hold_days", 0, "must be between 1 and 365"),
        ("hold_days", 101, "must be at most return_window_days, after which an order is too old to be booked"),
        ("hold_days", 1.5, "must be an integer"),
        ("start_date", "2026-02-30", "must be a date such as 2026-01-31"),
        ("start_date", "20260131", "must be a date such as 2026-01-31"),
        ("start_date", "2026-01-31T00:00:00Z", "must be a date such as 2026-01-31"),
        ("start_date", "2026-W05-6", "must be a date such as 2026-01-31"),
        ("return_window_days", 3651, "must be between 1 and 3650"),
        ("shop_key", "a-c", "must be 1 to 8 letters and digits"),
        ("currency", "ABC", "must be an ISO 4217 code such as EUR"),
        ("bill_days", -1, "must be between 0 and 3650"),
        ("bill_number", "till", "must be one of order, receipt"),
        ("currency", "eur", "must be an ISO 4217 code such as EUR"),
        ("currency", "EURO", "must be an ISO 4217 code such as EUR"),
        ("stores", [], "must be an object"),
        ("payment_modes", {"card": ""}, None),
        ("payment_modes", {"card": "x" * 101}, None),
        ("payment_modes", {"": "CARD"}, None),
        ("minimum", -0.01, "must be an amount that is not negative, such as 10.50"),
        ("minimum", "1e3", "must be an amount that is not negative, such as 10.50"),
        ("minimum", True, "must be an amount that is not negative, such as 10.50"),
        ("minimum", float("nan"), "must be an amount that is not negative, such as 10.50"),
        ("test_orders", 0, "must be true or false"),
        ("earns", True, "unknown field earns"),
    ],
)
def test_each_wrong_rule_of_sales_is_named(member: str, value: Any, message: str | None) -> None:
    found = problems(changed({**CAPILLARY, "sales": RULES}, f"sales.{member}", value))
    (named,) = found
    assert named.startswith(f"sales.{member}")
    assert message is None or found[named].startswith(message)


@pytest.mark.usefixtures("sells")
@pytest.mark.parametrize(
    "place",
    [
        {"branch": "7"},
        {"till": "1", "store": "2"},
        {},
        "till.01",
        {"till": 5},
        {"till": " "},
        {"till": "x" * 101},
        None,
    ],
)
def test_a_location_is_booked_to_one_place_that_the_vendor_has(place: Any) -> None:
    found = problems(changed({**CAPILLARY, "sales": RULES}, "sales.stores", {"7": {"till": "t"}, "8": place}))
    assert found == {"sales.stores.8": "must be an object with one of store, till, a text of at most 100 characters"}


@pytest.mark.usefixtures("sells")
def test_the_vendor_decides_what_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    less = SalesSupport(bill_number_length=50, attributions=frozenset({"branch"}))
    monkeypatch.setattr(parse, "vendor", lambda name: replace(vendor(name), sales=less))
    assert problems({**CAPILLARY, "sales": {**RULES, "guests": "not_interested"}}).keys() == {
        "sales.returns",
        "sales.guests",
        "sales.stores.68455432",
        "sales.stores.web",
    }


def test_sales_of_a_vendor_without_the_operation_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "vendor", lambda name: replace(vendor(name), sales=None))
    assert problems({**KANGAROO, "sales": {"enabled": True}}) == {
        "sales.enabled": "cannot be true: kangaroo has no operation for sales"
    }
    assert not parse_connection("shop-1", {**KANGAROO, "sales": {**RULES, "enabled": False}}).sales.enabled


def test_the_rules_of_an_unknown_vendor_are_checked_as_far_as_possible() -> None:
    data = {**CAPILLARY, "destination": {"vendor": "capilary"}, "sales": {**RULES, "currency": "yen"}}
    assert problems(data).keys() == {"destination.vendor", "sales.currency"}


@pytest.mark.usefixtures("sells")
@pytest.mark.parametrize(("given", "kept"), [(10, "10"), (10.1, "10.1"), ("0.10", "0.10"), (None, "0")])
def test_the_minimum_is_exact(given: Any, kept: str) -> None:
    minimum = parse_connection("shop-1", changed({**CAPILLARY, "sales": RULES}, "sales.minimum", given)).sales.minimum
    assert str(minimum) == kept
