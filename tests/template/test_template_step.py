"""The template step changes what the embedded AWS services cannot take, and nothing else."""

import textwrap
from typing import Any

import pytest
from samtranslator.model.exceptions import InvalidDocumentException

from devkit.localstack.template import Code, code_folders, localize, read

Json = dict[str, Any]

SMALL = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Side: { Type: Number, Default: 4 }
  Name: { Type: String, Default: plain }
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: Key
        Authorizers:
          Key:
            FunctionArn: !GetAtt Worker.Arn
            AuthorizerPayloadFormatVersion: "2.0"
            EnableSimpleResponses: true
            Identity: { Headers: [x-api-key], ReauthorizeEvery: 0 }
  Jobs:
    Type: AWS::SQS::Queue
  Worker:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.13
      Handler: app.handler
      CodeUri: functions/worker/
      Description: !Ref Name
      Role: arn:aws:iam::000000000000:role/worker
      Events:
        Open:
          Type: HttpApi
          Properties: { ApiId: !Ref Api, Method: POST, Path: "/open/{id}", Auth: { Authorizer: NONE } }
        Any: { Type: HttpApi, Properties: { ApiId: !Ref Api, Method: ANY, Path: "/closed" } }
        Queue:
          Type: SQS
          Properties: { Queue: !GetAtt Jobs.Arn, ScalingConfig: { MaximumConcurrency: !Ref Side } }
"""


def resources(extra: str = "", **parameters: str) -> Json:
    """The resources of the small template's local form."""
    text = SMALL + textwrap.indent(textwrap.dedent(extra), "  ")
    code = {name: Code("bucket", f"{name}.zip") for name in code_folders(read(text))}
    body = localize(text, code=code, parameters=parameters, region="us-east-1").body
    found: Json = body["Resources"]
    return found


def one(found: Json, kind: str, **wanted: Any) -> Json:
    """The properties of the only resource of a type with the wanted properties."""
    (properties,) = [
        resource["Properties"]
        for resource in found.values()
        if resource["Type"] == kind and wanted.items() <= resource["Properties"].items()
    ]
    assert isinstance(properties, dict)
    return properties


def test_an_openapi_body_becomes_routes_that_lead_to_the_function() -> None:
    found = resources()

    route = one(found, "AWS::ApiGatewayV2::Route", RouteKey="POST /open/{id}")
    target = route["Target"]["Fn::Sub"].removeprefix("integrations/${").removesuffix("}")
    integration = found[target]["Properties"]
    assert "${Worker.Arn}/invocations" in integration["IntegrationUri"]["Fn::Sub"]
    assert (integration["IntegrationType"], integration["PayloadFormatVersion"]) == ("AWS_PROXY", "2.0")
    assert "Body" not in found["Api"]["Properties"]
    assert found["Api"]["Properties"]["ProtocolType"] == "HTTP"


def test_a_route_for_any_method_stays_one() -> None:
    assert one(resources(), "AWS::ApiGatewayV2::Route", RouteKey="ANY /closed")["AuthorizationType"] == "CUSTOM"


def test_a_route_keeps_its_authorizer_or_its_lack_of_one() -> None:
    found = resources()

    closed = one(found, "AWS::ApiGatewayV2::Route", RouteKey="ANY /closed")
    assert found[closed["AuthorizerId"]["Ref"]]["Type"] == "AWS::ApiGatewayV2::Authorizer"
    opened = one(found, "AWS::ApiGatewayV2::Route", RouteKey="POST /open/{id}")
    assert opened["AuthorizationType"] == "NONE"
    assert "AuthorizerId" not in opened


@pytest.mark.parametrize(("given", "expected"), [({}, 4), ({"Side": "7"}, 7)])
def test_a_number_parameter_becomes_a_number(given: dict[str, str], expected: int) -> None:
    mapping = one(resources(**given), "AWS::Lambda::EventSourceMapping")

    assert mapping["ScalingConfig"] == {"MaximumConcurrency": expected}


