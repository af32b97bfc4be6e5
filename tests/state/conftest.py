"""In-process AWS for the tests of the relay's own stores: real botocore clients against moto, no sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.customers.support import Clock, Counted, make_tables


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
    import botocore.session

    client: Any = botocore.session.get_session().create_client("dynamodb", region_name="eu-west-1")
    make_tables(client)
    return Counted(client)


@pytest.fixture
def secrets(aws_services: None) -> Counted:
    import botocore.session

    return Counted(botocore.session.get_session().create_client("secretsmanager", region_name="eu-west-1"))
