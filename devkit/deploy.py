"""`make deploy`: guided while the stack does not exist, without questions afterwards; ends with the webhooks' URL.

SAM's command line deploys. This module chooses its arguments (environment of samconfig.toml, guided or not,
parameters), refuses a stack that cannot be updated, and shows the outputs that a user needs next.
"""

import argparse
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUILT = ".aws-sam/build/template.yaml"
# States in which CloudFormation accepts nothing but a deletion.
DELETE_FIRST = ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")
SHOWN = {
    "WebhookUrl": "webhooks go to",
    "ApiUrl": "HTTP API",
    "DomainTarget": "DNS record points to",
    "AlarmTopicArn": "alarms are published to",
    "DashboardUrl": "dashboard",
}


class DeployProblem(Exception):
    """A problem that a user can solve before deploying; the message contains the solution."""


@dataclass(frozen=True)
class Target:
    """One environment of samconfig.toml."""

    environment: str
    stack: str
    region: str
    parameters: Mapping[str, str]


def read_target(config: str, environment: str) -> Target:
    """Return an environment of samconfig.toml, given its text. Raise DeployProblem when there is none of that name."""
    parsed = tomllib.loads(config)
    settings = parsed.get(environment, {}).get("deploy", {}).get("parameters")
    if settings is None:
        known = ", ".join(
            sorted(name for name in parsed if name not in ("version", "default") and "deploy" in parsed[name])
        )
        raise DeployProblem(f"samconfig.toml has no environment {environment}: use ENV=, one of {known}")
    overrides = settings.get("parameter_overrides", "")
    words = shlex.split(overrides) if isinstance(overrides, str) else list(overrides)
    return Target(environment, settings["stack_name"], settings.get("region", "us-east-1"), parse(words))


def parse(words: Iterable[str]) -> dict[str, str]:
    """Return Name=value words as a mapping, without quotes around values. Raise DeployProblem for any other word."""
    found = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise DeployProblem(f"{word!r} is no parameter: write PARAMS='Name=value Other=value'")
        found[name] = value.strip("\"'")
    return found


def command(sam: str, target: Target, *, exists: bool, given: Mapping[str, str], unattended: bool) -> list[str]:
    """Return the SAM command. Parameters given on the command line override those of samconfig.toml one by one."""
    parameters = {**target.parameters, **given}
    words = [sam, "deploy", "--config-env", target.environment, "--template-file", BUILT]
    if parameters:
        # SAM takes the whole list from the one place or the other, and an empty value in quotes only.
        words += ["--parameter-overrides", *(f'{name}="{value}"' for name, value in parameters.items())]
    if unattended:
        words += ["--no-confirm-changeset"]
    elif not exists:
        words += ["--guided"]
    return words


def describe(formation: Any, stack: str) -> dict[str, str] | None:
    """Return the outputs of a stack, or None when there is none of that name.

    Raise DeployProblem when AWS refuses, most often for want of credentials, and for a stack that cannot be updated.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found = formation.describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in str(error):
            return None
        raise DeployProblem(f"AWS refuses to show the stack: {error}") from error
    except BotoCoreError as error:
        raise DeployProblem(f"AWS cannot be reached ({error}): sign in, or set AWS_PROFILE") from error
    if found["StackStatus"] in DELETE_FIRST:
        raise DeployProblem(
            f"{stack} is {found['StackStatus']}: CloudFormation cannot update it. Find the cause in its events, "
            "delete the stack (docs/deploy.md, Remove it), and deploy again"
        )
    return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}


def protect(formation: Any, target: Target, given: Mapping[str, str]) -> None:
    """Protect a stack whose tables are protected from deletion. Raise DeployProblem when AWS refuses."""
    from botocore.exceptions import BotoCoreError, ClientError

    if {**target.parameters, **given}.get("DeletionProtection") != "true":
        return
    try:
        formation.update_termination_protection(StackName=target.stack, EnableTerminationProtection=True)
    except (BotoCoreError, ClientError) as error:
        raise DeployProblem(
            f"{target.stack} is deployed, but its termination protection cannot be switched on: {error}"
        ) from error


def summary(stack: str, outputs: Mapping[str, str]) -> list[str]:
    """Return the closing lines: where everything is, and the next step."""
    lines = ["", f"{stack} is deployed", ""]
    lines += [f"  {label:<24} {outputs[key]}" for key, label in SHOWN.items() if key in outputs]
    url = outputs.get("WebhookUrl", "").removesuffix("/")
    lines += ["", "next: connect a shop to a programme (docs/connections.md)", ""]
    lines += [f"  .venv/bin/relay connections apply my-shop.json --stack {stack}"]
    lines += [f"  its platform then delivers to {url}/my-shop"]
    return lines


def deploy(
    target: Target,
    *,
    sam: str,
    given: Mapping[str, str],
    unattended: bool,
    formation: Callable[[str], Any],
    run: Callable[[Sequence[str]], int],
    again: Callable[[], Target],
    say: Callable[[str], None],
) -> int:
    """Deploy, print where everything is, and return SAM's exit status. Raise DeployProblem.

    ``formation`` makes a CloudFormation client of a region, ``run`` runs a command, ``again`` reads samconfig.toml
    again, because the guided questions may have changed stack and region.
    """
    exists = describe(formation(target.region), target.stack) is not None
    status = run(command(sam, target, exists=exists, given=given, unattended=unattended))
    if status:
        return status
    final = again()
    client = formation(final.region)
    outputs = describe(client, final.stack)
    if outputs is None:
        say(f"SAM made another stack than {final.stack}, or none; see its output above")
        return 1
    protect(client, final, given)
    for line in summary(final.stack, outputs):
        say(line)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run with the process's arguments or with those given."""
    import boto3

    parser = argparse.ArgumentParser(prog="make deploy", description=__doc__)
    parser.add_argument("--sam", default="sam")
    parser.add_argument("--env", default="dev")
    parser.add_argument("--unattended", action="store_true", help="never prompt, as in a pipeline")
    parser.add_argument("parameters", nargs="*", metavar="Name=value")
    given = parser.parse_args(arguments)
    config = Path("samconfig.toml")

    def run(words: Sequence[str]) -> int:
        return subprocess.run(words, check=False).returncode

    def read() -> Target:
        return read_target(config.read_text(), given.env)

    try:
        return deploy(
            read(),
            sam=given.sam,
            given=parse(given.parameters),
            unattended=given.unattended,
            formation=lambda region: boto3.client("cloudformation", region_name=region),
            run=run,
            again=read,
            say=print,
        )
    except DeployProblem as problem:
        print(f"make deploy: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
