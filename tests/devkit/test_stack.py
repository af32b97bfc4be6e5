"""Which stack a command talks to: by name, by environment, or the local one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from devkit.stacks.errors import CommandError
from devkit.stacks.local import LocalState, read_state, remove_state, write_state
from devkit.stacks.stack import OUTPUTS, find_stack

STACK = {
    "StackName": "loyalty-relay-prod",
    "Parameters": [{"ParameterKey": "SandboxHosts", "ParameterValue": "sandbox.example.com:8443"}],
    "Outputs": [
        {"OutputKey": "ApiId", "OutputValue": "api123"},
        {"OutputKey": "ApiUrl", "OutputValue": "https://api123.execute-api.us-east-1.amazonaws.com/"},
        {"OutputKey": "SecretsPrefix", "OutputValue": "loyalty-relay"},
        {"OutputKey": "JournalTableName", "OutputValue": "journal"},
        {"OutputKey": "CrmPatchQueueUrl", "OutputValue": "https://sqs.example.com/crm-patch"},
    ],
}


class Formation:
    """CloudFormation with two stacks, one of them a relay."""

    def __init__(self, credentials: Mapping[str, str]) -> None:
        self.credentials = credentials
        self.meta = SimpleNamespace(region_name="us-east-1")
        self.stacks: list[dict[str, Any]] = [STACK, {"StackName": "website"}]

    def describe_stacks(self, StackName: str | None = None) -> dict[str, Any]:  # noqa: N803 - AWS's own spelling
        found = [stack for stack in self.stacks if StackName in (None, stack["StackName"])]
        if not found:
            error = {"Code": "ValidationError", "Message": f"Stack with id {StackName} does not exist"}
            raise ClientError({"Error": error}, "DescribeStacks")
        return {"Stacks": found}

    def get_paginator(self, name: str) -> Any:
        return SimpleNamespace(paginate=lambda: [self.describe_stacks()])


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """An environment with an account's credentials and no stack of any kind."""
    return {"RELAY_LOCAL_STATE": str(tmp_path / "dev.json")}


@pytest.fixture
def running(env: dict[str, str]) -> LocalState:
    """A local stack that runs: its process is this one."""
    state = LocalState(
        pid=os.getpid(),
        aws="http://127.0.0.1:4570",
        api="http://127.0.0.1:4570/_aws/execute-api/local1",
        sandbox="http://127.0.0.1:4571",
        outputs={"SecretsPrefix": "loyalty-relay", "ApiUrl": "https://unreachable.example.com"},
        environment={
            "AWS_ENDPOINT_URL": "http://127.0.0.1:4570",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "RELAY_STACK": "loyalty-relay-local",
        },
    )
    write_state(state, Path(env["RELAY_LOCAL_STATE"]))
    return state


def test_without_any_stack_the_error_explains_how_to_get_one(env: dict[str, str]) -> None:
    with pytest.raises(CommandError) as caught:
        find_stack(None, env)

    assert caught.value.do == "start one with `relay dev` in another terminal, or name a deployed one with --stack NAME"


def test_the_local_stack_is_found_by_its_state_file(env: dict[str, str], running: LocalState) -> None:
    stack = find_stack(None, env)

    assert (stack.name, stack.api_url, stack.secrets_prefix) == ("local", running.api, "loyalty-relay")
    assert stack.sandbox_hosts == {"127.0.0.1:4571"}
    assert stack.formation == "loyalty-relay-local"
    assert stack.client("sqs").meta.endpoint_url == running.aws


def test_a_state_file_whose_process_has_ended_is_no_stack(env: dict[str, str], running: LocalState) -> None:
    file = Path(env["RELAY_LOCAL_STATE"])
    data = json.loads(file.read_text())
    # No process has the highest pid there can be, plus one.
    file.write_text(json.dumps({**data, "pid": 2**22 + 1}))

    assert read_state(file) is None
    with pytest.raises(CommandError):
        find_stack("local", env)


def test_a_process_removes_its_own_state_file_and_no_other(env: dict[str, str], running: LocalState) -> None:
    file = Path(env["RELAY_LOCAL_STATE"])
    other = {**json.loads(file.read_text()), "pid": os.getppid()}
    file.write_text(json.dumps(other))
    remove_state(file)
    assert file.exists()

    write_state(running, file)
    remove_state(file)
    assert not file.exists()


