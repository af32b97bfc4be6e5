"""The yardstick of the start-up budgets: boto3 and the three clients that this project needs, and no work."""

from __future__ import annotations

from typing import Any

import boto3

dynamodb = boto3.client("dynamodb")
sqs = boto3.client("sqs")
secrets = boto3.client("secretsmanager")


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Return nothing."""
    return {}
