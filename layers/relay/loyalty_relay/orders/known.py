"""What is known of an order: every report folded into one value, in whatever order and number they come. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeVar

from loyalty_relay.model.commands import Version, plain
from loyalty_relay.model.errors import InvalidCommand
from loyalty_relay.model.money import ZERO, decimal_of
from loyalty_relay.model.orders import Capture, Order, Refund, Sale


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownOrder:
    """The latest snapshot, and captures and refunds by id. Amounts are in the customer's currency, major units."""

    currency: str = ""
    sale: Sale | None = None
    """Without lines and payments."""
    version: Version | None = None
    """Of the snapshot."""
    captures: Mapping[str, Capture] = field(default_factory=dict)
    refunds: Mapping[str, Refund] = field(default_factory=dict)
    """Without lines; each with the version at which it was reported."""
    listed: Version | None = None
    """Of the latest report that lists all refunds."""
    refunded: Decimal | None = None
    """Cumulative total given back."""
    refunded_version: Version | None = None
    voided: bool = False
    unlinked: bool = False

    @property
    def captured_money(self) -> Decimal:
        """Money taken so far: what captures by id add up to, or the cumulative total where it is larger."""
        sale = self.sale
        by_id = sum((capture.amount for capture in self.captures.values()), ZERO)
        if sale is None:
            return by_id
        if sale.captured is None and not self.captures:
            return max(ZERO, sale.amounts.total) if sale.paid else ZERO
        return max(by_id, sale.captured or ZERO)

    @property
    def refunded_by_id(self) -> Decimal:
        """What refunds by id add up to."""
        return sum((refund.amount for refund in self.refunds.values()), ZERO)

    @property
    def refunded_money(self) -> Decimal:
        """Money given back so far. A cumulative total opens an amount that ids consume which are reported later."""
        if self.voided:
            return self.captured_money
        by_capture = sum((capture.refunded for capture in self.captures.values()), ZERO)
        return max(self.refunded_by_id, self.refunded or ZERO, by_capture)

    def without(self, refund: str) -> KnownOrder:
        """Return the order as it was before a refund, in the cumulative total as well."""
        left = {name: found for name, found in self.refunds.items() if name != refund}
        amount = self.refunds[refund].amount
        total = None if self.refunded is None else max(ZERO, self.refunded - amount)
        return replace(self, refunds=left, refunded=total)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON-ready form."""
        listed = replace(self, captures={}, refunds={})
        given: dict[str, Any] = plain(listed)
        given["captures"] = [plain(capture) for capture in self.captures.values()]
        given["refunds"] = [plain(refund) for refund in self.refunds.values()]
        return {name: value for name, value in given.items() if value not in ([], {})}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> KnownOrder:
        given = dict(data)
        if "sale" in given:
            given["sale"] = Sale.from_dict(given["sale"])
        for name in ("version", "listed", "refunded_version"):
            if name in given:
                given[name] = Version.from_list(given[name])
        if "refunded" in given:
            given["refunded"] = decimal_of(given["refunded"])
        given["captures"] = {item["id"]: Capture.from_dict(item) for item in given.get("captures", ())}
        given["refunds"] = {item["id"]: Refund.from_dict(item) for item in given.get("refunds", ())}
        return cls(**given)


def replaces(new: Version | None, old: Version | None) -> bool:
    """Return whether a report of one version replaces that of another.

    Without a version it is meant now. Versions of different clocks are ordered by their sources' event times.
    """
    if new is None or old is None:
        return True
    if new.clock == old.clock:
        return not new.older_than(old)
    return not (new.time and old.time) or (new.time, new.clock) >= (old.time, old.clock)


def fold(known: KnownOrder, order: Order, version: Version | None) -> KnownOrder:
    """Return what is known after a report. ``version``: of the report; see ``Order``."""
    folded = _with_snapshot(known, order, version)
    folded = replace(
        folded,
        currency=(folded.sale.amounts.currency if folded.sale else "") or folded.currency or order.currency,
        captures=_merged(folded.captures, order.captures, version),
        refunds=_with_refunds(folded, order, version),
        voided=known.voided or order.voided,
        unlinked=known.unlinked or order.unlinked,
    )
    if order.refunded is not None and replaces(version, known.refunded_version):
        folded = replace(folded, refunded=order.refunded, refunded_version=version or known.refunded_version)
    if order.all_refunds and replaces(version, known.listed):
        folded = replace(folded, listed=version or known.listed)
    return folded


def joined(known: KnownOrder, other: KnownOrder) -> KnownOrder:
    """Return what is known of an order after what came under another of its names, where no sale was reported."""
    refunds, captures = dict(known.refunds), dict(known.captures)
    for name, refund in other.refunds.items():
        if name not in refunds or replaces(_version(refund), _version(refunds[name])):
            refunds[name] = refund
    for name, capture in other.captures.items():
        if name not in captures or replaces(_version(capture), _version(captures[name])):
            captures[name] = capture
    later = known.refunded is None or replaces(other.refunded_version, known.refunded_version)
    cumulative = other if other.refunded is not None and later else known
    return replace(
        known,
        refunds=refunds,
        captures=captures,
        refunded=cumulative.refunded,
        refunded_version=cumulative.refunded_version,
        voided=known.voided or other.voided,
        currency=known.currency or other.currency,
    )


def check_currency(known: KnownOrder, *reports: KnownOrder | Order) -> None:
    """Raise InvalidCommand where captures or refunds of a report are not in the currency of the order."""
    for report in reports:
        money = report.captures or report.refunds or report.refunded
        if money and report.sale is None and report.currency and report.currency != known.currency:
            message = f"{report.currency} were paid or given back for an order in {known.currency}"
            raise InvalidCommand(message, code="currency")


def _with_snapshot(known: KnownOrder, order: Order, version: Version | None) -> KnownOrder:
    if order.sale is None or not (known.sale is None or replaces(version, known.version)):
        return known
    return replace(known, sale=without_lines(order.sale), version=version or known.version)


def without_lines(sale: Sale) -> Sale:
    """Return a sale as a ``KnownOrder`` has it."""
    return replace(sale, lines=(), payments=())


R = TypeVar("R", Capture, Refund)


def _version(reported: Capture | Refund) -> Version | None:
    return Version(*reported.version) if reported.version else None


def _merged(known: Mapping[str, R], reported: Iterable[R], version: Version | None) -> dict[str, R]:
    """Return captures or refunds by id after a report: of each the newest."""
    merged = dict(known)
    for item in reported:
        own = item if item.version else replace(item, version=tuple(version.to_list()) if version else ())
        before = merged.get(item.id)
        if before is None or replaces(_version(own), _version(before)):
            merged[item.id] = own
    return merged


def _with_refunds(known: KnownOrder, order: Order, version: Version | None) -> dict[str, Refund]:
    reported = {refund.id: replace(refund, lines=()) for refund in order.refunds}
    merged = _merged(known.refunds, reported.values(), version)
    for name, refund in merged.items():
        # A list of all refunds that is newer and does not have it: it was deleted meanwhile.
        if order.all_refunds and name not in reported and _is_older(_version(refund), version):
            merged[name] = _deleted(refund, version)
        elif name in reported and name not in known.refunds and _is_older(_version(refund), known.listed):
            merged[name] = _deleted(refund, known.listed)
    return merged


def _is_older(version: Version | None, than: Version | None) -> bool:
    return not replaces(version, than)


def _deleted(refund: Refund, version: Version | None) -> Refund:
    return replace(refund, amount=ZERO, amounts=None, version=tuple(version.to_list()) if version else ())
