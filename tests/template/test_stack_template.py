"""template.yaml has what the functions and the tools depend on."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loyalty_relay.reliability.retry_policy import MAX_RECEIVES

Json = dict[str, Any]

OPERATIONS = ("Register", "Update", "CrmPatch", "LinkStore", "Transaction", "ImportRun")
FUNCTIONS = (*OPERATIONS, "Ingest", "Hydrate", "Authorize")
FROM_QUEUES = (*OPERATIONS, "Hydrate")
FOURTEEN_DAYS = 14 * 24 * 3600

ROUTES = {
    "POST /webhooks/{connection}": "Ingest",
    "GET /webhooks/{connection}": "Ingest",
    "OPTIONS /webhooks/{connection}": "Ingest",
    "POST /webhooks/{connection}/{topic}": "Ingest",
    "GET /webhooks/{connection}/{topic}": "Ingest",
    "OPTIONS /webhooks/{connection}/{topic}": "Ingest",
    "POST /connections/{connection}/customers": "Register",
    "PUT /connections/{connection}/customers": "Update",
    "PUT /connections/{connection}/customers/{customer_id}": "Update",
    "GET /connections/{connection}/customers/{customer_id}/crm-fields": "CrmPatch",
    "PATCH /connections/{connection}/customers/{customer_id}/crm-fields": "CrmPatch",
    "GET /connections/{connection}/tags": "CrmPatch",
    "POST /connections/{connection}/store-links": "LinkStore",
    "GET /connections/{connection}/store-links": "LinkStore",
    "GET /connections/{connection}/store-links/{shop_id}": "LinkStore",
    "POST /connections/{connection}/sales": "Transaction",
    "POST /connections/{connection}/sales/{order_id}/refunds": "Transaction",
    "POST /connections/{connection}/sales/{order_id}/void": "Transaction",
    "GET /connections/{connection}/sales/{order_id}": "Transaction",
    "POST /connections/{connection}/returns": "Transaction",
}


def of_type(template: Json, kind: str) -> dict[str, Json]:
    """Logical id -> properties of the resources of one type."""
    return {n: r.get("Properties", {}) for n, r in template["Resources"].items() if r["Type"] == kind}


def properties(template: Json, name: str) -> Json:
    """The properties of one resource."""
    found: Json = template["Resources"][name]["Properties"]
    return found


def events(template: Json, function: str, kind: str) -> list[Json]:
    """The properties of a function's events of one type."""
    declared = properties(template, f"{function}Function").get("Events", {}).values()
    return [event["Properties"] for event in declared if event["Type"] == kind]


def queue_of(value: Any) -> str:
    """The logical id behind `!Ref Queue` or `!GetAtt Queue.Arn`."""
    name = value.get("Ref") or value["Fn::GetAtt"][0]
    assert isinstance(name, str)
    return name


def statements(template: Json, function: str | None = None) -> Iterator[Json]:
    """The statements of every policy, or of those that one function's role has."""
    managed = of_type(template, "AWS::IAM::ManagedPolicy")
    roles = of_type(template, "AWS::IAM::Role")
    if function:
        role = roles[f"{function}Role"]
        managed = {
            n: p
            for n, p in managed.items()
            if {"Ref": n} in role.get("ManagedPolicyArns", []) or {"Ref": f"{function}Role"} in p.get("Roles", [])
        }
        roles = {function: role}
    for policy in managed.values():
        yield from policy["PolicyDocument"]["Statement"]
    for role in roles.values():
        for policy in role["Policies"]:
            yield from policy["PolicyDocument"]["Statement"]


def listed(value: Any) -> list[Any]:
    """A policy's one or many as a list."""
    return value if isinstance(value, list) else [value]


def allowed(template: Json, function: str, service: str) -> set[tuple[str, str]]:
    """(action, resource as text) that one function's role allows for a service."""
    return {
        (action, str(resource))
        for statement in statements(template, function)
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
        if action.startswith(f"{service}:")
    }


