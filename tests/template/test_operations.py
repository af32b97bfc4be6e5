"""Alarms name their runbook and reach one topic, and a bad version is rolled back."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from devkit.localstack.template import Code, code_folders, localize, read
from loyalty_relay.telemetry.allow_list import ALLOWED
from loyalty_relay.telemetry.metrics import METRICS, NAMESPACE
from tests.support.templates import transformed

Json = dict[str, Any]

FUNCTIONS = (
    "Ingest",
    "Hydrate",
    "Register",
    "Update",
    "CrmPatch",
    "LinkStore",
    "Transaction",
    "ImportRun",
    "Authorize",
)
QUEUES = ("Register", "Update", "CrmPatch", "LinkStore", "Transaction", "ImportRun", "Hydrate")


def of_type(template: Json, kind: str) -> dict[str, Json]:
    """Logical id -> properties of the resources of one type."""
    return {n: r.get("Properties", {}) for n, r in template["Resources"].items() if r["Type"] == kind}


def alarms(template: Json) -> dict[str, Json]:
    """Logical id -> properties of every alarm."""
    return of_type(template, "AWS::CloudWatch::Alarm")


def metrics(alarm: Json) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(namespace, name, dimensions) of every metric that an alarm reads."""
    own = [alarm] if "MetricName" in alarm else []
    for metric in own + [m["MetricStat"]["Metric"] for m in alarm.get("Metrics", []) if "MetricStat" in m]:
        dimensions = {d["Name"]: d["Value"] for d in metric["Dimensions"]}
        yield metric["Namespace"], metric["MetricName"], dimensions


def is_emitted(name: str, dimensions: Mapping[str, Any]) -> bool:
    """Whether the functions write a metric with exactly these dimensions, whatever ConnectionMetrics is."""
    sets = [{"service", *keys} for keys in METRICS[name] if "connection" not in keys]
    return set(dimensions) in sets


# --- alarms ---------------------------------------------------------------------------------------


def test_every_alarm_goes_to_the_one_topic_when_it_begins_and_when_it_is_over(template: Json) -> None:
    assert list(of_type(template, "AWS::SNS::Topic")) == ["AlarmTopic"]
    for alarm in alarms(template).values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlarmTopic"}]
        # No traffic is no fault.
        assert alarm["TreatMissingData"] == "notBreaching"
        assert alarm["AlarmName"]["Fn::Sub"].startswith("${AWS::StackName}-")


def test_an_alarm_names_its_runbook_and_every_runbook_belongs_to_an_alarm(template: Json, checkout: Path) -> None:
    named = {re.findall(r"docs/runbooks/([a-z0-9-]+\.md)", a["AlarmDescription"])[0] for a in alarms(template).values()}

    pages = {path.name for path in (checkout / "docs/runbooks").glob("*.md")} - {"README.md"}
    assert named == pages
    index = (checkout / "docs/runbooks/README.md").read_text()
    assert all(f"({page})" in index for page in pages)


@pytest.mark.parametrize("queue", ["Ingest", *QUEUES])
def test_the_first_parked_message_raises_an_alarm(template: Json, queue: str) -> None:
    alarm = alarms(template)[f"{queue}ParkedAlarm"]

    dimensions = {"QueueName": {"Fn::GetAtt": [f"{queue}ParkedQueue", "QueueName"]}}
    assert list(metrics(alarm)) == [("AWS/SQS", "ApproximateNumberOfMessagesVisible", dimensions)]
    assert (alarm["Threshold"], alarm["ComparisonOperator"], alarm["EvaluationPeriods"]) == (
        0,
        "GreaterThanThreshold",
        1,
    )


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_that_falls_behind_raises_an_alarm(template: Json, queue: str) -> None:
    alarm = alarms(template)[f"{queue}AgeAlarm"]

    dimensions = {"QueueName": {"Fn::GetAtt": [f"{queue}Queue", "QueueName"]}}
    assert list(metrics(alarm)) == [("AWS/SQS", "ApproximateAgeOfOldestMessage", dimensions)]
    assert alarm["Threshold"] == {"Ref": "OldestMessageSeconds"}


