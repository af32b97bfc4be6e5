"""template.yaml as CloudFormation gets it: from the SAM transform, and with the stack nested in it as one."""

import json
import re
from pathlib import Path
from typing import Any

from devkit.localstack.template import read
from devkit.rehearsal import transformed

Json = dict[str, Any]

__all__ = ["transformed", "whole"]

CHECKOUT = Path(__file__).resolve().parents[2]


def whole(text: str) -> Json:
    """Return a template with the resources of the stack nested in it, as if they were its own.

    References to the nested stack's parameters become what template.yaml gives for them.
    """
    template = read(text)
    stack = template["Resources"].pop("Observability")["Properties"]
    nested = json.loads((CHECKOUT / stack["TemplateURL"]).read_text())
    assert nested["Parameters"].keys() == stack["Parameters"].keys()
    given = {part: _given(nested[part], stack["Parameters"]) for part in ("Conditions", "Resources")}
    return template | {part: template[part] | found for part, found in given.items()}


def _given(node: Any, parameters: Json) -> Any:
    if isinstance(node, list):
        return [_given(value, parameters) for value in node]
    if not isinstance(node, dict):
        return node
    if list(node) == ["Ref"] and node["Ref"] in parameters:
        value = parameters[node["Ref"]]
        # A list is handed to a nested stack as one text.
        return value["Fn::Join"][1] if "Fn::Join" in value else value
    if list(node) == ["Fn::Sub"]:
        return {"Fn::Sub": re.sub(r"\$\{(\w+)\}", lambda found: _named(found[1], parameters), node["Fn::Sub"])}
    return {key: _given(value, parameters) for key, value in node.items()}


def _named(name: str, parameters: Json) -> str:
    value = parameters.get(name, {"Ref": name})
    return f"${{{value['Ref'] if 'Ref' in value else '.'.join(value['Fn::GetAtt'])}}}"
