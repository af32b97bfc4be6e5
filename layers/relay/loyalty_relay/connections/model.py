"""A connection: one source joined to one destination, as its secret describes it.

``Connection.parse`` checks everything that can be checked without asking anybody and names every wrong field at
once. It is plain Python because ingest reads connections on its cold path. ``docs/connections.md`` shows a full
example.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from loyalty_relay.model.errors import ConnectionInvalid, FieldProblem
from loyalty_relay.model.json_validation import Reader
from loyalty_relay.sources.platforms import platforms

VENDORS = ("capillary", "kangaroo")

CONNECTION_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""What a connection may be called: it is part of a URL and of a secret's name."""

CAPILLARY_SOURCES = (
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
"""Capillary docs: Add customer, Update customer details; LINE and MOBILE_APP stand in the latter's list."""

CAPILLARY_ACCOUNT_SOURCES = ("WECHAT", "FACEBOOK", "WEB_ENGAGE", "MOBILE_APP", "LINE")
"""Sources with several accounts, which need an account id."""

CAPILLARY_HOSTS = {
    "eu": "https://eu.api.capillarytech.com",
    "asia1": "https://apac.api.capillarytech.com",
    "asia2": "https://apac2.api.capillarytech.com",
    "us": "https://us.api.capillarytech.com",
    "china": "https://api.capillarytech.cn.com",
}
CAPILLARY_LIMITS: dict[str, dict[str, float]] = {
    "eu": {"v2-create": 100, "v2-update": 50, "v1-add": 400, "v1-update": 300},
    "asia1": {"v2-create": 600, "v2-update": 600, "v1-add": 500, "v1-update": 600},
    "asia2": {"v2-create": 100, "v2-update": 1000, "v1-add": 700, "v1-update": 500},
    "us": {},
    "china": {},
}
"""Requests per minute and API that Capillary publishes per region (Capillary docs: Rate limits); no entry: none is
published.
"""

KANGAROO_HOST = "https://api.kangaroorewards.com"
KANGAROO_INTEGRATIONS_HOST = "https://integrations.kangarooapis.com"
KANGAROO_LIMIT = 240.0
"""Requests per minute and token (Kangaroo docs: Rate limiting)."""

VENDOR_DOMAINS = (
    "capillarytech.com",
    "capillarytech.cn.com",
    "capillary.co.in",
    "kangaroorewards.com",
    "kangarooapis.com",
)


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """A live secret of the source; outside its dates it is not tried."""

    value: str
    not_before: datetime | None = None
    not_after: datetime | None = None

    def live(self, now: float) -> bool:
        moment = datetime.fromtimestamp(now, UTC)
        return (self.not_before is None or self.not_before <= moment) and (
            self.not_after is None or moment <= self.not_after
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The sending side. ``options`` are the platform module's own, checked by it when a connection is applied."""

    platform: str
    stores: tuple[str, ...] = ()
    """Tenant identities that may send here (shop domain, site URL, merchant id ...); empty only where the platform
    has none.
    """
    secrets: tuple[WebhookSecret, ...] = ()
    unsigned: bool = False
    """The operator's statement that this source cannot sign; the URL is then the only secret."""
    public_url: str | None = None
    """The URL as registered with the platform, where it is part of the signature (Square)."""
    api_host: str | None = None
    api_credentials: Mapping[str, str] = field(default_factory=dict)
    """For sources with thin events: how to read the platform's own API."""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """The receiving side: which CRM account, and how to talk to it."""

    vendor: str
    host: str
    credentials: Mapping[str, str]
    region: str | None = None
    integrations_host: str | None = None
    """Kangaroo's second host."""
    source: str | None = None
    """Capillary's source of the profiles."""
    account_id: str | None = None
    requests_per_minute: Mapping[str, float] = field(default_factory=dict)
    """Limit per API name of the client; an API that is not named has none."""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What shares limits, circuit and tokens: the organisation behind the credentials, not the connection."""
        account = self.credentials.get("account") or self.credentials.get("username") or self.credentials.get("key")
        return f"{self.vendor}:{urlsplit(self.host).netloc}:{account or self.credentials.get('client_id', '')}"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A caller of the HTTP API: a name for the log and the SHA-256 of the key, in hex."""

    id: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One source joined to one destination."""

    id: str
    source: Source
    destination: Destination
    mapping: Mapping[str, Any] = field(default_factory=dict)
    """Topic pattern or ``*`` -> destination field -> JMESPath over the source's payload."""
    default_country: str | None = None
    """ISO 3166-1 alpha-2, for phone numbers written without a country code."""
    register_missing: bool = True
    """Whether an event for a customer whom the programme does not know registers them."""
    api_keys: tuple[ApiKey, ...] = ()

    @classmethod
    def parse(cls, id: str, data: Any, *, sandbox_hosts: frozenset[str] = frozenset()) -> Connection:
        """A connection from its secret's JSON.

        ``sandbox_hosts``: ``host:port`` texts that may stand for a vendor's host; every other host must be the
        vendor's own. Raises ConnectionInvalid, naming every wrong field.
        """
        read = Reader(data)
        if not CONNECTION_ID.fullmatch(id):
            read.problem(
                "id",
                "must be 1-63 lower-case letters, digits and hyphens, not starting or ending with a hyphen",
            )
        country = read.optional_text("default_country")
        if country is not None and not re.fullmatch(r"[A-Z]{2}", country):
            read.problem("default_country", "must be an ISO 3166-1 alpha-2 code such as GB")
        connection = cls(
            id=id,
            source=_source(read.object("source", required=True), sandbox_hosts),
            destination=_destination(read.object("destination", required=True), sandbox_hosts),
            mapping=_mapping(read),
            default_country=country,
            register_missing=read.flag("register_missing", True),
            api_keys=tuple(_api_key(r) for r in read.objects("api_keys")),
        )
        read.done()
        if read.problems:
            raise ConnectionInvalid(id, read.problems)
        return connection


def _source(read: Reader, sandbox_hosts: frozenset[str]) -> Source:
    platform = read.choice("platform", platforms())
    source = Source(
        platform=platform,
        stores=read.texts("stores"),
        secrets=tuple(_secret(r) for r in read.objects("secrets")),
        unsigned=read.flag("unsigned"),
        public_url=_url(read, "public_url"),
        api_host=_host(read, "api_host", None, (), sandbox_hosts),
        api_credentials=_credentials(read, "api_credentials"),
        options=read.mapping("options"),
    )
    if source.secrets and source.unsigned:
        read.problem("unsigned", "cannot be true while secrets are given")
    read.done()
    return source


def _secret(read: Reader) -> WebhookSecret:
    secret = WebhookSecret(read.text("value"), read.parsed("not_before", moment), read.parsed("not_after", moment))
    read.done()
    return secret


def _destination(read: Reader, sandbox_hosts: frozenset[str]) -> Destination:
    vendor = read.choice("vendor", VENDORS)
    destination = (_capillary if vendor == "capillary" else _kangaroo)(read, sandbox_hosts)
    read.done()
    return destination


def _capillary(read: Reader, sandbox_hosts: frozenset[str]) -> Destination:
    region = read.choice("region", CAPILLARY_HOSTS)
    source = read.choice("source", CAPILLARY_SOURCES)
    account_id = read.optional_text("account_id")
    if source in CAPILLARY_ACCOUNT_SOURCES and account_id is None:
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
        host=_host(read, "host", CAPILLARY_HOSTS[region], VENDOR_DOMAINS, sandbox_hosts) or "",
        credentials=taken,
        source=source,
        account_id=account_id,
        requests_per_minute=_limits(read, CAPILLARY_LIMITS[region], ("v2-create", "v2-update", "v1-add", "v1-update")),
        options=values,
    )


def _kangaroo(read: Reader, sandbox_hosts: frozenset[str]) -> Destination:
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
        # Nothing else in these credentials tells two businesses apart, and they must not share limits and tokens.
        taken["account"] = credentials.text("account")
    for name in ("application_key", "account", "scope"):
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
    }
    options.done()
    return Destination(
        vendor="kangaroo",
        host=_host(read, "host", KANGAROO_HOST, VENDOR_DOMAINS, sandbox_hosts) or "",
        integrations_host=_host(read, "integrations_host", KANGAROO_INTEGRATIONS_HOST, VENDOR_DOMAINS, sandbox_hosts),
        credentials=taken,
        requests_per_minute=_limits(
            read, {"api": KANGAROO_LIMIT, "integrations": KANGAROO_LIMIT}, ("api", "integrations")
        ),
        options=values,
    )


