"""Which stack a command talks to, and what its tables, queues and URLs are called.

In this order: ``--stack NAME`` (or RELAY_STACK); the RELAY_* variables of a function's environment;
AWS_ENDPOINT_URL; AWS_PROFILE; the local stack that ``relay dev`` runs. ``--stack local`` always means the last.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from devkit.stacks.errors import CommandError
from devkit.stacks.local import LocalState, read_state, state_file

DEFAULT_STACK = "loyalty-relay"
"""The stack's name in samconfig.toml."""

OPERATIONS = ("register", "update", "crm-patch", "link-store", "transaction", "import-run", "hydrate")
"""What has a queue; ingest has only a place for what it parks."""
PARKING = (*OPERATIONS, "ingest")
"""What can park."""

OUTPUTS = {
    "RELAY_SECRETS_PREFIX": "SecretsPrefix",
    "RELAY_DIGEST_SECRET": "DigestSecretArn",
    "RELAY_IDEMPOTENCY_TABLE": "IdempotencyTableName",
    "RELAY_STATE_TABLE": "StateTableName",
    "RELAY_JOURNAL_TABLE": "JournalTableName",
    "RELAY_API_URL": "ApiUrl",
    "RELAY_RECONCILIATION_GROUP": "ReconciliationGroup",
    "RELAY_RECONCILIATION_ROLE": "ReconciliationRoleArn",
    **{
        f"RELAY_QUEUE_{name.upper().replace('-', '_')}": f"{name.title().replace('-', '')}QueueUrl"
        for name in OPERATIONS
    },
    **{
        f"RELAY_PARKED_{name.upper().replace('-', '_')}": f"{name.title().replace('-', '')}ParkedQueueUrl"
        for name in PARKING
    },
}
"""The environment's name for each output of the template that commands use."""


_MAKING = threading.Lock()


@dataclass(frozen=True)
class Stack:
    """A stack with its outputs. Members that the stack does not have raise CommandError when they are read."""

    name: str
    outputs: Mapping[str, str]
    parameters: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict)
    """AWS_* variables that this stack needs instead of the process's own."""
    local: LocalState | None = None

    def need(self, output: str) -> str:
        """Return an output. Raises CommandError when the stack has none of that name."""
        try:
            return self.outputs[output]
        except KeyError:
            raise CommandError(
                f"stack {self.name} has no output {output}",
                where="CloudFormation outputs",
                do="deploy this version's template.yaml, or set "
                + next((env for env, name in OUTPUTS.items() if name == output), "--stack"),
            ) from None

    def environment(self) -> dict[str, str]:
        """Return the variables that a function of this stack would have, for layer code that reads settings."""
        taken = {env: self.outputs[name] for env, name in OUTPUTS.items() if name in self.outputs}
        taken["RELAY_SANDBOX_HOSTS"] = ",".join(sorted(self.sandbox_hosts))
        return taken

    @property
    def formation(self) -> str:
        """The stack's name in CloudFormation, which is part of its log groups' names."""
        return self.local.environment.get("RELAY_STACK", self.name) if self.local else self.name

    @property
    def api_url(self) -> str:
        """The HTTP API's base URL, without a slash at its end."""
        return (self.local.api if self.local else self.need("ApiUrl")).rstrip("/")

    @property
    def secrets_prefix(self) -> str:
        return self.need("SecretsPrefix")

    @property
    def sandbox_hosts(self) -> frozenset[str]:
        """Return the hosts that may replace a vendor's own: the stack's SandboxHosts parameter."""
        hosts = {h.strip() for h in self.parameters.get("SandboxHosts", "").split(",") if h.strip()}
        if self.local:
            hosts.add(urlsplit(self.local.sandbox).netloc)
        return frozenset(hosts)

    def queue(self, operation: str) -> str:
        """Return the URL of an operation's queue."""
        return self.need(f"{operation.title().replace('-', '')}QueueUrl")

    def parked_queue(self, operation: str) -> str:
        """Return the URL of the dead-letter queue of an operation, or of ingest."""
        return self.need(f"{operation.title().replace('-', '')}ParkedQueueUrl")

    @cached_property
    def session(self) -> Any:
        """The boto3 session; AWS_PROFILE and AWS_ENDPOINT_URL are obeyed by it."""
        return _session(self.credentials)

    @cached_property
    def _clients(self) -> dict[str, Any]:
        return {}

    def client(self, service: str) -> Any:
        """Return a boto3 client of this stack; one per service."""
        # A boto3 session is not safe for threads; its clients are.
        with _MAKING:
            if service not in self._clients:
                endpoint = self.credentials.get("AWS_ENDPOINT_URL")
                self._clients[service] = self.session.client(service, endpoint_url=endpoint)
            return self._clients[service]


def _session(credentials: Mapping[str, str]) -> Any:
    import boto3

    if not credentials:
        return boto3.Session()
    return boto3.Session(
        aws_access_key_id=credentials.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=credentials.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=credentials.get("AWS_SESSION_TOKEN"),
        region_name=credentials.get("AWS_DEFAULT_REGION"),
    )


