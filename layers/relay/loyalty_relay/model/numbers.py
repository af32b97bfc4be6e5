"""Numbers that keep every digit from the source's bytes to the vendor's."""

from __future__ import annotations

import sys
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import NoReturn

MOST_DIGITS = 400
"""Digits of a number written out: more than the largest double has."""


def exact(digits: str) -> float | str:
    """Return a JSON number with a fraction or exponent: a float where it has the very value, else its digits as text.

    For ``json.loads(parse_float=...)``. A number of more than ``MOST_DIGITS`` stays as it was written.
    """
    try:
        value, number = float(digits), Decimal(digits)
    except InvalidOperation:
        return digits  # An exponent beyond Decimal's own limits.
    if isfinite(value) and number == Decimal(repr(value)):
        return value
    return format(number, "f") if -MOST_DIGITS < number.adjusted() < MOST_DIGITS else digits


def whole(digits: str) -> int | str:
    """Return a JSON number without fraction and exponent: an int, or its text where Python converts no more digits.

    For ``json.loads(parse_int=...)``.
    """
    return int(digits) if len(digits) <= sys.int_info.default_max_str_digits else digits


def no_constant(name: str) -> NoReturn:
    """Refuse NaN and infinities, which Python reads and JSON does not have. For ``json.loads(parse_constant=...)``."""
    raise ValueError(f"{name} is not JSON")


def plain(value: int | float) -> str:
    """Return a number as text: all of its digits, no exponent, no fraction where it is a whole number."""
    return format(Decimal(repr(value)), "f").removesuffix(".0")