# --- queues ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FROM_QUEUES)
def test_a_queue_hides_a_message_for_six_times_the_functions_time_out(template: Json, name: str) -> None:
    timeout = properties(template, f"{name}Function")["Timeout"]

    assert properties(template, f"{name}Queue")["VisibilityTimeout"] == 6 * timeout


@pytest.mark.parametrize("name", FROM_QUEUES)
def test_a_queue_has_a_dead_letter_queue_as_a_backstop_for_crashes_only(template: Json, name: str) -> None:
    redrive = properties(template, f"{name}Queue")["RedrivePolicy"]

    assert queue_of(redrive["deadLetterTargetArn"]) == f"{name}ParkedQueue"
    assert redrive["maxReceiveCount"] == 1000 > MAX_RECEIVES


def test_every_queue_is_encrypted_and_keeps_messages_for_fourteen_days(template: Json) -> None:
    queues = of_type(template, "AWS::SQS::Queue")

    expected = {f"{name}Queue" for name in FROM_QUEUES} | {f"{name}ParkedQueue" for name in (*FROM_QUEUES, "Ingest")}
    assert set(queues) == expected
    assert {q["MessageRetentionPeriod"] for q in queues.values()} == {FOURTEEN_DAYS}
    own_key_or_awss = {"Fn::If": ["HasKmsKey", {"Ref": "AWS::NoValue"}, True]}
    assert all(q["SqsManagedSseEnabled"] == own_key_or_awss for q in queues.values())
    assert not any(q.get("FifoQueue") for q in queues.values())


@pytest.mark.parametrize("name", FROM_QUEUES)
def test_a_function_reports_the_failed_records_of_its_queue_one_by_one(template: Json, name: str) -> None:
    (mapping,) = events(template, name, "SQS")

    assert queue_of(mapping["Queue"]) == f"{name}Queue"
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BatchSize"] == 10
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "MaximumConcurrency"}}


# --- the HTTP API ---------------------------------------------------------------------------------


def test_every_documented_route_leads_to_its_function(template: Json) -> None:
    routes = {
        f"{event['Method']} {event['Path']}": function
        for function in FUNCTIONS
        for event in events(template, function, "HttpApi")
    }

    assert routes == ROUTES


@pytest.mark.attack("configuration", "a route without its authorizer", "only webhooks are open", "G4")
def test_only_webhooks_are_open_and_everything_else_requires_an_api_key(local: Json) -> None:
    routes = of_type(local, "AWS::ApiGatewayV2::Route")

    is_open = {route["RouteKey"]: route["AuthorizationType"] == "NONE" for route in routes.values()}
    assert is_open == {route: "/webhooks/" in route for route in ROUTES}


def test_a_revoked_api_key_stops_working_at_once(local: Json) -> None:
    (authorizer,) = of_type(local, "AWS::ApiGatewayV2::Authorizer").values()

    assert authorizer["AuthorizerResultTtlInSeconds"] == 0
    assert authorizer["AuthorizerType"] == "REQUEST"
    assert authorizer["AuthorizerPayloadFormatVersion"] == "2.0"
    assert authorizer["EnableSimpleResponses"] is True
    assert authorizer["IdentitySource"] == ["$request.header.x-api-key"]


def test_the_gateway_leaves_options_handshakes_to_the_sources(template: Json) -> None:
    assert "CorsConfiguration" not in properties(template, "HttpApi")


def test_the_access_log_names_routes_and_no_paths(template: Json) -> None:
    logged = properties(template, "HttpApi")["AccessLogSettings"]["Format"]

    assert "$context.routeKey" in logged
    assert "$context.path" not in logged
    assert "$context.identity" not in logged


# --- functions ------------------------------------------------------------------------------------


