"""Kangaroo's configuration: what a connection's secret may contain, hosts, published limits, commands and fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loyalty_relay.connections.model import Connection, Destination
from loyalty_relay.destinations.base import ClientParts, SalesSupport, Vendor, limits
from loyalty_relay.model.commands import LinkStore, PatchCrmFields
from loyalty_relay.model.json_validation import Reader

if TYPE_CHECKING:
    from loyalty_relay.destinations.kangaroo.client import KangarooCrm
    from loyalty_relay.http.client import Client

HOST = "https://api.kangaroorewards.com"
INTEGRATIONS_HOST = "https://integrations.kangarooapis.com"
DOMAINS = ("kangaroorewards.com", "kangarooapis.com")
BILL_NUMBER = 50
"""Characters of a receipt number and of an external order id; the vendor documents no limit of either."""
LIMIT = 240.0
"""Requests per minute and token (Kangaroo docs: Rate limiting)."""


def parse(read: Reader, sandbox_hosts: frozenset[str]) -> Destination:
    """Read the ``destination`` object of a secret."""
    credentials = read.object("credentials", required=True)
    grant = credentials.choice("type", ("password", "authorization_code", "client_credentials", "token"))
    needed = {
        "password": ("application_key", "client_id", "client_secret", "username", "password"),
        "authorization_code": ("application_key", "client_id", "client_secret", "redirect_uri"),
        "client_credentials": ("client_id", "client_secret"),
        "token": ("application_key", "access_token"),
    }[grant]
    in_headers = ("application_key", "access_token")
    taken = {"type": grant, **{name: credentials.text(name, header=name in in_headers) for name in needed}}
    if grant in ("authorization_code", "token"):
        # Nothing else in these credentials distinguishes two businesses, which must not share limits and tokens.
        taken["account"] = credentials.text("account")
    for name in ("application_key", "account", "scope", "employee_pin_code"):
        if name not in taken and (value := credentials.optional_text(name, header=name in in_headers)) is not None:
            taken[name] = value
    credentials.done()
    options = read.object("options")
    values: dict[str, Any] = {
        "crm_fields_path": options.choice("crm_fields_path", ("crm-fields", "crm-fields-values"), "crm-fields"),
        "integration_name": options.optional_text("integration_name", "Loyalty Relay", max_length=100),
        "integration_id": options.whole("integration_id"),
        "branch_id": options.optional_text("branch_id"),
        "can_list_integrations": options.flag("can_list_integrations", True),
        "employee_id": options.optional_text("employee_id"),
        "sales_at_linked_branch": options.flag("sales_at_linked_branch"),
    }
    options.done()
    return Destination(
        vendor="kangaroo",
        host=read.base_url("host", HOST, DOMAINS, sandbox_hosts) or "",
        integrations_host=read.base_url("integrations_host", INTEGRATIONS_HOST, DOMAINS, sandbox_hosts),
        credentials=taken,
        requests_per_minute=limits(read, {"api": LIMIT, "integrations": LIMIT}, ("api", "integrations")),
        options=values,
    )


def crm(connection: Connection, client: Client, parts: ClientParts) -> KangarooCrm:
    """Return the client of a connection's business."""
    from loyalty_relay.destinations.kangaroo.client import KangarooCrm

    return KangarooCrm(
        connection.destination,
        client,
        parts.tokens,
        default_country=connection.default_country,
        cache=parts.definitions,
        clock=parts.clock,
        sales=connection.sales,
    )


VENDOR = Vendor(
    name="kangaroo",
    parse=parse,
    crm=crm,
    operations=frozenset({"register", "crm-patch", "link-store", "transaction"}),
    commands={
        "customer_created": PatchCrmFields,
        "customer_changed": PatchCrmFields,
        "store_changed": LinkStore,
    },
    sales=SalesSupport(
        bill_number_length=BILL_NUMBER,
        attributions=frozenset({"branch"}),
        unlinked_returns=frozenset({"skip", "park", "return"}),
        linked_branch=lambda destination: bool(destination.options.get("sales_at_linked_branch")),
    ),
    # CRM fields have neither language nor address.
    fields=frozenset(
        {
            "first_name",
            "last_name",
            "email",
            "phone",
            "country",
            "birthday",
            "gender",
            "postal_code",
            "notes",
            "tags",
        }
    ),
    field_patterns=(
        (r"custom_fields\.custom_field_[1-9]\d{0,2}", "custom_fields.custom_field_NUMBER"),
        (r"tags\..+", "tags.NAME"),
        (r"subscriptions\.email\.bulk", "subscriptions.email.bulk"),
        (r"identifiers\.(?:email|mobile)", "identifiers.email, identifiers.mobile"),
        # The first one has the relay's own marker.
        (r"sale\.custom_fields\.custom_field_[2-5]", "sale.custom_fields.custom_field_2 to 5"),
    ),
)
