"""The relay in one process: real triggers over the stack's tables, and the vendors' sandbox behind real sockets."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator

import httpx
import pytest

from devkit.sandbox.server import SandboxServer
from loyalty_relay.http.sockets import close_shared_pool
from loyalty_relay.telemetry import logs
from tests.guarantees.world import World
from tests.support.stack import Stack


@pytest.fixture(scope="session")
def vendors() -> Iterator[SandboxServer]:
    with SandboxServer() as server:
        yield server
        close_shared_pool()


@pytest.fixture(scope="session")
def control(vendors: SandboxServer) -> Iterator[httpx.Client]:
    """One for all tests: a client reads the machine's certificates when it is made."""
    with httpx.Client(base_url=vendors.url, timeout=30) as client:
        yield client


@pytest.fixture
def world(stack: Stack, vendors: SandboxServer, control: httpx.Client) -> World:
    return empty_world(stack, vendors, control)


def empty_world(stack: Stack, vendors: SandboxServer, control: httpx.Client) -> World:
    """An empty relay and vendors as new."""
    control.post("/_sandbox/reset").raise_for_status()
    for vendor, switches in (
        ("capillary", {"rate_limits_enabled": False}),
        ("kangaroo", {"rate_limit": 1_000_000, "integrations_rate_limit": 1_000_000}),
    ):
        control.put(f"/_sandbox/settings/{vendor}", json=switches).raise_for_status()
    return World(stack, vendors, control)


class Written:
    """Every line that the process wrote: the relay's own, its metrics, and what libraries log at INFO."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._lines = io.StringIO()
        self._metrics = ""
        # Powertools keeps its handler for the life of the process.
        self.handler = logs.logger().registered_handler
        self.own = logging.StreamHandler(self._lines)
        self.own.setFormatter(logging.Formatter("%(name)s %(message)s %(exc_text)s"))

    @property
    def lines(self) -> io.StringIO:
        return self._lines

    def text(self) -> str:
        captured = self._capsys.readouterr()
        self._metrics += captured.out + captured.err
        return self._lines.getvalue() + self._metrics


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    """Also catches a runtime whose root logger is set to INFO, as Lambda's JSON log format can do."""
    found = Written(capsys)
    assert isinstance(found.handler, logging.StreamHandler)
    found.handler.stream = found.lines
    root = logging.getLogger()
    level = root.level
    root.addHandler(found.own)
    root.setLevel(logging.INFO)
    yield found
    root.removeHandler(found.own)
    root.setLevel(level)
    # Not what it was before: that may have been another test's, and closed.
    found.handler.stream = sys.__stdout__
