"""All rows, in the order of the seeds."""

from __future__ import annotations

from tests.contract import (
    capillary_sales,
    capillary_v1,
    capillary_v2,
    kangaroo_crm,
    kangaroo_links,
    kangaroo_sales,
    one_bad_value,
    profiles,
    reference_codes,
    variations,
)
from tests.contract.rows import Row

ROWS: list[Row] = [
    *kangaroo_crm.ROWS,
    *kangaroo_links.ROWS,
    *kangaroo_sales.ROWS,
    *capillary_v2.ROWS,
    *capillary_v1.ROWS,
    *capillary_sales.ROWS,
    *one_bad_value.ROWS,
    *profiles.ROWS,
    *reference_codes.ROWS,
    *variations.ROWS,
]
