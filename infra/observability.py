"""Alarms, dashboard and saved queries, written to infra/observability.json: the stack nested in template.yaml.

What is watched comes from template.yaml (functions, queues) and from the code (metrics, results). The
alarms that roll a deployment back are not here: CodeDeploy's deployment groups refer to them. What only the parameter
Monitoring=full pays for has the condition ``Full``.

`python -m infra.observability` writes the file, `--check` compares it.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from devkit.localstack.template import read
from loyalty_relay.model.outcomes import Result
from loyalty_relay.telemetry.metrics import METRICS, NAMESPACE

Json = dict[str, Any]

CHECKOUT = Path(__file__).resolve().parents[1]
DOCUMENT = Path(__file__).with_suffix(".json")

APPLICATION = "${Application}"
TOPIC = {"Ref": "AlarmTopicArn"}
WIDTH = 24
"""Columns of a dashboard."""

REPORTED: tuple[tuple[str, str, str, dict[str, str], tuple[int, int], str, str], ...] = (
    # logical id, name, metric, dimensions, (periods, of which over), description, runbook
    ("IngestUnavailable", "ingest-unavailable", "Unavailable", {}, (3, 2),
     "Ingest refused deliveries with a 503, and their sources must send them again.", "ingest-unavailable"),
    ("Api5xx", "api-5xx", "", {}, (3, 2), "The HTTP API returned a 5xx.", "api-5xx"),
    ("CircuitOpen", "circuit-open", "Failures", {"reason": "circuit_open"}, (2, 2),
     "A destination or platform is known to be down; what is meant for it waits.", "circuit-open"),
    ("CredentialsRefused", "credentials-refused", "Failures", {"reason": "credentials"}, (1, 1),
     "A destination or platform refuses our credentials.", "credentials-refused"),
    ("TokenRefresh", "token-refresh", "TokenRefreshFailed", {}, (3, 2),
     "A vendor gives no access token.", "token-refresh"),
    ("NearBound", "near-bound", "NearBound", {}, (1, 1),
     "Work is on its way to being parked, or a function near its memory or time.", "near-bound"),
    ("CustomersMissing", "customers-missing", "CustomersMissing", {}, (1, 1),
     "A run found customers of a shop missing at the destination, without a recorded reason.", "customers-missing"),
)  # fmt: skip
"""Alarms on what the code and the gateway report, over periods of five minutes."""

CRASHES = ("Task timed out", "Runtime.ExitError", "Runtime.ImportModuleError", "[ERROR]")
"""What Lambda and its interface client write when an invocation fails, whose code then counts nothing (AWS docs:
Troubleshoot execution issues in Lambda; Troubleshoot runtime issues).
"""

CRASHES_IN = {"Fn::Sub": f"{NAMESPACE}/{APPLICATION}"}
"""Their namespace: a filter of plain text cannot give its metric the stack as a dimension."""

QUERIES = (
    # logical id, name, query
    ("Delivery", "what happened to a delivery", """\
fields @timestamp, message, operation, outcome, reason, code, receives, delay, duration_ms
| filter delivery_id = "PUT THE DELIVERY ID HERE" and ispresent(message)
| sort @timestamp asc"""),
    ("Failure", "failed attempts by connection and reason", """\
filter ispresent(Failures)
| stats sum(Failures) as attempts, count_distinct(delivery_id) as deliveries, latest(@timestamp) as last \
by connection, operation, reason
| sort attempts desc"""),
    ("Refusal", "refused deliveries", """\
filter message = "delivery refused"
| stats count(*) as deliveries, latest(@timestamp) as last by connection, reason
| sort deliveries desc"""),
    ("Outcome", "outcomes by connection and topic", """\
filter ispresent(Outcomes)
| stats sum(Outcomes) as commands by connection, source, topic, outcome
| sort commands desc"""),
    ("Latency", "from arrival to applied, by connection", """\
filter ispresent(Latency)
| stats count(*) as applied, pct(Latency, 50) as p50_ms, pct(Latency, 95) as p95_ms, max(Latency) as max_ms \
by connection
| sort p95_ms desc"""),
    ("Unforeseen", "unforeseen exceptions", """\
filter ispresent(Unforeseen)
| stats count(*) as times, latest(@timestamp) as last by error, where, operation
| sort times desc"""),
    ("NearBound", "what comes near a bound", """\
