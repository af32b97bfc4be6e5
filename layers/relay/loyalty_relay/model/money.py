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
_CODES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE "
        "CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD "
        "HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK "
        "MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD "
        "RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH "
        "USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG "
        # Withdrawn since 2021; orders of then are still refunded.
        "ANG BGN CUC HRK SLL ZWL"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_PLACES = {code: number for number, codes in _CODES.items() for code in codes.split()}

ZERO = Decimal(0)


def is_currency(code: str) -> bool:
    """Return whether ISO 4217 has a currency of this code; funds and metals that no shop sells in are left out."""
    return code in _PLACES


def places(currency: str) -> int:
    """Return the decimal places of a currency; two for one that is not known."""
    return _PLACES.get(currency, 2)


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
