"""`LocalStack`: the whole of `template.yaml` on this machine, started, deployed and described."""

import contextlib
import dataclasses
import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from devkit.localstack import template as template_step
from devkit.localstack.artifacts import LayerBuilder, Log, digest, function_zip
from devkit.localstack.server import CREDENTIALS, REGION, LocalStackError, Server, free_port

CHECKOUT = Path(__file__).resolve().parents[2]
STACK_NAME = "loyalty-relay-local"
_BUCKET = "loyalty-relay-local-artifacts"
# `make` sets both up: the interpreter that has ministack, and where everything local is kept.
_PYTHON = Path(".local/stack/bin/python")
_CACHE = Path(".local/layer")

_OPERATIONS = ("Register", "Update", "CrmPatch", "LinkStore", "Transaction", "ImportRun", "Hydrate")


@dataclasses.dataclass(frozen=True)
class LogLine:
    """One line that a function logged: `timestamp` in milliseconds since the epoch, and its text."""

    timestamp: int
    message: str


def _silent(_: str) -> None:
    pass


class LocalStack:
    """The deployed stack and the server that it runs on; a context manager that stops it at the end.

    `aws_url` is the endpoint of every AWS service, `api_url` that of the HTTP API, `outputs` the stack's outputs.
    """

    def __init__(self, server: Server, *, checkout: Path, log: Log) -> None:
        """Wrap a running server. Use `LocalStack.start`, which also deploys."""
        self._server, self._checkout, self._log = server, checkout, log
        self._clients: dict[str, Any] = {}
        self._parameters: dict[str, str] = {}
        self._sandbox_url: str | None = None
        self.outputs: dict[str, str] = {}
        self.dropped: Mapping[str, str] = {}

    @classmethod
    def start(
        cls,
        *,
        port: int = 0,
        sandbox_url: str | None = None,
        state_dir: Path | None = None,
        persist: bool = False,
        parameters: Mapping[str, str] | None = None,
        checkout: Path = CHECKOUT,
        log: Log = _silent,
    ) -> Self:
        """Start the AWS services on 127.0.0.1, build what is deployed, deploy it, and return the stack.

        `port` 0 takes a free one, or with `persist` the one of the run before. `sandbox_url` is where connections may
        point instead of a vendor's own host; it becomes the stack's SandboxHosts. `state_dir` holds the server's log
        and, with `persist`, the services' content between runs; without one, a temporary folder is used and removed.
        `parameters` override the template's defaults. `checkout` is the project to deploy, `log` receives a line for
        each step that takes a moment.

        Raises LocalStackError, with what to do, when the environment is missing, the port is taken, the layer does not
        build or the stack is refused.
        """
        if persist and state_dir is None:
            raise LocalStackError("persist needs a state_dir to keep the state in")
        log("starting the local AWS services")
        if state_dir:
            state_dir.mkdir(parents=True, exist_ok=True)
            port = _kept_port(state_dir, port) if persist else port
        server = Server(python=checkout / _PYTHON, port=port, state_dir=state_dir, persist=persist)
        stack = cls(server, checkout=checkout, log=log)
        try:
            stack._sandbox_url = sandbox_url
            stack._parameters = stack._parameter_values(parameters or {})
            stack.redeploy()
        except BaseException:
            stack.stop()
            raise
        return stack

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- where things are ---------------------------------------------------------------------------

    @property
    def aws_url(self) -> str:
        """The endpoint of every AWS service (AWS_ENDPOINT_URL)."""
        return self._server.url

    @property
    def api_url(self) -> str:
        """The base URL of the HTTP API; routes follow it as they follow the deployed stack's ApiUrl."""
        return f"{self.aws_url}/_aws/execute-api/{self.outputs['ApiId']}"

    @property
    def log_file(self) -> Path:
        """The server's own log, for when something is wrong with the services rather than with a function."""
        return self._server.log_file

    def environment(self) -> dict[str, str]:
        """Return the environment variables with which tools and the AWS command line address this stack.

        Besides the AWS variables: what the functions get (RELAY_SECRETS_PREFIX, RELAY_DIGEST_SECRET, the RELAY_*_TABLE
        and RELAY_QUEUE_* names), RELAY_PARKED_* for each dead-letter queue, RELAY_STACK and RELAY_API_URL.
        """
        out = self.outputs
        variables = {
            "AWS_ENDPOINT_URL": self.aws_url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
            **CREDENTIALS,
            "RELAY_STACK": STACK_NAME,
            "RELAY_API_URL": self.api_url,
            "RELAY_SECRETS_PREFIX": out["SecretsPrefix"],
            "RELAY_DIGEST_SECRET": out["DigestSecretArn"],
            "RELAY_SANDBOX_HOSTS": self._parameters.get("SandboxHosts", ""),
            "RELAY_RECONCILIATION_GROUP": out["ReconciliationGroup"],
            "RELAY_RECONCILIATION_ROLE": out["ReconciliationRoleArn"],
        }
        for table in ("Idempotency", "State", "Journal"):
            variables[f"RELAY_{table.upper()}_TABLE"] = out[f"{table}TableName"]
        for name in _OPERATIONS:
            variables[f"RELAY_QUEUE_{_environment_name(name)}"] = out[f"{name}QueueUrl"]
        for name in (*_OPERATIONS, "Ingest"):
            variables[f"RELAY_PARKED_{_environment_name(name)}"] = out[f"{name}ParkedQueueUrl"]
        return variables

    def client(self, service: str) -> Any:
        """Return a boto3 client of this stack's services; the same one each time."""
        if service not in self._clients:
            session = boto3.Session(
                aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
                region_name=REGION,
            )
            config = Config(retries={"max_attempts": 2}, s3={"addressing_style": "path"}, max_pool_connections=32)
            self._clients[service] = session.client(service, endpoint_url=self.aws_url, config=config)
        return self._clients[service]

    def logs(self, function: str, since: int = 0) -> list[LogLine]:
        """Return what a function (`ingest`, `crm-patch`, ...) logged at or after `since`, in ms since the epoch."""
        name = f"/loyalty-relay/{STACK_NAME}/{function.replace('_', '-')}"
        lines: list[LogLine] = []
        try:
            for page in (
                self.client("logs").get_paginator("filter_log_events").paginate(logGroupName=name, startTime=since)
            ):
                lines += [LogLine(event["timestamp"], event["message"].rstrip("\n")) for event in page["events"]]
        except ClientError as error:
            # A log group that nothing has written to yet.
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
        return lines

    # --- deploying ----------------------------------------------------------------------------------

    def redeploy(self) -> bool:
        """Deploy the checkout as it is now: template, layer and functions. Return whether anything changed.

        Raises LocalStackError with the reason of the resource that failed.
        """
        text = (self._checkout / "template.yaml").read_text()
        local = template_step.localize(text, code=self._upload(text), parameters=self._parameters, region=REGION)
        self.dropped = local.dropped
        changed = self._deploy(local.body)
        described = self.client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
        if changed:
            self._finish_tables(local.body)
        return changed

    def reset(self) -> None:
        """Forget everything that the services hold, and deploy again: as new, on the same port."""
        self._server.reset()
        self.redeploy()

    def stop(self) -> None:
        """End the server and its workers, and only those. May be called again."""
        self._server.stop()
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def _parameter_values(self, overrides: Mapping[str, str]) -> dict[str, str]:
        values = {"SandboxHosts": urlsplit(self._sandbox_url).netloc} if self._sandbox_url else {}
        return values | dict(overrides)

    def _upload(self, text: str) -> dict[str, template_step.Code]:
        s3 = self.client("s3")
        with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou, s3.exceptions.BucketAlreadyExists):
            s3.create_bucket(Bucket=_BUCKET)
        code = {}
        for name, folder in template_step.code_folders(template_step.read(text)).items():
            source = self._checkout / folder
            if (source / "loyalty_relay").is_dir():
                cache, python = self._checkout / _CACHE, self._checkout / _PYTHON
                artifact = LayerBuilder(source=source, cache=cache, python=python).zip(self._log)
            else:
                artifact = function_zip(source)
            key = f"{name}/{artifact.name}"
            s3.put_object(Bucket=_BUCKET, Key=key, Body=artifact.content)
            code[name] = template_step.Code(_BUCKET, key)
        return code

    def _deploy(self, body: template_step.Json) -> bool:
        formation = self.client("cloudformation")
        content = json.dumps(body).encode()
        key = f"template/{digest(content)}.json"
        # A request may carry 50 KB of template, an object a megabyte.
        self.client("s3").put_object(Bucket=_BUCKET, Key=key, Body=content)
        request = {
            "StackName": STACK_NAME,
            "TemplateURL": f"{self.aws_url}/{_BUCKET}/{key}",
            "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in self._parameters.items()],
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        }
        try:
            if self._is_deployed():
                formation.update_stack(**request)
            else:
                self._log("deploying the stack")
                formation.create_stack(**request)
        except ClientError as error:
            if "No updates are to be performed" in str(error):
                return False
            raise LocalStackError(f"the stack was refused: {error}") from error
        self._wait_for_stack()
        return True

    def _is_deployed(self) -> bool:
        try:
            self.client("cloudformation").describe_stacks(StackName=STACK_NAME)
        except ClientError as error:
            if "does not exist" in str(error):
                return False
            raise
        return True

    def _wait_for_stack(self) -> None:
        formation = self.client("cloudformation")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            status = formation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]["StackStatus"]
            if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
                return
            if status.endswith(("FAILED", "ROLLBACK_COMPLETE")):
                raise LocalStackError(f"the stack is {status}: {self._failure()}")
            time.sleep(0.05)
        raise LocalStackError(f"the stack is still {status} after 60 s; see {self.log_file}")

    def _failure(self) -> str:
        events = self.client("cloudformation").describe_stack_events(StackName=STACK_NAME)["StackEvents"]
        failed = [e for e in events if e["ResourceStatus"].endswith("FAILED") and e.get("ResourceStatusReason")]
        return "; ".join(f"{e['LogicalResourceId']}: {e['ResourceStatusReason']}" for e in failed) or "no reason given"

    def _finish_tables(self, body: template_step.Json) -> None:
        """Switch on time to live and point-in-time recovery, which ministack ignores in a template."""
        dynamodb = self.client("dynamodb")
        tables = {n: r["Properties"] for n, r in body["Resources"].items() if r["Type"] == "AWS::DynamoDB::Table"}
        for name, properties in tables.items():
            table = self.outputs[f"{name}Name"]
            time_to_live = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
            if time_to_live["TimeToLiveStatus"] == "DISABLED":
                dynamodb.update_time_to_live(
                    TableName=table, TimeToLiveSpecification=properties["TimeToLiveSpecification"]
                )
            dynamodb.update_continuous_backups(
                TableName=table, PointInTimeRecoverySpecification=properties["PointInTimeRecoverySpecification"]
            )


def _kept_port(state_dir: Path, port: int) -> int:
    """Return the port for state that is kept: the first run's, because the URLs of the kept queues contain it."""
    file = state_dir / "port"
    kept = int(file.read_text()) if file.exists() else port or free_port()
    if port not in (0, kept):
        raise LocalStackError(f"the state in {state_dir} belongs to port {kept}: use that, or another folder")
    file.write_text(f"{kept}\n")
    return kept


def _environment_name(logical: str) -> str:
    """Return CRM_PATCH for CrmPatch."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", logical).upper()