def _limits(read: Reader, published: Mapping[str, float], names: tuple[str, ...]) -> dict[str, float]:
    given = read.object("requests_per_minute")
    limits = dict(published)
    for name in names:
        if given.has(name):
            limits[name] = given.number(name, 0, minimum=0.1, maximum=1_000_000)
    given.done()
    return limits


def _mapping(read: Reader) -> dict[str, Any]:
    """The shape only; ``relay connections apply`` also compiles the expressions."""
    rules = read.mapping("mapping")
    for topic, fields in rules.items():
        if not isinstance(fields, dict) or not all(isinstance(v, str) for v in fields.values()):
            read.problem(f"mapping.{topic}", "must be an object of destination field -> JMESPath text")
    return rules


def _api_key(read: Reader) -> ApiKey:
    key = ApiKey(read.text("id", max_length=64), read.text("sha256"))
    if not re.fullmatch(r"[0-9a-f]{64}", key.sha256):
        read.problem("sha256", "must be the SHA-256 of the key as 64 lower-case hex digits")
    read.done()
    return key


def _credentials(read: Reader, name: str) -> dict[str, str]:
    values = read.mapping(name)
    for key, value in values.items():
        if not isinstance(value, str) or not value:
            read.problem(f"{name}.{key}", "must be a text that is not empty")
    return values


