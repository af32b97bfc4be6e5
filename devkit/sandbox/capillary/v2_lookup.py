"""V2: find a customer by source and identifier (Capillary docs: Get customer id)."""

from __future__ import annotations

from devkit.sandbox.capillary import payload
from devkit.sandbox.capillary.codes import ApiError
from devkit.sandbox.capillary.engine import Call, Engine
from devkit.sandbox.capillary.model import Customer, Identifier

LOOKUP_NAMES = frozenset(
    {"mobile", "email", "externalId", "cardnumber", "cardExternalId", "wechat", "martjackId", "fbId", "line"}
    | {"cuid", "unionId"}
)


def query_source(
    call: Call, *, unknown: int, account: int, missing: int | None = None, allow_all: bool = False
) -> tuple[str, str]:
    """Return source and account id of the query. A missing source is a 400 where ``missing`` is None."""
    source = call.query.get("source")
    if allow_all and source == "ALL":
        return "ALL", ""
    none = ApiError(400, "Invalid input, source is required", http_status=400) if missing is None else ApiError(missing)
    return payload.check_source(
        call.org, source, call.query.get("accountId"), missing=none, unknown=unknown, account=account
    )


def find_by_identifier(engine: Engine, call: Call, key: str) -> Customer:
    """Return the customer that identifierName and identifierValue name in a source account ("ALL": in any).

    With Dual Eligibility both may be comma-separated lists in the same order, and a search without the primary
    identifier finds no customer. Raises ApiError 8013, 8015, 8065 or 8069.
    """
    names = (call.query.get("identifierName") or "").split(",")
    values = (call.query.get("identifierValue") or "").split(",")
    dual = call.org["dual_eligibility"]
    if any(name not in LOOKUP_NAMES for name in names) or len(names) != len(values):
        raise ApiError(8013)
    if len(names) > 1 and not dual:
        raise ApiError(8013)
    if dual and call.org["primary_identifier"] not in names:
        raise ApiError(8015)
    found: set[int] = set()
    elsewhere = False
    for name, value in zip(names, values, strict=True):
        owners = engine.store.owners(call.org.name, Identifier(name, payload.clean_value(name, value)))
        here = set(owners.values()) if key == "ALL" else {owners[key]} if key in owners else set()
        elsewhere = elsewhere or (bool(owners) and not here)
        if not here:
            raise ApiError(8065 if elsewhere else 8015)
        found = here if not found else found & here
    if not found:
        raise ApiError(8015)
    return engine.store.customers[min(found)]
