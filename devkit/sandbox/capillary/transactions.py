"""V2: book a sale or a return, and read bills (Capillary docs: Add/Return transaction, Get transaction details)."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from typing import Any

from starlette.requests import Request

from devkit.sandbox.capillary import payload
from devkit.sandbox.capillary.bills import RETURNS, Bill, quantities
from devkit.sandbox.capillary.codes import ApiError, issue
from devkit.sandbox.capillary.engine import Call, Engine, json_body
from devkit.sandbox.capillary.loyalty import Effects
from devkit.sandbox.capillary.model import Customer, source_key
from devkit.sandbox.capillary.v2_lookup import LOOKUP_NAMES, find_by_identifier
from devkit.sandbox.capillary.v2_read import v2_time
from devkit.sandbox.vendor import JSON

TYPES = ("REGULAR", "NOT_INTERESTED", *RETURNS)
RETURN_TYPES = ("FULL", "LINE_ITEM", "AMOUNT")
NUMBER_LIMIT = 50
NOTE_LIMIT = 255
DAY = 86_400.0
PAGE = 100


async def read_exact(request: Request) -> Any:
    """Return the JSON body with its numbers as Decimals."""
    return await json_body(request, lambda text: json.loads(text, parse_float=Decimal, parse_int=Decimal))


class Transactions:
    """The handlers of transactions."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    # -- writing --------------------------------------------------------------------------------------------------

    async def add(self, call: Call) -> object:
        """Serve POST /v2/transactions."""
        body = payload.body_object(call.body)
        kind = str(body.get("type") or "").upper()
        if kind not in TYPES:
            raise ApiError(605)
        customer = None if kind.startswith("NOT_INTERESTED") else self._customer(call)
        bill, warnings = self._read(call, body, kind, customer)
        async with self.engine.locked([customer.id if customer else bill.number]):
            if bill.is_return:
                self._return(call, bill, warnings)
            else:
                self._sell(call, bill)
            self.engine.bills.add(bill)
            effects = self._points(call, bill, customer, warnings)
        if bill.is_return and self.engine.settings["return_points"] == "fail":
            raise ApiError(637)
        answer: dict[str, Any] = {"createdId": bill.id, "warnings": warnings, "errors": []}
        if not payload.is_true(call.query.get("use_async")):
            answer["sideEffects"] = effects
        return answer

    def _customer(self, call: Call) -> Customer:
        name, value = call.query.get("identifierName"), call.query.get("identifierValue")
        if not name or not value:
            raise ApiError(606)
        source, account = payload.check_source(
            call.org,
            call.query.get("source"),
            call.query.get("accountId"),
            missing=ApiError(400, "Invalid input, source is required", http_status=400),
            unknown=3217,
            account=3217,
        )
        if name == "id":
            customer = self.engine.find(call, value)
        elif name in LOOKUP_NAMES:
            customer = find_by_identifier(self.engine, call, source_key(source, account))
        else:
            raise ApiError(8013)
        if customer.fraud_status in ("CONFIRMED", "FRAUD"):
            raise ApiError(618)
        return customer

    def _read(
        self, call: Call, body: dict[str, Any], kind: str, customer: Customer | None
    ) -> tuple[Bill, payload.Warnings]:
        number = str(body.get("billNumber") or "").strip()
        if not number:
            raise ApiError(602)
        if len(number) > NUMBER_LIMIT or len(str(body.get("note") or "")) > NOTE_LIMIT:
            raise ApiError(685)
        amount = _number(body.get("billAmount"))
        if amount is None:
            raise ApiError(601)
        gross, discount = _number(body.get("grossAmount")), _number(body.get("discount"))
        for value, code in ((amount, 631), (gross, 665), (discount, 666)):
            if value is not None and value < 0:
                raise ApiError(code)
        till, store = self._place(call, body.get("attribution"))
        lines, warnings = _lines(body.get("lineItemsV2"))
        payments, unknown = self._payments(call, body.get("paymentModes"))
        currency = str(body.get("currencyCode") or "")
        if currency and (not call.org["currencies"] or currency not in call.org["currencies"]):
            raise ApiError(682)
        custom = payload.read_custom_fields(call.org, body.get("customFields"))
        bill = Bill(
            id=self.engine.bills.next_id(),
            org=call.org.name,
            type=kind,
            number=number,
            amount=amount,
            customer_id=customer.id if customer else None,
            time=self._time(call, body.get("billingDate")),
            created_at=call.now,
            till=till,
            store=store,
            return_type=str(body.get("returnType") or "").upper(),
            gross_amount=gross or amount,
            discount=discount or Decimal(0),
            note=str(body.get("note") or ""),
            source=str(call.query.get("source") or ""),
            lines=lines,
            payments=payments,
            custom_fields={name: _plain(value) for name, value in custom.items()},
            extended_fields={name: _plain(value) for name, value in (body.get("extendedFields") or {}).items()},
            currency=currency,
        )
        return bill, warnings + unknown

    def _place(self, call: Call, attribution: Any) -> tuple[str, str]:
        given = attribution.get("createdBy") if isinstance(attribution, dict) else None
        if not given:
            return call.caller.till, call.org.tills[call.caller.till].store
        code = str(given.get("code"))
        if given.get("type") == "TILL" and code in call.org.tills:
            return code, call.org.tills[code].store
        if given.get("type") == "STORE" and any(store["code"] == code for store in call.org["stores"]):
            return call.caller.till, code
        raise ApiError(671)

    def _payments(self, call: Call, raw: Any) -> tuple[list[dict[str, Any]], payload.Warnings]:
        known = {tender["name"] for tender in call.org["tenders"]}
        given = [item for item in raw or [] if isinstance(item, dict)]
        kept = [item for item in given if item.get("mode") in known]
        return kept, [issue(9607)] * (len(given) - len(kept))

    def _time(self, call: Call, text: Any) -> float:
        if not text:
            return call.now
        try:
            moment = datetime.fromisoformat(str(text))
        except ValueError:
            raise ApiError(621) from None
        seconds = moment.timestamp() if moment.tzinfo else datetime.fromisoformat(f"{text}+00:00").timestamp()
        if seconds > call.now + call.org["bill_future_days"] * DAY:
            raise ApiError(643)
        if call.org["bill_past_days"] and seconds < call.now - call.org["bill_past_days"] * DAY:
            raise ApiError(644)
        return seconds

    def _sell(self, call: Call, bill: Bill) -> None:
        if bill.type == "NOT_INTERESTED" and not call.org["not_interested_enabled"]:
            raise ApiError(645)
        for other in self._same(call, bill):
            if not other.is_return and self._in_window(call, other):
                raise ApiError(604)

    def _same(self, call: Call, bill: Bill) -> list[Bill]:
        scope = call.org["bill_unique_scope"]
        return [
            other
            for other in self.engine.bills.numbered(call.org.name, bill.number)
            if scope == "org" or getattr(other, scope) == getattr(bill, scope)
        ]

    def _in_window(self, call: Call, other: Bill) -> bool:
        days = call.org["bill_unique_days"]
        return not days or call.now - other.created_at < days * DAY

    def _return(self, call: Call, bill: Bill, warnings: payload.Warnings) -> None:
        allowed = call.org["returns_allowed"]
        if not allowed:
            raise ApiError(673)
        if bill.return_type not in RETURN_TYPES:
            raise ApiError(628)
        if bill.return_type not in allowed:
            raise ApiError({"LINE_ITEM": 674, "AMOUNT": 675, "FULL": 676}[bill.return_type])
        wanted = bill.type.removesuffix("RETURN").rstrip("_") or "REGULAR"
        sales = [other for other in self._same(call, bill) if other.type == wanted]
        if not sales:
            if not call.org["allow_not_existing_bill_return"]:
                raise ApiError(624)
            warnings.append(issue(625))
            return
        # The newest of those that share a number.
        sale = sales[-1]
        owner = self.engine.owner(sale)
        if owner is not None and owner.id != bill.customer_id:
            raise ApiError(668)
        self._check_return(sale, bill)
        bill.of = sale.id

    def _check_return(self, sale: Bill, bill: Bill) -> None:
        before = self.engine.bills.returns_of(sale)
        left = self.engine.bills.left(sale)
        kinds = {each.return_type for each in before}
        if "FULL" in kinds:
            raise ApiError(634)
        if before and left <= 0:
            raise ApiError(633)
        if bill.return_type == "FULL":
            if before:
                raise ApiError(639)
            bill.amount = sale.amount
        if bill.return_type == "LINE_ITEM" and "AMOUNT" in kinds:
            raise ApiError(632)
        if bill.return_type == "AMOUNT" and "LINE_ITEM" in kinds:
            raise ApiError(635)
        if bill.return_type == "LINE_ITEM":
            self._check_lines(sale, bill, before)
        if bill.amount > left:
            raise ApiError(630)

    def _check_lines(self, sale: Bill, bill: Bill, before: list[Bill]) -> None:
        if not bill.lines:
            raise ApiError(679)
        sold, wanted = quantities(sale.lines), quantities(bill.lines)
        gone = quantities([line for each in before for line in each.lines])
        for code, quantity in wanted.items():
            if code not in sold:
                raise ApiError(688)
            if quantity > sold[code]:
                raise ApiError(626)
            if quantity > sold[code] - gone.get(code, Decimal(0)):
                raise ApiError(629)

    def _points(self, call: Call, bill: Bill, customer: Customer | None, warnings: payload.Warnings) -> Effects:
        if customer is None:
            return []
        sign = -1 if bill.is_return else 1
        customer.lifetime_purchases += float(sign * bill.amount)
        return award_bill(self.engine, call, bill, customer, warnings)

    # -- reading --------------------------------------------------------------------------------------------------

    async def by_id(self, call: Call) -> object:
        """Serve GET /v2/transactions/{id}."""
        bill = self.engine.bills.by_id(call.org.name, call.path["bill_id"])
        if bill is None or bill.type != (call.query.get("type") or "REGULAR"):
            raise ApiError(620)
        return self._view(call, bill)

    async def by_number(self, call: Call) -> object:
        """Serve GET /v2/transactions/getByBillNumber/{number}; whether returns are among them is not documented."""
        bills = self.engine.bills.numbered(call.org.name, call.path["number"])
        if not self.engine.settings["returns_by_number"]:
            bills = [bill for bill in bills if not bill.is_return]
        offset = int(call.query.get("offset") or 0)
        return {
            "pagination": {"limit": PAGE, "offset": offset, "total": len(bills)},
            "data": [self._view(call, bill) for bill in bills[offset : offset + PAGE]],
            "warnings": [],
            "errors": [],
        }

    def _view(self, call: Call, bill: Bill) -> dict[str, Any]:
        offset = self.engine.offset_minutes
        owner = self.engine.owner(bill)
        return {
            "attribution": {
                "createDate": v2_time(bill.created_at, offset),
                "createdBy": {"code": bill.till, "name": bill.till, "type": "TILL", "isActive": True},
                "modifiedBy": {},
            },
            "billDetails": {
                "amount": _plain(bill.amount),
                "billingStore": {"code": bill.store, "type": "STORE"},
                "billNumber": bill.number,
                "billingTime": v2_time(bill.time, offset),
                "discount": _plain(bill.discount),
                "grossAmount": _plain(bill.gross_amount),
                "note": bill.note if self.engine.settings["notes_shown"] else "",
                "returnDetails": {"canceled": False},
                "invalidBill": False,
            },
            "customFields": bill.custom_fields,
            "extendedFields": bill.extended_fields,
            "source": bill.source.lower(),
            # A guest's bill has no customer.
            "customerId": 0 if owner is None else owner.id,
            "id": bill.id,
            "lineItems": [{"details": {name: _plain(value) for name, value in line.items()}} for line in bill.lines],
            "outlierStatus": "NORMAL",
            "type": bill.type,
            "retroTxn": bill.retro,
            "warnings": [],
        }


