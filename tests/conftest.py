"""Fixtures that the tests of several packages share; AWS is in process: real botocore clients against moto."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.stack import Stack, aws_client, stack_in_process
from tests.support.tables import Clock, Counted, make_tables


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
    client = aws_client("dynamodb", "eu-west-1")
    make_tables(client)
    return Counted(client)


@pytest.fixture
def secrets(aws_services: None) -> Counted:
    return Counted(aws_client("secretsmanager", "eu-west-1"))
