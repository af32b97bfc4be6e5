"""The template step: `template.yaml` as the embedded AWS services understand it.

They take the template itself, with four gaps, seen on ministack 1.5.33 (docs/local-stack.md): they ignore the OpenAPI
body in which SAM puts an HTTP API's routes, refuse some resource types, keep numeric parameters as text, and keep a
version whose description changed. So loops are written out and the SAM transform runs here, by AWS's own translator;
each body becomes explicit routes, integrations and authorizers; what is refused is left out, with what refers to it,
and so is the nested stack that watches the application; and values are put where their parameters were, numbers
everywhere and texts in the functions' environment.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
import yaml
from samtranslator.metrics.metrics import DummyMetricsPublisher, Metrics
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import intrinsics_multi_constructor

from devkit.localstack.loops import write_out

LEFT_OUT_TYPES = frozenset(
    {
        "AWS::CodeDeploy::Application",
        "AWS::CodeDeploy::DeploymentGroup",
        # Alarms, dashboard and queries: nothing on this machine looks at them.
        "AWS::CloudFormation::Stack",
    }
)
_METHODS = frozenset({"get", "put", "post", "delete", "patch", "head", "options", "x-amazon-apigateway-any-method"})

_CODE_KEYS = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}

Json = dict[str, Any]


@dataclass(frozen=True)
class Code:
    """Where uploaded code is: a bucket and a key in it."""

    bucket: str
    key: str


@dataclass(frozen=True)
class LocalTemplate:
    """The template to deploy, and what was left out of it (logical id -> resource type)."""

    body: Json
    dropped: Mapping[str, str]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Read short forms as the translator does, with libyaml where it is installed: in a tenth of the time."""


_Loader.add_multi_constructor("!", intrinsics_multi_constructor)


def read(text: str) -> Json:
    """Parse a CloudFormation template into its long form: short forms (`!Ref`) and loops written out."""
    return write_out(yaml.load(text, _Loader))  # noqa: S506 - a safe loader


def code_folders(template: Json) -> dict[str, str]:
    """Return logical id -> folder of every function (CodeUri) and layer (ContentUri) of a SAM template."""
    folders = {}
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        for kind, key in _CODE_KEYS.items():
            if resource["Type"] == kind:
                folders[name] = properties[key]
    return folders


def localize(text: str, *, code: Mapping[str, Code], parameters: Mapping[str, str], region: str) -> LocalTemplate:
    """Return the local form of the SAM template `text`.

    `code` is where the code of each function and layer was uploaded; `parameters` are the values that the stack will
    be given: the transform needs them, or logical ids that contain a content hash would not change with it.
    Raise what the translator raises for an invalid template (InvalidDocumentException).
    """
    template = read(text)
    # Before the numbers: a process's environment has texts only, and ministack starts no worker with anything else.
    resolve_environments(template, parameters)
    resolve_numbers(template, parameters)
    for name in code_folders(template):
        resource = template["Resources"][name]
        resource["Properties"][_CODE_KEYS[resource["Type"]]] = {"Bucket": code[name].bucket, "Key": code[name].key}
    metrics = Metrics("ServerlessTransform", DummyMetricsPublisher())
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=region), metrics=metrics)
    plain: Json = translator.translate(template, dict(parameters))
    # Discards them; left unpublished, the translator complains on standard output when it is collected.
    metrics.publish()
    resources: Json = plain["Resources"]
    for name, resource in list(resources.items()):
        if resource["Type"] == "AWS::ApiGatewayV2::Api" and "Body" in resource["Properties"]:
            resources |= explicit_api(name, resource)
    dropped = {name: resource["Type"] for name, resource in resources.items() if _is_left_out(resource)}
    for name in dropped:
        del resources[name]
    for resource in resources.values():
        # How a deployment group that was left out would have shifted the alias.
        if "CodeDeployLambdaAliasUpdate" in resource.get("UpdatePolicy", {}):
            del resource["UpdatePolicy"]
    return LocalTemplate(plain, dropped)


def resolve_numbers(template: Json, parameters: Mapping[str, str]) -> None:
    """Replace references to Number parameters of `template` by the numbers, in place.

    CloudFormation converts a parameter's text to the property's type. ministack passes it on as text, and its poller
    then fails to compare a concurrency with it, once a second, without ever starting a function.
    """
    numbers = {
        name: int(parameters.get(name, definition.get("Default")))
        for name, definition in template.get("Parameters", {}).items()
        if definition["Type"] == "Number"
    }

    template["Resources"] = _resolved(template["Resources"], numbers)


