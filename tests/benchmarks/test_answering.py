"""The stand-in tables serve many requests at once, each after its delay."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.session import get_session

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def client() -> Iterator[Any]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.answering", "100"],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        session = get_session()
        session.set_credentials("fake", "fake")
        made = session.create_client(
            "dynamodb",
            region_name="us-east-1",
            endpoint_url=process.stdout.readline().strip(),
            config=Config(max_pool_connections=10),
        )
        yield made
        made.close()
        process.terminate()


def test_writes_are_served_side_by_side_and_in_order_of_one_connection(client: Any) -> None:
    def put(number: int) -> Any:
        return client.put_item(TableName="any", Item={"pk": {"S": "x" * 20_000 + str(number)}})

    put(0)
    started = time.monotonic()
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(put, range(10)))
    took = time.monotonic() - started
    assert all("Attributes" not in answer for answer in answers)
    # One after the other they would take a second.
    assert took >= 0.1