def test_every_function_has_the_environment_that_configures_it(template: Json) -> None:
    variables = template["Globals"]["Function"]["Environment"]["Variables"]

    assert set(variables) == {
        "RELAY_SECRETS_PREFIX",
        "RELAY_DIGEST_SECRET",
        "RELAY_IDEMPOTENCY_TABLE",
        "RELAY_STATE_TABLE",
        "RELAY_JOURNAL_TABLE",
        "RELAY_SANDBOX_HOSTS",
        "RELAY_METRICS_BY_CONNECTION",
        "POWERTOOLS_LOG_LEVEL",
        "POWERTOOLS_SERVICE_NAME",
        "POWERTOOLS_METRICS_NAMESPACE",
    }
    assert variables["POWERTOOLS_METRICS_NAMESPACE"] == "LoyaltyRelay"


EVERY_QUEUE = {
    "RELAY_QUEUE_REGISTER": "RegisterQueue",
    "RELAY_QUEUE_UPDATE": "UpdateQueue",
    "RELAY_QUEUE_CRM_PATCH": "CrmPatchQueue",
    "RELAY_QUEUE_LINK_STORE": "LinkStoreQueue",
    "RELAY_QUEUE_TRANSACTION": "TransactionQueue",
    "RELAY_QUEUE_HYDRATE": "HydrateQueue",
}