@pytest.mark.parametrize("queue", QUEUES)
def test_a_queue_that_holds_nearly_all_it_can_raises_an_alarm(template: Json, queue: str) -> None:
    """120 000 messages of a standard queue can be in flight (SQS developer guide: Message quotas)."""
    alarm = alarms(template)[f"{queue}InFlightAlarm"]

    dimensions = {"QueueName": {"Fn::GetAtt": [f"{queue}Queue", "QueueName"]}}
    assert list(metrics(alarm)) == [("AWS/SQS", "ApproximateNumberOfMessagesNotVisible", dimensions)]
    assert 60_000 <= alarm["Threshold"] < 120_000
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_failed_and_throttled_invocations_raise_an_alarm(template: Json, function: str) -> None:
    found = alarms(template)
    read_by_rate = {(namespace, name) for namespace, name, _ in metrics(found[f"{function}ErrorsAlarm"])}
    assert read_by_rate == {("AWS/Lambda", "Errors"), ("AWS/Lambda", "Invocations")}
    for _, _, dimensions in metrics(found[f"{function}ErrorsAlarm"]):
        # Per alias, because a gradual deployment looks at it.
        assert dimensions["Resource"] == {"Fn::Sub": f"${{{function}Function}}:live"}

    ((namespace, name, dimensions),) = metrics(found[f"{function}ThrottlesAlarm"])
    assert (namespace, name, dimensions["FunctionName"]) == ("AWS/Lambda", "Throttles", {"Ref": f"{function}Function"})


BASIC = re.compile(
    r"\w+(Parked|Age)Alarm|CrashesAlarm|UnforeseenAlarm|CircuitOpenAlarm|CredentialsRefusedAlarm|TokenRefreshAlarm"
    r"|IngestUnavailableAlarm|NearBoundAlarm|CustomersMissingAlarm|Api5xxAlarm"
)
"""What somebody has to act on in every stack."""


def test_the_alarms_that_somebody_acts_on_are_in_every_stack_and_no_others(template: Json) -> None:
    resources = template["Resources"]
    conditions = {name: resources[name].get("Condition") for name in alarms(template)}

    assert {name for name, condition in conditions.items() if condition is None} == set(
        filter(BASIC.fullmatch, conditions)
    )
    # CodeDeploy's deployment groups refer to these.
    assert {name for name, condition in conditions.items() if condition == "WatchesErrors"} == {
        f"{function}ErrorsAlarm" for function in FUNCTIONS
    }


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_that_crashes_raises_an_alarm_in_every_stack(template: Json, function: str) -> None:
    """SQS leaves what was received more than three times out of a queue's age, so the age does not show it."""
    index = FUNCTIONS.index(function)
    found = template["Resources"][f"{function}Crashes"]["Properties"]
    (transformation,) = found["MetricTransformations"]

    assert found["LogGroupName"] == {"Fn::Select": [index, [{"Ref": f"{name}LogGroup"} for name in FUNCTIONS]]}
    ((namespace, name, dimensions),) = metrics(alarms(template)["CrashesAlarm"])
    assert (namespace, name, dimensions) == (transformation["MetricNamespace"], transformation["MetricName"], {})
    # Without a default it writes nothing, and costs nothing, while nothing crashes.
    assert "DefaultValue" not in transformation


def test_the_filter_of_crashes_finds_what_the_runtime_writes_and_nothing_of_ours(template: Json) -> None:
    pattern = template["Resources"]["RegisterCrashes"]["Properties"]["FilterPattern"]
    texts = re.findall(r'\?"([^"]+)"', pattern)

    def found(line: str) -> bool:
        return any(text in line for text in texts)

    assert pattern == " ".join(f'?"{text}"' for text in texts)
    assert found("2026-11-28T12:00:00.000Z 00000000-0000-4000-8000-000000000000 Task timed out after 30.03 seconds")
    assert found("[ERROR] Runtime.ImportModuleError: Unable to import module 'app': No module named 'x'")
    assert found("RequestId: 1 Error: Runtime exited with error: signal: killed Runtime.ExitError")
    assert not found('{"level":"ERROR","location":"error:35","message":"unforeseen","error":"KeyError"}')


@pytest.mark.parametrize(
    ("alarm", "metric", "reason"),
    [
        ("CircuitOpenAlarm", "Failures", "circuit_open"),
        ("CredentialsRefusedAlarm", "Failures", "credentials"),
        ("TokenRefreshAlarm", "TokenRefreshFailed", None),
        ("IngestUnavailableAlarm", "Unavailable", None),
        ("UnforeseenAlarm", "Unforeseen", None),
        ("NearBoundAlarm", "NearBound", None),
    ],
)
def test_what_the_code_reports_raises_an_alarm(template: Json, alarm: str, metric: str, reason: str | None) -> None:
    expected = {"service": {"Ref": "AWS::StackName"}} | ({"reason": reason} if reason else {})

    assert list(metrics(alarms(template)[alarm])) == [(NAMESPACE, metric, expected)]


