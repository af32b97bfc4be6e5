"""The storm: shops that send, functions that are killed, programmes that fail, and what must be true afterwards."""

from __future__ import annotations

import json
import multiprocessing
import random
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from devkit.localstack.server import CREDENTIALS, REGION, Server
from devkit.sandbox import destinations
from devkit.sandbox.capillary.config import md5_hex
from devkit.sandbox.faults import parse_fault
from devkit.sandbox.server import SandboxServer
from tests.faults.storm.events import BEGAN, SHOPS, Customer, Happening, Shop, branches, customers, forgeries
from tests.faults.storm.fast import FastClock
from tests.faults.storm.sales import GUESTS, rules, season
from tests.faults.storm.worker import Job, main
from tests.support.stack import create_resources, record

PYTHON = Path(__file__).resolve().parents[3] / ".local/stack/bin/python"
VISIBILITY = 60.0
"""Seconds by the fast clock until a message of a killed function is received again: longer than its lease."""
LIMITS = {"v2-create": 12, "v2-update": 20, "v2-transaction": 100, "v1-transaction": 16, "api": 120}
"""Requests per minute of the fast clock: low, so that they are what everything waits for."""
FUNCTIONS = (
    ("ingest", 2),
    ("hydrate", 1),
    ("register", 1),
    ("update", 2),
    ("crm-patch", 2),
    ("link-store", 1),
    ("transaction", 2),
    ("import-run", 1),
)
ANSWERS_WITHIN = 60.0


@dataclass(frozen=True)
class Weather:
    """How bad it gets. ``events``: of customers; ``orders``: each has two to five reports, and more of its refunds;
    ``kills``: probability that a batch's function is killed from outside; ``suicide``: see ``worker``; ``faults``:
    multiplies the ratios of what goes wrong upstream; ``outage``: seconds by the fast clock.
    """

    seed: int = 1
    events: int = 500
    customers: int = 60
    orders: int = 40
    speed: float = 10.0
    kills: float = 0.02
    suicide: float = 0.001
    faults: float = 1.0
    outage: float = 50.0
    broken: str = ""

    def command(self) -> str:
        """How to repeat it."""
        more = f" --broken {self.broken}" if self.broken else ""
        return (
            f"PYTHONPATH=layers/relay:. .venv/bin/python -m tests.faults.storm --seed {self.seed}"
            f" --events {self.events} --customers {self.customers} --orders {self.orders}{more}"
        )


@dataclass
class Report:
    """What was seen."""

    weather: Weather
    problems: list[str] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    results: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    peaks: dict[str, str] = field(default_factory=dict)
    upstream: int = 0
    times: dict[str, float] = field(default_factory=dict)
    books: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    def __str__(self) -> str:
        def counted(counts: Counter[str]) -> str:
            return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"

        lines = [
            f"seed {self.weather.seed}: {self.weather.events} events of {self.weather.customers} customers, "
            f"{self.weather.orders} orders, {self.seconds:.0f} s, {'passed' if not self.problems else 'FAILED'}",
            f"  seconds     {', '.join(f'{name} {seconds:.0f}' for name, seconds in self.times.items())}",
            f"  deliveries  {counted(self.sent)}",
            f"  outcomes    {counted(self.results)}",
            f"  kills       {counted(self.kills)}",
            f"  books       {counted(self.books)}",
            f"  upstream    {self.upstream} requests; faults: {counted(self.faults)}",
            f"  limits      {', '.join(f'{name} {seen}' for name, seen in sorted(self.peaks.items()))}",
            *(f"  PROBLEM     {problem}" for problem in self.problems[:20]),
        ]
        if self.problems:
            lines.append(f"  repeat      {self.weather.command()}")
        return "\n".join(lines)


