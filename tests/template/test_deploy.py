"""`make deploy` is guided the first time only, and ends with the webhooks' URL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from devkit.deploy import DeployProblem, Target, command, deploy, describe, parse, read_target
from tests.support.templates import CHECKOUT, transformed, whole

CONFIG = """
version = 0.1
[default.deploy.parameters]
stack_name = "plain"
[shop.deploy.parameters]
stack_name = "relay-shop"
region = "eu-west-1"
parameter_overrides = "LogLevel=\\"DEBUG\\" AlarmEmail=\\"\\" SandboxHosts=\\"a b\\""
"""
SHOP = read_target(CONFIG, "shop")
OUTPUTS = {
    "WebhookUrl": "https://api-id.execute-api.eu-west-1.amazonaws.com/webhooks",
    "ApiUrl": "https://api-id.execute-api.eu-west-1.amazonaws.com",
    "AlarmTopicArn": "arn:aws:sns:eu-west-1:123456789012:alarms",
    "RegisterQueueUrl": "https://sqs.eu-west-1.amazonaws.com/123456789012/register",
}


class Cloud:
    """CloudFormation with the stacks that it has been given."""

    def __init__(self, **stacks: dict[str, str]) -> None:
        self.stacks = stacks
        self.status = "UPDATE_COMPLETE"
        self.regions: list[str] = []
        self.protected: list[str] = []
        self.refuses_protection = False

    def client(self, region: str) -> Cloud:
        self.regions.append(region)
        return self

    def describe_stacks(self, **request: str) -> dict[str, Any]:
        name = request["StackName"]
        if name not in self.stacks:
            message = f"Stack with id {name} does not exist"
            raise ClientError({"Error": {"Code": "ValidationError", "Message": message}}, "DescribeStacks")
        outputs = [{"OutputKey": k, "OutputValue": v} for k, v in self.stacks[name].items()]
        return {"Stacks": [{"StackName": name, "StackStatus": self.status, "Outputs": outputs}]}

    def update_termination_protection(self, **request: Any) -> None:
        if self.refuses_protection:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "UpdateTerminationProtection")
        assert request["EnableTerminationProtection"] is True
        self.protected.append(request["StackName"])


class Sam:
    """A SAM command line that makes a stack in the cloud, under the name that its user answers."""

    def __init__(self, cloud: Cloud, answers: str, status: int = 0) -> None:
        self.cloud, self.answers, self.status = cloud, answers, status
        self.words: list[str] = []

    def __call__(self, words: Sequence[str]) -> int:
        self.words = list(words)
        if not self.status:
            self.cloud.stacks[self.answers] = OUTPUTS
        return self.status


def deployed(cloud: Cloud, sam: Sam, *, final: Target = SHOP, unattended: bool = False) -> tuple[int, str]:
    """Status and printed text of one deployment."""
    output: list[str] = []
    status = deploy(
        SHOP,
        sam="sam",
        given={"Architecture": "arm64"},
        unattended=unattended,
        formation=cloud.client,
        run=sam,
        again=lambda: final,
        say=output.append,
    )
    return status, "\n".join(output)


def test_the_first_deployment_is_guided_and_ends_with_the_webhook_url() -> None:
    cloud = Cloud()
    sam = Sam(cloud, "relay-shop")
    status, output = deployed(cloud, sam)

    assert status == 0
    assert "--guided" in sam.words
    assert OUTPUTS["WebhookUrl"] + "/my-shop" in output
    assert "relay connections apply my-shop.json --stack relay-shop" in output
    assert "RegisterQueue" not in output
    assert cloud.regions == ["eu-west-1", "eu-west-1"]


@pytest.mark.parametrize("status", ["ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED"])
def test_a_stack_that_cannot_be_updated_is_refused_before_anything_runs(status: str) -> None:
    cloud = Cloud(**{"relay-shop": {}})
    cloud.status = status
    sam = Sam(cloud, "relay-shop")

    with pytest.raises(DeployProblem, match=f"relay-shop is {status}.*delete the stack"):
        deployed(cloud, sam)
    assert sam.words == []


@pytest.mark.parametrize("status", ["CREATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"])
def test_a_stack_that_was_rolled_back_to_something_is_updated(status: str) -> None:
    cloud = Cloud(**{"relay-shop": OUTPUTS})
    cloud.status = status

    assert deployed(cloud, Sam(cloud, "relay-shop"))[0] == 0


def test_an_existing_stack_is_updated_without_questions() -> None:
    cloud = Cloud(**{"relay-shop": OUTPUTS})
    sam = Sam(cloud, "relay-shop")
    deployed(cloud, sam)

    assert "--guided" not in sam.words
    assert sam.words[:4] == ["sam", "deploy", "--config-env", "shop"]


def test_a_pipeline_is_not_prompted() -> None:
    cloud = Cloud()
    sam = Sam(cloud, "relay-shop")
    deployed(cloud, sam, unattended=True)

    assert "--guided" not in sam.words
    assert "--no-confirm-changeset" in sam.words


def test_the_responses_name_the_stack_that_is_shown() -> None:
    cloud = Cloud()
    answered = Target("shop", "other-name", "us-west-2", {})
    status, output = deployed(cloud, Sam(cloud, "other-name"), final=answered)

    assert status == 0
    assert "--stack other-name" in output
    assert cloud.regions[-1] == "us-west-2"


def test_a_failed_deployment_shows_no_url_and_fails() -> None:
    cloud = Cloud(**{"relay-shop": OUTPUTS})

    assert deployed(cloud, Sam(cloud, "relay-shop", status=1)) == (1, "")


def test_a_stack_that_is_not_there_afterwards_is_a_failure() -> None:
    cloud = Cloud()
    status, output = deployed(cloud, Sam(cloud, "elsewhere"))

    assert status == 1
    assert "relay-shop" in output


def test_given_parameters_win_over_those_of_the_file_one_by_one() -> None:
    words = command("sam", SHOP, exists=True, given={"LogLevel": "INFO", "Architecture": "x86_64"}, unattended=False)

    overrides = words[words.index("--parameter-overrides") + 1 :]
    assert overrides == ['LogLevel="INFO"', 'AlarmEmail=""', 'SandboxHosts="a b"', 'Architecture="x86_64"']


def test_a_parameter_without_a_value_is_refused_by_name() -> None:
    with pytest.raises(DeployProblem, match="LogLevel"):
        parse(["LogLevel"])


def test_an_unknown_environment_names_the_known_ones() -> None:
    with pytest.raises(DeployProblem, match=r"one of shop$"):
        read_target(CONFIG, "nosuch")


def test_missing_credentials_are_reported_with_the_remedy() -> None:
    class SignedOut:
        def describe_stacks(self, **request: str) -> dict[str, Any]:
            raise NoCredentialsError

    with pytest.raises(DeployProblem, match="sign in"):
        describe(SignedOut(), "relay-shop")


# --- the checked-in configuration -----------------------------------------------------------------


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_an_environment_sets_parameters_that_the_template_has(
    checkout: Path, template: dict[str, Any], environment: str
) -> None:
    target = read_target((checkout / "samconfig.toml").read_text(), environment)

    assert target.stack == f"loyalty-relay-{environment}"
    for name, value in target.parameters.items():
        definition = template["Parameters"][name]
        assert value in [str(allowed) for allowed in definition.get("AllowedValues", [value])]
    assert target.parameters["SecretsPrefix"] == target.stack


@pytest.mark.parametrize("environment", ["default", "dev", "prod"])
def test_whatever_is_deployed_is_tagged(checkout: Path, environment: str) -> None:
    """Tags of the stack reach every resource that can carry tags."""
    import tomllib

    settings = tomllib.loads((checkout / "samconfig.toml").read_text())[environment]["deploy"]["parameters"]
    assert "application=loyalty-relay" in settings["tags"].split()


def test_production_is_protected_and_deployed_gradually(checkout: Path) -> None:
    parameters = read_target((checkout / "samconfig.toml").read_text(), "prod").parameters

    assert parameters["DeletionProtection"] == "true"
    assert parameters["DeploymentStyle"].startswith("Canary")


@pytest.mark.parametrize("environment", ["default", "dev", "prod"])
def test_a_deployment_may_make_roles_and_a_nested_stack_of_a_transformed_template(
    checkout: Path, environment: str
) -> None:
    import tomllib

    settings = tomllib.loads((checkout / "samconfig.toml").read_text())[environment]["deploy"]["parameters"]
    assert set(settings["capabilities"].split()) == {"CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"}


@pytest.mark.parametrize(("protection", "protected"), [("true", ["relay-shop"]), ("false", []), (None, [])])
def test_a_stack_with_protected_tables_gets_termination_protection(
    protection: str | None, protected: list[str]
) -> None:
    cloud = Cloud()
    target = replace(SHOP, parameters={"DeletionProtection": protection} if protection else {})
    status, _ = deployed(cloud, Sam(cloud, "relay-shop"), final=target)
    assert (status, cloud.protected) == (0, protected)


def test_a_refused_termination_protection_is_reported() -> None:
    cloud = Cloud()
    cloud.refuses_protection = True
    target = replace(SHOP, parameters={"DeletionProtection": "true"})
    with pytest.raises(DeployProblem, match="is deployed, but its termination protection cannot be switched on"):
        deployed(cloud, Sam(cloud, "relay-shop"), final=target)


SERVICES = {
    "ApiGatewayV2": "apigateway",
    "CloudFormation": "cloudformation",
    "CloudWatch": "cloudwatch",
    "CodeDeploy": "codedeploy",
    "DynamoDB": "dynamodb",
    "IAM": "iam",
    "Lambda": "lambda",
    "Logs": "logs",
    "SNS": "sns",
    "SQS": "sqs",
    "Scheduler": "scheduler",
    "SecretsManager": "secretsmanager",
}
"""Part of a resource's type -> prefix of its service's actions."""


def test_the_deployers_policy_has_every_service_that_the_stack_consists_of(text: str) -> None:
    policy = json.loads((CHECKOUT / "docs" / "deployer-policy.json").read_text())
    actions: set[str] = set()
    for statement in policy["Statement"]:
        listed = statement["Action"]
        actions |= {action.partition(":")[0] for action in (listed if isinstance(listed, list) else [listed])}
        assert statement["Resource"] != "*" or isinstance(listed, list) or not listed.endswith("*")
    whole_stack = transformed(text, "Canary10Percent5Minutes") | whole(text)["Resources"]
    types = {r["Type"] for r in whole_stack.values() if not r["Type"].startswith("AWS::Serverless::")}
    needed = {SERVICES[kind.split("::")[1]] for kind in types}
    # S3 holds the artifacts; KMS is for a key of one's own.
    assert actions == needed | {"cloudformation", "s3", "kms"}