filter ispresent(NearBound)
| stats count(*) as times, latest(@timestamp) as last by bound, operation, connection, delivery_id
| sort times desc"""),
    ("ColdStart", "cold starts by function", """\
filter @type = "REPORT" and ispresent(@initDuration)
| stats count(*) as starts, pct(@initDuration, 50) as p50_ms, pct(@initDuration, 99) as p99_ms, \
max(@maxMemoryUsed / 1000000) as max_mb by @log
| sort starts desc"""),
)  # fmt: skip


class Application:
    """What template.yaml declares, as far as it is watched: logical ids' beginnings, in the template's order."""

    def __init__(self, template: Json) -> None:
        def beginnings(kind: str, end: str) -> list[str]:
            return [n.removesuffix(end) for n, r in template["Resources"].items() if r["Type"] == kind]

        self.names: dict[str, str] = {key: value["Name"] for key, value in template["Mappings"]["Names"].items()}
        self.functions = beginnings("AWS::Serverless::Function", "Function")
        queues = beginnings("AWS::SQS::Queue", "Queue")
        self.queues = [name for name in queues if not name.endswith("Parked")]
        self.parked = [name.removesuffix("Parked") for name in queues if name.endswith("Parked")]
        self.deployment_alarms: list[str] = [
            r["Properties"]["AlarmName"]["Fn::Sub"].replace("${AWS::StackName}", APPLICATION)
            for r in template["Resources"].values()
            if r["Type"] == "AWS::CloudWatch::Alarm"
        ]


# --- alarms ---------------------------------------------------------------------------------------


def alarm(
    name: str,
    text: str,
    runbook: str,
    metric: tuple[Any, str, Json],
    *,
    statistic: str,
    period: int,
    periods: tuple[int, int] = (1, 1),
    threshold: Any = 0,
    full: bool = False,
) -> Json:
    """Return an alarm that is on while `metric` is above `threshold`, in so many of so many periods.

    `full`: only with Monitoring=full.
    """
    namespace, metric_name, dimensions = metric
    return {
        "Type": "AWS::CloudWatch::Alarm",
        **({"Condition": "Full"} if full else {}),
        "Properties": {
            "AlarmName": {"Fn::Sub": f"{APPLICATION}-{name}"},
            "AlarmDescription": f"{text} See docs/runbooks/{runbook}.md.",
            "Namespace": namespace,
            "MetricName": metric_name,
            "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
            "Statistic": statistic,
            "Period": period,
            "EvaluationPeriods": periods[0],
            "DatapointsToAlarm": periods[1],
            "Threshold": threshold,
            "ComparisonOperator": "GreaterThanThreshold",
            # No traffic is no fault.
            "TreatMissingData": "notBreaching",
            "AlarmActions": [TOPIC],
            "OKActions": [TOPIC],
        },
    }


def emitted(name: str, dimensions: Iterable[str]) -> str:
    """Return `name`. Raises ValueError when the functions do not write it with these dimensions in every stack."""
    if not any(set(keys) == set(dimensions) for keys in METRICS[name] if "connection" not in keys):
        raise ValueError(f"the functions do not write {name} by {', '.join(dimensions) or 'stack'}")
    return name


def alarms(app: Application) -> Iterator[tuple[str, Json]]:
    """Yield logical id and resource of every alarm, in the dashboard's order."""

    def of_queue(kind: str, metric: str, queue: str) -> tuple[str, str, Json]:
        return "AWS/SQS", metric, {"QueueName": {"Ref": f"{queue}{kind}"}}

    for queue in app.parked:
        name = app.names[queue]
        what = {"Ingest": "delivery", "Hydrate": "hydrate request"}.get(queue, f"command of {name}")
        yield (
            f"{queue}ParkedAlarm",
            alarm(
                f"{name}-parked",
                f"A {what} was parked and waits for somebody.",
                "parked",
                of_queue("ParkedQueue", "ApproximateNumberOfMessagesVisible", queue),
                statistic="Maximum",
                period=60,
            ),
        )
    for queue in app.queues:
        yield (
            f"{queue}AgeAlarm",
            alarm(
                f"{app.names[queue]}-oldest-message",
                f"The queue of {app.names[queue]} is behind.",
                "oldest-message",
                of_queue("Queue", "ApproximateAgeOfOldestMessage", queue),
                statistic="Maximum",
                period=300,
                periods=(3, 3),
                threshold={"Ref": "OldestMessageSeconds"},
            ),
        )
    for queue in app.queues:
        yield (
            f"{queue}InFlightAlarm",
            alarm(
                f"{app.names[queue]}-in-flight",
                "Of the 120 000 messages that SQS lets wait for their next attempt in the queue of "
                f"{app.names[queue]}, 100 000 do.",
                "in-flight",
                of_queue("Queue", "ApproximateNumberOfMessagesNotVisible", queue),
                statistic="Maximum",
                period=300,
                threshold=100_000,
                full=True,
            ),
        )
    for function in app.functions:
        yield (
            f"{function}ThrottlesAlarm",
            alarm(
                f"{app.names[function]}-throttles",
                f"Lambda starts fewer executions of {app.names[function]} than are needed.",
                "throttles",
                ("AWS/Lambda", "Throttles", {"FunctionName": {"Ref": f"{function}Function"}}),
                statistic="Sum",
                period=60,
                periods=(5, 3),
                full=True,
            ),
        )
    yield (
        "CrashesAlarm",
        alarm(
            "crashes",
            "Invocations of a function crash, run out of time or cannot begin.",
            "function-errors",
            (CRASHES_IN, "Crashes", {}),
            statistic="Sum",
            period=60,
            periods=(5, 2),
        ),
    )
    for logical, name, metric, dimensions, periods, text, runbook in REPORTED:
        of = (
            (NAMESPACE, emitted(metric, dimensions), {"service": {"Ref": "Application"}, **dimensions})
            if metric
            else ("AWS/ApiGateway", "5xx", {"ApiId": {"Ref": "HttpApiId"}})
        )
        yield f"{logical}Alarm", alarm(name, text, runbook, of, statistic="Sum", period=300, periods=periods)


