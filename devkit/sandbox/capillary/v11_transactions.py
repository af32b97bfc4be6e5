"""V1.1: convert and find transactions, and read the organisation (Capillary docs: Retro transaction, Organization)."""

from __future__ import annotations

from typing import Any

from devkit.sandbox.capillary.bills import Bill
from devkit.sandbox.capillary.codes import V11_TEXTS
from devkit.sandbox.capillary.engine import Call, Engine
from devkit.sandbox.capillary.model import Customer
from devkit.sandbox.capillary.payload import Warnings
from devkit.sandbox.capillary.transactions import DAY, award_bill
from devkit.sandbox.capillary.v11_item import ItemError, Items
from devkit.sandbox.capillary.v11_view import ALL_FAILED, item_status, local_time


class V11Transactions:
    """The handlers of V1.1's transactions and organisation."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.items = Items(engine)

    async def update(self, call: Call) -> dict[str, Any]:
        """Serve POST /v1.1/transaction/update: a guest's bill becomes a member's."""
        root = call.body.get("root") if isinstance(call.body, dict) else None
        given = root.get("transaction") if isinstance(root, dict) else None
        item = given[0] if isinstance(given, list) and given else given if isinstance(given, dict) else {}
        try:
            done = self._convert(call, item)
        except ItemError as error:
            failed = {
                "id": item.get("id"),
                "item_status": item_status(error.code, _text(error.code), [], success=False),
            }
            return _envelope([failed], 0)
        return _envelope([done], 1)

    def _convert(self, call: Call, item: dict[str, Any]) -> dict[str, Any]:
        if not call.org["retro_enabled"]:
            raise ItemError("1631")
        if not call.headers.get("x-cap-client-signature"):
            raise ItemError("1629")
        if (item.get("old_type"), item.get("new_type")) != ("NOT_INTERESTED", "REGULAR"):
            raise ItemError("1626")
        customer = self.items.find(call, item.get("customer") or {}, [])
        if customer is None:
            raise ItemError("641")
        bill = self.engine.bills.by_id(call.org.name, item.get("id"))
        if bill is None:
            converted = any(str(each.converted_from) == str(item.get("id")) for each in self.engine.bills.bills)
            raise ItemError("1627" if converted else "1628")
        if bill.type != "NOT_INTERESTED":
            raise ItemError("1627" if bill.retro else "1626")
        age = call.org["retro_max_age_days"]
        if age and customer.registered_at - bill.time > age * DAY:
            raise ItemError("1632")
        warnings: Warnings = []
        old_id = bill.id
        bill.id, bill.type, bill.customer_id, bill.retro = self.engine.bills.next_id(), "REGULAR", customer.id, True
        bill.converted_from = old_id
        for each in self.engine.bills.numbered(call.org.name, bill.number):
            if each.of == old_id:
                each.of, each.type, each.customer_id = bill.id, "RETURN", customer.id
        effects = award_bill(self.engine, call, bill, customer, warnings)
        customer.lifetime_purchases += float(bill.amount)
        codes = [str(warning["code"]) for warning in warnings]
        return {
            **self._view(bill, customer),
            "item_status": item_status("1630", _text("1630"), codes, success=True),
            "side_effects": {
                "effect": [
                    {"type": "points", "awarded_points": str(effect["awardedPoints"]), "total_points": "0"}
                    for effect in effects
                ]
            },
            "old_id": str(old_id),
            "old_type": "NOT_INTERESTED",
        }

    async def get(self, call: Call) -> dict[str, Any]:
        """Serve GET /v1.1/transaction/get: transactions by id or number and type, regular ones by default."""
        kind = call.query.get("type") or "REGULAR"
        if call.query.get("id"):
            one = self.engine.bills.by_id(call.org.name, call.query["id"])
            bills = [] if one is None else [one]
        else:
            bills = self.engine.bills.numbered(call.org.name, call.query.get("number") or "")
        bills = [bill for bill in bills if kind in ("ALL", bill.type)]
        if not bills:
            failed = {"item_status": item_status("668", _text("668"), [], success=False)}
            return _envelope([failed], 0)
        with_ids = call.query.get("user_id") == "true"
        items = []
        for bill in bills[: int(call.query.get("limit") or 20)]:
            customer = self.engine.owner(bill)
            view = self._view(bill, customer if with_ids else None)
            items.append(
                {**view, "item_status": item_status("600", "Transaction retrieved successfully", [], success=True)}
            )
        return _envelope(items, len(items))

    def _view(self, bill: Bill, customer: Customer | None) -> dict[str, Any]:
        who = {} if customer is None else {"user_id": str(customer.id), "mobile": customer.identifier("mobile")}
        return {
            "id": str(bill.id),
            "number": bill.number,
            "type": bill.type,
            "amount": format(bill.amount, "f"),
            "notes": bill.note if self.engine.settings["notes_shown"] else "",
            "billing_time": local_time(bill.time, self.engine.offset_minutes),
            "customer": who,
        }

    async def entities(self, call: Call) -> dict[str, Any]:
        """Serve GET /v1.1/organization/entities: tills or stores."""
        kind = (call.query.get("type") or "").upper()
        codes = list(call.org.tills) if kind == "TILL" else [store["code"] for store in call.org["stores"]]
        entities = [{"id": str(index), "code": code, "type": kind} for index, code in enumerate(codes, 1)]
        return _organisation({"entities": {"entity": entities}})

    async def tenders(self, call: Call) -> dict[str, Any]:
        """Serve GET /v1.1/organization/tenders: payment modes."""
        tenders = call.org["tenders"]
        return _organisation({"tenders": {"count": str(len(tenders)), "tender": tenders}})

    async def configs(self, call: Call) -> dict[str, Any]:
        """Serve GET /v1.1/organization/configs: the settings that sales need."""
        values = {
            "CONF_LOYALTY_BILL_NUMBER_UNIQUE_IN_DAYS": str(call.org["bill_unique_days"]),
            "CONF_RETRO_TRANSACTION_ENABLE": str(int(call.org["retro_enabled"])),
            "CONF_POINTS_RETURN_ENABLED": str(int(call.org["points_return_enabled"])),
        }
        configs = [{"key": key, "scopes": "ORG", "value": value} for key, value in values.items()]
        return _organisation({"configs": {"config": configs}})


def _text(code: str) -> str:
    return V11_TEXTS.get(code, "")


def _organisation(body: dict[str, Any]) -> dict[str, Any]:
    status = {"success": "true", "code": "200", "message": "SUCCESS"}
    return {"response": {"status": status, "organization": body}}


def _envelope(items: list[dict[str, Any]], succeeded: int) -> dict[str, Any]:
    failed = succeeded < len(items)
    status = {
        "success": "false" if failed else "true",
        "code": "500" if failed else "200",
        "message": ALL_FAILED if failed else "SUCCESS",
        "total": str(len(items)),
        "success_count": str(succeeded),
    }
    return {"response": {"status": status, "transactions": {"transaction": items}}}