def test_a_text_parameter_stays_a_reference() -> None:
    assert resources()["Worker"]["Properties"]["Description"] == {"Ref": "Name"}


def test_code_comes_from_where_it_was_uploaded() -> None:
    assert resources()["Worker"]["Properties"]["Code"] == {"S3Bucket": "bucket", "S3Key": "Worker.zip"}


@pytest.mark.parametrize(
    ("extra", "dropped"),
    [
        ("Saved: { Type: AWS::CodeDeploy::Application, Properties: { ComputePlatform: Lambda } }", True),
        ("Saved: { Type: AWS::CloudFormation::Stack, Properties: { TemplateURL: nested.json } }", True),
        ("Saved: { Type: AWS::CloudWatch::Alarm, Properties: { Metrics: [], EvaluationPeriods: 1 } }", True),
        ("Saved: { Type: AWS::CloudWatch::Alarm, Properties: { MetricName: a, EvaluationPeriods: 1 } }", False),
    ],
)
def test_what_the_services_refuse_is_left_out_and_nothing_else(extra: str, dropped: bool) -> None:
    assert ("Saved" not in resources(extra)) is dropped


def test_what_was_left_out_is_reported() -> None:
    text = SMALL + "  Saved: { Type: AWS::CloudFormation::Stack, Properties: { TemplateURL: nested.json } }\n"
    local = localize(text, code={"Worker": Code("b", "k")}, parameters={}, region="us-east-1")

    assert local.dropped == {"Saved": "AWS::CloudFormation::Stack"}


def test_an_invalid_template_is_refused_with_the_resource_named() -> None:
    with pytest.raises(InvalidDocumentException, match="Broken"):
        resources("Broken: { Type: AWS::Serverless::HttpApi, Properties: { Auth: { DefaultAuthorizer: missing } } }")


def test_environments_have_texts_only(local: Json) -> None:
    """A number there, as of a parameter, keeps ministack from starting the function."""
    functions = {n: r["Properties"] for n, r in local["Resources"].items() if r["Type"] == "AWS::Lambda::Function"}
    values = {(n, k): v for n, p in functions.items() for k, v in p["Environment"]["Variables"].items()}
    assert {place: value for place, value in values.items() if not isinstance(value, str | dict)} == {}


def test_nothing_else_of_the_real_template_is_lost(text: str, local: Json) -> None:
    written = read(text)["Resources"]
    lost = {name for name in written if name not in local["Resources"]} - {"RelayLayer"}  # its id gets a hash

    assert {name for name in lost if not name.endswith("ErrorsAlarm")} == {"Observability"}


def test_no_alias_waits_for_a_deployment_group_that_was_left_out(text: str) -> None:
    code = {name: Code("b", "k") for name in code_folders(read(text))}
    parameters = {"DeploymentStyle": "Canary10Percent5Minutes"}
    gradual = localize(text, code=code, parameters=parameters, region="us-east-1")

    assert "AWS::CodeDeploy::DeploymentGroup" in gradual.dropped.values()
    aliases = [r for r in gradual.body["Resources"].values() if r["Type"] == "AWS::Lambda::Alias"]
    assert len(aliases) == 9
    assert not any("UpdatePolicy" in alias for alias in aliases)


def test_a_changed_parameter_publishes_a_new_version_of_the_functions_it_configures(text: str) -> None:
    code = {name: Code("b", "k") for name in code_folders(read(text))}

    def versions(**parameters: str) -> set[str]:
        found = localize(text, code=code, parameters=parameters, region="us-east-1").body["Resources"]
        return {name for name, resource in found.items() if resource["Type"] == "AWS::Lambda::Version"}

    assert versions() == versions()
    assert len(versions()) == 9
    assert not versions() & versions(SandboxHosts="127.0.0.1:9")
