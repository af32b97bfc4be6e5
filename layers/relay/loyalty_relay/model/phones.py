"""Phone numbers in one form, E.164, from whatever a shop's customer typed."""

from __future__ import annotations

import unicodedata

LONGEST_TEXT = 100
LONGEST_NATIONAL = 11
"""Digits that a number without its country code can have, in China and Brazil for instance."""


def to_e164(text: str, default_country: str | None = None) -> str | None:
    """Return ``text`` as E.164 with ``+``, or None when no phone number can be made of it without guessing.

    Takes national and international writing, ``00`` for ``+``, spaces and punctuation, full-width and other digits,
    ``tel:`` links, and drops extensions, which no loyalty programme can call. ``default_country`` (ISO 3166-1 alpha-2)
    is where a number without a country code is from. Shops also store E.164 without its ``+``: that is understood
    when it makes no number of the default country, or when it is too long for a number of any country by itself.

    A number of an existing range is preferred, one of the right length is enough: new ranges open faster than any table
    learns of them.
    """
    import phonenumbers

    if len(text) > LONGEST_TEXT:
        return None  # Normalization of long runs of combining marks is quadratic.
    plain = unicodedata.normalize("NFKC", text).strip()
    if not plain or len(plain) > LONGEST_TEXT:
        return None
    written = [(plain, default_country)]
    if plain.startswith("00"):
        # The international prefix differs by country (011, 0011 ...); 00 is what people write everywhere.
        written.insert(0, ("+" + plain[2:], None))
    elif plain[0].isdecimal() and (default_country or sum(map(str.isdecimal, plain)) > LONGEST_NATIONAL):
        written.append(("+" + plain, None))
    numbers = []
    for form, country in written:
        try:
            numbers.append(phonenumbers.parse(form, country))
        except phonenumbers.NumberParseException:
            continue
    possible = phonenumbers.ValidationResult.IS_POSSIBLE
    for number in (
        *filter(phonenumbers.is_valid_number, numbers),
        *(n for n in numbers if phonenumbers.is_possible_number_with_reason(n) == possible),
    ):
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return None


def digits(e164: str) -> str:
    """Return the digits of an E.164 number, country code first and without ``+``: the form Capillary stores."""
    return e164.removeprefix("+")


def national(e164: str, default_country: str | None = None) -> tuple[str, str] | None:
    """Return an E.164 number as its national digits and its country (ISO 3166-1 alpha-2): the form Kangaroo stores.

    Where several countries share a code and the digits do not decide, ``default_country`` is taken if it is one of
    them, else the main one. None for numbers of no country (satellite phones, for instance).
    """
    import phonenumbers

    number = phonenumbers.parse(e164)
    country = phonenumbers.region_code_for_number(number)
    if country is None:
        sharing = phonenumbers.region_codes_for_country_code(number.country_code or 0)
        country = default_country if default_country in sharing else next(iter(sharing), None)
    if country is None or len(country) != 2 or not country.isalpha():
        return None
    return phonenumbers.national_significant_number(number), country