def award_bill(engine: Engine, call: Call, bill: Bill, customer: Customer, warnings: payload.Warnings) -> Effects:
    """Give the points of a bill, or take those of a return back, and return the side effects."""
    if engine.settings["bill_points"] == "fail":
        warnings.append(issue(9610))
        return []
    limit = call.org["outlier_above"]
    if limit and bill.amount > Decimal(str(limit)) and not bill.is_return:
        warnings.append(issue(9611))
        return []
    if bill.is_return and not call.org["points_return_enabled"]:
        return []
    raw = bill.amount * Decimal(str(call.org["points_per_unit"]))
    points = raw.quantize(Decimal(1), ROUND_DOWN)
    if bill.is_return:
        raw, points = -raw, -points
    bill.points = points
    customer.points += float(points)
    return [{"entityType": "USER", "rawAwardedPoints": float(raw), "awardedPoints": int(points), "type": "points"}]


def _number(value: Any) -> Decimal | None:
    """Return an amount that is a number or, as in the docs' samples, a text."""
    if isinstance(value, bool) or value is None or value == "":
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _plain(value: Any) -> JSON:
    """Return a value as JSON writes it: a whole number as int, another as float."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    plain: JSON = value
    return plain


def _lines(raw: Any) -> tuple[list[dict[str, Any]], payload.Warnings]:
    """Return the lines with Decimals. Raises the code of a negative member, or 601 for one that is no number."""
    lines: list[dict[str, Any]] = []
    for item in raw or []:
        if not isinstance(item, dict) or not item.get("itemCode"):
            return lines, [issue(9601)]
        line = {name: value for name, value in item.items() if name in ("itemCode", "description", "serial")}
        for name, negative in (("amount", 661), ("value", 662), ("rate", 663), ("discount", 664), ("qty", 627)):
            number = _number(item.get(name, Decimal(1) if name == "qty" else Decimal(0)))
            if number is None:
                raise ApiError(601)
            if number < 0:
                raise ApiError(negative)
            line[name] = number
        lines.append(line)
    return lines, []
