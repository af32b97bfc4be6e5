"""List prices, in US dollars, us-east-1, without free tiers, discounts and tax.

Written down from AWS's public price pages (aws.amazon.com/SERVICE/pricing: lambda, api-gateway, sqs,
dynamodb/on-demand, secrets-manager, cloudwatch) as known in November 2026. Prices change: check them before you decide
anything by them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

AS_OF = "2026-11"
REGION = "us-east-1"

MILLION = 1e6
LAMBDA_REQUEST = 0.20 / MILLION
Tiers = Sequence[tuple[float, float]]
"""(up to this amount a month, price of one) in ascending order."""

LAMBDA_GB_SECOND_ARM: Tiers = ((7.5e9, 0.0000133334), (18.75e9, 0.0000120001), (math.inf, 0.0000106667))
LAMBDA_VCPU_MB = 1769
"""Memory at which a function has one whole processor (AWS docs: Configure Lambda function memory)."""

HTTP_API_REQUEST: Tiers = ((300 * MILLION, 1.00 / MILLION), (math.inf, 0.90 / MILLION))
SQS_REQUEST: Tiers = ((100e9, 0.40 / MILLION), (200e9, 0.30 / MILLION), (math.inf, 0.24 / MILLION))
SQS_FAIR_REQUEST = 0.10 / MILLION
"""On top, for requests with a message group on a standard queue."""

DYNAMODB_WRITE_UNIT = 0.625 / MILLION
DYNAMODB_READ_UNIT = 0.125 / MILLION
DYNAMODB_GB_MONTH = 0.25
DYNAMODB_BACKUP_GB_MONTH = 0.20
"""Point-in-time recovery."""

SECRET_MONTH = 0.40
SECRET_REQUEST = 0.05 / 10_000

LAMBDA_LOG_GB: Tiers = ((10e3, 0.50), (30e3, 0.25), (50e3, 0.10), (math.inf, 0.05))
LOG_GB_MONTH = 0.03
METRIC_MONTH: Tiers = ((10e3, 0.30), (250e3, 0.10), (1000e3, 0.05), (math.inf, 0.02))
ALARM_METRIC_MONTH = 0.10
"""For each metric that an alarm reads: one with an expression over two costs twice as much."""
DASHBOARD_MONTH = 3.00


def tiered(amount: float, tiers: Tiers) -> float:
    """Return what an amount a month costs where the price falls with it."""
    total = below = 0.0
    for until, price in tiers:
        total += max(0.0, min(amount, until) - below) * price
        below = until
    return total
