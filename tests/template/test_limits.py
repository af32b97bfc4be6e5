"""What would be deployed is far from the limits that AWS documents, found without an account.

Limits: CloudFormation quotas; IAM and AWS STS quotas; Lambda quotas; Amazon SNS and SQS are not near any.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from devkit.rehearsal import STYLES, deployed
from devkit.render import rendered
from tests.support.templates import transformed

Json = dict[str, Any]

LONGEST_ARN = 140
"""Characters of the longest reference in a policy: a queue's ARN with a long stack's name and a suffix."""


@pytest.fixture(scope="module")
def nested(checkout: Path) -> Json:
    """The nested stack's template."""
    found: Json = json.loads((checkout / "infra/observability.json").read_text())
    return found


def compact(value: Any) -> str:
    """Return JSON without the white space that IAM does not count either."""
    return json.dumps(value, separators=(",", ":"))


def at_longest(document: Json) -> int:
    """Return the length of a policy with every reference as long as it can become."""
    text = re.sub(r'\{"(?:Ref|Fn::GetAtt|Fn::Sub)":(?:"[^"]*"|\[[^\]]*\])\}', "A" * LONGEST_ARN, compact(document))
    return len(text)


@pytest.mark.parametrize("style", STYLES)
def test_a_stack_has_at_most_half_of_the_resources_it_may_have(text: str, style: str, nested: Json) -> None:
    assert len(transformed(text, style)) <= 250
    assert len(nested["Resources"]) <= 250


def test_the_templates_fit_into_an_object_of_a_megabyte(text: str, checkout: Path, nested: Json) -> None:
    folder = checkout / ".local/template"

    assert len(json.dumps(rendered(text, checkout=checkout, folder=folder), indent=1)) < 1_000_000 / 2
    assert len(json.dumps(deployed(text, STYLES[1], checkout=checkout), indent=1)) < 1_000_000 / 2
    assert len(json.dumps(nested, indent=1)) < 1_000_000 / 2


def test_parameters_outputs_and_mappings_are_far_from_two_hundred(template: Json, nested: Json) -> None:
    for section in ("Parameters", "Outputs", "Mappings"):
        assert len(template[section]) <= 100
    assert len(nested["Parameters"]) <= 100


def test_a_functions_environment_fits_into_four_kilobytes(text: str) -> None:
    functions = [r for r in transformed(text).values() if r["Type"] == "AWS::Lambda::Function"]

    assert len(functions) == 9
    for function in functions:
        variables = function["Properties"]["Environment"]["Variables"]
        # A queue's URL, a secret's ARN and a table's name are references; none is longer than 200 characters.
        assert sum(len(n) + (len(v) if isinstance(v, str) else 200) for n, v in variables.items()) < 4096


@pytest.mark.parametrize("style", STYLES)
def test_policies_fit_into_what_iam_stores(text: str, style: str) -> None:
    resources = transformed(text, style).values()
    managed = [r["Properties"]["PolicyDocument"] for r in resources if r["Type"] == "AWS::IAM::ManagedPolicy"]
    roles = [r["Properties"] for r in resources if r["Type"] == "AWS::IAM::Role"]

    assert managed
    assert max(map(at_longest, managed)) < 6144
    for role in roles:
        assert sum(at_longest(policy["PolicyDocument"]) for policy in role["Policies"]) < 10_240
        assert len(role.get("ManagedPolicyArns", [])) <= 10


def test_no_resource_waits_for_itself(text: str) -> None:
    """CloudFormation refuses a circle of references, which a deployment group, its role and a function could close."""
    resources = transformed(text, STYLES[1])
    waits = {}
    for name, resource in resources.items():
        text_of = compact(resource)
        named = set(re.findall(r'"Ref":"(\w+)"|"Fn::GetAtt":\["(\w+)"|\$\{(\w+)[.}]', text_of))
        depends = resource.get("DependsOn", [])
        found = {part for parts in named for part in parts if part} | set(
            [depends] if isinstance(depends, str) else depends
        )
        waits[name] = found & resources.keys() - {name}
    while ready := {name for name, found in waits.items() if not found}:
        waits = {name: found - ready for name, found in waits.items() if name not in ready}
    assert waits == {}


@pytest.mark.parametrize("style", STYLES)
def test_what_is_linted_is_what_cloudformation_would_get(text: str, style: str, checkout: Path) -> None:
    """`make check` runs cfn-lint over these documents."""
    found = deployed(text, style, checkout=checkout)
    whole = compact(found)

    assert "AWS::Serverless" not in whole
    assert "Transform" not in found
    assert set(found["Resources"]) == set(transformed(text, style))
    conditions = set(re.findall(r'"Condition":"(\w+)"|"Fn::If":\["(\w+)"', whole))
    assert {name for pair in conditions for name in pair if name} <= set(found["Conditions"])
    assert any("DeploymentGroup" in name for name in found["Resources"]) is (style != "AllAtOnce")
