"""Fixtures that the tests of several packages share, and how tests are distributed to processes.

AWS is in process: real botocore clients against moto.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.stack import Stack, shared_client, stack_in_process
from tests.support.tables import Clock, Counted, make_tables

TOGETHER = "tests/e2e/"
"""Files that share one local stack."""
SPREAD = ("tests/contract/test_contract.py", "tests/fuzz/", "tests/golden/")
"""Files of long, independent tests, which are distributed one by one."""


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """The tests of a file go to one process, which makes its fixtures once; order is that of ``_order``."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file.startswith(TOGETHER):
            return TOGETHER
        return nodeid if file.startswith(SPREAD) else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_order)


def _order(item: pytest.Item) -> int:
    """What takes longest comes first and what is distributed one by one last, so that all processes end together."""
    if item.get_closest_marker("stack"):
        return 0
    return 2 if item.nodeid.startswith(SPREAD) else 1


@pytest.fixture
def stack() -> Iterator[Stack]:
    """The stack's tables, queues and secrets in process, without a socket."""
    with stack_in_process() as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def aws_services(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from moto import mock_aws

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield


@pytest.fixture
def dynamodb(aws_services: None) -> Counted:
    client = shared_client("dynamodb", "eu-west-1")
    make_tables(client)
    return Counted(client)


@pytest.fixture
def secrets(aws_services: None) -> Counted:
    return Counted(shared_client("secretsmanager", "eu-west-1"))
