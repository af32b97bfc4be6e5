"""The outline of a JSON body: names and kinds of values, and no value, so that nothing personal is in it."""

from __future__ import annotations

import json
import re
from typing import Any

MEMBERS = 200
"""Members of one object, or elements of one list, that are shown."""
DEPTH = 12
_NAME = re.compile(r"[A-Za-z_$@][A-Za-z0-9_.:$@ -]{0,63}")
"""What looks like a name that a program gave; any other may be data, such as an address as a key."""


def outline(text: str) -> Any:
    """Return a body with every value replaced by its kind; a body that is not JSON as its length."""
    try:
        value = json.loads(text)
    except ValueError:
        return f"<{len(text)} characters that are not JSON>"
    except RecursionError:
        return f"<JSON of {len(text)} characters, nested too deep>"
    return _outlined(value, DEPTH)


def _outlined(value: Any, depth: int) -> Any:
    if value is None:
        return None
    if isinstance(value, bool):
        return "<true or false>"
    if isinstance(value, int | float):
        return "<number>"
    if isinstance(value, str):
        return f"<text of {len(value)}>" if value else ""
    if depth == 0:
        return "<more>"
    if isinstance(value, list):
        return [_outlined(element, depth - 1) for element in value[:MEMBERS]] + _rest(len(value))
    shown = {_name(name, index): _outlined(v, depth - 1) for index, (name, v) in enumerate(value.items())}
    return dict(list(shown.items())[:MEMBERS]) | ({"<more>": len(value) - MEMBERS} if len(value) > MEMBERS else {})


def _rest(length: int) -> list[str]:
    return [f"<{length - MEMBERS} more>"] if length > MEMBERS else []


def _name(name: str, index: int) -> str:
    return name if _NAME.fullmatch(name) and "@" not in name[1:] else f"<name {index}>"
