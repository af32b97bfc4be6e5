"""Validation in the manner of a Laravel application: messages per field, all of them at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from devkit.sandbox.kangaroo.errors import ValidationShape, invalid

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_PHONE = re.compile(r"\+?[0-9][0-9 ().-]*")


class FieldCheck:
    """Collects messages per (dotted) field name."""

    def __init__(self) -> None:
        self.messages: dict[str, list[str]] = {}

    def fail(self, name: str, message: str) -> None:
        """Add a message."""
        self.messages.setdefault(name, []).append(message)

    def merge(self, messages: Mapping[str, Sequence[str]]) -> None:
        """Add the messages of fields that have none yet."""
        for name, texts in messages.items():
            self.messages.setdefault(name, list(texts))

    def required_text(self, name: str, body: Mapping[str, Any]) -> str:
        """Return a text that must be there; the empty string when it is not good."""
        value = body.get(name)
        if value is None or value == "":
            self.fail(name, f"The {name} field is required.")
            return ""
        return value if self.text(name, value) else ""

    def text(self, name: str, value: Any) -> bool:
        """Check that a value is a text or null."""
        if value is None or isinstance(value, str):
            return True
        self.fail(name, f"The {name} must be a string.")
        return False

    def optional(self, name: str, value: Any, valid: Callable[[str], object], message: str) -> bool:
        """Check that a value is null, empty or a text that `valid` accepts."""
        if not self.text(name, value):
            return False
        if value and not valid(value):
            self.fail(name, message)
            return False
        return True

    def finish(self, shape: ValidationShape) -> None:
        """Raise Refusal (422) if there is any message."""
        if self.messages:
            raise invalid(self.messages, shape)


def digits(phone: str) -> str:
    """Return the digits of a phone number."""
    return "".join(character for character in phone if "0" <= character <= "9")


def is_email(value: str) -> bool:
    """Return a plausible address."""
    return _EMAIL.fullmatch(value) is not None


def is_phone(value: str) -> bool:
    """Return whether the value has 6 to 15 digits, with the usual separators."""
    return _PHONE.fullmatch(value) is not None and 6 <= len(digits(value)) <= 15


def is_country_code(value: str) -> bool:
    """Return whether it is two capital letters (ISO 3166-1 alpha-2; the list of countries is not checked)."""
    return re.fullmatch("[A-Z]{2}", value) is not None


def is_birth_date(value: str) -> bool:
    """Return whether it is `YYYY-MM-DD`, a day that exists."""
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value) is None:
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True