def _url(read: Reader, name: str) -> str | None:
    value = read.optional_text(name)
    if value is not None and (urlsplit(value).scheme not in ("https", "http") or not urlsplit(value).netloc):
        read.problem(name, "must be an absolute http(s) URL")
    return value


def _host(
    read: Reader, name: str, default: str | None, domains: tuple[str, ...], sandbox_hosts: frozenset[str]
) -> str | None:
    """A base URL that may be called: https on a vendor's own domain, or a sandbox host that the stack allows.

    Without ``domains`` any domain will do here: which are a platform's own is known to its module
    (``sources.check_connection``).
    """
    value = read.optional_text(name, default)
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        host, netloc = parts.hostname or "", parts.netloc
        odd = bool(parts.query or parts.fragment or parts.username or parts.password or "\\" in value)
    except ValueError:
        read.problem(name, "is not a URL")
        return default
    if netloc in sandbox_hosts and parts.scheme in ("http", "https") and not odd:
        return value.rstrip("/")
    known = not domains or any(host == d or host.endswith("." + d) for d in domains)
    if parts.scheme != "https" or odd or parts.path.strip("/") or not known or parts.port not in (None, 443):
        where = f" on one of {', '.join(domains)}" if domains else ""
        read.problem(name, f"must be https{where}, or a host of the stack's SandboxHosts")
        return default
    return value.rstrip("/")


def moment(text: str) -> datetime:
    """An ISO 8601 moment with an offset. Raises ValueError with a sentence for people."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("must be an ISO 8601 moment such as 2026-01-31T12:00:00Z") from None
    if value.tzinfo is None:
        raise ValueError("needs an offset, for example Z")
    return value


__all__ = [
    "ApiKey",
    "Connection",
    "Destination",
    "FieldProblem",
    "Source",
    "WebhookSecret",
    "moment",
]
