"""`sam local` runs the built functions in containers, against the embedded services and the sandbox.

Run by `make test-sam-local`, on a machine with a container engine; no part of `make test`.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from devkit.localstack.server import free_port
from devkit.samlocal import FOLDER, Surroundings, bridge_address, surroundings

CHECKOUT = Path(__file__).resolve().parents[2]
SAM = CHECKOUT / ".local/sam/bin/sam"
EVENTS = CHECKOUT / "events"


@pytest.fixture(scope="module")
def around() -> Iterator[Surroundings]:
    with surroundings(CHECKOUT, bridge_address()) as running:
        yield running


@pytest.fixture(scope="module")
def variables(around: Surroundings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """env.json."""
    file = tmp_path_factory.mktemp("sam") / "env.json"
    file.write_text(json.dumps(around.variables))
    return file


def sam(command: str, variables: Path, *more: str) -> list[str]:
    """A `sam local` command over the built template. Images are those that are there."""
    template = CHECKOUT / FOLDER / "build" / "template.yaml"
    words = [str(SAM), "local", command, "--template", str(template), "--env-vars", str(variables)]
    return [*words, "--skip-pull-image", *more]


def environment() -> dict[str, str]:
    """Of the SAM process: no account to ask for."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ}
    return {**kept, "AWS_DEFAULT_REGION": "us-east-1", "SAM_CLI_TELEMETRY": "0", "AWS_EC2_METADATA_DISABLED": "true"}


@contextmanager
def served(command: str, variables: Path, *more: str) -> Iterator[str]:
    """`sam local start-api` or `start-lambda` on a free port, until it answers; its URL."""
    port = free_port()
    words = sam(command, variables, "--port", str(port), *more)
    with subprocess.Popen(
        words, cwd=CHECKOUT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 90
            while not answers(url):
                assert process.poll() is None, f"{command} ended"
                assert time.monotonic() < deadline, f"{command} does not answer"
                time.sleep(0.2)
            yield url
        finally:
            process.terminate()


def answers(url: str) -> bool:
    """Whether anything listens and speaks HTTP there."""
    try:
        call(f"{url}/")
    except OSError:
        return False
    return True


def call(url: str, headers: dict[str, str] | None = None, body: str = "{}") -> tuple[int, str]:
    """Status and body of one POST."""
    request = urllib.request.Request(url, body.encode(), headers or {}, method="POST")  # noqa: S310 - our own URL
    try:
        with urllib.request.urlopen(request, timeout=90) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def sample(name: str) -> dict[str, Any]:
    """A sample event."""
    found: dict[str, Any] = json.loads((EVENTS / name).read_text())
    return found


def test_sam_local_invoke_runs_a_function_with_its_sample_event(around: Surroundings, variables: Path) -> None:
    words = sam("invoke", variables, "RegisterFunction", "--event", str(EVENTS / "register/sqs.json"))
    done = subprocess.run(words, cwd=CHECKOUT, env=environment(), capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.strip().splitlines()[-1]) == {"batchItemFailures": []}
    # The function reached the sandbox from inside its container.
    assert any("/customers" in str(request) for request in around.sandbox.sandbox.recorder.select())


@pytest.mark.parametrize(
    ("function", "event", "member", "value"),
    [
        ("IngestFunction", "ingest/shopify-text.json", "statusCode", 200),
        ("IngestFunction", "ingest/shopify-base64.json", "statusCode", 200),
        ("IngestFunction", "ingest/shopify-rest-api.json", "statusCode", 200),
        ("IngestFunction", "ingest/shopify-tampered.json", "statusCode", 401),
        ("AuthorizeFunction", "authorize/api.json", "isAuthorized", True),
    ],
)
def test_the_samples_of_functions_without_a_queue_have_the_documented_responses(
    variables: Path, function: str, event: str, member: str, value: object
) -> None:
    words = sam("invoke", variables, function, "--event", str(EVENTS / event))
    done = subprocess.run(words, cwd=CHECKOUT, env=environment(), capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.strip().splitlines()[-1])[member] == value


def test_sam_local_start_api_serves_webhooks(around: Surroundings, variables: Path) -> None:
    event = sample("ingest/shopify-text.json")
    headers = {name: value for name, value in event["headers"].items() if name not in ("host", "content-length")}
    with served("start-api", variables) as url:
        assert call(f"{url}/webhooks/shopify-capillary", headers, event["body"])[0] == 200
        assert call(f"{url}/webhooks/shopify-capillary", headers, "{}")[0] == 401


def test_sam_local_start_lambda_serves_invocations(around: Surroundings, variables: Path) -> None:
    with served("start-lambda", variables) as url:
        config = Config(retries={"max_attempts": 0}, read_timeout=90)
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        client = boto3.client("lambda", endpoint_url=url, config=config, **keys)
        payload = (EVENTS / "link_store/sqs.json").read_bytes()
        answer = client.invoke(FunctionName="LinkStoreFunction", Payload=payload)

        assert json.loads(answer["Payload"].read()) == {"batchItemFailures": []}
