"""``--set path=value``: change single values of a sample body."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import Any

from devkit.stacks.errors import CommandError


def assigned(body: Any, assignments: Iterable[str]) -> Any:
    """Return a copy of ``body`` with every assignment made.

    ``a.b.0.c=text`` sets a value: a text where there was a text before, else JSON where it reads as such, else a text.
    ``a.b:=JSON`` always takes JSON (``a.b:=null``). Missing objects on the way are made; a list index one past the end
    appends. Raises CommandError for what is not PATH=VALUE and for a path that leads through a plain value.
    """
    changed = copy.deepcopy(body)
    for assignment in assignments:
        path, sign, text = assignment.partition("=")
        strict = path.endswith(":")
        path = path.removesuffix(":").strip()
        if not sign or not path:
            raise CommandError(f"{assignment!r} is not PATH=VALUE", do="write it as in --set email=ana@example.com")
        changed = _assign(changed, path.split("."), text, strict, path)
    return changed


def _assign(node: Any, steps: list[str], text: str, strict: bool, path: str) -> Any:
    if not steps:
        return _value(text, node, strict, path)
    step, rest = steps[0], steps[1:]
    if node is None:
        node = [] if step.isdigit() else {}
    if isinstance(node, list):
        if not step.isdigit() or int(step) > len(node):
            raise CommandError(f"the list has no element {step}", where=path, do=f"it has {len(node)}; count from 0")
        index = int(step)
        inner = _assign(node[index] if index < len(node) else None, rest, text, strict, path)
        return [*node[:index], inner, *node[index + 1 :]]
    if isinstance(node, dict):
        return {**node, step: _assign(node.get(step), rest, text, strict, path)}
    raise CommandError(f"{step!r} cannot be set inside a plain value", where=path, do="see the body with relay map")


def _value(text: str, before: Any, strict: bool, path: str) -> Any:
    if isinstance(before, str) and not strict:
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        if strict:
            raise CommandError(f"not JSON: {error}", where=path, do="use path=text for a text") from error
        return text
