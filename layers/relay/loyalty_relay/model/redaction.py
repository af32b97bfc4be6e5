"""Take what must not be kept out of texts: values that were sent, and the markup of error pages.

All of it is linear in the length of its input: a vendor's error text may hold what a customer typed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from loyalty_relay.model.commands import Command, CustomerCommand
from loyalty_relay.model.errors import PermanentError, RelayError

CONCEALED = "…"
MAX_TEXT = 4000
"""Characters of a vendor's text that are looked at; far fewer are kept."""

_PERSONAL = re.compile(
    r"first_name|last_name|email|phone|channels\.|birthday|address|city|postal|notes?$|custom_fields\."
)
_SHORTEST = 3
_SAME_LETTER = {"İ": "i", "ı": "i"}
"""Letters whose other case is not one letter, or which case folding keeps apart."""


def conceal(error: RelayError, command: Command) -> None:
    """Take what the command holds about its customer out of the error's message and problems.

    Clients take out what the failed request had sent. A vendor can also repeat what another request of the same command
    sent, such as the name of a customer who was only looked up by e-mail; the command holds it all.
    """
    if not isinstance(command, CustomerCommand):
        return
    values = {text for text in _personal(command) if len(text) >= _SHORTEST}
    error.args = tuple(without(arg, values, CONCEALED) if isinstance(arg, str) else arg for arg in error.args)
    if isinstance(error, PermanentError):
        error.problems = tuple(replace(p, message=without(p.message, values, CONCEALED)) for p in error.problems)


def without(text: str, values: Iterable[str], mark: str) -> str:
    """Return the beginning of ``text`` with ``mark`` for each of ``values`` that it holds as whole words.

    Letter case does not count; longer values come first.
    """
    text = _beginning(text)
    folded = _folded(text)
    for value in sorted({value for value in values if 0 < len(value) <= len(text)}, key=len, reverse=True):
        wanted = _folded(value)
        at = folded.find(wanted)
        while at >= 0:
            end = at + len(wanted)
            if _in_word(folded[at - 1 : at]) or _in_word(folded[end : end + 1]):
                at = folded.find(wanted, at + 1)
                continue
            text, folded = text[:at] + mark + text[end:], folded[:at] + mark + folded[end:]
            at = folded.find(wanted, at + len(mark))
    return text


def without_markup(page: str) -> str:
    """Return a page's text without its tags, and without the contents of scripts and style sheets."""
    first, *pieces = page.split("<")
    shown, hidden = [first], ""
    for piece in pieces:
        tag, closed, after = piece.partition(">")
        name = next(iter(tag.lower().split(None, 1)), "")
        if hidden:
            if name == f"/{hidden}":
                hidden = ""
                shown.append(f" {after}")
        elif name in ("script", "style"):
            hidden = name
        else:
            shown.append(f" {after}" if closed else f"<{piece}")
    return "".join(shown)


def _beginning(text: str) -> str:
    """Return at most ``MAX_TEXT`` characters; a last word that was cut is left out, as half a value is still one."""
    return text if len(text) <= MAX_TEXT else "".join(text[:MAX_TEXT].rpartition(" ")[:2])


def _folded(text: str) -> str:
    """Return the text without letter case, character by character, so that places in it are places in the text."""
    return "".join(_SAME_LETTER.get(c) or next((f for f in (c.casefold(), c.lower()) if len(f) == 1), c) for c in text)


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _personal(command: CustomerCommand) -> Iterator[str]:
    yield from (identifier.value.strip() for identifier in command.customer.identifiers)
    yield from _texts(value for name, value in command.fields.items() if _PERSONAL.match(name))


def _texts(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            # "true" and "false" are our own words, and not a name.
            if value.strip().lower() not in ("true", "false"):
                yield value.strip()
        elif isinstance(value, Mapping):
            yield from _texts(value.values())
        elif isinstance(value, list | tuple):
            yield from _texts(value)
