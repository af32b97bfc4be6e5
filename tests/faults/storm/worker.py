"""One function in a process of its own: the real handlers over real tables, queues and upstreams, killed now and then.

A worker takes one event at a time, as an execution of a function does, and answers it. It may be killed from outside
at any moment; with ``suicide`` it also kills itself (SIGKILL, no clean-up) right before or right after some requests:
those between an effect upstream and its commit are hard to hit from outside.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from typing import Any

from tests.faults.storm.broken import break_it
from tests.faults.storm.fast import FastClock, FastQueues, slow_machine
from tests.faults.time_of_keys import keys_age_by

FUNCTION_SECONDS = 30.0


@dataclass(frozen=True)
class Job:
    """What a worker is. ``operation``: ``ingest`` or an operation's name."""

    operation: str
    environment: dict[str, str]
    clock: FastClock
    seed: int
    log: str
    suicide: float = 0.0
    """Probability of dying at a request to AWS; five times as high after a write upstream."""
    broken: str = ""
    """A part to break on purpose (``broken``)."""


@dataclass
class Context:
    """Lambda's context: the time that is left of this invocation, by the fast clock."""

    clock: FastClock
    ends: float
    function_name: str = "storm"

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.ends - self.clock()) * 1000))


def main(job: Job, pipe: Pipe) -> None:
    """Serve events until the pipe ends."""
    _log_to(job.log)
    os.environ.update(job.environment)
    slow_machine(job.clock)
    break_it(job.broken)
    with keys_age_by(job.clock):
        handle = _function(job)
        while True:
            try:
                event = pipe.recv()
            except EOFError:
                return
            pipe.send(handle(event))


def _function(job: Job) -> Callable[[dict[str, Any]], dict[str, Any]]:
    from loyalty_relay.runtime.settings import Settings
    from loyalty_relay.runtime.wiring import Services
    from loyalty_relay.storage import aws
    from loyalty_relay.triggers.hydrate import hydrate
    from loyalty_relay.triggers.queue import consume, consume_with
    from loyalty_relay.triggers.webhook import Ingest

    fate = random.Random(job.seed)

    def client(name: aws.Service) -> Any:
        found = aws.client(name)
        found = FastQueues(found, job.clock) if name == "sqs" else found
        return Doomed(found, job.suicide, fate)

    environment = {**job.environment, "RELAY_PARKED": job.environment[f"PARKED_{job.operation}"]}
    services = Services(
        Settings.from_env(environment),
        clock=job.clock,
        monotonic=job.clock,
        sleep=job.clock.sleep,
        random=random.Random(job.seed + 1).random,
        client=client,
    )
    if job.operation == "ingest":
        ingest = Ingest(services)
        return ingest.answer
    _die_after_effects(job.suicide * 5, fate)

    def handle(event: dict[str, Any]) -> dict[str, Any]:
        context = Context(job.clock, job.clock() + FUNCTION_SECONDS)
        if job.operation == "hydrate":
            return consume_with(
                lambda e, deadline, _: hydrate(e, services, deadline), event, context, "hydrate", services
            )
        return consume(event, context, job.operation, services)

    return handle


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Doomed:
    """A client whose process dies before or after one of its requests, rarely."""

    def __init__(self, client: Any, probability: float, fate: random.Random) -> None:
        self._client = client
        self._probability = probability
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._client, name)
        if name in ("exceptions", "meta") or not callable(member):
            return member

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._fate.random() < self._probability / 2:
                die()
            answer = member(*args, **kwargs)
            if self._fate.random() < self._probability / 2:
                die()
            return answer

        return call


def _die_after_effects(probability: float, fate: random.Random) -> None:
    from loyalty_relay.http.client import Client

    really = Client.fetch

    def fetch(self: Client, request: Any, *args: Any) -> Any:
        response = really(self, request, *args)
        if request.extensions["has_effect"] and fate.random() < probability:
            die()
        return response

    Client.fetch = fetch  # type: ignore[assignment, method-assign]


def _log_to(path: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
