"""What came of a command, and the part of it that may be kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Result(StrEnum):
    """The words for what came of a command."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    STALE = "stale"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"
    RECORDED = "recorded"
    """Kept in the ledger until what it needs arrives."""
    RETRYING = "retrying"
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning of the vendor or of ours: a stable code and, for people, a message without personal data."""

    code: str
    message: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one command.

    ``details`` is the vendor's typed answer in our words (points, coupons, CRM field values). It is handed to the
    caller of the API and never stored; ``to_record`` is what idempotency items and journals keep.
    """

    result: Result
    reason: str = ""
    loyalty_id: str | None = None
    created: bool = False
    fields: tuple[str, ...] = ()
    """Names of the fields that were sent."""
    notices: tuple[Notice, ...] = ()
    request_id: str | None = None
    ids: Mapping[str, str | int] = field(default_factory=dict)
    """Further ids an operation yields, such as ``branch_link_id``."""
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_record(self) -> dict[str, Any]:
        """Return the storable part: result, ids, codes, names of fields; never a value, message or personal datum."""
        record: dict[str, Any] = {"result": self.result.value}
        if self.reason:
            record["reason"] = self.reason
        if self.loyalty_id is not None:
            record["loyalty_id"] = self.loyalty_id
        if self.created:
            record["created"] = True
        if self.fields:
            record["fields"] = list(self.fields)
        if self.notices:
            record["codes"] = [n.code for n in self.notices]
        if self.request_id:
            record["request_id"] = self.request_id
        if self.ids:
            record["ids"] = dict(self.ids)
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Outcome:
        """Return the outcome of an earlier execution, as far as it was kept."""
        return cls(
            result=Result(record["result"]),
            reason=record.get("reason", ""),
            loyalty_id=record.get("loyalty_id"),
            created=bool(record.get("created", False)),
            fields=tuple(record.get("fields", ())),
            notices=tuple(Notice(code) for code in record.get("codes", ())),
            request_id=record.get("request_id"),
            ids=dict(record.get("ids", {})),
        )