RELEASING = {"RELAY_QUEUE_TRANSACTION": "TransactionQueue"}
"""Of what registers and updates customers: a guest's sales that were held are sent on."""


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("Ingest", EVERY_QUEUE | {"RELAY_PARKED": "IngestParkedQueue"}),
        ("Hydrate", EVERY_QUEUE | {"RELAY_PARKED": "HydrateParkedQueue"}),
        ("Register", RELEASING | {"RELAY_QUEUE_REGISTER": "RegisterQueue", "RELAY_PARKED": "RegisterParkedQueue"}),
        ("Update", RELEASING | {"RELAY_QUEUE_UPDATE": "UpdateQueue", "RELAY_PARKED": "UpdateParkedQueue"}),
        ("CrmPatch", RELEASING | {"RELAY_QUEUE_CRM_PATCH": "CrmPatchQueue", "RELAY_PARKED": "CrmPatchParkedQueue"}),
        ("LinkStore", {"RELAY_QUEUE_LINK_STORE": "LinkStoreQueue", "RELAY_PARKED": "LinkStoreParkedQueue"}),
        (
            "Transaction",
            {
                "RELAY_QUEUE_TRANSACTION": "TransactionQueue",
                "RELAY_QUEUE_HYDRATE": "HydrateQueue",
                "RELAY_PARKED": "TransactionParkedQueue",
            },
        ),
        (
            "ImportRun",
            RELEASING
            | {
                "RELAY_QUEUE_IMPORT_RUN": "ImportRunQueue",
                "RELAY_PARKED": "ImportRunParkedQueue",
            },
        ),
    ],
)
def test_a_function_has_the_urls_of_the_queues_that_it_uses(
    template: Json, function: str, expected: dict[str, str]
) -> None:
    variables = properties(template, f"{function}Function")["Environment"]["Variables"]

    assert {name: queue_of(value) for name, value in variables.items() if name != "RELAY_RATE_SHARE"} == expected


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_functions_log_lines_are_kept_for_the_configured_time(template: Json, function: str) -> None:
    group = properties(template, f"{function}Function")["LoggingConfig"]["LogGroup"]

    assert properties(template, group["Ref"])["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_returns_before_the_gateway_gives_up(template: Json, function: str) -> None:
    assert properties(template, f"{function}Function")["Timeout"] <= 30


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_functions_folder_has_its_entry_point_and_its_build(template: Json, checkout: Path, function: str) -> None:
    folder = checkout / properties(template, f"{function}Function")["CodeUri"]

    assert "handler" in (folder / "app.py").read_text()
    assert (folder / "Makefile").resolve() == checkout / "functions" / "build.mk"


# --- permissions ----------------------------------------------------------------------------------


MANY = r":secret:\$\{SecretsPrefix\}/(connections|tokens)/\*'\}$"
"""Resources that are named by their beginning: secrets end in random characters."""

OF_NO_RESOURCE = ["cloudwatch:DescribeAlarms"]
"""Lists that AWS's own policies allow on every resource, because a list belongs to none."""


@pytest.mark.attack(
    "configuration",
    "a function that may do more than it needs",
    "one role per function, naming its resources",
)
def test_no_policy_allows_every_resource_or_every_action(template: Json) -> None:
    for statement in statements(template):
        assert "*" not in "".join(listed(statement["Action"]))
        if listed(statement["Action"]) == OF_NO_RESOURCE:
            assert statement["Resource"] == "*"
            continue
        for resource in listed(statement["Resource"]):
            text = str(resource)
            assert "*" not in text or re.search(MANY, text), text


def test_no_function_has_a_role_or_policy_that_the_template_does_not_declare(local: Json) -> None:
    """SAM adds AWS's managed policies, which allow every resource, to the roles that it makes by itself."""
    assert set(of_type(local, "AWS::IAM::Role")) == {
        f"{name}Role" for name in (*FUNCTIONS, "Deployment", "Reconciliation")
    }
    for name, function in of_type(local, "AWS::Lambda::Function").items():
        assert function["Role"] == {"Fn::GetAtt": [name.replace("Function", "Role"), "Arn"]}
    for role in of_type(local, "AWS::IAM::Role").values():
        assert all("Ref" in arn or "KeyPolicy" in str(arn) for arn in role.get("ManagedPolicyArns", []))
        assert "PermissionsBoundary" in role


def test_codedeploy_may_shift_the_functions_of_this_stack_and_of_none_whose_name_begins_alike(template: Json) -> None:
    statements = template["Resources"]["DeploymentRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    (lambdas,) = [s["Resource"] for s in statements if "lambda:UpdateAlias" in s["Action"]]

    functions = [{"Fn::GetAtt": [f"{name}Function", "Arn"]} for name in FUNCTIONS]
    aliases = [{"Fn::Sub": f"${{{name}Function.Arn}}:live"} for name in FUNCTIONS]
    assert sorted(map(str, lambdas)) == sorted(map(str, [*functions, *aliases]))


def test_a_schedule_may_send_to_the_queue_of_runs_and_do_nothing_else(template: Json) -> None:
    role = properties(template, "ReconciliationRole")
    (statement,) = [s for policy in role["Policies"] for s in policy["PolicyDocument"]["Statement"]]
    assert (statement["Action"], statement["Resource"]) == (
        "sqs:SendMessage",
        {"Fn::GetAtt": ["ImportRunQueue", "Arn"]},
    )
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert trust["Condition"]["StringEquals"]["aws:SourceArn"] == {"Fn::GetAtt": ["Reconciliations", "Arn"]}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_may_send_to_the_queues_that_it_is_given_and_no_others(template: Json, function: str) -> None:
    known = properties(template, f"{function}Function").get("Environment", {}).get("Variables", {})
    known = {name: value for name, value in known.items() if name != "RELAY_RATE_SHARE"}
    sends = {resource for action, resource in allowed(template, function, "sqs") if action == "sqs:SendMessage"}

    expected = {str({"Fn::GetAtt": [queue_of(value), "Arn"]}) for value in known.values()}
    # hydrate takes from its own queue, and only ingest fills it.
    expected -= {str({"Fn::GetAtt": ["HydrateQueue", "Arn"]})} if function == "Hydrate" else set()
    assert sends == expected


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_may_take_from_its_own_queue_and_no_other(template: Json, function: str) -> None:
    taking = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"}
    takes = {(a, r) for a, r in allowed(template, function, "sqs") if a in taking}

    own = str({"Fn::GetAtt": [f"{function}Queue", "Arn"]})
    assert takes == ({(action, own) for action in taking} if function in FROM_QUEUES else set())


@pytest.mark.parametrize("function", FUNCTIONS)
def test_only_what_calls_a_vendor_may_touch_its_tokens(template: Json, function: str) -> None:
    writes = {r for a, r in allowed(template, function, "secretsmanager") if a != "secretsmanager:GetSecretValue"}

    assert bool(writes) is (function in OPERATIONS)
    assert all("/tokens/*" in resource for resource in writes)


def test_the_authorizer_touches_no_table_and_no_queue(template: Json) -> None:
    assert not allowed(template, "Authorize", "dynamodb")
    assert not allowed(template, "Authorize", "sqs")


# --- tables and secrets ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "keys", "expiry"),
    [
        ("IdempotencyTable", {"id": "HASH"}, "expiration"),
        ("StateTable", {"pk": "HASH"}, "expires_at"),
        ("JournalTable", {"delivery_id": "HASH", "position": "RANGE"}, "expires_at"),
    ],
)
def test_a_table_expires_is_recoverable_encrypted_and_paid_by_request(
    template: Json, table: str, keys: dict[str, str], expiry: str
) -> None:
    definition = properties(template, table)

    assert {key["AttributeName"]: key["KeyType"] for key in definition["KeySchema"]} == keys
    assert definition["TimeToLiveSpecification"] == {"AttributeName": expiry, "Enabled": True}
    assert definition["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert definition["SSESpecification"]["SSEEnabled"] is True
    assert definition["BillingMode"] == "PAY_PER_REQUEST"


@pytest.mark.parametrize("kind", ["AWS::DynamoDB::Table", "AWS::SecretsManager::Secret", "AWS::SQS::Queue"])
def test_data_and_accepted_work_outlive_the_stack_but_not_a_first_creation_that_failed(
    template: Json, kind: str
) -> None:
    resources = [resource for resource in template["Resources"].values() if resource["Type"] == kind]

    assert resources
    for resource in resources:
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_the_journal_can_be_read_by_connection_by_customer_and_by_what_is_not_final(template: Json) -> None:
    indexes = properties(template, "JournalTable")["GlobalSecondaryIndexes"]

    assert {i["IndexName"]: [key["AttributeName"] for key in i["KeySchema"]] for i in indexes} == {
        "by_connection": ["connection_day", "sort"],
        "by_customer": ["customer", "sort"],
        "by_unfinished": ["unfinished", "sort"],
    }
    assert [index["Projection"]["ProjectionType"] for index in indexes] == ["ALL", "ALL", "KEYS_ONLY"]


# --- outputs and build ----------------------------------------------------------------------------


def test_the_outputs_name_everything_that_the_tools_read(template: Json) -> None:
    queues = {f"{name}QueueUrl" for name in FROM_QUEUES} | {
        f"{name}ParkedQueueUrl" for name in (*FROM_QUEUES, "Ingest")
    }
    tables = {f"{name}TableName" for name in ("Idempotency", "State", "Journal")}

    expected = queues | tables | {"ApiId", "ApiUrl", "WebhookUrl", "SecretsPrefix", "DigestSecretArn"}
    expected |= {"ReconciliationGroup", "ReconciliationRoleArn"}
    assert expected <= set(template["Outputs"])


def test_the_build_makes_what_the_template_declares_by_default(template: Json, checkout: Path) -> None:
    runtime = template["Parameters"]["PythonRuntime"]["Default"]
    architecture = template["Parameters"]["Architecture"]["Default"]

    for makefile in (checkout / "layers/relay/Makefile", checkout / "functions/build.mk"):
        assert f"PYTHON_RUNTIME ?= {runtime}\n" in makefile.read_text()
    assert f"ARCHITECTURE ?= {architecture}\n" in (checkout / "layers/relay/Makefile").read_text()
    assert f"RUNTIME ?= {runtime}\nARCHITECTURE ?= {architecture}\n" in (checkout / "Makefile").read_text()
