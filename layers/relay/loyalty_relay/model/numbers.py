"""Numbers that keep every digit from the source's bytes to the vendor's."""

from __future__ import annotations

from decimal import Decimal
from math import isfinite


def exact(digits: str) -> float | str:
    """Return a JSON number with a fraction or exponent: a float where it has the very value, else the digits as text.

    For ``json.loads(parse_float=...)``. Raises ValueError for a number beyond what a double can express.
    """
    value = float(digits)
    if not isfinite(value):
        raise ValueError("too large for a number")
    return value if Decimal(digits) == Decimal(repr(value)) else digits


def plain(value: int | float) -> str:
    """Return a number as text: all of its digits, no exponent, no fraction where it is a whole number."""
    return format(Decimal(repr(value)), "f").removesuffix(".0")
