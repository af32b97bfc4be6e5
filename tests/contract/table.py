"""docs/contract.md, made from the rows: ``python -m tests.contract.table`` writes it, a test keeps it current."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from tests.contract.registry import ROWS
from tests.contract.rows import Row

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "contract.md"

SOURCES = {
    "000": "Kangaroo: Customer CRM Fields - Update",
    "001": "Kangaroo: Integration - Connect Integrations",
    "002": "Capillary: Update customer details (V2)",
    "003": "Capillary: Customer update (V1.1)",
    "004": "Capillary: Add customer (V2)",
}

OMITTED: dict[str, list[tuple[str, str]]] = {
    "000": [
        ("`address` in a PATCH", "the page shows it in the list and does not name it as an attribute; it is read only"),
        (
            "a mapping to fields that a business has not enabled",
            "the vendor grants them; the check of a connection names it",
        ),
    ],
    "002": [
        (
            "the URI `/v2/promotion/customer`",
            "a slip of the page: its samples use `/v2/customers`",
        ),
        ("`identifiers` in a PUT", "the page excludes them; `options.identifier_change` uses the API for that"),
    ],
    "003": [
        ("several customers in one request", "the page's rate limit table has no batch for updates; one event is one"),
        ("a second identifier", "it merges two members for good; only `allow_merge` of an API call sends one"),
    ],
    "004": [
        ("warnings.status", "it is false for every warning; the code decides"),
        ("sideEffects.trimmedCouponCode", "it repeats `couponCode`"),
    ],
    "001": [
        (
            "`branch_link_id` in Create Sales, Create Transactions, Retrieve Offers and Redemptions",
            "their reference is not public; the id is stored and shown",
        ),
        ("an integration's `type` other than 1", "the page documents no other"),
        ("`-D` in the samples", "a slip of the page: it would write headers to a file; the body is sent as a body"),
    ],
    "ref transactions 1": [
        ("V1.1 `transaction/add`", "it writes customer data and can register; V2 has everything that a sale needs"),
        ("`/v2/transactions/bulk`", "its maximum is not published, and one failed item would hold up the others"),
        ("`PUT /v2/transactions`", "delivery status and fields only; a bill is not changed after it is booked"),
        ("`mixed`, and lines of type `RETURN` in a sale", "an exchange is booked as its sale and its return"),
        ("`returnType` CANCELLED", "a cancellation gives back money, which is a return"),
        ("other `identifierName`s", "a sale goes to the loyalty id only"),
        ("`redemptions`", "no platform has the vendor's redemption ids"),
        ("`deliveryStatus`, `outlierStatus`, `notInterestedReason`, `notes` of payments", "no platform reports them"),
        ("`X-CAP-DIRECT-REPLAY`, `SKIP-DOWNSTREAM`", "points are wanted at once; `use_async` is the choice"),
    ],
    "ref A8.9": [
        ("`customer.email`, `customer.phone`", "an unknown customer would be created and welcomed"),
        ("`points`, `visits`, `subtotal`", "sales are booked by amount; the business's rules make points of it"),
        ("`product_rewards`, `catalog_items`, `offer`, `coupon`, `code`", "an order has none of the vendor's ids"),
        ("`comments`", "shown for adjusted balances only"),
        ("other intents, `DELETE /transactions/{id}`, `PATCH /transactions/{id}/details`", "no sale needs them"),
    ],
}
"""Items of a page that have no test, and why."""

HEAD = """# What the vendors document, and what the relay does with it

Made by `python -m tests.contract.table` from the rows of `tests/contract`; do not edit. Every line is one test,
`tests/contract/test_contract.py::test_item[NAME]`, against a stub that was written from the vendors' pages only and
shares no code with the sandbox. **sent**: the item is part of a request, and the stub saw it as documented.
**handled**: the vendor answers with it, and the relay draws the documented conclusion.
"""


def document() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_summary(), *_parts()]) + "\n"


def _title(seed: str) -> str:
    return f"Seed {seed}: {SOURCES[seed]}" if seed in SOURCES else "Vendor reference " + seed.removeprefix("ref ")


def _by_seed() -> Iterator[tuple[str, list[Row]]]:
    for seed, rows in groupby(sorted(ROWS, key=lambda row: row.seed), key=lambda row: row.seed):
        yield seed, list(rows)


def _summary() -> Iterator[str]:
    yield "| source | items | as documented | not yet |"
    yield "| --- | ---: | ---: | ---: |"
    for seed, rows in _by_seed():
        late = sum(bool(row.deviates) for row in rows)
        yield f"| {_title(seed)} | {len(rows)} | {len(rows) - late} | {late} |"
    late = sum(bool(row.deviates) for row in ROWS)
    yield f"| **all** | {len(ROWS)} | {len(ROWS) - late} | {late} |"


def _parts() -> Iterator[str]:
    for seed, rows in _by_seed():
        yield f"\n## {_title(seed)}\n"
        yield "| section | item | way | state | test |"
        yield "| --- | --- | --- | --- | --- |"
        for row in rows:
            state = f"not yet: {row.deviates}" if row.deviates else "as documented"
            yield f"| {row.section} | {_cell(row.item)} | {row.way} | {_cell(state)} | `{_cell(row.id)}` |"
        if seed in OMITTED:
            yield "\nNot used:\n"
            yield from (f"- {item}: {reason}." for item, reason in OMITTED[seed])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    DOCUMENT.write_text(document())
