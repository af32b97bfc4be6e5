"""The JSON Schema of a connection's file, and the commented file to begin with, both made from the parser.

The parser runs over a reader that records what it reads, once for each vendor and type of credentials, so that a
member which the parser reads cannot be missing here. ``python -m devkit.connection_schema`` writes the schema.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from loyalty_relay.connections.parse import PLACES, SHOP_KEY, currency, day, read_connection, shop_key
from loyalty_relay.destinations.registry import vendors
from loyalty_relay.model.json_validation import Reader
from loyalty_relay.model.money import CURRENCY
from loyalty_relay.sources import platforms, source_module

T = TypeVar("T")
FILE = Path(__file__).parents[1] / "docs" / "connection.schema.json"

DESCRIPTIONS = {
    "source": "The platform that sends",
    "source.platform": "The platform; docs/platforms has a page for each",
    "source.stores": "The stores that may send here, as the platform's page names them",
    "source.secrets": "Webhook secrets; any that is valid now may have signed",
    "source.secrets.0.value": "The secret as the platform shows it",
    "source.secrets.0.not_before": "The secret is valid from this ISO 8601 moment with offset",
    "source.secrets.0.not_after": "The secret is valid until this ISO 8601 moment with offset",
    "source.verified_identifiers": "Types of identifiers (email, mobile) that the shop itself verifies",
    "source.secrets.0.topics": "The topics that this secret may sign; default: all",
    "source.unsigned": "true where the source cannot sign; the URL is then the only secret",
    "source.public_url": "The URL as registered with the platform, where it is signed (Square)",
    "source.api_host": "The platform's API, where deliveries only name what has changed",
    "source.api_credentials": "access_token, or access_token.STORE for each store, for that API",
    "source.subscriptions": "Missing or disabled webhook subscriptions: report them, revive them, or do not look",
    "source.options": "Options of the platform",
    "destination": "The loyalty programme's account that receives",
    "destination.vendor": "The loyalty programme's vendor",
    "destination.region": "Sets the host and the published limits",
    "destination.host": "The API's host, instead of the usual one; must be one of the vendor's own",
    "destination.integrations_host": "The host of the integrations API, instead of the usual one",
    "destination.source": "The source of the profiles",
    "destination.account_id": "The account of the source; required for sources with several accounts",
    "destination.credentials": "What authenticates the relay",
    "destination.credentials.type": "The way to authenticate; decides which members follow",
    "destination.credentials.username": "The user name (Capillary: the till)",
    "destination.credentials.password": "The password (Capillary: clear, or md5: and its hex digest)",
    "destination.credentials.key": "The client key",
    "destination.credentials.secret": "The client secret",
    "destination.credentials.attribution_type": "Sent as the attribution of every request, with attribution_code",
    "destination.credentials.attribution_code": "The till or store of the attribution",
    "destination.credentials.account": "Any name of the organisation; connections with the same one share its limits",
    "destination.credentials.application_key": "The application key of the business",
    "destination.credentials.client_id": "The client id of the application",
    "destination.credentials.client_secret": "The client secret of the application",
    "destination.credentials.redirect_uri": "The redirect URI registered for the application",
    "destination.credentials.access_token": "A token that is never renewed",
    "destination.credentials.scope": "The OAuth scope; default: admin",
    "destination.credentials.employee_pin_code": "The employee's PIN that large amounts need at the vendor",
    "destination.requests_per_minute": "Limits in place of the published ones",
    "destination.requests_per_minute.v2-create": "Registrations over V2",
    "destination.requests_per_minute.v2-update": "Updates over V2",
    "destination.requests_per_minute.v1-add": "Registrations over V1.1",
    "destination.requests_per_minute.v1-update": "Updates over V1.1",
    "destination.requests_per_minute.api": "All requests to the API",
    "destination.requests_per_minute.v2-transaction": "Sales and returns",
    "destination.requests_per_minute.v1-transaction": "Conversions of guests' sales",
    "destination.requests_per_minute.integrations": "All requests to the integrations API",
    "destination.options": "Options of the vendor",
    "destination.options.identifier_change": "Change identifiers by the vendor's identifier-change API",
    "destination.options.source_id_as_external_id": "Register the shop's customer id as external id",
    "destination.options.local_currency": "Send each sale's currency, which the organisation converts",
    "destination.options.use_async": "Let loyalty work run in the background",
    "destination.options.user_context": "Who is named in the programme's audit log",
    "destination.options.user_context.type": "Type of that user",
    "destination.options.user_context.id": "Id of that user",
    "destination.options.user_context.source": "Source of that user",
    "destination.options.user_context.source_id": "Id of that user at the source",
    "destination.options.crm_fields_path": "The last part of the path of CRM fields",
    "destination.options.integration_name": "The integration that stores are linked to, by name",
    "destination.options.integration_id": "The integration that stores are linked to, by id",
    "destination.options.branch_id": "The virtual branch that stores are linked to",
    "destination.options.can_list_integrations": "false where the vendor does not list integrations",
    "destination.options.employee_id": "The employee that sales are attributed to",
    "destination.options.sales_at_linked_branch": "true: sales are booked at the branch that their shop is linked to",
    "mapping": "Topic or pattern -> destination field -> JMESPath expression over the platform's own body",
    "default_country": "ISO 3166-1 alpha-2 code for phone numbers without a country code",
    "register_missing": "Whether an event registers a customer whom the programme does not know",
    "sales": "How sales are recorded; docs/connections.md has an example",
    "sales.enabled": "Whether sales and refunds are recorded",
    "sales.earn_when": "When an order earns: once money is captured, or once it is fulfilled too",
    "sales.earning_base": "Which parts of an order earn; goods always do",
    "sales.earning_base.tax": "Taxes",
    "sales.earning_base.shipping": "Shipping",
    "sales.earning_base.tips": "Tips",
    "sales.earning_base.duties": "Duties",
    "sales.earning_base.fees": "Surcharges, wrapping, handling",
    "sales.earning_base.gift_card_products": "Gift cards that are bought",
    "sales.earning_base.gift_card_tender": "What is paid with gift cards",
    "sales.earning_base.store_credit": "What is paid with store credit",
    "sales.returns": "How a return is booked: by amount, or by line where the lines' sums are exact",
    "sales.unlinked_returns": "What becomes of a return that names no sale",
    "sales.guests": "What becomes of a guest's sale",
    "sales.hold_days": "For how many days a guest's sale waits for the guest's registration (guests: hold)",
    "sales.start_date": "Orders sold before this day (UTC) never earn",
    "sales.return_window_days": "For how many days after its sale a refund is booked",
    "sales.bill_days": "For how many days the vendor keeps bill numbers unique; 0: for ever",
    "sales.bill_number": "What bill numbers are made of: shop and order id, or the receipt's number",
    "sales.shop_key": "Makes bill numbers differ from another connection's whose shops have the same names",
    "sales.currency": "The programme's currency, ISO 4217; default: every order's own shop currency",
    "sales.stores": "The platform's location or till -> where the sale is booked",
    "sales.payment_modes": "The platform's name of a tender -> the vendor's payment mode",
    "sales.minimum": "Orders whose earning base is below it book zero",
    "sales.test_orders": "Whether test orders earn",
    "api_keys": "Callers of the HTTP API; relay connections new-key adds one",
    "api_keys.0.id": "The caller's name, which is logged",
    "api_keys.0.sha256": "The SHA-256 of the key, 64 hex digits",
}
"""What each member means, for editors, the file to begin with, and whoever reads the schema."""


class Recorder(Reader):
    """A reader that records every member as JSON Schema. ``chosen``: what ``choice`` returns, by path."""

    def __init__(self, chosen: Mapping[str, str], path: str = "") -> None:
        super().__init__({}, path)
        self.chosen = chosen
        self.schema: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}

    def _put(self, name: str, schema: dict[str, Any], *, required: bool = False) -> None:
        described = {"description": DESCRIPTIONS.get(self._join(name), ""), **schema}
        self.schema["properties"][name] = described
        if required and name not in self.schema.setdefault("required", []):
            self.schema["required"].append(name)

    def problem(self, name: str, message: str) -> None: ...

    def done(self) -> None: ...

    def has(self, name: str) -> bool:
        return True

    def raw(self, name: str) -> Any:
        return self.chosen.get(self._join(name))

    def text(self, name: str, **limits: Any) -> str:
        self._put(name, {"type": "string", "minLength": 1}, required=True)
        return "x"

    def optional_text(self, name: str, default: str | None = None, **limits: Any) -> str | None:
        self._put(name, {"type": "string"})
        return default

    def choice(self, name: str, choices: Iterable[str], default: str | None = None) -> str:
        allowed = list(choices)
        given = self.chosen.get(self._join(name))
        form = {"const": given} if given else {"enum": allowed}
        self._put(name, form if default is None else {**form, "default": default}, required=default is None)
        return given or default or allowed[0]

    def flag(self, name: str, default: bool = False) -> bool:
        self._put(name, {"type": "boolean", "default": default})
        return default

    def number(self, name: str, default: float, *, minimum: float, maximum: float) -> float:
        self._put(name, {"type": "number", "minimum": minimum, "maximum": maximum})
        return default

    def whole_or(self, name: str, default: int, *, minimum: int = 0, maximum: int = 2**53) -> int:
        self._put(name, {"type": "integer", "minimum": minimum, "maximum": maximum, "default": default})
        return default

    def whole(self, name: str, *, minimum: int = 0, maximum: int = 2**53) -> int | None:
        self._put(name, {"type": "integer", "minimum": minimum})
        return None

    def amount(self, name: str, default: Decimal) -> Decimal:
        form = {"type": ["number", "string"], "minimum": 0, "pattern": r"^\d+(\.\d+)?$"}
        self._put(name, {**form, "default": str(default)})
        return default

    def texts(self, name: str, *, required: bool = False) -> tuple[str, ...]:
        self._put(name, {"type": "array", "items": {"type": "string", "minLength": 1}}, required=required)
        return ()

    def mapping(self, name: str) -> dict[str, Any]:
        self._put(name, {"type": "object"})
        return {}

    def object(self, name: str, *, required: bool = False) -> Recorder:
        inner = Recorder(self.chosen, self._join(name))
        self._put(name, {}, required=required)
        self.schema["properties"][name].update(inner.schema)
        inner.schema = self.schema["properties"][name]
        return inner

    def objects(self, name: str) -> Iterator[Reader]:
        inner = Recorder(self.chosen, self._join(f"{name}.0"))
        self._put(name, {"type": "array", "items": inner.schema})
        yield inner

    def parsed(self, name: str, parse: Callable[[str], T]) -> T | None:
        forms: dict[Any, dict[str, str]] = {
            day: {"format": "date"},
            currency: {"pattern": f"^{CURRENCY.pattern}$"},
            shop_key: {"pattern": f"^{SHOP_KEY.pattern}$"},
        }
        self._put(name, {"type": "string", **forms.get(parse, {"format": "date-time"})})
        return None

    def url(self, name: str) -> str | None:
        self._put(name, {"type": "string", "format": "uri"})
        return None

    def base_url(
        self, name: str, default: str | None, domains: tuple[str, ...], sandbox_hosts: frozenset[str]
    ) -> str | None:
        self._put(name, {"type": "string"})
        return default


PLACE: dict[str, Any] = {
    "additionalProperties": {
        "type": "object",
        "propertyNames": {"enum": sorted(PLACES)},
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": {"type": "string", "minLength": 1},
    },
    "examples": [{"68455432": {"branch": "9d5b7c52"}}],
}
GRANTS = "destination.credentials.type"


def recorded(platform: str, vendor: str, grant: str = "") -> dict[str, Any]:
    """Return the schema of connections of one platform, vendor and, where given, type of credentials."""
    chosen = {"source.platform": platform, "destination.vendor": vendor, **({GRANTS: grant} if grant else {})}
    read = Recorder(chosen)
    read_connection("schema", read, frozenset())
    source = read.schema["properties"]["source"]
    options = source_module(platform).options
    source["properties"]["options"] |= {"properties": dict(options), "additionalProperties": False}
    return read.schema


def grants(vendor: str) -> list[str]:
    """Return the types of credentials that a vendor takes."""
    destination = recorded(platforms()[0], vendor)["properties"]["destination"]
    return list(destination["properties"]["credentials"]["properties"]["type"]["enum"])


def schema() -> dict[str, Any]:
    """Return the schema of every connection."""
    whole = recorded(platforms()[0], vendors()[0])
    properties = whole["properties"]
    for name, one in (
        ("source", [recorded(p, vendors()[0])["properties"]["source"] for p in platforms()]),
        (
            "destination",
            [recorded(platforms()[0], v, g)["properties"]["destination"] for v in vendors() for g in grants(v)],
        ),
    ):
        properties[name] = {"description": DESCRIPTIONS[name], "oneOf": one}
    forms: list[dict[str, Any]] = []
    for form in (recorded(platforms()[0], v)["properties"]["sales"] for v in vendors()):
        form["properties"]["stores"] |= PLACE
        form["properties"]["payment_modes"]["additionalProperties"] = {"type": "string", "minLength": 1}
        forms += [form] if form not in forms else []
    properties["sales"] = forms[0] if len(forms) == 1 else {"description": DESCRIPTIONS["sales"], "anyOf": forms}
    properties["mapping"] |= {
        "additionalProperties": {"type": "object", "additionalProperties": {"type": "string"}},
        "examples": [{"customers/*": {"custom_fields.shop_note": "note"}}],
    }
    properties["id"] = {"description": "The connection's id; default: the file's name", "type": "string"}
    properties["$schema"] = {"type": "string"}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A connection of Loyalty Relay"}
    return {**head, **whole}


def text() -> str:
    """Return the schema as docs/connection.schema.json holds it."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def required(platform: str, vendor: str, grant: str) -> dict[str, dict[str, Any]]:
    """Return the members that a connection's destination needs, as JSON Schema by dotted path."""
    destination = recorded(platform, vendor, grant)["properties"]["destination"]
    return dict(_required(destination, "destination."))


