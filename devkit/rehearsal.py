"""What CloudFormation gets of template.yaml from SAM's transform, found without an account.

Written to `.local/template/deployed-STYLE.json`, for a deployment at once and for a gradual one, which the transform
makes of other resources. `make check` runs cfn-lint over both. Artifacts are named as if they had been uploaded.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from samtranslator.metrics.metrics import DummyMetricsPublisher, Metrics
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from devkit.localstack.template import Json, code_folders, read
from devkit.render import RENDERED, rendered

STYLES = ("AllAtOnce", "Canary10Percent5Minutes")
GRADUAL = ("DeploysGradually", "WatchesErrors")
"""The template's conditions that hold in every gradual deployment."""

BUCKET = "a-deployers-bucket"


@cache
def transformed(text: str, style: str = STYLES[0]) -> Json:
    """Return the plain resources that the transform makes of a SAM template, gradual deployment included."""
    template = read(text)
    for name in code_folders(template):
        location = "ContentUri" if name == "RelayLayer" else "CodeUri"
        template["Resources"][name]["Properties"][location] = f"s3://{BUCKET}/{name}"
    metrics = Metrics("ServerlessTransform", DummyMetricsPublisher())
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name="us-east-1"), metrics=metrics)
    found: Json = translator.translate(template, {"DeploymentStyle": style})["Resources"]
    # Unpublished metrics are complained about on standard output.
    metrics.publish()
    return found


def _decided(node: Any) -> Any:
    """Return what conditions of gradual deployments leave, which all hold."""
    if isinstance(node, list):
        return [_decided(value) for value in node]
    if not isinstance(node, dict):
        return node
    if list(node) == ["Fn::If"] and node["Fn::If"][0] in GRADUAL:
        return _decided(node["Fn::If"][1])
    return {key: _decided(value) for key, value in node.items() if key != "Condition" or value not in GRADUAL}


def deployed(text: str, style: str, *, checkout: Path) -> Json:
    """Return the whole template as CloudFormation would get it: no transform, no globals, uploaded artifacts."""
    template = rendered(text, checkout=checkout, folder=checkout)
    resources = json.loads(json.dumps(transformed(text, style)))
    for resource in resources.values():
        if resource["Type"] == "AWS::CloudFormation::Stack":
            resource["Properties"]["TemplateURL"] = f"https://{BUCKET}.s3.amazonaws.com/observability.json"
    if style != STYLES[0]:
        # The transform has decided by the parameter; cfn-lint would look at values that it cannot have here.
        del template["Parameters"]["DeploymentStyle"]
        for name in GRADUAL:
            del template["Conditions"][name]
        resources = _decided(resources)
    used = json.dumps(resources)
    return {
        "AWSTemplateFormatVersion": template["AWSTemplateFormatVersion"],
        **{part: template[part] for part in ("Description", "Parameters", "Rules", "Conditions", "Outputs")},
        "Mappings": {name: found for name, found in template["Mappings"].items() if f'"{name}"' in used},
        "Resources": resources,
    }


def main() -> None:
    """Write one file for each kind of deployment."""
    checkout = Path.cwd()
    text = (checkout / "template.yaml").read_text()
    for style in STYLES:
        target = checkout / RENDERED.with_name(f"deployed-{style}.json")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(deployed(text, style, checkout=checkout), indent=1) + "\n")


if __name__ == "__main__":
    main()
