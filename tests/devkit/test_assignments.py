"""``--set path=value`` changes single values of a sample body."""

from __future__ import annotations

from typing import Any

import pytest

from devkit.samples.assignments import assigned
from devkit.stacks.errors import CommandError

BODY: dict[str, Any] = {
    "id": 706405506930370084,
    "email": "bob@example.com",
    "verified_email": True,
    "default_address": {"phone": "+447700900123", "zip": "SW1A"},
    "addresses": [{"city": "London"}],
    "note": None,
}


@pytest.mark.parametrize(
    ("assignment", "path", "expected"),
    [
        ("email=ana@example.com", ["email"], "ana@example.com"),
        ("default_address.phone=447700900124", ["default_address", "phone"], "447700900124"),
        ("id=18", ["id"], 18),
        ("verified_email=false", ["verified_email"], False),
        ("addresses.0.city=Łódź", ["addresses", 0, "city"], "Łódź"),
        ("addresses.1.city=Oslo", ["addresses", 1, "city"], "Oslo"),
        ("note=call first", ["note"], "call first"),
        ("email:=null", ["email"], None),
        ("default_address:={}", ["default_address"], {}),
        ("metafields.birthday=1990-05-01", ["metafields", "birthday"], "1990-05-01"),
        ("email=a=b@example.com", ["email"], "a=b@example.com"),
        ("email=", ["email"], ""),
    ],
)
def test_an_assignment_sets_one_value_and_keeps_the_kind_of_the_former_one(
    assignment: str, path: list[str | int], expected: object
) -> None:
    changed = assigned(BODY, [assignment])

    found: Any = changed
    for step in path:
        found = found[step]
    assert found == expected
    assert type(found) is type(expected)


def test_the_body_that_was_given_stays_as_it_was() -> None:
    assigned(BODY, ["default_address.zip=0150", "addresses.0.city=Oslo"])

    assert BODY["default_address"]["zip"] == "SW1A"
    assert BODY["addresses"] == [{"city": "London"}]


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("email", "is not PATH=VALUE"),
        ("=x", "is not PATH=VALUE"),
        ("email.local=x", "plain value"),
        ("addresses.4.city=x", "no element 4"),
        ("addresses.first=x", "no element first"),
        ("note:=call", "not JSON"),
    ],
)
def test_an_assignment_that_cannot_be_made_explains_why(assignment: str, message: str) -> None:
    with pytest.raises(CommandError, match=message):
        assigned(BODY, [assignment])
