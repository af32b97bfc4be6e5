"""The local stack runs the real template, here with the smallest code that shows what the stack itself does."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from devkit.localstack import LocalStack, LocalStackError

pytestmark = pytest.mark.stack

# Instead of the real layer: a package of the same name, whose functions return what they were given.
LAYER = {
    "Makefile": 'packages:\n\t@mkdir -p "$(ARTIFACTS_DIR)/python"\nsource:\n'
    '\t@mkdir -p "$(ARTIFACTS_DIR)/python" && cp -R loyalty_relay "$(ARTIFACTS_DIR)/python/"\n',
    "requirements.txt": "",
    "loyalty_relay/__init__.py": "",
    "loyalty_relay/triggers/__init__.py": """
import json
import os
import urllib.request

ANSWER = "first"

def function_for(operation):
    def handler(event, context):
        print(json.dumps({"operation": operation, "records": [r["body"] for r in event.get("Records", [])]}))
        if "Records" in event:
            return {"batchItemFailures": []}
        return {"statusCode": 200, "body": json.dumps({"answer": ANSWER, "operation": operation})}
    return handler
""",
    "loyalty_relay/triggers/webhook.py": """
import json
import os

def handler(event, context):
    print("delivery")
    if event["rawQueryString"]:
        import botocore.session
        sqs = botocore.session.get_session().create_client("sqs")
        sqs.send_message(QueueUrl=os.environ["RELAY_QUEUE_REGISTER"], MessageBody=event["rawQueryString"])
    method = event["requestContext"]["http"]["method"]
    return {"statusCode": 202, "body": json.dumps({"method": method, "environment": dict(os.environ)})}
""",
    "loyalty_relay/triggers/startup.py": "def prepare(function):\n    pass\n",
    "loyalty_relay/triggers/hydrate.py": "def handler(event, context):\n    return {}\n",
    "loyalty_relay/triggers/authorizer.py": (
        "def handler(event, context):\n    print('asked')\n"
        "    return {'isAuthorized': event['headers']['x-api-key'] == 'fake-key'}\n"
    ),
}


@pytest.fixture(scope="module")
def project(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the real template and entry points, and the small layer; its path has blanks."""
    root = tmp_path_factory.mktemp("project") / "a checkout"
    root.mkdir()
    shutil.copy(checkout / "template.yaml", root)
    shutil.copytree(checkout / "functions", root / "functions", symlinks=True)
    for name, content in LAYER.items():
        file = root / "layers" / "relay" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (root / ".local").mkdir()
    (root / ".local" / "stack").symlink_to(checkout / ".local" / "stack")
    return root


@pytest.fixture(scope="module")
def stack(project: Path) -> Iterator[LocalStack]:
    """The project's local stack."""
    with LocalStack.start(checkout=project, sandbox_url="http://127.0.0.1:9") as started:
        yield started


