"""A second look at an error's words before they reach a queue's attributes or an answer.

The clients take out of a vendor's text what the failed request had sent, and everything that looks like a contact. A
vendor can also repeat what another request of the same command sent, such as the name of a customer who was only
looked up by e-mail. The command knows it all, so it is asked last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from loyalty_relay.model.commands import Command, CustomerCommand
from loyalty_relay.model.errors import PermanentError, RelayError

CONCEALED = "…"
_PERSONAL = re.compile(
    r"first_name|last_name|email|phone|channels\.|birthday|address|city|postal|notes?$|custom_fields\."
)
_SHORTEST = 3


def conceal(error: RelayError, command: Command) -> None:
    """Take what the command says about its customer out of the error's message and problems."""
    if not isinstance(command, CustomerCommand):
        return
    values = sorted({text for text in _said(command) if len(text) >= _SHORTEST}, key=len, reverse=True)
    if not values:
        return
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(text)}(?!\w)" for text in values), re.IGNORECASE)
    error.args = tuple(pattern.sub(CONCEALED, arg) if isinstance(arg, str) else arg for arg in error.args)
    if isinstance(error, PermanentError):
        error.problems = tuple(replace(p, message=pattern.sub(CONCEALED, p.message)) for p in error.problems)


def _said(command: CustomerCommand) -> Iterator[str]:
    yield from (identifier.value.strip() for identifier in command.customer.identifiers)
    yield from _texts(value for name, value in command.fields.items() if _PERSONAL.match(name))


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            # "true" and "false" are words of ours, and nobody's name.
            if value.strip().lower() not in ("true", "false"):
                yield value.strip()
        elif isinstance(value, Mapping):
            yield from _texts(value.values())
        elif isinstance(value, list | tuple):
            yield from _texts(value)