def test_a_name_goes_before_the_local_stack(env: dict[str, str], running: LocalState) -> None:
    stack = find_stack("loyalty-relay-prod", env, formation=Formation)

    assert (stack.name, stack.local) == ("loyalty-relay-prod", None)
    assert stack.api_url == "https://api123.execute-api.us-east-1.amazonaws.com"
    assert stack.queue("crm-patch") == "https://sqs.example.com/crm-patch"
    assert stack.sandbox_hosts == {"sandbox.example.com:8443"}


def test_the_name_may_be_in_the_environment(env: dict[str, str]) -> None:
    assert (
        find_stack(None, {**env, "RELAY_STACK": "loyalty-relay-prod"}, formation=Formation).name == "loyalty-relay-prod"
    )


def test_a_profile_means_the_account_and_local_must_then_be_given(env: dict[str, str], running: LocalState) -> None:
    with pytest.raises(CommandError) as caught:
        find_stack(None, {**env, "AWS_PROFILE": "prod"}, formation=Formation)
    assert caught.value.what.startswith("CloudFormation has no stack loyalty-relay:")
    assert caught.value.where == "profile prod, region us-east-1"

    assert find_stack("local", {**env, "AWS_PROFILE": "prod"}).local == running


def test_the_local_endpoint_is_recognised_as_the_local_stack(env: dict[str, str], running: LocalState) -> None:
    assert find_stack(None, {**env, "AWS_ENDPOINT_URL": running.aws}).local == running
    assert find_stack("loyalty-relay-local", {**env, "AWS_ENDPOINT_URL": running.aws}).local == running


def test_an_endpoint_on_this_machine_has_one_relay_whatever_its_name_and_an_api_below_its_own_url(
    env: dict[str, str],
) -> None:
    made: list[Formation] = []

    def formation(credentials: Mapping[str, str]) -> Formation:
        made.append(Formation(credentials))
        return made[-1]

    stack = find_stack(None, {**env, "AWS_ENDPOINT_URL": "http://127.0.0.1:4599"}, formation=formation)

    assert stack.name == "loyalty-relay-prod"
    assert stack.api_url == "http://127.0.0.1:4599/_aws/execute-api/api123"
    assert made[0].credentials["AWS_ACCESS_KEY_ID"] == "test"


@pytest.mark.parametrize(
    ("given", "key", "region"),
    [
        ({}, "test", "us-east-1"),
        ({"AWS_ACCESS_KEY_ID": "fake-key"}, "fake-key", "us-east-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "test", "eu-west-1"),
    ],
)
def test_an_endpoint_on_this_machine_needs_no_further_variable(
    env: dict[str, str], given: dict[str, str], key: str, region: str
) -> None:
    endpoint = {"AWS_ENDPOINT_URL": "http://127.0.0.1:4599"}
    stack = find_stack(None, {**env, **endpoint, **given}, formation=Formation)

    found = stack.session.get_credentials().get_frozen_credentials()
    assert (found.access_key, found.secret_key, stack.client("sqs").meta.region_name) == (key, "test", region)
    assert stack.client("sqs").meta.endpoint_url == "http://127.0.0.1:4599"


def test_the_variables_of_a_function_describe_a_stack(env: dict[str, str]) -> None:
    given = {**env, **{variable: f"value-of-{variable}" for variable in OUTPUTS}, "RELAY_SANDBOX_HOSTS": "a:1,b:2"}

    stack = find_stack(None, given)

    assert stack.queue("crm-patch") == "value-of-RELAY_QUEUE_CRM_PATCH"
    assert stack.parked_queue("ingest") == "value-of-RELAY_PARKED_INGEST"
    assert stack.environment() == {variable: f"value-of-{variable}" for variable in OUTPUTS} | {
        "RELAY_SANDBOX_HOSTS": "a:1,b:2"
    }


def test_an_output_that_the_stack_lacks_is_named(env: dict[str, str]) -> None:
    with pytest.raises(CommandError, match="no output RegisterQueueUrl") as caught:
        find_stack("loyalty-relay-prod", env, formation=Formation).queue("register")

    assert "RELAY_QUEUE_REGISTER" in caught.value.do


def test_every_output_is_one_of_the_template() -> None:
    template = (Path(__file__).parents[2] / "template.yaml").read_text()

    declared = {line.strip().rstrip(":") for line in template.partition("\nOutputs:")[2].splitlines()}

    assert set(OUTPUTS.values()) <= declared