def crashes(app: Application) -> Iterator[tuple[str, Json]]:
    """Yield a filter of every function's log that counts failed invocations; it writes nothing while none fails.

    Lambda counts them too, but as one metric for each function, and each metric of an alarm is paid for.
    """
    for index, function in enumerate(app.functions):
        yield (
            f"{function}Crashes",
            {
                "Type": "AWS::Logs::MetricFilter",
                "Properties": {
                    "LogGroupName": {"Fn::Select": [index, {"Ref": "LogGroups"}]},
                    "FilterPattern": " ".join(f'?"{text}"' for text in CRASHES),
                    "MetricTransformations": [
                        {
                            "MetricNamespace": CRASHES_IN,
                            "MetricName": "Crashes",
                            "MetricValue": "1",
                        }
                    ],
                },
            },
        )


# --- dashboard ------------------------------------------------------------------------------------


def widget(title: str, metrics: list[Any], stat: str = "Sum", **more: Any) -> Json:
    """Return a chart over time."""
    return {
        "type": "metric",
        "properties": {
            "title": title,
            "metrics": metrics,
            "region": "${AWS::Region}",
            "view": "timeSeries",
            "stat": stat,
            "period": 300,
            **more,
        },
    }


def ours(name: str, **dimensions: str) -> list[str]:
    """Return one of our metrics as a chart names it."""
    return [
        NAMESPACE, emitted(name, dimensions), "service", APPLICATION,
        *(word for pair in dimensions.items() for word in pair),
    ]  # fmt: skip


def by_reason(title: str, name: str) -> Json:
    """Return a chart of one of our metrics with a line for every reason that occurs."""
    search = f'SEARCH(\'{{{NAMESPACE},service,reason}} MetricName="{emitted(name, ["reason"])}" '
    search += f"service=\"{APPLICATION}\"', 'Sum', 300)"
    return widget(title, [[{"expression": search, "id": name.lower(), "label": "${!PROP('Dim.reason')}"}]])


def percentiles(*metric: str) -> list[Any]:
    """Return the median and the tail of a metric."""
    return [[*metric, {"stat": stat, "label": stat}] for stat in ("p50", "p95", "p99")]