def resolve_environments(template: Json, parameters: Mapping[str, str]) -> None:
    """Replace references to parameters in the functions' environment by the values, in place.

    The transform publishes a new version of a function whose properties changed; a parameter's value is no part of
    them. On AWS the version's description, which contains the values, has the version made anew; ministack keeps it.
    """
    values = {
        name: str(parameters.get(name, definition.get("Default")))
        for name, definition in template.get("Parameters", {}).items()
    }
    functions = [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::Serverless::Function"]
    for properties in (template.get("Globals", {}).get("Function", {}), *functions):
        if "Environment" in properties:
            properties["Environment"] = _resolved(properties["Environment"], values)


def _resolved(node: Any, values: Mapping[str, Any]) -> Any:
    """Return `node` with the references to what `values` names replaced."""
    if isinstance(node, dict):
        if list(node) == ["Ref"] and node["Ref"] in values:
            return values[node["Ref"]]
        return {key: _resolved(value, values) for key, value in node.items()}
    return [_resolved(value, values) for value in node] if isinstance(node, list) else node


def explicit_api(name: str, api: Json) -> Json:
    """Return the API `name` without its OpenAPI body, and its authorizers, integrations and routes as resources."""
    properties = dict(api["Properties"])
    body = properties.pop("Body")
    properties |= {"Name": {"Ref": "AWS::StackName"}, "ProtocolType": "HTTP"}
    resources: Json = {name: {**api, "Properties": properties}}
    reference = {"Ref": name}

    authorizers = {}
    for scheme, definition in body.get("components", {}).get("securitySchemes", {}).items():
        authorizers[scheme] = f"{name}{_alphanumeric(scheme)}Authorizer"
        resources[authorizers[scheme]] = {
            "Type": "AWS::ApiGatewayV2::Authorizer",
            "Properties": {
                "ApiId": reference,
                "Name": scheme,
                **_authorizer(definition["x-amazon-apigateway-authorizer"]),
            },
        }

    for path, operations in body["paths"].items():
        for method, operation in operations.items():
            if method not in _METHODS:
                continue
            verb = "ANY" if method.startswith("x-") else method.upper()
            route = f"{name}{verb.title()}{_alphanumeric(path)}"
            resources[f"{route}Integration"] = {
                "Type": "AWS::ApiGatewayV2::Integration",
                "Properties": {"ApiId": reference, **_integration(operation["x-amazon-apigateway-integration"])},
            }
            resources[f"{route}Route"] = {
                "Type": "AWS::ApiGatewayV2::Route",
                "Properties": {
                    "ApiId": reference,
                    "RouteKey": f"{verb} {path}",
                    "Target": {"Fn::Sub": f"integrations/${{{route}Integration}}"},
                    **_authorization(operation.get("security", []), authorizers),
                },
            }
    return resources


def _integration(definition: Json) -> Json:
    return {
        "IntegrationType": definition["type"].upper(),
        "IntegrationMethod": definition["httpMethod"],
        "IntegrationUri": definition["uri"],
        "PayloadFormatVersion": definition["payloadFormatVersion"],
    }


def _authorizer(definition: Json) -> Json:
    return {
        "AuthorizerType": definition["type"].upper(),
        "AuthorizerUri": definition["authorizerUri"],
        "AuthorizerPayloadFormatVersion": definition["authorizerPayloadFormatVersion"],
        "AuthorizerResultTtlInSeconds": definition["authorizerResultTtlInSeconds"],
        "EnableSimpleResponses": definition["enableSimpleResponses"],
        "IdentitySource": definition["identitySource"],
    }


def _authorization(security: list[Json], authorizers: Mapping[str, str]) -> Json:
    # SAM writes an open route as one that requires a scheme which is not defined.
    for requirement in security:
        for scheme in requirement:
            if scheme in authorizers:
                return {"AuthorizationType": "CUSTOM", "AuthorizerId": {"Ref": authorizers[scheme]}}
    return {"AuthorizationType": "NONE"}


def _alphanumeric(text: str) -> str:
    """Return `text` as part of a logical id: `/webhooks/{connection}` becomes WebhooksConnection."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", text))


def _is_left_out(resource: Json) -> bool:
    # An alarm on a metric expression is created and then rolls the whole stack back.
    metric_math = resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]
    return metric_math or resource["Type"] in LEFT_OUT_TYPES
