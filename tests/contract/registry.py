"""All rows, in the order of the seeds."""

from __future__ import annotations

from tests.contract import capillary_v2
from tests.contract.rows import Row

ROWS: list[Row] = [*capillary_v2.ROWS]