def find_stack(
    name: str | None = None,
    environment: Mapping[str, str] | None = None,
    *,
    formation: Callable[[Mapping[str, str]], Any] | None = None,
) -> Stack:
    """Return the stack that a command talks to (see the module). Raises CommandError when there is none.

    ``formation`` makes the CloudFormation client, given the AWS_* variables that it needs instead of the process's own.
    """
    describe = formation or _formation
    env = os.environ if environment is None else environment
    name = name or env.get("RELAY_STACK") or None
    running = read_state(state_file(env))
    endpoint = env.get("AWS_ENDPOINT_URL")
    if name == "local" and running is None:
        raise _none_running()
    if running is not None and (name == "local" or (endpoint is not None and endpoint == running.aws)):
        return local_stack(running)
    if name:
        return deployed_stack(name, env, describe)
    if env.get("RELAY_JOURNAL_TABLE"):
        return stack_of_environment(env)
    if running is not None and not (endpoint or env.get("AWS_PROFILE")):
        return local_stack(running)
    if endpoint or env.get("AWS_PROFILE"):
        return deployed_stack(DEFAULT_STACK, env, describe, only=bool(endpoint))
    raise _none_running()


def _none_running() -> CommandError:
    return CommandError(
        "there is no stack to talk to",
        where=str(state_file()),
        do="start one with `relay dev` in another terminal, or name a deployed one with --stack NAME",
    )


def local_stack(state: LocalState) -> Stack:
    """Return the stack that a state file describes."""
    return Stack("local", dict(state.outputs), credentials=dict(state.environment), local=state)


def stack_of_environment(env: Mapping[str, str]) -> Stack:
    """Return the stack that RELAY_* variables name, as in a function's environment."""
    outputs = {output: env[variable] for variable, output in OUTPUTS.items() if variable in env}
    return Stack(
        env.get("RELAY_STACK") or "environment",
        outputs,
        parameters={"SandboxHosts": env.get("RELAY_SANDBOX_HOSTS", "")},
        credentials=_local_credentials(env),
    )


def _formation(credentials: Mapping[str, str]) -> Any:
    return _session(credentials).client("cloudformation", endpoint_url=credentials.get("AWS_ENDPOINT_URL"))


def deployed_stack(
    name: str, env: Mapping[str, str], formation: Callable[[Mapping[str, str]], Any], *, only: bool = False
) -> Stack:
    """Return a stack of CloudFormation.

    ``only``: where it has another name and is the only one of its kind, take that.
    """
    credentials = _local_credentials(env)
    client = formation(credentials)
    from botocore.exceptions import ClientError

    try:
        found = client.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        others = _relays(client) if only else []
        if len(others) != 1:
            raise CommandError(
                f"CloudFormation has no stack {name}: {error.response['Error'].get('Message', '')}".rstrip(": "),
                where=_whereabouts(env, client),
                do="name the stack with --stack NAME, or choose another account with AWS_PROFILE; "
                "--stack local is the one of `relay dev`",
            ) from error
        found = others[0]
    outputs = {o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])}
    if credentials or _on_this_machine(env):
        # An emulator has no names in DNS: its HTTP APIs answer below its own URL.
        outputs["ApiUrl"] = f"{env['AWS_ENDPOINT_URL'].rstrip('/')}/_aws/execute-api/{outputs.get('ApiId', '')}"
    return Stack(
        found["StackName"],
        outputs,
        parameters={p["ParameterKey"]: p.get("ParameterValue", "") for p in found.get("Parameters", [])},
        credentials=credentials,
    )


def _relays(client: Any) -> list[dict[str, Any]]:
    pages = client.get_paginator("describe_stacks").paginate()
    return [
        stack
        for page in pages
        for stack in page["Stacks"]
        if any(o["OutputKey"] == "JournalTableName" for o in stack.get("Outputs", []))
    ]


def _whereabouts(env: Mapping[str, str], client: Any) -> str:
    account = env.get("AWS_ENDPOINT_URL") or f"profile {env.get('AWS_PROFILE', 'default')}"
    return f"{account}, region {client.meta.region_name}"


def _local_credentials(env: Mapping[str, str]) -> dict[str, str]:
    """Return what an endpoint on this machine needs: what is set, the rest made up, as an emulator accepts anything."""
    if not _on_this_machine(env) or env.get("AWS_PROFILE"):
        return {}
    made_up = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    names = ("AWS_ENDPOINT_URL", *made_up, "AWS_SESSION_TOKEN")
    given = {name: env[name] for name in names if env.get(name)}
    region = env.get("AWS_DEFAULT_REGION") or env.get("AWS_REGION") or "us-east-1"
    return made_up | given | {"AWS_DEFAULT_REGION": region}


def _on_this_machine(env: Mapping[str, str]) -> bool:
    return urlsplit(env.get("AWS_ENDPOINT_URL", "")).hostname in ("127.0.0.1", "localhost", "::1")