def _required(schema: Mapping[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in schema.get("required", ()):
        member = schema["properties"][name]
        if member.get("properties"):
            yield from _required(member, f"{path}{name}.")
        else:
            yield f"{path}{name}", member


PLACEHOLDERS: dict[str, Any] = {
    "source.secrets.0.value": "${WEBHOOK_SECRET}",
    "source.verified_identifiers": ["email"],
    "destination.source": "ECOMMERCE",
    "sales.start_date": "2026-01-01",
    "sales.currency": "GBP",
}
"""What a file to begin with has where the type alone makes no example."""


def start_file(platform: str, vendor: str, grant: str) -> str:
    """Return a commented file to begin with: required members to be filled in, all others as comments."""
    needed = {"source.stores", "source.secrets", "source.secrets.0.value", "default_country"}
    module = source_module(platform)
    if getattr(module, "api_domains", ()):
        needed.add("source.api_credentials")
    lines = [
        f"// {platform} -> {vendor}. docs/connections.md and docs/platforms/{platform}.md describe every member.",
        "// ${NAME} is taken from the environment. Check: relay connections apply FILE --dry-run",
    ]
    lines += _object(recorded(platform, vendor, grant), "", "", needed, on=True)
    return "\n".join(lines) + "\n"


def _object(schema: Mapping[str, Any], path: str, pad: str, needed: set[str], *, on: bool) -> list[str]:
    mark = "" if on else "// "
    members = schema.get("properties", {})
    wanted = {n for n in members if on and (n in schema.get("required", ()) or f"{path}{n}" in needed)}
    lines = [f"{mark}{pad}{{"]
    # What is needed comes last, so that the last member, which has no comma, is one that counts.
    ordered = sorted(members, key=lambda n: n in wanted)
    for name in ordered:
        used, member = name in wanted, members[name]
        before = ("" if used else "// ") + pad + "  "
        value = _value(member, f"{path}{name}", pad + "  ", needed, on=used)
        lines.append(f"// {pad}  {member.get('description', name)}{_choices(member)}")
        lines.append(f'{before}"{name}": {value[0].lstrip("/ ")}')
        lines += value[1:]
        if name != ordered[-1]:
            lines[-1] += ","
    lines.append(f"{mark}{pad}}}")
    return lines


def _choices(member: Mapping[str, Any]) -> str:
    return f": {', '.join(member['enum'])}" if "enum" in member else ""


def _value(member: Mapping[str, Any], path: str, pad: str, needed: set[str], *, on: bool) -> list[str]:
    kind = member.get("type")
    if kind == "object" and member.get("properties"):
        return _object(member, f"{path}.", pad, needed, on=on)
    if kind == "array" and member["items"].get("properties"):
        inner = _object(member["items"], f"{path}.0.", pad, needed, on=on)
        return [f"[{inner[0].lstrip('/ ')}", *inner[1:-1], inner[-1] + "]"]
    return [json.dumps(_example(member, path), ensure_ascii=False)]


def _example(member: Mapping[str, Any], path: str) -> Any:
    if path in PLACEHOLDERS:
        return PLACEHOLDERS[path]
    if "const" in member:
        return member["const"]
    if "default" in member:
        return member["default"]
    if "enum" in member:
        return member["enum"][0]
    if path == "default_country":
        return "GB"
    if path == "source.api_credentials":
        return {"access_token": "${PLATFORM_ACCESS_TOKEN}"}
    if path.startswith("destination.credentials."):
        return f"${{DESTINATION_{path.rpartition('.')[2].upper()}}}"
    empty = {"boolean": False, "integer": 1, "number": 60, "array": ["YOUR-STORE"], "object": {}}
    return empty.get(str(member.get("type")), "")


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(FILE.read_text(encoding="utf-8") != text())
    FILE.write_text(text(), encoding="utf-8")