def call(url: str, method: str = "POST", key: str | None = None) -> tuple[int, Any]:
    """Status and JSON body of one request."""
    headers = {"content-type": "application/json"} | ({"x-api-key": key} if key else {})
    request = urllib.request.Request(url, b"{}" if method == "POST" else None, headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def eventually(condition: Callable[[], object], within_s: float = 15) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_delivery_reaches_ingest_by_every_method_of_its_route(stack: LocalStack, method: str) -> None:
    status, body = call(f"{stack.api_url}/webhooks/shop", method)

    assert (status, body["method"]) == (202, method)


def test_a_path_without_a_route_is_not_found(stack: LocalStack) -> None:
    assert call(f"{stack.api_url}/elsewhere", "OPTIONS")[0] == 404


def test_a_function_sees_the_local_services_and_nothing_of_this_process(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_TEST_SECRET", "fake")
    environment = call(f"{stack.api_url}/webhooks/shop")[1]["environment"]

    assert environment["AWS_ENDPOINT_URL"] == stack.aws_url
    assert environment["RELAY_SANDBOX_HOSTS"] == "127.0.0.1:9"
    assert environment["RELAY_STATE_TABLE"] == stack.outputs["StateTableName"]
    assert not environment.keys() & (
        os.environ.keys()
        - {"PATH", "HOME", "TMPDIR", "LC_ALL", "LC_CTYPE", "PWD"}
        - {name for name in os.environ if name.startswith("AWS_")}
    )


def test_a_message_goes_from_ingest_through_a_queue_to_its_operation(stack: LocalStack) -> None:
    call(f"{stack.api_url}/webhooks/shop?through-the-queue=1")

    eventually(lambda: [line for line in stack.logs("register") if '["through-the-queue=1"]' in line.message])


@pytest.mark.parametrize(("key", "status"), [(None, 401), ("wrong", 403), ("fake-key", 200)])
def test_the_api_requires_a_key(stack: LocalStack, key: str | None, status: int) -> None:
    assert call(f"{stack.api_url}/connections/shop/customers", key=key)[0] == status


def test_an_operation_is_reached_by_its_route_with_its_own_name(stack: LocalStack) -> None:
    answer = call(f"{stack.api_url}/connections/shop/store-links", "GET", key="fake-key")

    assert answer[1]["operation"] == "link-store"


def test_log_lines_can_be_read_from_a_time_on(stack: LocalStack) -> None:
    call(f"{stack.api_url}/webhooks/shop")
    eventually(lambda: stack.logs("ingest"))
    last = stack.logs("ingest")[-1]

    assert "delivery" in [line.message for line in stack.logs("ingest")]
    assert stack.logs("ingest", since=last.timestamp + 1) == []


def test_a_function_that_never_ran_has_logged_nothing(stack: LocalStack) -> None:
    assert stack.logs("hydrate") == []


@pytest.mark.parametrize("table", ["Idempotency", "State", "Journal"])
def test_tables_expire_and_are_recoverable_as_in_the_template(stack: LocalStack, table: str) -> None:
    dynamodb, name = stack.client("dynamodb"), stack.outputs[f"{table}TableName"]

    expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert expiry["TimeToLiveStatus"] == "ENABLED"
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"


def test_the_journal_can_be_queried_by_its_indexes(stack: LocalStack) -> None:
    dynamodb, table = stack.client("dynamodb"), stack.outputs["JournalTableName"]
    item = {"delivery_id": {"S": "d"}, "position": {"N": "0"}, "customer": {"S": "c"}, "sort": {"S": "1"}}
    dynamodb.put_item(TableName=table, Item=item)

    found = dynamodb.query(
        TableName=table,
        IndexName="by_customer",
        KeyConditionExpression="customer = :c",
        ExpressionAttributeValues={":c": {"S": "c"}},
    )
    assert found["Items"] == [item]


def test_the_environment_addresses_every_queue_and_table(stack: LocalStack) -> None:
    environment = stack.environment()

    urls = [value for name, value in environment.items() if name.startswith(("RELAY_QUEUE_", "RELAY_PARKED_"))]
    assert len(set(urls)) == 15
    assert environment["RELAY_PARKED_CRM_PATCH"] == stack.outputs["CrmPatchParkedQueueUrl"]
    for url in urls:
        stack.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    assert environment["AWS_ENDPOINT_URL"] == stack.aws_url
    assert environment["RELAY_API_URL"] == stack.api_url


def test_a_changed_layer_is_deployed_and_an_unchanged_one_is_not(project: Path) -> None:
    triggers = project / "layers/relay/loyalty_relay/triggers/__init__.py"
    with LocalStack.start(checkout=project) as stack:
        url = f"{stack.api_url}/connections/shop/customers"
        assert call(url, key="fake-key")[1]["answer"] == "first"
        assert stack.redeploy() is False

        triggers.write_text(triggers.read_text().replace("first", "second"))
        try:
            assert stack.redeploy() is True
            assert call(url, key="fake-key")[1]["answer"] == "second"
        finally:
            triggers.write_text(triggers.read_text().replace("second", "first"))


def test_a_reset_stack_is_as_new_and_at_the_same_address(project: Path) -> None:
    with LocalStack.start(checkout=project) as stack:
        address, secrets = stack.aws_url, stack.client("secretsmanager")
        secrets.create_secret(Name="loyalty-relay/connections/shop", SecretString="{}")
        stack.reset()

        with pytest.raises(secrets.exceptions.ResourceNotFoundException):
            secrets.get_secret_value(SecretId="loyalty-relay/connections/shop")
        assert stack.aws_url == address
        assert call(f"{stack.api_url}/webhooks/shop")[0] == 202


def test_two_stacks_run_side_by_side_and_share_nothing(project: Path) -> None:
    with ThreadPoolExecutor() as pool, contextlib.ExitStack() as running:
        starting = [pool.submit(LocalStack.start, checkout=project) for _ in range(2)]
        first, second = [running.enter_context(start.result()) for start in starting]

        first.client("secretsmanager").create_secret(Name="only-there", SecretString="{}")
        assert first.aws_url != second.aws_url
        assert [call(f"{stack.api_url}/webhooks/shop")[0] for stack in (first, second)] == [202, 202]
        names = [s["Name"] for s in second.client("secretsmanager").list_secrets()["SecretList"]]
        assert "only-there" not in names


def test_a_kept_stack_comes_back_with_its_content_and_works(project: Path, tmp_path: Path) -> None:
    with LocalStack.start(checkout=project, state_dir=tmp_path, persist=True) as stack:
        address = stack.aws_url
        key = stack.client("secretsmanager").get_secret_value(SecretId=stack.outputs["DigestSecretArn"])["SecretString"]
        stack.client("dynamodb").put_item(TableName=stack.outputs["StateTableName"], Item={"pk": {"S": "kept"}})

    with LocalStack.start(checkout=project, state_dir=tmp_path, persist=True) as stack:
        assert stack.aws_url == address
        secret = stack.client("secretsmanager").get_secret_value(SecretId=stack.outputs["DigestSecretArn"])
        assert secret["SecretString"] == key
        item = stack.client("dynamodb").get_item(TableName=stack.outputs["StateTableName"], Key={"pk": {"S": "kept"}})
        assert item["Item"] == {"pk": {"S": "kept"}}
        call(f"{stack.api_url}/webhooks/shop?after=restart")
        eventually(lambda: [line for line in stack.logs("register") if '["after=restart"]' in line.message])


def test_a_kept_stack_refuses_another_port_than_its_own(project: Path, tmp_path: Path) -> None:
    (tmp_path / "port").write_text("4001")

    with pytest.raises(LocalStackError, match="belongs to port 4001"):
        LocalStack.start(checkout=project, state_dir=tmp_path, persist=True, port=4002)


def test_a_taken_port_is_refused_by_name_and_leaves_nothing_behind(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LocalStackError, match=f"port {port} is taken"):
            LocalStack.start(checkout=project, port=port)
    assert list(tmp_path.iterdir()) == []


def test_a_layer_that_does_not_build_explains_why(project: Path) -> None:
    makefile = project / "layers/relay/Makefile"
    makefile.write_text("packages:\n\t@echo no such package >&2; exit 3\n")
    try:
        with pytest.raises(LocalStackError, match="packages could not be built: no such package"):
            LocalStack.start(checkout=project)
    finally:
        makefile.write_text(LAYER["Makefile"])


def test_a_stack_that_is_refused_names_which_resource_and_why(project: Path, stack: LocalStack) -> None:
    template = project / "template.yaml"
    original = template.read_text()
    template.write_text(original.replace("Resources:\n", "Resources:\n  Odd: { Type: AWS::Odd::Thing }\n", 1))
    try:
        with pytest.raises(LocalStackError, match="AWS::Odd::Thing"):
            stack.redeploy()
    finally:
        template.write_text(original)


def test_a_missing_environment_explains_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match="make run"):
        LocalStack.start(checkout=tmp_path)


def test_the_services_end_with_a_starter_that_was_killed(checkout: Path, project: Path, tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\nfrom devkit.localstack import LocalStack\n"
        "stack = LocalStack.start(checkout=pathlib.Path(sys.argv[1]))\nprint(stack.aws_url, flush=True)\ntime.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(checkout), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", program, str(project)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as starter:
        assert starter.stdout
        port = int(starter.stdout.readline().rsplit(":", 1)[1])
        assert list(tmp_path.iterdir())
        starter.send_signal(signal.SIGKILL)

    def is_gone() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0 and not list(tmp_path.iterdir())

    eventually(is_gone)