def test_the_reasons_of_alarms_are_reasons_of_errors() -> None:
    from loyalty_relay.model import errors

    assert errors.CircuitOpen.reason == "circuit_open"
    assert errors.CredentialsRefused.reason == "credentials"


def test_responses_of_the_gateway_raise_an_alarm(template: Json) -> None:
    assert list(metrics(alarms(template)["Api5xxAlarm"])) == [("AWS/ApiGateway", "5xx", {"ApiId": {"Ref": "HttpApi"}})]


def test_alarms_read_only_metrics_that_the_functions_write(template: Json) -> None:
    ours = [m for alarm in alarms(template).values() for m in metrics(alarm) if m[0] == NAMESPACE]

    assert ours
    assert all(is_emitted(name, dimensions) for _, name, dimensions in ours)


def test_the_functions_metrics_carry_the_stacks_name(template: Json) -> None:
    variables = template["Globals"]["Function"]["Environment"]["Variables"]

    assert variables["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}
    assert variables["RELAY_METRICS_BY_CONNECTION"] == {"Ref": "ConnectionMetrics"}


def test_cloudwatch_may_publish_to_the_topic_and_only_for_this_account(template: Json) -> None:
    (policy,) = of_type(template, "AWS::SNS::TopicPolicy").values()
    (statement,) = policy["PolicyDocument"]["Statement"]

    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


# --- dashboard and queries ------------------------------------------------------------------------


@pytest.fixture
def dashboard(template: Json) -> Json:
    """The dashboard's body, references left as they are."""
    (found,) = of_type(template, "AWS::CloudWatch::Dashboard").values()
    body: Json = json.loads(found["DashboardBody"]["Fn::Sub"])
    return body


def test_the_dashboard_refers_to_what_there_is(template: Json) -> None:
    (found,) = of_type(template, "AWS::CloudWatch::Dashboard").values()
    references = re.findall(r"\$\{([A-Za-z][A-Za-z0-9:]*)(?:\.[A-Za-z]+)?\}", found["DashboardBody"]["Fn::Sub"])

    pseudo = {"AWS::StackName", "AWS::Region", "AWS::Partition", "AWS::AccountId"}
    assert set(references) <= set(template["Resources"]) | pseudo


def test_the_dashboard_shows_every_alarm(template: Json, dashboard: Json) -> None:
    (widget,) = [w["properties"] for w in dashboard["widgets"] if w["type"] == "alarm"]
    arn = "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:"

    by_id = {f"${{{name}.Arn}}": name for name in alarms(template)}
    # Those of the application's own stack, which the nested one refers to by name.
    by_name = {arn + alarm["AlarmName"]["Fn::Sub"]: name for name, alarm in alarms(template).items()}
    assert sorted((by_id | by_name)[shown] for shown in widget["alarms"]) == sorted(alarms(template))


def test_the_dashboard_shows_outcomes_and_latency(dashboard: Json) -> None:
    shown: set[tuple[str, ...]] = set()
    for widget in dashboard["widgets"]:
        for metric in widget["properties"].get("metrics", []):
            words = [word for word in metric if isinstance(word, str)]
            if words[:1] == [NAMESPACE]:
                dimensions = dict(zip(words[2::2], words[3::2], strict=True))
                assert is_emitted(words[1], dimensions), words
                shown.add((words[1], *(dimensions[key] for key in sorted(dimensions) if key != "service")))

    assert ("Latency",) in shown
    for outcome in ("applied", "unchanged", "stale", "duplicate", "ignored", "retrying", "parked"):
        assert ("Outcomes", outcome) in shown
    assert ("Deliveries", "accepted") in shown


def test_the_dashboard_searches_for_metrics_that_the_functions_write(dashboard: Json) -> None:
    text = json.dumps(dashboard).replace('\\"', '"')
    searches = re.findall(r"SEARCH\('\{LoyaltyRelay,([a-z,]+)\} MetricName=\"?(\w+)", text.replace("\\", ""))

    assert len(searches) == 1
    assert all(is_emitted(name, dict.fromkeys(keys.split(","))) for keys, name in searches)


def test_widgets_do_not_lie_on_each_other(dashboard: Json) -> None:
    taken: set[tuple[int, int]] = set()
    for widget in dashboard["widgets"]:
        columns = range(widget["x"], widget["x"] + widget["width"])
        cells = {(x, y) for x in columns for y in range(widget["y"], widget["y"] + widget["height"])}
        assert max(columns) < 24
        assert not cells & taken, widget["properties"]["title"]
        taken |= cells


def test_saved_queries_read_every_functions_log_for_fields_that_are_logged(template: Json) -> None:
    queries = of_type(template, "AWS::Logs::QueryDefinition")
    groups = {f"{function}LogGroup" for function in FUNCTIONS}
    functions_of_insights = {"fields", "filter", "stats", "sort", "by", "as", "asc", "desc", "and", "or", "like"}
    functions_of_insights |= {"count", "count_distinct", "sum", "max", "pct", "latest", "ispresent"}

    assert len(queries) == 8
    for query in queries.values():
        assert {group["Ref"] for group in query["LogGroupNames"]} == groups
        text = re.sub(r'"[^"]*"', "", query["QueryString"])
        named = set(re.findall(r"\bas (\w+)", text))
        words = set(re.findall(r"@?\b[A-Za-z_]\w*", text)) - functions_of_insights - named
        fields = {word for word in words if not word.startswith("@")}
        assert fields <= ALLOWED | METRICS.keys() | {"message"}, query["Name"]


# --- deployment -----------------------------------------------------------------------------------


def test_a_changed_layer_publishes_a_new_version_of_every_function(text: str) -> None:
    def versions(layer: str) -> set[str]:
        code = {name: Code("b", layer if name == "RelayLayer" else "k") for name in code_folders(read(text))}
        body = localize(text, code=code, parameters={}, region="us-east-1").body
        return {name for name, resource in body["Resources"].items() if resource["Type"] == "AWS::Lambda::Version"}

    assert len(versions("one")) == 9
    assert not versions("one") & versions("two")


def longest_value(parameter: Json) -> int:
    """Characters that a parameter's value can have: of a key's ARN 80, of a secrets' prefix 63."""
    allowed = [str(value) for value in parameter.get("AllowedValues", [])]
    return max(map(len, allowed)) if allowed else parameter.get("MaxLength", 80 if ":kms:" in str(parameter) else 63)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_versions_description_contains_what_configures_the_function(template: Json, function: str) -> None:
    """A version whose description changes is made anew; without it a changed value would never reach the alias."""
    properties = template["Resources"][f"{function}Function"]["Properties"]
    referred = set(re.findall(r'"Ref": "(\w+)"', json.dumps([template["Globals"]["Function"], properties])))
    configuring = referred & set(template["Parameters"]) - {"MaximumConcurrency", "DeploymentStyle"}
    configuring -= {"IngestReservedConcurrency"}  # belongs to the function, not to its version

    described = set(re.findall(r"\$\{(\w+)\}", properties["VersionDescription"]["Fn::Sub"]))
    assert configuring <= described
    longest = sum(longest_value(template["Parameters"][name]) for name in described)
    assert longest + len(described) <= 256


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_gradual_deployment_goes_back_on_an_alarm(text: str, function: str, caplog: pytest.LogCaptureFixture) -> None:
    found = transformed(text, "Linear10PercentEvery1Minute")

    group = found[f"{function}FunctionDeploymentGroup"]["Properties"]
    assert group["AlarmConfiguration"] == {
        "Enabled": True,
        "Alarms": [{"Name": {"Ref": f"{function}ErrorsAlarm"}}, {"Name": {"Ref": "UnforeseenAlarm"}}],
    }
    assert group["AutoRollbackConfiguration"]["Enabled"] is True
    assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
    assert "Linear10PercentEvery1Minute" in str(group["DeploymentConfigName"])
    assert "DeploymentRole" in str(group["ServiceRoleArn"])
    policy = found[f"{function}FunctionAliaslive"]["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
    assert policy["DeploymentGroupName"] == {"Ref": f"{function}FunctionDeploymentGroup"}
    assert "CodeDeployServiceRole" not in found


def test_all_at_once_needs_no_codedeploy(text: str) -> None:
    assert not [r for r in transformed(text).values() if r["Type"].startswith("AWS::CodeDeploy::")]


def test_every_caller_invokes_the_alias(local: Json) -> None:
    """Whoever called a function directly would be outside of a gradual deployment, and of SnapStart."""
    for mapping in of_type(local, "AWS::Lambda::EventSourceMapping").values():
        assert mapping["FunctionName"]["Ref"].endswith("Aliaslive")
    for integration in of_type(local, "AWS::ApiGatewayV2::Integration").values():
        assert "Aliaslive}" in integration["IntegrationUri"]["Fn::Sub"]
    (authorizer,) = of_type(local, "AWS::ApiGatewayV2::Authorizer").values()
    assert "AuthorizeFunctionAliaslive" in str(authorizer["AuthorizerUri"])


# --- safety ---------------------------------------------------------------------------------------


def test_an_own_key_encrypts_everything_that_is_kept(template: Json) -> None:
    key = {"Fn::If": ["HasKmsKey", {"Ref": "KmsKeyArn"}, {"Ref": "AWS::NoValue"}]}
    for queue in of_type(template, "AWS::SQS::Queue").values():
        assert queue["KmsMasterKeyId"] == key
    for group in of_type(template, "AWS::Logs::LogGroup").values():
        assert group["KmsKeyId"] == key
    for table in of_type(template, "AWS::DynamoDB::Table").values():
        assert table["SSESpecification"]["KMSMasterKeyId"] == key
    assert template["Resources"]["DigestSecret"]["Properties"]["KmsKeyId"] == key
    assert template["Resources"]["AlarmTopic"]["Properties"]["KmsMasterKeyId"] == key
    assert template["Globals"]["Function"]["KmsKeyArn"] == key


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_may_use_an_own_key(template: Json, function: str) -> None:
    policies = template["Resources"][f"{function}Role"]["Properties"]["ManagedPolicyArns"]

    assert {"Fn::If": ["HasKmsKey", {"Ref": "KeyPolicy"}, {"Ref": "AWS::NoValue"}]} in policies
    assert template["Resources"]["KeyPolicy"]["Condition"] == "HasKmsKey"


def test_there_is_no_bucket_and_nothing_that_anybody_may_use(template: Json) -> None:
    assert not [r for r in template["Resources"].values() if r["Type"].startswith("AWS::S3::")]
    assert '"Principal": "*"' not in json.dumps(template)


def test_the_gateway_limits_what_it_lets_through(template: Json) -> None:
    settings = template["Resources"]["HttpApi"]["Properties"]["DefaultRouteSettings"]

    limits = {"ThrottlingRateLimit": {"Ref": "ApiRequestsPerSecond"}, "ThrottlingBurstLimit": {"Ref": "ApiBurst"}}
    assert settings == limits


def test_only_ingest_can_have_a_concurrency_of_its_own(template: Json) -> None:
    """A queue goes on handing out messages to a function at its reserved limit."""
    limited = [n for n, r in template["Resources"].items() if "ReservedConcurrentExecutions" in r.get("Properties", {})]

    assert limited == ["IngestFunction"]


def test_only_ingest_can_start_from_a_snapshot_and_not_on_python_311(template: Json) -> None:
    snapped = [n for n, r in template["Resources"].items() if "SnapStart" in r.get("Properties", {})]

    assert snapped == ["IngestFunction"]
    assert template["Rules"]["SnapStartNeedsPython312"]["RuleCondition"] == {
        "Fn::Equals": [{"Ref": "SnapStart"}, "true"]
    }


def test_every_skipped_check_has_a_reason(checkout: Path) -> None:
    lines = (checkout / ".checkov.yaml").read_text().splitlines()
    skipped = [number for number, line in enumerate(lines) if line.startswith("  - ")]

    assert [lines[n].removeprefix("  - ") for n in skipped] == yaml.safe_load("\n".join(lines))["skip-check"]
    assert all(lines[number - 1].startswith("  # ") for number in skipped)
    assert "checkov:skip" not in (checkout / "template.yaml").read_text()


def test_every_parameter_is_described_and_shown_in_a_group(template: Json) -> None:
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]

    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(template["Parameters"])
    assert all(parameter["Description"] for parameter in template["Parameters"].values())


@pytest.mark.attack("senders", "one event that raises at every attempt, to roll deployments back")
def test_the_alarm_about_exceptions_needs_more_than_one_event(template: Json) -> None:
    alarm = alarms(template)["UnforeseenAlarm"]
    assert (alarm["Period"], alarm["EvaluationPeriods"], alarm["DatapointsToAlarm"]) == (60, 5, 2)
