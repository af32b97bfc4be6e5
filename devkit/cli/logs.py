"""``relay logs``: what the functions log, as lines that people read."""

from __future__ import annotations

import json as jsonlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.text import Text

from devkit.cli.options import AsJson, StackName
from devkit.cli.output import in_line, note, out, result_text, show_line
from devkit.stacks.errors import CommandError
from devkit.stacks.stack import Stack, find_stack

FUNCTIONS = (
    "ingest",
    "hydrate",
    "register",
    "update",
    "crm-patch",
    "link-store",
    "transaction",
    "import-run",
    "authorize",
)
"""The stack's functions, as their log groups are called."""

PLATFORM_LINES = ("START ", "END ", "REPORT ", "INIT_START ")
"""How the lines begin that Lambda itself writes."""

HIDDEN_KEYS = frozenset(
    {"level", "message", "timestamp", "location", "service", "function_name", "function_arn", "function_memory_size"}
    | {"function_request_id", "cold_start", "xray_trace_id", "_aws"}
)
"""Keys of a structured line that are shown elsewhere or not at all."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of one function: when (ms since the epoch), which function, its text."""

    timestamp: int
    function: str
    text: str
    id: str = ""


def read(client: Any, formation: str, function: str, since: int) -> list[Line]:
    """Return the lines of a function from ``since`` (ms since the epoch) on, without those of Lambda itself."""
    from botocore.exceptions import ClientError

    group = f"/loyalty-relay/{formation}/{function}"
    try:
        pages = client.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since)
        return [
            Line(event["timestamp"], function, event["message"].rstrip("\n"), event.get("eventId", ""))
            for page in pages
            for event in page["events"]
            if not event["message"].startswith(PLATFORM_LINES)
        ]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ResourceNotFoundException":
            return []  # A function that has not run yet.
        raise


class Tail:
    """Follows functions: each call of ``next`` gives the lines since the one before, oldest first."""

    def __init__(self, client: Any, formation: str, functions: Iterable[str], since: int) -> None:
        self._client = client
        self._formation = formation
        self._since = dict.fromkeys(functions, since)
        self._seen: dict[str, set[tuple[int, str, str]]] = {name: set() for name in self._since}

    def next(self) -> list[Line]:
        """Return new lines.

        A moment may bring several, so the last moment is read again and its lines remembered.
        """
        fresh: list[Line] = []
        for function, since in self._since.items():
            lines = read(self._client, self._formation, function, since)
            seen = self._seen[function]
            fresh += [line for line in lines if (line.timestamp, line.id, line.text) not in seen]
            if lines:
                last = max(line.timestamp for line in lines)
                self._since[function] = last
                self._seen[function] = {(x.timestamp, x.id, x.text) for x in lines if x.timestamp == last} | {
                    key for key in seen if key[0] == last
                }
        return sorted(fresh, key=lambda line: line.timestamp)


def pretty(line: Line) -> Text | None:
    """Return a line for people; None for metrics, which CloudWatch reads."""
    moment = time.strftime("%H:%M:%S", time.gmtime(line.timestamp / 1000))
    head = Text.assemble((f"{moment} ", "bright_black"), (f"{line.function:<10} ", "blue"))
    try:
        body = jsonlib.loads(line.text)
    except ValueError:
        return head.append(in_line(line.text))
    if not isinstance(body, dict):
        return head.append(in_line(line.text))
    if "_aws" in body:
        return None
    level = str(body.get("level", ""))
    style = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}.get(level, "")
    head.append(str(body.get("message", "")), style=style)
    for key, value in body.items():
        if key in HIDDEN_KEYS:
            continue
        head.append(f" {key}=", style="bright_black")
        head.append(result_text(value) if key == "outcome" and isinstance(value, str) else Text(in_line(str(value))))
    return head


def add(root: typer.Typer) -> None:
    """Put ``logs`` among the commands."""
    root.command()(logs)


def logs(
    function: Annotated[str | None, typer.Argument(metavar="[FUNCTION]", help="; ".join(FUNCTIONS))] = None,
    minutes: Annotated[float, typer.Option("--minutes", help="How far back.", min=0)] = 15,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Show what the functions logged."""
    if function is not None and function.replace("_", "-") not in FUNCTIONS:
        raise CommandError(f"there is no function {function}", do=f"one of: {', '.join(FUNCTIONS)}")
    found = find_stack(stack)
    names = FUNCTIONS if function is None else (function.replace("_", "-"),)
    since = int((time.time() - minutes * 60) * 1000)
    shown = 0
    for line in lines_of(found, names, since, follow=follow):
        if json:
            show_line({"timestamp": line.timestamp, "function": line.function, "message": _body(line.text)})
        elif (text := pretty(line)) is not None:
            out.sentence(text)
        shown += 1
    if not shown and not json:
        note(f"no lines in the last {minutes:g} minutes")


def lines_of(stack: Stack, functions: Iterable[str], since: int, *, follow: bool) -> Iterator[Line]:
    """Yield the lines of functions, oldest first; with ``follow`` until interrupted."""
    tail = Tail(stack.client("logs"), stack.formation, functions, since)
    yield from tail.next()
    try:
        while follow:
            time.sleep(1)
            yield from tail.next()
    except KeyboardInterrupt:
        return


def _body(text: str) -> Any:
    try:
        return jsonlib.loads(text)
    except ValueError:
        return text
