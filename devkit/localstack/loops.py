"""`Fn::ForEach` of a template written out, as AWS::LanguageExtensions does it.

Every tool of the project reads template.yaml this way, and the build starts from it (devkit/render.py), so that neither
SAM's transform nor AWS sees a loop. Covered is what a template of ours needs: the loop's identifier in keys, in
`Fn::Sub` and as `Ref`, and `Fn::FindInMap` with it. AWS leaves an identifier in any other text; here that is an error.
"""

import json
import re
from typing import Any

Json = dict[str, Any]

TRANSFORM = "AWS::LanguageExtensions"
_LOOP = "Fn::ForEach::"


def write_out(template: Json) -> Json:
    """Return `template` without loops and without the transform that expands them.

    Raises ValueError for a loop whose identifier is where AWS would not replace it.
    """
    mappings = template.get("Mappings", {})
    found = {name: _section(section, mappings) if _has_loop(section) else section for name, section in template.items()}
    if isinstance(found.get("Transform"), list):
        (found["Transform"],) = [name for name in found["Transform"] if name != TRANSFORM]
    return found


def _has_loop(section: Any) -> bool:
    return isinstance(section, dict) and any(key.startswith(_LOOP) for key in section)


def _section(section: Json, mappings: Json) -> Json:
    found: Json = {}
    for name, content in section.items():
        if not name.startswith(_LOOP):
            found[name] = content
            continue
        identifier, items, body = content
        for item in items:
            for key, value in body.items():
                found[key.replace(f"${{{identifier}}}", item)] = _resolved(value, identifier, item, mappings)
        if f"${{{identifier}}}" in json.dumps(found):
            raise ValueError(f"{name}: ${{{identifier}}} is only replaced in keys and in Fn::Sub")
    return found


def _resolved(node: Any, identifier: str, item: str, mappings: Json) -> Any:
    """Return `node` with the identifier's value, and with what has then become constant evaluated."""
    if isinstance(node, list):
        return [_resolved(value, identifier, item, mappings) for value in node]
    if not isinstance(node, dict):
        return node
    if node == {"Ref": identifier}:
        return item
    found = {key: _resolved(value, identifier, item, mappings) for key, value in node.items()}
    match found:
        case {"Fn::FindInMap": [str(name), str(first), str(second)]}:
            return mappings[name][first][second]
        case {"Fn::Sub": str(text)}:
            return _substituted(text.replace(f"${{{identifier}}}", item))
        case {"Fn::Sub": [str(text), dict(values)]}:
            for name, value in values.items():
                text = text.replace(f"${{{name}}}", value if isinstance(value, str) else f"${{{value['Ref']}}}")
            return _substituted(text)
        case _:
            return found


def _substituted(text: str) -> Any:
    return {"Fn::Sub": text} if re.search(r"\$\{", text) else text
