"""Fault rules: which requests go wrong, and how."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias, cast

from devkit.sandbox.limits import RateMeter
from devkit.sandbox.vendor import JSON

HTML_PAGE = (
    b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head>"
    b"<body><h1>Bad Gateway</h1><p>The upstream server did not answer.</p></body></html>"
)
Reset = Literal["before", "after"]
_Reader: TypeAlias = Callable[[str, JSON], object]


class FaultError(ValueError):
    """A fault rule cannot be understood; ``field`` names the key."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


@dataclass
class Fault:
    """One rule. The first rule that matches a request and fires decides about it.

    Matching: ``vendor``, ``method``, ``path`` (after the prefix, ``*`` allowed), each optional.
    Firing: ``skip`` matching requests pass first; then ``count`` fire (None: all), each with probability
    ``ratio`` drawn from a generator seeded with ``seed``.
    """

    vendor: str | None = None
    method: str | None = None
    path: str | None = None
    skip: int = 0
    count: int | None = None
    ratio: float = 1.0
    seed: int = 0
    latency_ms: tuple[float, float] = (0.0, 0.0)
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    error: str | None = None
    effect: bool = False
    reset: Reset | None = None
    close: Literal["rst", "fin"] = "rst"
    drip: tuple[int, float] | None = None
    truncate: int | None = None
    html: bool = False
    empty: bool = False
    content_type: str | None = None
    rate_limit: tuple[int, float] | None = None
    source: dict[str, JSON] = field(default_factory=dict)
    matched: int = 0
    fired: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._meter = RateMeter(self.rate_limit[1], aligned=False) if self.rate_limit else None

    def takes(self, vendor: str, method: str, path: str, now: float) -> bool:
        """Return whether this rule acts on the request; counts the request as seen."""
        if self.vendor not in (None, vendor) or self.method not in (None, method):
            return False
        if self.path is not None and not fnmatchcase(path, self.path):
            return False
        if self.count is not None and self.fired >= self.count:
            return False
        self.matched += 1
        if self.matched <= self.skip:
            return False
        if self.ratio < 1.0 and self._random.random() >= self.ratio:
            return False
        if self._meter and self.rate_limit and self._meter.hit(now, self.rate_limit[0]) is None:
            return False
        self.fired += 1
        return True

    @property
    def replaces(self) -> bool:
        """True when the answer is the rule's own and not the vendor's."""
        return (
            self.status is not None
            or self.body is not None
            or self.error is not None
            or self.html
            or self.rate_limit is not None
        )

    def latency_seconds(self) -> float:
        """Draw the latency of one request, in seconds."""
        low, high = self.latency_ms
        return (low if low == high else self._random.uniform(low, high)) / 1000

    def as_json(self) -> dict[str, JSON]:
        """Return the rule as it was given, with what it has done so far."""
        return {**self.source, "matched": self.matched, "fired": self.fired}


def parse_fault(rule: JSON) -> Fault:
    """Read one rule from its JSON form (docs/sandbox.md lists the keys). Raises FaultError."""
    if not isinstance(rule, dict):
        raise FaultError("rule", "must be an object")
    fault: dict[str, object] = {"source": rule}
    for key, value in rule.items():
        if key in ("matched", "fired"):
            continue
        reader = _READERS.get(key)
        if reader is None:
            raise FaultError(key, "is not a key of a fault rule")
        fault[key] = reader(key, value)
    return Fault(**fault)  # type: ignore[arg-type]  # each reader returns its field's type


def _text(key: str, value: JSON) -> str:
    if not isinstance(value, str) or not value:
        raise FaultError(key, "must be a text")
    return value


def _method(key: str, value: JSON) -> str:
    return _text(key, value).upper()


def _number(key: str, value: JSON, *, least: float = 0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
        raise FaultError(key, f"must be a number of at least {least}")
    return value


def _whole(key: str, value: JSON) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise FaultError(key, "must be a whole number of at least 0")
    return value


def _status(key: str, value: JSON) -> int:
    status = _whole(key, value)
    if not 200 <= status <= 599:
        raise FaultError(key, "must be an HTTP status from 200 to 599")
    return status


def _ratio(key: str, value: JSON) -> float:
    ratio = _number(key, value)
    if ratio > 1:
        raise FaultError(key, "must be between 0 and 1")
    return ratio


def _latency(key: str, value: JSON) -> tuple[float, float]:
    if isinstance(value, list):
        if len(value) != 2:
            raise FaultError(key, "must be milliseconds, or a pair of them")
        low, high = _number(key, value[0]), _number(key, value[1])
        if high < low:
            raise FaultError(key, "must have the smaller number first")
        return low, high
    fixed = _number(key, value)
    return fixed, fixed


def _headers(key: str, value: JSON) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise FaultError(key, "must be an object of texts")
    return {name.lower(): cast("str", item) for name, item in value.items()}


def _body(key: str, value: JSON) -> bytes:
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def _flag(key: str, value: JSON) -> bool:
    if not isinstance(value, bool):
        raise FaultError(key, "must be true or false")
    return value


def _choice(*allowed: str) -> _Reader:
    def read(key: str, value: JSON) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise FaultError(key, f"must be one of {', '.join(allowed)}")
        return value

    return read


def _drip(key: str, value: JSON) -> tuple[int, float]:
    if not isinstance(value, dict) or set(value) - {"bytes", "every_ms"}:
        raise FaultError(key, 'must be an object with "bytes" and "every_ms"')
    size = _whole(key, value.get("bytes", 1))
    if size < 1:
        raise FaultError(key, "must send at least one byte at a time")
    return size, _number(key, value.get("every_ms", 50)) / 1000


def _rate_limit(key: str, value: JSON) -> tuple[int, float]:
    if value is True:
        return 0, 60.0
    if not isinstance(value, dict) or set(value) - {"requests", "per_seconds"}:
        raise FaultError(key, 'must be true or an object with "requests" and "per_seconds"')
    return _whole(key, value.get("requests", 0)), _number(key, value.get("per_seconds", 60), least=0.001)


_READERS: Mapping[str, _Reader] = {
    "vendor": _text,
    "method": _method,
    "path": _text,
    "skip": _whole,
    "count": _whole,
    "ratio": _ratio,
    "seed": _whole,
    "latency_ms": _latency,
    "status": _status,
    "headers": _headers,
    "body": _body,
    "error": _text,
    "effect": _flag,
    "reset": _choice("before", "after"),
    "close": _choice("rst", "fin"),
    "drip": _drip,
    "truncate": _whole,
    "html": _flag,
    "empty": _flag,
    "content_type": _text,
    "rate_limit": _rate_limit,
}