def rows(app: Application, watched: Iterable[str]) -> Iterator[tuple[int, list[Json]]]:
    """Yield height and charts of every row; its charts share the width."""

    def of_queues(title: str, metric: str, queues: list[str], kind: str = "Queue") -> Json:
        lines = [["AWS/SQS", metric, "QueueName", f"${{{q}{kind}}}", {"label": app.names[q]}] for q in queues]
        return widget(title, lines, "Maximum")

    def of_functions(title: str, metric: str, stat: str) -> Json:
        lines = [
            ["AWS/Lambda", metric, "FunctionName", f"${{{f}Function}}", {"label": app.names[f]}] for f in app.functions
        ]
        return widget(title, lines, stat)

    start = "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:"
    arns = [f"${{{name}.Arn}}" for name in watched] + [start + name for name in app.deployment_alarms]
    yield 3, [{"type": "alarm", "properties": {"title": "Alarms", "alarms": arns}}]
    deliveries = [ours("Deliveries", outcome=outcome) for outcome in ("accepted", "ignored", "parked")]
    axis = {"left": {"label": "ms", "showUnits": False, "min": 0}}
    yield (
        6,
        [
            widget("Deliveries", [*deliveries, ours("Refused"), ours("Unavailable")]),
            widget("Outcomes", [ours("Outcomes", outcome=result) for result in Result]),
            by_reason("Failed attempts, by reason", "Failures"),
            widget("From arrival to applied", percentiles(*ours("Latency")), yAxis=axis),
        ],
    )
    yield (
        6,
        [
            of_queues("Waiting messages", "ApproximateNumberOfMessagesVisible", app.queues),
            of_queues("Age of the oldest message, s", "ApproximateAgeOfOldestMessage", app.queues),
            of_queues("Parked messages", "ApproximateNumberOfMessagesVisible", app.parked, "ParkedQueue"),
        ],
    )
    yield (
        6,
        [
            of_functions("Failed invocations", "Errors", "Sum"),
            of_functions("Duration, p95", "Duration", "p95"),
            of_functions("Executions at the same time", "ConcurrentExecutions", "Maximum"),
        ],
    )
    api = ("ApiId", "${HttpApiId}")
    yield (
        6,
        [
            widget("HTTP API: requests", [["AWS/ApiGateway", name, *api] for name in ("Count", "4xx", "5xx")]),
            widget("HTTP API: latency, ms", percentiles("AWS/ApiGateway", "Latency", *api)),
        ],
    )


def dashboard(app: Application, watched: Iterable[str]) -> Json:
    """Return the dashboard: the alarms, then what comes in, what comes of it, and what carries it."""
    widgets: list[Json] = []
    y = 0
    for height, row in rows(app, watched):
        width = WIDTH // len(row)
        widgets += [{"x": i * width, "y": y, "width": width, "height": height, **one} for i, one in enumerate(row)]
        y += height
    return {
        "Type": "AWS::CloudWatch::Dashboard",
        "Condition": "Full",
        "Properties": {
            "DashboardName": {"Fn::Sub": f"{APPLICATION}-${{AWS::Region}}"},
            "DashboardBody": {"Fn::Sub": json.dumps({"start": "-PT12H", "widgets": widgets})},
        },
    }


# --- the document ---------------------------------------------------------------------------------


def document(template: Json) -> Json:
    """Return the nested stack's template."""
    app = Application(template)
    watching = dict(alarms(app))
    queries = {
        f"{logical}Query": {
            "Type": "AWS::Logs::QueryDefinition",
            "Properties": {
                "Name": {"Fn::Sub": f"{APPLICATION}/{name}"},
                "LogGroupNames": {"Ref": "LogGroups"},
                "QueryString": query,
            },
        }
        for logical, name, query in QUERIES
    }
    kinds = {"OldestMessageSeconds": "Number", "LogGroups": "CommaDelimitedList"}
    given = template["Resources"]["Observability"]["Properties"]["Parameters"]
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Alarms, dashboard and saved queries of Loyalty Relay; written by infra/observability.py.",
        "Parameters": {name: {"Type": kinds.get(name, "String")} for name in given},
        "Conditions": {"Full": {"Fn::Equals": [{"Ref": "Monitoring"}, "full"]}},
        "Resources": {**watching, **dict(crashes(app)), "Dashboard": dashboard(app, watching), **queries},
    }


def text() -> str:
    """Return the nested stack's template as infra/observability.json holds it."""
    return json.dumps(document(read((CHECKOUT / "template.yaml").read_text())), indent=1) + "\n"


def main() -> int:
    """Write the document, or with ``--check`` compare it. Return the exit status."""
    if "--check" not in sys.argv[1:]:
        DOCUMENT.write_text(text())
        return 0
    if DOCUMENT.exists() and DOCUMENT.read_text() == text():
        return 0
    print("infra/observability.json is out of date; run: make observability", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
