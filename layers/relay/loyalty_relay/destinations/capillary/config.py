"""Capillary's configuration: what a connection's secret may contain, hosts, published limits, commands and fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loyalty_relay.connections.model import Connection, Destination
from loyalty_relay.destinations.base import SUBSCRIPTION, ClientParts, SalesSupport, Vendor, limits
from loyalty_relay.destinations.capillary.fields import IDENTIFIERS
from loyalty_relay.model.commands import CustomerCommand, RegisterCustomer, UpdateCustomer
from loyalty_relay.model.json_validation import Reader

if TYPE_CHECKING:
    from loyalty_relay.destinations.capillary.client import CapillaryCrm
    from loyalty_relay.http.client import Client

SOURCES = (
    "FACEBOOK",
    "WEB_ENGAGE",
    "WECHAT",
    "INSTORE",
    "MARTJACK",
    "TMALL",
    "TAOBAO",
    "JD",
    "ECOMMERCE",
    "WEBSITE",
    "LINE",
    "MOBILE_APP",
)
"""Capillary docs: Add customer, Update customer details; LINE and MOBILE_APP are in the latter's list only."""

ACCOUNT_SOURCES = ("WECHAT", "FACEBOOK", "WEB_ENGAGE", "MOBILE_APP", "LINE")
"""Sources with several accounts, which need an account id."""

DOMAINS = ("capillarytech.com", "capillarytech.cn.com", "capillary.co.in")

HOSTS = {
    "eu": "https://eu.api.capillarytech.com",
    "asia1": "https://apac.api.capillarytech.com",
    "asia2": "https://apac2.api.capillarytech.com",
    "us": "https://us.api.capillarytech.com",
    "china": "https://api.capillarytech.cn.com",
}
_SALES = {"v1-transaction": 16}
LIMITS: dict[str, dict[str, float]] = {
    "eu": {"v2-create": 100, "v2-update": 50, "v1-add": 400, "v1-update": 300, "v2-transaction": 100, **_SALES},
    "asia1": {"v2-create": 600, "v2-update": 600, "v1-add": 500, "v1-update": 600, "v2-transaction": 1200, **_SALES},
    "asia2": {"v2-create": 100, "v2-update": 1000, "v1-add": 700, "v1-update": 500, "v2-transaction": 100, **_SALES},
    "us": {},
    "china": {},
}
"""Requests per minute and API that Capillary publishes per region (Capillary docs: Rate limits); no entry: none is
published. Of two editions of the page the lower one: v2-transaction is also 700, 1500 and 1500. V1.1 transactions have
1000 an hour in an older edition, of every organisation.
"""
APIS = ("v2-create", "v2-update", "v1-add", "v1-update", "v2-transaction", "v1-transaction")

MAX_BILL_NUMBER = 50
"""Characters of a bill number that are sent; no page has the length after which code 685 comes."""


def parse(read: Reader, sandbox_hosts: frozenset[str]) -> Destination:
    """Read the ``destination`` object of a secret."""
    region = read.choice("region", HOSTS)
    source = read.choice("source", SOURCES)
    account_id = read.optional_text("account_id")
    if source in ACCOUNT_SOURCES and account_id is None:
        read.problem("account_id", f"is required: {source} has several accounts")
    credentials = read.object("credentials", required=True)
    grant = credentials.choice("type", ("basic", "oauth"))
    names = ("username", "password") if grant == "basic" else ("key", "secret")
    taken = {"type": grant, **{name: credentials.text(name) for name in names}}
    for name in ("attribution_type", "attribution_code", "account"):
        if (value := credentials.optional_text(name, header=name != "account")) is not None:
            taken[name] = value
    credentials.done()
    options = read.object("options")
    values: dict[str, Any] = {
        "identifier_change": options.flag("identifier_change"),
        "source_id_as_external_id": options.flag("source_id_as_external_id"),
        "local_currency": options.flag("local_currency"),
    }
    if options.has("use_async"):
        values["use_async"] = options.flag("use_async")
    context = options.object("user_context")
    values["user_context"] = {
        name: value
        for name in ("type", "id", "source", "source_id")
        if (value := context.optional_text(name, header=True))
    }
    context.done()
    options.done()
    return Destination(
        vendor="capillary",
        region=region,
        host=read.base_url("host", HOSTS[region], DOMAINS, sandbox_hosts) or "",
        credentials=taken,
        source=source,
        account_id=account_id,
        requests_per_minute=limits(read, LIMITS[region], APIS),
        options=values,
    )


def profile(destination: Destination, command: CustomerCommand) -> str:
    """Return the source and account of a command: Capillary keeps one profile of a member for each."""
    from loyalty_relay.destinations.capillary.options import Options

    return Options.of(destination, command.options).profile


def crm(connection: Connection, client: Client, parts: ClientParts) -> CapillaryCrm:
    """Return the client of a connection's organisation."""
    from loyalty_relay.destinations.capillary.client import CapillaryCrm

    return CapillaryCrm(
        connection.destination,
        client,
        default_country=connection.default_country,
        clock=parts.clock,
        sales=connection.sales,
    )


def code_text(code: str) -> str:
    """Return what Capillary documents about a code; where transactions have another meaning, both."""
    from loyalty_relay.destinations.capillary.codes import meaning

    text, of_sale = meaning(code).text, meaning(code, sale=True).text
    return text if of_sale in ("", text) else f"{text}; of a transaction: {of_sale}" if text else of_sale


VENDOR = Vendor(
    name="capillary",
    parse=parse,
    crm=crm,
    code_text=code_text,
    profile=profile,
    operations=frozenset({"register", "update", "transaction"}),
    sales=SalesSupport(
        bill_number_length=MAX_BILL_NUMBER,
        attributions=frozenset({"till", "store"}),
        returns=frozenset({"amount", "line"}),
        unlinked_returns=frozenset({"skip", "park", "return"}),
        guests=frozenset({"skip", "hold", "not_interested"}),
        unique_bills=True,
    ),
    commands={"customer_created": RegisterCustomer, "customer_changed": UpdateCustomer},
    fields=frozenset(
        {
            "first_name",
            "last_name",
            "email",
            "phone",
            "country",
            "loyalty_type",
            "status_label",
            "associated_with",
            "registered_on",
            "registered_till",
            "fraud_status",
        }
    ),
    # Birthdays, genders and addresses are extended fields, which each organisation enables or not.
    field_patterns=(
        (r"custom_fields\..+", "custom_fields.NAME"),
        (r"extended_fields\..+", "extended_fields.NAME"),
        (SUBSCRIPTION, "subscriptions.CHANNEL.PRIORITY"),
        (r"channels\.[a-z_]+", "channels.TYPE"),
        (rf"identifiers\.(?:{'|'.join(IDENTIFIERS)})", "identifiers.TYPE"),
        (
            r"identifiers\.card_(?:number|external_id)\."
            r"(?:series_id|series_code|status_label|(?:custom|extended)_fields\..+)",
            "identifiers.card_number.ATTRIBUTE",
        ),
        # Credits: once per event.
        (r"enrollments", "enrollments"),
        (r"referral_code", "referral_code"),
        (r"sale\.note", "sale.note"),
        (r"sale\.custom_fields\..+", "sale.custom_fields.NAME"),
        (r"sale\.extended_fields\..+", "sale.extended_fields.NAME"),
        (r"options\.(?:source|account_id|use_async|raw_side_effects|single_enroll)", "options.NAME"),
    ),
)
