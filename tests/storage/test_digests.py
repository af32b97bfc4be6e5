from __future__ import annotations

import pytest

from loyalty_relay.storage.digests import Digests

KEY = b"fake-digest-key-for-tests"


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Digests(b"short")


def test_equal_values_have_equal_digests_whatever_the_order_of_their_keys() -> None:
    digests = Digests(KEY)
    one = digests.field("shop", "channels.email", [{"value": "a@example.com", "primary": True}])
    two = digests.field("shop", "channels.email", [{"primary": True, "value": "a@example.com"}])
    assert one == two


@pytest.mark.parametrize(
    "other",
    [
        ("shop2", "email", "a"),
        ("shop", "phone", "a"),
        ("shop", "email", "b"),
        ("shop", "email", None),
        ("shop", "email", ["a"]),
    ],
)
def test_another_connection_field_or_value_has_another_digest(other: tuple[str, str, object]) -> None:
    digests = Digests(KEY)
    assert digests.field("shop", "email", "a") != digests.field(*other)


def test_another_key_gives_another_digest() -> None:
    assert Digests(KEY).field("shop", "email", "a") != Digests(KEY + b"2").field("shop", "email", "a")


def test_a_digest_holds_nothing_of_the_value() -> None:
    digest = Digests(KEY).identity("shop", "email", "jane.doe@example.com")
    assert len(digest) == 24
    assert "jane" not in digest


def test_mails_ignore_case_and_blanks_and_other_identifiers_only_blanks() -> None:
    digests = Digests(KEY)
    assert digests.identity("shop", "email", " Jane@Example.com ") == digests.identity(
        "shop", "email", "jane@example.com"
    )
    assert digests.identity("shop", "source_id", " A1 ") == digests.identity("shop", "source_id", "A1")
    assert digests.identity("shop", "source_id", "a1") != digests.identity("shop", "source_id", "A1")


def test_parts_cannot_be_shifted_into_one_another() -> None:
    digests = Digests(KEY)
    assert digests.identity("ab", "c", "d") != digests.identity("a", "bc", "d")


def test_lone_surrogates_do_not_break_a_digest() -> None:
    assert Digests(KEY).field("shop", "first_name", "\ud800")
