"""Run the demo: start the stack, send every step, compare, and end in one table."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx
from rich.text import Text

from devkit.cli.following import follow
from devkit.cli.output import err, note, out, progress, result_text, show_json, show_line, show_pairs, show_table
from devkit.cli.running import RunningRelay, stopwatch
from devkit.demo.imports import IMPORTED, PLATFORM, SAMPLE, VENDOR, ShopRead, document, ended, read_problem, reads
from devkit.demo.scenario import steps
from devkit.demo.steps import ANSWERED, REFUSED, ApiCall, Delivery, Step, in_short, upstream_problem, writes
from devkit.samples.delivery import deliver, webhook_url
from devkit.samples.fixtures import load
from devkit.samples.mapping import translation
from devkit.sandbox.recording import RecordedRequest
from devkit.stacks.connection_store import new_key, store_of
from loyalty_relay.connections.model import Connection

OUTCOME_WITHIN = 30.0
"""Seconds in which an event must have its outcome."""

COLUMNS = ["connection", "event", "what it shows", "expected", "outcome", "upstream", "ms", ""]
DROP = ["upstream", "ms", "expected", "connection"]
"""Columns that a narrow terminal does without, the least important first."""

NO_SECRET = "fake-secret-of-somebody-else"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What came of one step. ``problem`` is empty when everything was as expected."""

    step: Step | ShopRead
    outcome: str
    requests: tuple[RecordedRequest, ...]
    problem: str
    seconds: float
    upstream: str = ""
    """In place of single requests, where there are too many."""


class Demo:
    """One run over a running stack."""

    def __init__(self, relay: RunningRelay) -> None:
        self._relay = relay
        self._store = store_of(relay.stack)
        self._connections = {name: self._store.read(name) for name in self._store.ids()}
        self._keys: dict[str, str] = {}
        self._loyalty_ids: dict[str, str] = {}

    @property
    def connections(self) -> list[Connection]:
        return list(self._connections.values())

    def show(self, step: Step | ShopRead) -> Shown:
        """Carry out one step and compare what came of it."""
        recorder = self._relay.sandbox.sandbox.recorder
        before = len(recorder.requests)
        took = stopwatch()
        if isinstance(step, ShopRead):
            return self._read(step)
        if isinstance(step, Delivery):
            outcome, problem = self._deliver(step)
        else:
            outcome, problem = self._call(step)
        requests = tuple(recorder.requests[before:])
        return Shown(
            step=step,
            outcome=outcome,
            requests=requests,
            problem=problem or upstream_problem(step, requests),
            seconds=took(),
        )

    def _deliver(self, step: Delivery) -> tuple[str, str]:
        sample = load(step.platform, step.topic, step.fixture).changed(None, step.assignments)
        if step.body is not None:
            sample = replace(sample, body=step.body)
        connection = self._connections[step.connection]
        url = webhook_url(self._relay.stack, step.connection, sample)
        answer = deliver(sample, connection, url, secret=self._wrong(connection) if step.wrong_secret else None)
        if answer.status == 401:
            return REFUSED, _differs(step.expected, REFUSED)
        if not answer.accepted:
            return str(answer.status), f"the relay returned {answer.status} {answer.body}"
        if answer.delivery_id is None:
            return ANSWERED, _differs(step.expected, ANSWERED)
        wanted = translation(sample, connection).entries
        entries = follow(
            self._relay.stack,
            answer.delivery_id,
            seconds=OUTCOME_WITHIN,
            expected=wanted,
            retrying="retrying" in step.expected,
        )
        if not entries:
            return "none", f"no outcome within {OUTCOME_WITHIN:.0f} s"
        words = list(dict.fromkeys(entry.result.value for entry in entries))
        reasons = {entry.reason for entry in entries}
        for entry in entries:
            if entry.loyalty_id:
                self._loyalty_ids[step.connection] = entry.loyalty_id
        problem = _differs(step.expected, " ".join(words))
        if not problem and step.reason is not None and step.reason not in reasons:
            problem = f"expected the reason {step.reason}, was {', '.join(sorted(reasons)) or 'none'}"
        if problem:
            reasons_given = {f"{entry.reason} {entry.code or ''}".strip() for entry in entries if entry.reason}
            problem += f" ({', '.join(sorted(reasons_given))})" if reasons_given else ""
        return " ".join(words), problem

    def _read(self, step: ShopRead) -> Shown:
        """Carry out a run; of its hundreds of requests only the number is shown."""
        sandbox, took = self._relay.sandbox.sandbox, stopwatch()
        if step.connection not in self._connections:
            sandbox.vendors[VENDOR].configure({"rate_limits_enabled": False})
            self._store.write(IMPORTED, document(self._store.raw(SAMPLE), self._relay.state.sandbox))
            self._connections[IMPORTED] = self._store.read(IMPORTED)
        sandbox.vendors[PLATFORM].configure(step.settings)
        before = len(sandbox.recorder.requests)
        run = ended(step, self._relay.stack, self._connections[IMPORTED])
        made = [r for r in writes(sandbox.recorder.requests[before:]) if (r.status or 500) < 300]
        outcome = step.expected if run.proven else run.status
        problem = read_problem(step, run, len(made))
        upstream = f"{len(made)} registrations"
        return Shown(step=step, outcome=outcome, requests=(), problem=problem, seconds=took(), upstream=upstream)

    @staticmethod
    def _wrong(connection: Connection) -> str:
        """Return a secret of the right form that is not the connection's."""
        given = connection.source.secrets[0].value
        return "whsec_" + "ZmFrZS1vdGhlci1zZWNyZXQtZmFrZS1vdGhlcg==" if given.startswith("whsec_") else NO_SECRET

    def _call(self, step: ApiCall) -> tuple[str, str]:
        path = step.path.format(loyalty_id=self._loyalty_ids.get(step.connection, "unknown"))
        headers = {"x-api-key": self._key(step.connection)}
        if step.idempotency_key:
            headers["idempotency-key"] = step.idempotency_key
        url = f"{self._relay.stack.api_url}/connections/{step.connection}{path}"
        answer = httpx.request(step.method, url, json=step.body, headers=headers, timeout=OUTCOME_WITHIN)
        body = _json(answer)
        if answer.status_code != step.status:
            return str(
                answer.status_code
            ), f"expected HTTP {step.status}, was {answer.status_code}: {answer.text[:300]}"
        if isinstance(body.get("loyalty_id"), str):
            self._loyalty_ids[step.connection] = body["loyalty_id"]
        outcome = str(body.get("result") or body.get("code") or ANSWERED)
        return outcome, _differs(step.expected, outcome)

    def _key(self, connection: str) -> str:
        if connection not in self._keys:
            data, key = new_key(self._store.raw(connection), "demo")
            self._store.write(connection, data)
            self._keys[connection] = key
        return self._keys[connection]


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _differs(expected: str, found: str) -> str:
    return "" if found == expected else f"expected {expected}, was {found}"


