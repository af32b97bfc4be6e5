"""What the storm's shops have to tell, and what the programmes must hold in the end, computed from the events alone."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from devkit.signing import bigcommerce, shopify, standard

TILL = "till-k"
BRANCHES = 12
TAGS = ("VIP", "Wholesale", "Student")
BEGAN = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
FORGED = "Mallory"


@dataclass(frozen=True)
class Shop:
    """One connection of the storm. ``programme`` names the organisation whose members its customers become."""

    connection: str
    platform: str
    vendor: str
    secret: str
    store: str
    programme: str

    @property
    def thin(self) -> bool:
        """Whether its events only name the customer."""
        return self.platform == "bigcommerce"


SHOPS = (
    Shop("shop-a", "shopify", "capillary", "fake-secret-a", "a-test.myshopify.com", "demo"),
    Shop("shop-b", "shopify", "capillary", "fake-secret-b", "b-test.myshopify.com", "second"),
    Shop("shop-k", "shopify", "kangaroo", "fake-secret-k", "k-test.myshopify.com", "kangaroo"),
    Shop("thin-k", "bigcommerce", "kangaroo", "fake-secret-t", "thinhash1", "kangaroo"),
    Shop("till-k", "standard", "kangaroo", "whsec_ZmFrZS1zdG9ybS1zZWNyZXQtZm9yLXRpbGxz", "store-1", "kangaroo"),
    Shop("till-b", "standard", "capillary", "whsec_ZmFrZS1zdG9ybS1zZWNyZXQtZm9yLXRpbGwtYg==", "store-2", "second"),
)


@dataclass(frozen=True)
class Happening:
    """One event: how its delivery looks before it is signed, and what it says."""

    shop: Shop
    customer: str
    at: datetime
    headers: dict[str, str]
    body: bytes
    fields: dict[str, Any] = field(default_factory=dict)
    gone: bool = False
    shown: dict[str, Any] | None = None
    """What a platform with thin events shows of the customer from then on; None when there is nobody any more."""

    def signed(self, *, webhook: int, now: float, wrong: bool = False) -> dict[str, str]:
        """The headers of one delivery of it."""
        secret = self.shop.secret
        headers = dict(self.headers)
        if self.shop.platform == "shopify":
            headers["X-Shopify-Webhook-Id"] = f"webhook-{webhook}"
            made = shopify.sign(headers, self.body, secret="wrong" if wrong else secret, url="", now=now)
        elif self.shop.thin:
            made = bigcommerce.sign(headers, self.body, secret="wrong" if wrong else secret, url="", now=now)
        else:
            secret = "whsec_d3JvbmctYnV0LWxvbmctZW5vdWdoLXNlY3JldA==" if wrong else secret
            made = standard.sign(headers, self.body, secret=secret, url="", now=now)
        return {name.lower(): value for name, value in made.items()}


@dataclass
class Customer:
    """One customer of one shop and everything that happens to them, oldest first."""

    shop: Shop
    number: int
    happenings: list[Happening] = field(default_factory=list)

    @property
    def id(self) -> str:
        return str(7_000_000 + self.number)

    @property
    def email(self) -> str:
        return f"storm{self.number}@example.com"

    def expected(self) -> dict[str, Any]:
        """The newest of every field that the programme must hold: of what was told after the last deletion."""
        gone = max((h.at for h in self.happenings if h.gone), default=None)
        newest: dict[str, Any] = {}
        for happening in sorted(self.happenings, key=lambda h: h.at):
            if gone is None or happening.at > gone:
                newest |= happening.fields
        return newest

    def ever(self, name: str) -> list[Any]:
        """All values that a field was ever told to have."""
        return [h.fields[name] for h in self.happenings if name in h.fields]


def customers(seed: int, count: int, events: int) -> list[Customer]:
    """``count`` customers of the shops, with ``events`` events among them."""
    rng = random.Random(seed)
    made = [Customer(SHOPS[number % len(SHOPS)], number) for number in range(count)]
    for customer in made:
        _happens(customer, 0, rng)
    for _ in range(events - count):
        customer = rng.choice(made)
        _happens(customer, len(customer.happenings), rng)
    for customer in made:
        # A number that is deleted there never comes back.
        last = customer.happenings[-1]
        if customer.shop.thin and len(customer.happenings) > 1 and rng.random() < 0.15:
            customer.happenings[-1] = _goes(customer, last.at)
    return made


def created(customer: Customer, fields: dict[str, Any]) -> Happening:
    """The event that makes somebody a customer of the shop."""
    return _tells(customer, BEGAN, fields, created=True)


def branches(seed: int) -> list[Happening]:
    """What the tills tell of their branches: each is opened, some are renamed."""
    rng = random.Random(seed)
    shop = next(shop for shop in SHOPS if shop.connection == TILL)
    return [
        _branch(shop, branch_id(number), BEGAN + timedelta(hours=again), opened=again == 0)
        for number in range(BRANCHES)
        for again in range(rng.choice((1, 2, 3)))
    ]


def branch_id(number: int) -> str:
    return f"branch-{number:02d}"


def forgeries(made: list[Customer]) -> Iterator[Happening]:
    """Deliveries for some of the customers that nobody entitled to has signed."""
    for customer in made[:: max(1, len(made) // 20)]:
        at = BEGAN + timedelta(days=30)
        yield _tells(customer, at, {"first_name": FORGED, "last_name": FORGED})


def _happens(customer: Customer, number: int, rng: random.Random) -> None:
    at = BEGAN + timedelta(minutes=7 * number, seconds=customer.number % 60)
    kind = rng.random()
    thin = customer.shop.thin
    if number and kind < 0.03 and not thin:
        happening = _goes(customer, at)
    elif number and kind < 0.25 and not thin:
        happening = _consents(customer, at, rng.random() < 0.5)
    else:
        names = {"first_name": f"First{rng.randrange(50)}", "last_name": f"Last{rng.randrange(50)}"}
        tagged = customer.shop.platform == "standard" and customer.shop.vendor == "kangaroo"
        tags = {f"tags.{tag}": rng.random() < 0.5 for tag in TAGS} if tagged else {}
        happening = _tells(customer, at, names | tags, created=number == 0)
    customer.happenings.append(happening)


def _tells(customer: Customer, at: datetime, fields: dict[str, Any], *, created: bool = False) -> Happening:
    time = rfc3339(at)
    if customer.shop.platform == "shopify":
        body = {
            "id": int(customer.id),
            "admin_graphql_api_id": f"gid://shopify/Customer/{customer.id}",
            "email": customer.email,
            "state": "enabled",
            "verified_email": True,
            "created_at": rfc3339(BEGAN),
            "updated_at": time,
            **fields,
        }
        return _shopify(customer, "customers/create" if created else "customers/update", body, at, fields)
    if customer.shop.thin:
        return _thin(customer, "created" if created else "updated", at, fields)
    told = {name: value for name, value in fields.items() if not name.startswith("tags.")}
    tags = {name.removeprefix("tags."): value for name, value in fields.items() if name.startswith("tags.")}
    who = {"id": customer.id, "email": customer.email, **told, "updated_at": time}
    if tags:
        who["tags"] = tags
    return _standard(customer, "customer.created" if created else "customer.updated", who, at, fields)


def _consents(customer: Customer, at: datetime, opted: bool) -> Happening:
    fields = {"subscriptions.email.bulk": opted}
    if customer.shop.platform == "shopify":
        body = {
            "customer_id": int(customer.id),
            "email_address": customer.email,
            "email_marketing_consent": {
                "state": "subscribed" if opted else "unsubscribed",
                "opt_in_level": "single_opt_in",
                "consent_updated_at": rfc3339(at),
            },
        }
        return _shopify(customer, "customers_email_marketing_consent/update", body, at, fields)
    consents = {"email": {"subscribed": opted, "updated_at": rfc3339(at)}}
    who = {"id": customer.id, "email": customer.email, "consents": consents}
    return _standard(customer, "customer.consent", who, at, fields)


def _goes(customer: Customer, at: datetime) -> Happening:
    if customer.shop.platform == "shopify":
        body = {
            "id": int(customer.id),
            "tax_exemptions": [],
            "admin_graphql_api_id": f"gid://shopify/Customer/{customer.id}",
            # The platform says nothing else; two deletions of one customer would be the same delivery.
            "phone": None,
            "addresses": [{"id": int(at.timestamp())}],
        }
        return _shopify(customer, "customers/delete", body, at, {}, gone=True)
    if customer.shop.thin:
        return _thin(customer, "deleted", at, {}, gone=True)
    return _standard(customer, "customer.deleted", {"id": customer.id}, at, {}, gone=True)


def _shopify(
    customer: Customer, topic: str, body: dict[str, Any], at: datetime, fields: dict[str, Any], *, gone: bool = False
) -> Happening:
    headers = {
        "X-Shopify-Topic": topic,
        "X-Shopify-Shop-Domain": customer.shop.store,
        "X-Shopify-Triggered-At": rfc3339(at),
    }
    return Happening(customer.shop, customer.id, at, headers, json.dumps(body).encode(), fields, gone)


def _thin(customer: Customer, what: str, at: datetime, fields: dict[str, Any], *, gone: bool = False) -> Happening:
    """Only that something happened; what, is read from the platform (``Happening.shown``)."""
    body = {
        "scope": f"store/customer/{what}",
        "data": {"type": "customer", "id": int(customer.id)},
        "created_at": int(at.timestamp()),
        "producer": f"stores/{customer.shop.store}",
    }
    shown = {"id": int(customer.id), "email": customer.email, **fields, "date_modified": rfc3339(at)}
    headers = {"webhook-id": f"thin_{customer.id}_{int(at.timestamp())}"}
    raw = json.dumps(body).encode()
    return Happening(customer.shop, customer.id, at, headers, raw, fields, gone, None if gone else shown)


def _branch(shop: Shop, id: str, at: datetime, *, opened: bool) -> Happening:
    store = {"id": id, "account_id": "account", "name": f"{id} at {at:%H}", "domain": f"https://{id}.example.com"}
    kind = "store.created" if opened else "store.updated"
    body = {"type": kind, "timestamp": rfc3339(at), "data": {"store_id": shop.store, "store": store}}
    headers = {"webhook-id": f"msg_{id}_{int(at.timestamp())}"}
    return Happening(shop, id, at, headers, json.dumps(body).encode())


def _standard(
    customer: Customer, kind: str, who: dict[str, Any], at: datetime, fields: dict[str, Any], *, gone: bool = False
) -> Happening:
    body = {"type": kind, "timestamp": rfc3339(at), "data": {"store_id": customer.shop.store, "customer": who}}
    headers = {"webhook-id": f"msg_{customer.id}_{int(at.timestamp())}"}
    return Happening(customer.shop, customer.id, at, headers, json.dumps(body).encode(), fields, gone)


def rfc3339(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
