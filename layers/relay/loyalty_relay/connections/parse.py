"""The parser of a connection's secret.

It checks everything that needs no request, and reports every wrong field at once. It is plain Python, and loads only
the configuration of the vendor that the secret names, because ingest parses connections on its cold path.
``docs/connections.md`` shows a full example.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from datetime import date, datetime
from typing import Any, cast

from loyalty_relay.connections.model import (
    CONNECTION_ID,
    ApiKey,
    Connection,
    Destination,
    EarningBase,
    Sales,
    Source,
    WebhookSecret,
)
from loyalty_relay.destinations.registry import vendor, vendors
from loyalty_relay.model.commands import MAX_ID
from loyalty_relay.model.errors import ConnectionInvalid, FieldProblem
from loyalty_relay.model.json_validation import Reader
from loyalty_relay.model.money import is_currency
from loyalty_relay.sources.platforms import platforms

SHOP_KEY = re.compile(r"[A-Za-z0-9]{1,8}")
"""The form of ``Sales.shop_key``."""
MAX_DAYS = 3650
"""Longest time for which orders are remembered."""

MAX_NAME = 100
"""Longest name of a branch, till, store or payment mode."""

PLACES = frozenset({"branch", "till", "store"})
"""Where vendors book a sale; each has some of them."""

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def parse_connection(id: str, data: Any, *, sandbox_hosts: frozenset[str] = frozenset()) -> Connection:
    """Return the connection of a secret's JSON.

    ``sandbox_hosts``: ``host:port`` texts that may replace a vendor's host; every other host must be on the vendor's
    own domains. Raises ConnectionInvalid with every wrong field.
    """
    connection, problems = as_far_as_valid(id, data, sandbox_hosts)
    if problems:
        raise ConnectionInvalid(id, problems)
    return connection


def as_far_as_valid(id: str, data: Any, sandbox_hosts: frozenset[str]) -> tuple[Connection, list[FieldProblem]]:
    """Return what is valid of a connection, and every wrong field. An unknown platform or vendor is an empty name."""
    read = Reader(data)
    return read_connection(id, read, sandbox_hosts), read.problems


def read_connection(id: str, read: Reader, sandbox_hosts: frozenset[str]) -> Connection:
    """Return what is valid of the connection that a reader holds; the reader collects the problems."""
    if not CONNECTION_ID.fullmatch(id):
        read.problem(
            "id",
            "must be 1-63 lower-case letters, digits and hyphens, not starting or ending with a hyphen",
        )
    country = read.optional_text("default_country")
    if country is not None and not re.fullmatch(r"[A-Z]{2}", country):
        read.problem("default_country", "must be an ISO 3166-1 alpha-2 code such as GB")
    source = _source(read.object("source", required=True), sandbox_hosts)
    destination = _destination(read.object("destination", required=True), sandbox_hosts)
    connection = Connection(
        id=id,
        source=source,
        destination=destination,
        mapping=_mapping(read),
        default_country=country,
        register_missing=read.flag("register_missing", True),
        sales=_sales(read.object("sales"), destination.vendor),
        api_keys=tuple(_api_key(r) for r in read.objects("api_keys")),
    )
    read.done()
    return connection


def _source(read: Reader, sandbox_hosts: frozenset[str]) -> Source:
    platform = read.choice("platform", platforms())
    source = Source(
        platform=platform if read.raw("platform") in platforms() else "",
        stores=read.texts("stores"),
        secrets=tuple(_secret(r) for r in read.objects("secrets")),
        unsigned=read.flag("unsigned"),
        verified_identifiers=read.texts("verified_identifiers"),
        public_url=read.url("public_url"),
        api_host=read.base_url("api_host", None, (), sandbox_hosts),
        api_credentials=_credentials(read, "api_credentials"),
        subscriptions=cast("Any", read.choice("subscriptions", ("report", "revive", "unmanaged"), "report")),
        options=read.mapping("options"),
    )
    for index, kind in enumerate(source.verified_identifiers):
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", kind):
            read.problem(f"verified_identifiers.{index}", "must be a type of identifier such as email or mobile")
    if source.secrets and source.unsigned:
        read.problem("unsigned", "cannot be true while secrets are given")
    read.done()
    return source


def _secret(read: Reader) -> WebhookSecret:
    secret = WebhookSecret(
        read.text("value"),
        read.parsed("not_before", moment),
        read.parsed("not_after", moment),
        read.texts("topics"),
    )
    read.done()
    return secret


def _destination(read: Reader, sandbox_hosts: frozenset[str]) -> Destination:
    name = read.choice("vendor", vendors())
    if read.raw("vendor") not in vendors():
        # The other members belong to a vendor that is not known: nothing can be reported of them.
        return Destination(vendor="", host="", credentials={})
    destination = vendor(name).parse(read, sandbox_hosts)
    read.done()
    return destination


def _mapping(read: Reader) -> dict[str, Any]:
    """Check the shape only; ``check_connection`` compiles the expressions."""
    rules = read.mapping("mapping")
    wrong = [t for t, f in rules.items() if not isinstance(f, dict) or not all(isinstance(v, str) for v in f.values())]
    for topic in wrong:
        read.problem(f"mapping.{topic}", "must be an object of destination field -> JMESPath text")
        del rules[topic]
    return rules


def _sales(read: Reader, name: str) -> Sales:
    """Read the ``sales`` object; what a vendor cannot do is refused, unless the vendor itself is not known."""
    support = vendor(name).sales if name else None
    default = Sales()

    def choice(member: str, choices: tuple[str, ...]) -> Any:
        possible = [c for c in choices if support is None or c in getattr(support, member)]
        return read.choice(member, possible, getattr(default, member))

    base = read.object("earning_base")
    sales = Sales(
        enabled=read.flag("enabled", default.enabled),
        earn_when=cast("Any", read.choice("earn_when", ("paid", "fulfilled"), default.earn_when)),
        earning_base=EarningBase(**{f.name: base.flag(f.name, cast("bool", f.default)) for f in fields(EarningBase)}),
        returns=choice("returns", ("amount", "line")),
        unlinked_returns=choice("unlinked_returns", ("skip", "park", "return")),
        guests=choice("guests", ("skip", "hold", "not_interested")),
        hold_days=read.whole_or("hold_days", default.hold_days, minimum=1, maximum=365),
        start_date=read.parsed("start_date", day),
        return_window_days=read.whole_or("return_window_days", default.return_window_days, minimum=1, maximum=MAX_DAYS),
        bill_days=read.whole_or("bill_days", default.bill_days, maximum=MAX_DAYS),
        bill_number=cast("Any", read.choice("bill_number", ("order", "receipt"), default.bill_number)),
        shop_key=read.parsed("shop_key", shop_key) or default.shop_key,
        currency=read.parsed("currency", currency) or default.currency,
        stores=_stores(read, support.attributions if support else frozenset()),
        payment_modes=_payment_modes(read),
        minimum=read.amount("minimum", default.minimum),
        test_orders=read.flag("test_orders", default.test_orders),
    )
    base.done()
    if sales.enabled and name and support is None:
        read.problem("enabled", f"cannot be true: {name} has no operation for sales")
    if sales.guests == "hold" and sales.hold_days > sales.return_window_days:
        read.problem("hold_days", "must be at most return_window_days, after which an order is too old to be booked")
    read.done()
    return sales


def _stores(read: Reader, attributions: frozenset[str]) -> dict[str, dict[str, str]]:
    def place(value: Any) -> bool:
        return (
            isinstance(value, dict) and len(value) == 1 and value.keys() <= known and all(map(_named, value.values()))
        )

    known = attributions or PLACES
    form = f"must be an object with one of {', '.join(sorted(known))}, a text of at most {MAX_NAME} characters"
    return _entries(read, "stores", place, form)


def _payment_modes(read: Reader) -> dict[str, str]:
    return _entries(read, "payment_modes", _named, f"must be a text of at most {MAX_NAME} characters")


def _entries(read: Reader, name: str, valid: Callable[[Any], bool], message: str) -> dict[str, Any]:
    entries = read.mapping(name)
    for key in [key for key, value in entries.items() if not (valid(value) and 0 < len(key) <= MAX_ID)]:
        named = 0 < len(key) <= MAX_ID
        read.problem(f"{name}.{key[:MAX_ID]}", message if named else f"must have a name of 1 to {MAX_ID} characters")
        del entries[key]
    return entries


def _named(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value.strip()) <= len(value) <= MAX_NAME


def _api_key(read: Reader) -> ApiKey:
    key = ApiKey(read.text("id", max_length=64), read.text("sha256"))
    if not re.fullmatch(r"[0-9a-f]{64}", key.sha256):
        read.problem("sha256", "must be the SHA-256 of the key as 64 lower-case hex digits")
    read.done()
    return key


def _credentials(read: Reader, name: str) -> dict[str, str]:
    values = read.mapping(name)
    for key in [key for key, value in values.items() if not isinstance(value, str) or not value]:
        read.problem(f"{name}.{key}", "must be a non-empty string")
        del values[key]
    return values


def moment(text: str) -> datetime:
    """Return an ISO 8601 moment with an offset. Raises ValueError with a message for the operator."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("must be an ISO 8601 moment such as 2026-01-31T12:00:00Z") from None
    if value.tzinfo is None:
        raise ValueError("needs an offset, for example Z")
    return value


def day(text: str) -> date:
    """Return a date of the form YYYY-MM-DD. Raises ValueError with a message for the operator."""
    try:
        return date.fromisoformat(text if _DAY.fullmatch(text) else "")
    except ValueError:
        raise ValueError("must be a date such as 2026-01-31") from None


def shop_key(text: str) -> str:
    """Return a key of shops in bill numbers. Raises ValueError with a message for the operator."""
    if not SHOP_KEY.fullmatch(text):
        raise ValueError("must be 1 to 8 letters and digits")
    return text


def currency(text: str) -> str:
    """Return the code of a currency. Raises ValueError with a message for the operator."""
    if not is_currency(text):
        raise ValueError("must be an ISO 4217 code such as EUR")
    return text
