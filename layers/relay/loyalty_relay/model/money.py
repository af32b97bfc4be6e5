"""Amounts of money: exact decimals, and how many decimal places a currency has (ISO 4217)."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

MOST_DIGITS = 18
"""Digits before the decimal point, and after it, of an amount that is taken from anywhere."""

CURRENCY = re.compile(r"[A-Z]{3}")
"""The form of a currency's code."""

_DECIMAL = re.compile(rf"-?\d{{1,{MOST_DIGITS}}}(?:\.\d{{1,{MOST_DIGITS}}})?", re.ASCII)
_EXACT = Context(prec=4 * MOST_DIGITS)
_PLACES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

ZERO = Decimal(0)


def places(currency: str) -> int:
    """Return the decimal places of a currency: two where ISO 4217 has no other number."""
    return next((number for number, currencies in _PLACES.items() if currency in currencies.split()), 2)


def decimal_of(value: Any) -> Decimal:
    """Return an amount in major units, of a decimal text or a JSON number.

    A float comes from ``model.numbers.exact``, which makes one only where it has the very digits that were sent.
    Raises ValueError for everything else, an exponent and too many digits included.
    """
    if isinstance(value, Decimal):
        text = format(value, "f") if value.is_finite() and abs(value.adjusted()) <= MOST_DIGITS else ""
    elif isinstance(value, float):
        text = format(Decimal(repr(value)), "f")
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**MOST_DIGITS:
        text = str(value)
    else:
        text = value.strip() if isinstance(value, str) and len(value) <= 3 * MOST_DIGITS else ""
    if not _DECIMAL.fullmatch(text):
        raise ValueError("not an amount")
    return Decimal(text)


def of_minor_units(value: Any, currency: str) -> Decimal:
    """Return an amount given in the smallest unit of its currency, such as cents. Raises ValueError."""
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 10**MOST_DIGITS:
        raise ValueError("not an amount in minor units")
    return Decimal(value).scaleb(-places(currency), _EXACT)


def rounded(amount: Decimal, currency: str) -> Decimal:
    """Return an amount in whole minor units of its currency; halves are rounded away from zero."""
    return amount.quantize(Decimal(1).scaleb(-places(currency)), ROUND_HALF_UP, _EXACT)


def share(amount: Decimal, part: Decimal, whole: Decimal, currency: str) -> Decimal:
    """Return ``amount`` times ``part / whole``, rounded once. ``whole`` is not zero."""
    return rounded(_EXACT.divide(_EXACT.multiply(amount, part), whole), currency)


def text_of(amount: Decimal) -> str:
    """Return an amount as text with all of its digits and no exponent."""
    return format(amount, "f")
