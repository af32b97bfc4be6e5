"""The table of Capillary's codes, and the page that shows it: ``python -m tests.destinations.capillary.test_codes``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from loyalty_relay.destinations.capillary.codes import CODES, SALE_CODES, Code, passing, undone

PAGE = Path(__file__).resolve().parents[3] / "docs" / "capillary.md"
HEAD = "| --- | --- | --- | --- | --- |\n"
SALES = """
## Codes of transactions

In the APIs of transactions these codes mean something else, or come nowhere else; others mean what they mean above. As
a warning each is a notice; those that report points as not done are joined by the notice `points_not_done`, so that a
bill without points is no plain success.

| code | meaning | as an error | about | as a warning |
| --- | --- | --- | --- | --- |
"""


def line(number: str, code: Code) -> str:
    """Return the line of the page's table."""
    left = ", ".join(f"`{name}*`" if name.endswith(".") else f"`{name}`" for name in code.undone)
    blamed = f"`{code.blames}`" if code.blames else ""
    return f"| {number} | {code.text} | {code.error} | {blamed} | {left}{'; sent again' if code.again else ''} |\n"


def sale_line(number: str, code: Code) -> str:
    """Return the line of the table of transactions."""
    blamed = f"`{code.blames}`" if code.blames else ""
    return f"| {number} | {code.text} | {code.error} | {blamed} | {'points not done' if code.no_points else ''} |\n"


def lines(codes: Mapping[str, Code], line: Callable[[str, Code], str]) -> str:
    """Return the lines of all codes, by number."""
    return "".join(line(*item) for item in sorted(codes.items(), key=lambda item: int(item[0])))


def page() -> str:
    """Return the page with the tables as they are to be."""
    before, _, _ = PAGE.read_text().partition(HEAD)
    return before + HEAD + lines(CODES, line) + SALES + lines(SALE_CODES, sale_line)


def test_the_page_shows_every_code() -> None:
    assert PAGE.read_text() == page(), "run python -m tests.destinations.capillary.test_codes"


@pytest.mark.parametrize(
    ("code", "names", "left", "again"),
    [
        ("91022", ("subscriptions.sms.bulk", "first_name"), ["subscriptions.sms.bulk"], True),
        ("91022", ("first_name",), [], False),
        ("8058", ("phone", "email", "subscriptions.sms.bulk"), ["phone", "subscriptions.sms.bulk"], False),
        ("1017", ("custom_fields.age", "custom_fields", "extended_fields.age"), ["custom_fields.age"], False),
        ("8107", ("first_name", "email"), [], False),
        ("9999999", ("first_name", "email"), [], False),
    ],
)
def test_a_warning_leaves_its_own_fields_undone(
    code: str, names: tuple[str, ...], left: list[str], again: bool
) -> None:
    assert undone(code, names) == left
    assert (passing([code], names) is not None) is again


if __name__ == "__main__":
    PAGE.write_text(page())
