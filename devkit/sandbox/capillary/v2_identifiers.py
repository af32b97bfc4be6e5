"""V2: change a customer's identifiers, and the merges that come of it (Capillary docs: Change identifier)."""

from __future__ import annotations

from typing import Any

from devkit.sandbox.capillary import payload
from devkit.sandbox.capillary.codes import ApiError, issue
from devkit.sandbox.capillary.engine import Call, Engine
from devkit.sandbox.capillary.model import Customer, Identifier, Profile, source_key
from devkit.sandbox.capillary.v2_lookup import query_source

ALREADY_HIS = {"mobile": 8071, "email": 8072}


class V2Identifiers:
    """The handler of changeIdentifier."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def change(self, call: Call) -> object:
        """Serve POST /v2/customers/{id}/changeIdentifier."""
        source, account_id = query_source(call, unknown=3217, account=3217)
        customer = self.engine.find(call, call.path["customer_id"])
        body = payload.body_object(call.body)
        add, remove = _items(body.get("add")), _items(body.get("remove"))
        if not add and not remove:
            raise ApiError(8070)
        key = source_key(source, account_id)
        profile = customer.profile(key)
        if profile is None:
            raise ApiError(8065)
        self._refuse_impossible(call, customer, key, add)
        warnings: payload.Warnings = []
        async with self.engine.locked([customer.id]):
            for item in remove:
                self._remove(customer, profile, item, warnings)
            for item in add:
                customer = self._add(call, customer, key, item, warnings)
            self.engine.audit(call, customer, "change_identifier")
        return {"createdId": customer.id, "warnings": warnings}

    def _refuse_impossible(self, call: Call, customer: Customer, key: str, add: list[dict[str, Any]]) -> None:
        for item in add:
            identifier = _identifier(item)
            owners = self.engine.store.owners(call.org.name, identifier)
            others = {owner for owner in owners.values() if owner != customer.id}
            if not others:
                continue
            if owners.get(key, customer.id) != customer.id:
                raise ApiError(8007)
            if not call.org["allow_merge"] or len(others) > 1:
                raise ApiError(8053)
            other = self.engine.store.customers[min(others)]
            if other.profile(key) is not None:
                raise ApiError(8066)

    def _remove(self, customer: Customer, profile: Profile, item: dict[str, Any], warnings: payload.Warnings) -> None:
        wanted = _identifier(item)
        found = next(
            (each for each in profile.identifiers if (each.type, each.value) == (wanted.type, wanted.value)), None
        )
        if found is None:
            warnings.append(issue(8075))
        else:
            self.engine.store.detach(customer, profile, found)

    def _add(
        self, call: Call, customer: Customer, key: str, item: dict[str, Any], warnings: payload.Warnings
    ) -> Customer:
        identifier = _identifier(item)
        if identifier.type not in payload.IDENTIFIER_TYPES:
            warnings.append(issue(8074))
            return customer
        if not payload.is_valid(identifier.type, identifier.value):
            warnings.append(issue({"mobile": 8056, "email": 8055}.get(identifier.type, 8074)))
            return customer
        owners = self.engine.store.owners(call.org.name, identifier)
        if owners.get(key) == customer.id:
            warnings.append(issue(ALREADY_HIS.get(identifier.type, 8073)))
            return customer
        others = [owner for owner in owners.values() if owner != customer.id]
        if others:
            customer = merge_customers(self.engine, customer, self.engine.store.customers[others[0]], warnings)
        profile = customer.profile(key)
        if profile is not None:
            self.engine.store.attach(customer, profile, identifier)
        return customer


def merge_customers(engine: Engine, one: Customer, other: Customer, warnings: payload.Warnings) -> Customer:
    """Merge two customers: the older one survives (an assumption), and warning 8051 names it."""
    survivor, victim = (one, other) if one.id < other.id else (other, one)
    engine.store.merge(survivor, victim)
    warnings.append(issue(8051, id=survivor.id))
    return survivor


def _items(raw: object) -> list[dict[str, Any]]:
    return [item for item in raw if isinstance(item, dict)] if isinstance(raw, list) else []


def _identifier(item: dict[str, Any]) -> Identifier:
    kind = str(item.get("type"))
    return Identifier(
        kind,
        payload.clean_value(kind, item.get("value")),
        series_id=item.get("seriesId"),
        status_label=item.get("statusLabel"),
    )