class Worker:
    """One function's process, replaced when it dies."""

    _processes = multiprocessing.get_context("forkserver")
    _processes.set_forkserver_preload(["tests.faults.storm.preloaded"])

    def __init__(self, job: Job) -> None:
        self.job = job
        self.deaths = 0
        self.outdated = False
        """Set for a process that is replaced before its next event, as by a deployment."""
        self._start()

    def _start(self) -> None:
        self._pipe, theirs = self._processes.Pipe()
        self._process = self._processes.Process(target=main, args=(self.job, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, event: dict[str, Any], *, kill_after: float | None = None) -> dict[str, Any] | None:
        """The answer, or None when the process died over it; another has taken its place then."""
        if self.outdated:
            self.outdated = False
            self.stop()
            self._start()
        try:
            self._pipe.send(event)
            if kill_after is not None and not self._pipe.poll(kill_after):
                self._process.kill()
            if not self._pipe.poll(ANSWERS_WITHIN):
                self._process.kill()
            answer: dict[str, Any] = self._pipe.recv()
        except (EOFError, OSError):
            self.deaths += 1
            self._pipe.close()
            self._process.join()
            self.job = replace(self.job, seed=self.job.seed + 1000)
            self._start()
            return None
        else:
            return answer

    def stop(self) -> None:
        self._pipe.close()
        self._process.join(5)
        self._process.kill()
        self._process.join()


class Storm:
    """One storm, from a fresh stack to the report."""

    def __init__(self, weather: Weather) -> None:
        self.weather = weather
        self.report = Report(weather)
        self.customers = customers(weather.seed, weather.customers, weather.events)
        self.season = season(weather.seed, weather.orders, time.time())
        self.time = 0
        """Of the connections' rules: 1 after they have changed."""
        self.booked_before: set[str] = set()
        """Ids of the orders in the programmes' books when the rules changed."""
        self.accepted: dict[str, Happening] = {}
        self.outbox = deque(self._deliveries())
        self.unanswered = len(self.outbox)
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._shown: dict[str, datetime] = {}

    def _deliveries(self) -> list[tuple[Happening, bool]]:
        """Every event of this time one to three times, and forged ones, in no order; with each whether it is forged."""
        rng = random.Random(self.weather.seed + self.time)
        happenings = [*self.season.happenings(self.time)]
        if not self.time:
            happenings += [h for customer in self.customers for h in customer.happenings] + branches(self.weather.seed)
        deliveries = [(h, False) for h in happenings for _ in range(rng.choice((1, 1, 1, 2, 2, 3)))]
        if not self.time:
            deliveries += [(h, True) for h in forgeries(self.customers)]
        rng.shuffle(deliveries)
        return deliveries

    def run(self) -> Report:
        began = time.monotonic()
        with ExitStack() as resources:
            folder = Path(resources.enter_context(tempfile.TemporaryDirectory()))
            self.log = folder / "functions.log"
            self._build(resources)
            threads = [threading.Thread(target=self._guarded, args=(self._consume, *poller)) for poller in self.pollers]
            threads += [threading.Thread(target=self._guarded, args=(self._send, sender)) for sender in self.senders]
            for thread in threads:
                thread.start()
            try:
                self._while_it_storms()
            finally:
                self.over.set()
                for thread in threads:
                    thread.join()
            self._judge()
        self.report.seconds = time.monotonic() - began
        return self.report

    # -- the world ------------------------------------------------------------------------------------------------

    def _build(self, resources: ExitStack) -> None:
        server = Server(python=PYTHON, port=0, state_dir=None, persist=False)
        resources.callback(server.stop)
        self.clock = FastClock(time.time(), self.weather.speed)
        self.server = SandboxServer(clock=self.clock)
        self.sandbox = resources.enter_context(self.server).sandbox
        config = Config(retries={"max_attempts": 2}, max_pool_connections=32)
        session = boto3.Session(region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test")
        self.clients: dict[str, Any] = {
            name: session.client(name, endpoint_url=server.url, config=config)
            for name in ("dynamodb", "sqs", "secretsmanager")
        }
        self.environment = {
            **create_resources(self.clients, "storm"),
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": server.url,
            "AWS_DEFAULT_REGION": REGION,
            "RELAY_SANDBOX_HOSTS": self.server.url.removeprefix("http://"),
        }
        self._configure()
        workers = [
            (operation, Worker(self._job(operation, number)))
            for operation, count in FUNCTIONS
            for number in range(count)
        ]
        for _, worker in workers:
            resources.callback(worker.stop)
        self.senders = [worker for operation, worker in workers if operation == "ingest"]
        self.pollers = [(worker, n) for n, (operation, worker) in enumerate(workers) if operation != "ingest"]
        self.workers = workers

    def _job(self, operation: str, number: int) -> Job:
        return Job(
            operation=operation,
            environment=self.environment,
            clock=self.clock,
            seed=self.weather.seed * 100_000 + number,
            log=str(self.log),
            suicide=self.weather.suicide,
            broken=self.weather.broken,
        )

    def _configure(self) -> None:
        capillary = self.sandbox.vendors["capillary"]
        till = {"code": "second.till01", "password_md5": md5_hex("fake-till-password"), "store": "second.store01"}
        client = {"key": "fake-second-key", "secret": "fake-second-secret", "till": "second.till01"}
        stores = [{"code": "second.store01", "name": "Second Store 1", "external_id": "S-02"}]
        second: dict[str, Any] = {"org_id": 100002, "tills": [till], "clients": [client], "stores": stores}
        limits: dict[str, Any] = {"v2.customers.post": LIMITS["v2-create"], "v2.customers.put": LIMITS["v2-update"]}
        capillary.configure({"orgs": {"second": second}, "rate_limits": limits, "token_ttl_seconds": 100})
        self.sandbox.vendors["kangaroo"].configure({"rate_limit": LIMITS["api"]})
        self._faults = self._rules()
        self.sandbox.faults[:] = self._faults
        for shop in SHOPS:
            self.clients["secretsmanager"].create_secret(
                Name=f"test/connections/{shop.connection}", SecretString=json.dumps(self._connection(shop))
            )

    def _change_rules(self) -> None:
        """What earns is another from now on; then come the rest of the orders' reports, and guests who register."""
        from tests.faults.storm.judge import books

        self.booked_before = {entry.order for entry in books(self)}
        self.time = 1
        for shop in SHOPS:
            self.clients["secretsmanager"].put_secret_value(
                SecretId=f"test/connections/{shop.connection}", SecretString=json.dumps(self._connection(shop))
            )
        for _, worker in self.workers:
            worker.outdated = True
        with self._lock:
            deliveries = self._deliveries()
            self.unanswered += len(deliveries)
            self.outbox.extend(deliveries)

    def _connection(self, shop: Shop) -> dict[str, Any]:
        url = self.server.url
        if shop.vendor == "kangaroo":
            destination = destinations.kangaroo(url, requests_per_minute={"api": LIMITS["api"]})
        else:
            oauth = {"type": "oauth", "key": "fake-second-key", "secret": "fake-second-secret"}
            limits = {name: limit for name, limit in LIMITS.items() if name != "api"}
            destination = destinations.capillary(url, requests_per_minute=limits)
            if shop.programme != "demo":
                destination["credentials"] = oauth
        source: dict[str, Any] = {
            "platform": shop.platform,
            "stores": [shop.store],
            "secrets": [{"value": shop.secret}],
            "verified_identifiers": ["email", "mobile"],
        }
        if shop.thin:
            source["api_credentials"] = {"access_token": "fake-bigcommerce-token"}
            source["api_host"] = f"{url}/bigcommerce"
        sales = {"sales": rules(shop.connection, self.time)} if shop.connection in GUESTS else {}
        return {"source": source, "destination": destination, "default_country": "GB", **sales}

    def _rules(self) -> list[Any]:
        seed = self.weather.seed
        kinds: list[dict[str, Any]] = [
            {"ratio": 0.02, "reset": "before"},
            {"ratio": 0.02, "reset": "after"},
            {"ratio": 0.01, "reset": "after", "close": "fin"},
            {"ratio": 0.02, "status": 503, "body": {"error": "unavailable"}},
            {"ratio": 0.01, "status": 500, "body": {"error": "after the effect"}, "effect": True},
            {"ratio": 0.005, "status": 429, "headers": {"retry-after": "3"}, "body": {"message": "later"}},
            {"ratio": 0.01, "html": True},
            {"ratio": 0.01, "truncate": 20},
            {"ratio": 0.02, "drip": {"bytes": 200, "every_ms": 5}},
            {"ratio": 0.3, "latency_ms": [2, 40]},
        ]
        return [
            parse_fault({**kind, "ratio": min(1.0, kind["ratio"] * self.weather.faults), "seed": seed * 100 + n})
            for n, kind in enumerate(kinds)
        ]

    # -- while it storms ------------------------------------------------------------------------------------------

    def _while_it_storms(self) -> None:
        answered = 0.0
        limit = time.monotonic() + self.clock.real(2400 + self.weather.events * 10)
        began = time.monotonic()
        outage = [3.0, 3.0 + self.clock.real(self.weather.outage)] if self.weather.outage else []
        expiries = 0
        quiet = 0
        while quiet < 3 and not self.over.is_set():
            self.over.wait(0.3)
            elapsed = time.monotonic() - began
            if outage and elapsed > outage[0]:
                outage.pop(0)
                down = parse_fault({"vendor": "kangaroo", "status": 503, "body": {"message": "down"}})
                if outage:
                    self._down = down
                    self.sandbox.faults[:] = [down, *self._faults]
                else:
                    self.sandbox.faults[:] = self._faults
            if self.unanswered == 0 and not answered:
                answered = elapsed
            if elapsed > 8 * (expiries + 1):
                expiries += 1
                self.sandbox.vendors["kangaroo"].configure({"expire_tokens": True})
            if time.monotonic() > limit:
                self.report.problems.append(f"not drained after {elapsed:.0f} s: {self._depths()}")
                return
            if self.time == 0 and self.unanswered == 0 and not self._depths()["transaction"]:
                self._change_rules()
            quiet = quiet + 1 if self.unanswered == 0 and not any(self._depths().values()) else 0
        self.report.faults["expired tokens"] += expiries
        self.report.times = {"all answered": answered, "drained": time.monotonic() - began}

    def _depths(self) -> dict[str, int]:
        return {
            operation: self._depth(f"RELAY_QUEUE_{operation.upper().replace('-', '_')}")
            for operation, _ in FUNCTIONS[1:]
        }

    def _depth(self, variable: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        got = self.clients["sqs"].get_queue_attributes(QueueUrl=self.environment[variable], AttributeNames=names)
        return sum(int(got["Attributes"][name]) for name in names)

    def _guarded(self, work: Callable[..., None], *arguments: Any) -> None:
        """A thread of the storm itself that fails ends the storm."""
        try:
            work(*arguments)
        except Exception as error:
            self.report.problems.append(f"the storm itself failed: {error!r}")
            self.over.set()
            raise

    def _send(self, worker: Worker) -> None:
        """A platform: what is not answered with success is sent again."""
        webhook = 0
        while not self.over.is_set():
            try:
                happening, forged = self.outbox.popleft()
            except IndexError:
                self.over.wait(0.1)
                continue
            webhook += 1
            if happening.shop.thin and not forged:
                self._happens(happening)
            headers = happening.signed(webhook=id(worker) + webhook, now=self.clock(), wrong=forged)
            answer = worker.ask(webhook_event(happening, headers))
            with self._lock:
                self._answered(happening, forged, answer)

    def _happens(self, happening: Happening) -> None:
        """A platform with thin events shows what has happened so far, whoever is told of it when."""
        with self._lock:
            if happening.at <= self._shown.get(happening.customer, BEGAN - timedelta(1)):
                return
            self._shown[happening.customer] = happening.at
            path = f"stores/{happening.shop.store}/v3/customers/{happening.customer}"
            self.sandbox.vendors["bigcommerce"].configure({"entities": {path: happening.shown}})

    def _answered(self, happening: Happening, forged: bool, answer: dict[str, Any] | None) -> None:
        status = answer["statusCode"] if answer else 0
        if forged and status != 0:
            self.unanswered -= 1
            self.report.sent["forged"] += 1
            if status != 401:
                self.report.problems.append(f"a forged delivery was answered {status}")
        elif answer is not None and 200 <= status < 300:
            self.unanswered -= 1
            self.report.sent["accepted"] += 1
            self.accepted[answer["headers"]["x-relay-delivery"]] = happening
        else:
            self.report.sent["sent again"] += 1
            if status == 401:
                self.report.problems.append("an authentic delivery was refused")
                self.unanswered -= 1
            else:
                self.outbox.append((happening, forged))

    def _consume(self, worker: Worker, number: int) -> None:
        """An event source mapping: batches to a function, what succeeded is deleted, the rest comes back."""
        rng = random.Random(self.weather.seed * 1000 + number)
        sqs = self.clients["sqs"]
        url = self.environment[f"RELAY_QUEUE_{worker.job.operation.upper().replace('-', '_')}"]
        hidden = round(self.clock.real(VISIBILITY))
        while not self.over.is_set():
            got = sqs.receive_message(
                QueueUrl=url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=1,
                VisibilityTimeout=hidden,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            ).get("Messages", [])
            if not got:
                continue
            kill_after = rng.uniform(0.0, 0.6) if rng.random() < self.weather.kills else None
            answer = worker.ask({"Records": [record(message) for message in got]}, kill_after=kill_after)
            if answer is None:
                continue
            failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
            done = [m["ReceiptHandle"] for m in got if m["MessageId"] not in failed]
            if done:
                entries = [{"Id": str(i), "ReceiptHandle": handle} for i, handle in enumerate(done)]
                sqs.delete_message_batch(QueueUrl=url, Entries=entries)

    # -- afterwards -----------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        from tests.faults.storm.judge import judge

        for operation, worker in self.workers:
            if worker.deaths:
                self.report.kills[operation] += worker.deaths
        judge(self)


def webhook_event(happening: Happening, headers: dict[str, str]) -> dict[str, Any]:
    """An event of API Gateway, payload 2.0."""
    path = f"/webhooks/{happening.shop.connection}"
    return {
        "version": "2.0",
        "routeKey": "POST /webhooks/{connection}",
        "rawPath": path,
        "rawQueryString": "",
        "headers": headers,
        "pathParameters": {"connection": happening.shop.connection},
        "requestContext": {"http": {"method": "POST", "path": path, "sourceIp": "127.0.0.1"}},
        "body": happening.body.decode(),
        "isBase64Encoded": False,
    }


__all__ = ["Customer", "Report", "Storm", "Weather"]