def run(*, as_json: bool = False, keep: bool = False) -> bool:
    """Run the whole demo on free ports; True when every outcome was the expected one."""
    took = stopwatch()
    with err.status("starting the local stack") as status:

        def say(line: str) -> None:
            if err.is_terminal:
                status.update(line)
            elif not as_json:
                note(line)

        relay = RunningRelay.start(say=say)
        try:
            relay.connect()
            demo = Demo(relay)
        except BaseException:
            relay.stop()
            raise
    with relay:
        planned: list[Step | ShopRead] = [*steps(demo.connections), *reads(time.time())]
        if not as_json:
            note(f"the stack is up after {took():.1f} s; sending {len(planned)} events")
        shown: list[Shown] = []
        with progress("sending", len(planned), quiet=as_json) as bar:
            for step in planned:
                bar.update(bar.task_ids[0], description=f"{step.connection} {_what(step)}")
                shown.append(demo.show(step))
                bar.advance(bar.task_ids[0])
        good = report(shown, took(), as_json=as_json)
        if keep:
            keep_running(relay, as_json=as_json)
    return good


def keep_running(relay: RunningRelay, *, as_json: bool) -> None:
    """Serve the console of what the demo left, until Ctrl-C or SIGTERM."""
    from devkit.console.serve import ConsoleServer

    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    console = ConsoleServer(relay.stack)
    try:
        if as_json:
            show_line({"api": relay.state.api, "sandbox": relay.state.sandbox, "console": console.url})
        else:
            note("the stack keeps running; Ctrl-C ends it")
            show_pairs([("api", relay.state.api), ("sandbox", relay.state.sandbox), ("console", console.url)])
        while not ended.wait(1.0):
            pass
    finally:
        console.stop()


def report(shown: Sequence[Shown], seconds: float, *, as_json: bool) -> bool:
    """Print the table, or JSON; True when nothing was other than expected."""
    wrong = [s for s in shown if s.problem]
    if as_json:
        show_json({"ok": not wrong, "seconds": round(seconds, 1), "steps": [_as_dict(s) for s in shown]})
        return not wrong
    show_table(COLUMNS, [_row(s) for s in shown], drop=DROP)
    for s in wrong:
        out.sentence(Text.assemble(("✗ ", "red"), f"{s.step.connection} {_what(s.step)}: {s.problem}"))
    summary = f"{len(shown) - len(wrong)} of {len(shown)} as expected, in {seconds:.1f} s"
    out.print(Text(summary, style="bold green" if not wrong else "bold red"))
    return not wrong


def _row(shown: Shown) -> list[str | Text]:
    return [
        shown.step.connection,
        _what(shown.step),
        shown.step.note,
        shown.step.expected,
        result_text(shown.outcome),
        shown.upstream or in_short(shown.requests),
        f"{shown.seconds * 1000:.0f}",
        Text("✗", style="red") if shown.problem else Text("✓", style="green"),
    ]


def _what(step: Step | ShopRead) -> str:
    if isinstance(step, ShopRead):
        return step.kind
    return step.topic if isinstance(step, Delivery) else f"{step.method} {step.path}"


def _as_dict(shown: Shown) -> dict[str, Any]:
    return {
        "connection": shown.step.connection,
        "event": _what(shown.step),
        "expected": shown.step.expected,
        "outcome": shown.outcome,
        "upstream": [
            {"method": r.method, "path": r.path, "query": r.query, "body": r.body, "status": r.status}
            for r in shown.requests
        ],
        "problem": shown.problem,
        "ms": round(shown.seconds * 1000),
    }
