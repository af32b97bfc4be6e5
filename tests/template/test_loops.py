"""A loop of the template is written out as AWS's language extensions do it."""

import json
from pathlib import Path
from typing import Any

import pytest

from devkit.localstack.template import read
from devkit.render import rendered

Json = dict[str, Any]

HEAD = """
Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]
Mappings:
  Names:
    CrmPatch: { Name: crm-patch }
    Update: { Name: update }
  Sizes: { small: { Bytes: 1 } }
Resources:
  Plain: { Type: AWS::SQS::Queue, Properties: { DelaySeconds: !FindInMap [Sizes, !Ref Size, Bytes] } }
  Nested: { Type: AWS::CloudFormation::Stack, Properties: { TemplateURL: infra/nested.json } }
  Fn::ForEach::Queues:
    - Operation
    - [CrmPatch, Update]
    - "${Operation}Queue":
        Type: AWS::SQS::Queue
        Properties:
"""


def properties(line: str) -> Json:
    """The properties of the loop's first resource, which are one line."""
    found: Json = read(f"{HEAD}          {line}\n")["Resources"]["CrmPatchQueue"]["Properties"]
    return found


def test_a_loop_makes_a_resource_of_each_item_and_leaves_the_others() -> None:
    template = read(f"{HEAD}          DelaySeconds: 1\n")

    assert list(template["Resources"]) == ["Plain", "Nested", "CrmPatchQueue", "UpdateQueue"]
    assert template["Transform"] == "AWS::Serverless-2016-10-31"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("P: !Ref Operation", "CrmPatch"),
        ("P: !FindInMap [Names, !Ref Operation, Name]", "crm-patch"),
        ("P: !FindInMap [Sizes, !Ref Size, Bytes]", {"Fn::FindInMap": ["Sizes", {"Ref": "Size"}, "Bytes"]}),
        ('P: !Sub "${Operation}s"', "CrmPatchs"),
        ('P: !Sub "${AWS::StackName}-${Operation}"', {"Fn::Sub": "${AWS::StackName}-CrmPatch"}),
        ('P: { Ref: !Sub "${Operation}Queue" }', {"Ref": "CrmPatchQueue"}),
        ('P: !GetAtt [!Sub "${Operation}Queue", Arn]', {"Fn::GetAtt": ["CrmPatchQueue", "Arn"]}),
        (
            'P: !Sub ["${AWS::StackName}-${Name}", { Name: !FindInMap [Names, !Ref Operation, Name] }]',
            {"Fn::Sub": "${AWS::StackName}-crm-patch"},
        ),
        (
            'P: !Sub ["${F}:live", { F: { Ref: !Sub "${Operation}Queue" } }]',
            {"Fn::Sub": "${CrmPatchQueue}:live"},
        ),
    ],
)
def test_what_the_identifier_makes_constant_is_evaluated(line: str, expected: object) -> None:
    assert properties(line) == {"P": expected}


@pytest.mark.parametrize("line", ['P: "${Operation}Queue"', "P: !GetAtt '${Operation}Queue.Arn'"])
def test_an_identifier_where_aws_leaves_it_is_an_error(line: str) -> None:
    with pytest.raises(ValueError, match=r"Fn::ForEach::Queues: \$\{Operation\}"):
        properties(line)


def test_the_rendered_template_finds_the_nested_one_and_keeps_the_mappings_that_are_used() -> None:
    template = rendered(f"{HEAD}          DelaySeconds: 1\n", checkout=Path("/c"), folder=Path("/c/build/here"))

    assert template["Resources"]["Nested"]["Properties"]["TemplateURL"] == "../../infra/nested.json"
    assert set(template["Mappings"]) == {"Sizes"}


def test_nothing_rendered_of_the_real_template_needs_the_language_extensions(text: str, checkout: Path) -> None:
    template = rendered(text, checkout=checkout, folder=checkout / "build")

    assert template["Transform"] == "AWS::Serverless-2016-10-31"
    assert "ForEach" not in json.dumps(template)
