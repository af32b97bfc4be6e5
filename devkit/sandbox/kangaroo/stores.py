"""The stores of the business: branches, integrations, and the links between a shop and a virtual branch.

Facts: Kangaroo wiki "Integration - Connect Integrations" and the vendor's OpenAPI fragments. How the three
rules of a link are refused is not documented; docs/sandbox-kangaroo.md states what is done here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from devkit.sandbox.kangaroo.checks import FieldCheck
from devkit.sandbox.kangaroo.errors import invalid, not_found
from devkit.sandbox.kangaroo.settings import Settings
from devkit.sandbox.vendor import JSON, Clock

FIRST_INTEGRATION = 20


@dataclass(frozen=True, slots=True)
class Branch:
    """One branch; only a virtual one can be linked."""

    id: str
    name: str
    virtual: bool
    number: int

    def as_json(self) -> dict[str, Any]:
        """Return the branch object of both hosts."""
        return {
            "id": self.id,
            "name": self.name,
            "web_site": "https://shop.example.com",
            "phone": {
                "number": f"514555{100 + self.number:04d}",
                "country_code": "CA",
                "national_format": f"(514) 555-{100 + self.number:04d}",
                "intl_format": f"+1 514-555-{100 + self.number:04d}",
            },
            "address": {
                "formatted": f"{self.number} Sample Street, Montreal, QC, Canada",
                "street": f"{self.number} Sample Street",
                "city": "Montreal",
                "region": "QC",
                "country": "Canada",
                "lat": 45.5,
                "long": -73.6,
            },
            "logo": None,
            "cover_photo": None,
            "virtual_branch_flag": self.virtual,
        }


@dataclass(frozen=True, slots=True)
class Integration:
    """One integration; `ecommerce` ones want a store_domain in their links."""

    id: int
    name: str
    type: int

    def created(self) -> dict[str, Any]:
        """Return the answer to its creation: the id under both names the documentation suggests."""
        return {"id": self.id, "integration_id": self.id, "name": self.name, "type": self.type}


@dataclass(frozen=True, slots=True)
class BranchLink:
    """One shop joined to one virtual branch; `created_at` is epoch seconds."""

    id: int
    account_id: str
    shop_id: str
    store_name: str | None
    store_domain: str | None
    integration_id: int
    branch_id: str
    created_at: float


def branches(settings: Settings) -> list[Branch]:
    """Return all branches: the ordinary ones, then the virtual ones, so that these are not on the first page."""
    ordinary = [Branch(_branch_id(f"branch {n}"), f"Branch {n}", False, n) for n in _count(settings.branches)]
    virtual = [
        Branch(
            _branch_id(f"virtual branch {n}"),
            "Online store" if n == 1 else f"Online store {n}",
            True,
            settings.branches + n,
        )
        for n in _count(settings.virtual_branches)
    ]
    return ordinary + virtual


def _count(number: int) -> range:
    return range(1, number + 1)


def _branch_id(name: str) -> str:
    # The same in every run, so that an example may name one.
    return f"11ea{hashlib.sha256(name.encode()).hexdigest()[:28]}"


class StoreDesk:
    """Integrations and branch links."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._integrations: list[Integration] = []
        self._links: list[BranchLink] = []

    def clear(self) -> None:
        """Forget all integrations and links."""
        self._integrations.clear()
        self._links.clear()

    def create_integration(self, body: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
        """Create one; the name need not be unique. Raises Refusal (422)."""
        check = FieldCheck()
        name = check.required_text("name", body)
        kind = body.get("type")
        if kind is None:
            check.fail("type", "The type field is required.")
        elif isinstance(kind, bool) or kind != 1:
            check.fail("type", "The selected type is invalid.")
        check.finish(settings.validation_shape)
        integration = Integration(FIRST_INTEGRATION + len(self._integrations), name, 1)
        self._integrations.append(integration)
        return integration.created()

    def integrations(self, settings: Settings) -> list[dict[str, Any]]:
        """Return every integration, in the shape that the business settings of the vendor's OpenAPI have."""
        return [
            {
                **it.created(),
                "accounts": [
                    {
                        "id": link.account_id,
                        "store_name": link.store_name,
                        "store_domain": link.store_domain,
                    }
                    for link in self._links
                    if link.integration_id == it.id
                ],
                "is_ecom": _is_ecommerce(it, settings),
                "sub_type": None,
                "active": True,
            }
            for it in self._integrations
        ]

    def create_link(self, body: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
        """Link a shop. Raises Refusal (422)."""
        check = FieldCheck()
        account_id = check.required_text("account_id", body)
        shop_id = check.required_text("shop_id", body)
        branch_id = check.required_text("branch_id", body)
        for name in ("store_name", "store_domain"):
            check.text(name, body.get(name))
        integration = self._asked_integration(body.get("integration_id"), check)
        if integration and _is_ecommerce(integration, settings) and not body.get("store_domain"):
            check.fail("store_domain", "The store_domain field is required for e-commerce integrations.")
        branch = next((it for it in branches(settings) if it.id == branch_id.lower()), None)
        if branch_id and branch is None:
            check.fail("branch_id", "The selected branch_id is invalid.")
        elif branch is not None and not branch.virtual:
            check.fail("branch_id", "The selected branch_id is not a virtual branch.")
        if shop_id and integration and self._taken(integration.id, shop_id):
            check.fail("shop_id", "The shop_id has already been taken.")
        if check.messages or integration is None or branch is None:
            raise invalid(check.messages, settings.validation_shape)
        link = BranchLink(
            id=len(self._links) + 1,
            account_id=account_id,
            shop_id=shop_id,
            store_name=body.get("store_name"),
            store_domain=body.get("store_domain"),
            integration_id=integration.id,
            branch_id=branch.id,
            created_at=self._clock(),
        )
        self._links.append(link)
        return _shown(link, settings)

    def links(self, settings: Settings, integration_id: str | None = None) -> Sequence[dict[str, Any]]:
        """Return all links, or those of one integration. Raises Refusal (404) for an unknown integration."""
        if integration_id is None:
            return [_shown(link, settings) for link in self._links]
        wanted = next((it.id for it in self._integrations if str(it.id) == integration_id), None)
        if wanted is None:
            raise not_found("Integration")
        return [_shown(link, settings) for link in self._links if link.integration_id == wanted]

    def state(self, settings: Settings) -> dict[str, JSON]:
        """Return integrations and links as they are."""
        return {"integrations": [*self.integrations(settings)], "branch_links": [*self.links(settings)]}

    def _asked_integration(self, given: Any, check: FieldCheck) -> Integration | None:
        if given is None or given == "":
            check.fail("integration_id", "The integration_id field is required.")
            return None
        if isinstance(given, bool) or not str(given).isdigit():
            check.fail("integration_id", "The integration_id must be an integer.")
            return None
        found = next((it for it in self._integrations if it.id == int(given)), None)
        if found is None:
            check.fail("integration_id", "The selected integration_id is invalid.")
        return found

    def _taken(self, integration_id: int, shop_id: str) -> bool:
        return any(it.integration_id == integration_id and it.shop_id == shop_id for it in self._links)


def _is_ecommerce(integration: Integration, settings: Settings) -> bool:
    name = integration.name.lower()
    return any(part.lower() in name for part in settings.ecommerce_names)


def _shown(link: BranchLink, settings: Settings) -> dict[str, Any]:
    created = datetime.fromtimestamp(int(link.created_at), UTC)
    return {
        "id": link.id,
        "account_id": link.account_id,
        "shop_id": link.shop_id,
        "store_name": link.store_name,
        "store_domain": link.store_domain,
        "integration_id": link.integration_id,
        "branch_id": link.branch_id,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "enabled": link.shop_id not in settings.disabled_shops,
    }
