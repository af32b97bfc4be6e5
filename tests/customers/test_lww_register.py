from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from loyalty_relay.customers.lww_register import MAX_FIELDS, FieldState, LwwRegister, Mark
from loyalty_relay.model.commands import Version


def at(value: str, *, clock: str = "shop", time: str = "", event: str = "") -> Version:
    return Version(clock, value, time, event)


def apply(register: LwwRegister, fields: dict[str, str], version: Version | None) -> LwwRegister:
    """What an undisturbed take and commit do."""
    verdicts = {n: register.judge(n, d, version, uncertain=False) for n, d in fields.items()}
    for name in fields:
        if verdicts[name] is FieldState.UNCHANGED:
            register = register.advanced(name, version)
    for name, digest in fields.items():
        if verdicts[name] is FieldState.SEND:
            register = register.sent(name, digest, version)
    return register


def test_equal_values_are_ordered_by_event_time_then_event_id() -> None:
    register = apply(LwwRegister(), {"email": "x"}, at("5", time="10:00", event="b"))
    assert register.judge("email", "y", at("5", time="09:59", event="z"), uncertain=False) is FieldState.STALE
    assert register.judge("email", "y", at("5", time="10:00", event="a"), uncertain=False) is FieldState.STALE
    assert register.judge("email", "y", at("5", time="10:00", event="c"), uncertain=False) is FieldState.SEND
    assert register.judge("email", "y", at("5", time="10:01", event="a"), uncertain=False) is FieldState.SEND


def test_versions_of_different_clocks_are_never_compared() -> None:
    register = apply(LwwRegister(), {"email": "x"}, at("9", clock="updated_at"))
    assert register.judge("email", "y", at("1", clock="consent"), uncertain=False) is FieldState.SEND
    register = apply(register, {"email": "y"}, at("1", clock="consent"))
    assert register.judge("email", "z", at("8", clock="updated_at"), uncertain=False) is FieldState.STALE
    assert register.judge("email", "z", at("0", clock="consent"), uncertain=False) is FieldState.STALE


def test_a_command_without_version_is_never_stale_and_moves_no_clock() -> None:
    register = apply(LwwRegister(), {"email": "x"}, at("5"))
    register = apply(register, {"email": "y"}, None)
    assert register.marks["email"] == Mark("y", {"shop": at("5")}, None)
    assert register.judge("email", "z", at("6"), uncertain=False) is FieldState.SEND


def test_a_second_copy_of_an_event_does_not_undo_what_came_after_it_without_version() -> None:
    register = apply(LwwRegister(), {"email": "x"}, at("5"))
    register = apply(register, {"email": "y"}, None)
    assert register.judge("email", "x", at("5"), uncertain=False) is FieldState.STALE


def test_the_same_event_with_another_translation_is_sent_when_nothing_came_between() -> None:
    register = apply(LwwRegister(), {"email": "x"}, at("5"))
    assert register.judge("email", "y", at("5"), uncertain=False) is FieldState.SEND


def test_an_unchanged_field_advances_its_version() -> None:
    register = apply(LwwRegister(), {"email": "x"}, at("5"))
    register = apply(register, {"email": "x"}, at("7"))
    assert register.marks["email"].versions == {"shop": at("7")}
    assert register.judge("email", "y", at("6"), uncertain=False) is FieldState.STALE


def test_an_uncertain_field_is_never_unchanged_but_may_be_stale() -> None:
    register = apply(LwwRegister(), {"email": "x"}, at("5"))
    assert register.judge("email", "x", at("6"), uncertain=True) is FieldState.SEND
    assert register.judge("email", "x", at("4"), uncertain=True) is FieldState.STALE


def test_a_value_that_is_forgotten_is_sent_again_and_differs_from_nothing() -> None:
    register = apply(LwwRegister(), {"email": "x", "phone": "p"}, at("5")).forgetting(["email"])
    assert register.judge("email", "x", at("6"), uncertain=False) is FieldState.SEND
    assert register.judge("phone", "p", at("6"), uncertain=False) is FieldState.UNCHANGED
    assert not register.differs("email", "y")
    assert register.differs("phone", "q")


def test_merged_registers_keep_the_newest_versions_and_only_digests_they_agree_on() -> None:
    one = apply(LwwRegister(), {"email": "x", "phone": "p"}, at("5"))
    two = apply(LwwRegister(floor={"shop": at("2")}), {"email": "x", "phone": "q", "notes": "n"}, at("7"))
    both = one.merged(two)
    assert {n: m.digest for n, m in both.marks.items()} == {"email": "x", "phone": None, "notes": "n"}
    assert both.marks["phone"].versions == {"shop": at("7")}
    assert both.judge("city", "c", at("2"), uncertain=False) is FieldState.STALE


def test_the_fields_longest_unwritten_are_forgotten_first_and_tags_before_others() -> None:
    register = LwwRegister()
    for number in range(MAX_FIELDS):
        register = register.sent(f"tags.{number}", "d", None)
    register = register.sent("email", "d", None).sent("tags.0", "d", None).trimmed()
    assert len(register.marks) == MAX_FIELDS
    assert "email" in register.marks
    assert "tags.0" in register.marks
    assert "tags.1" not in register.marks


def test_the_text_holds_each_version_once() -> None:
    register = apply(LwwRegister(), {f"custom_fields.{n}": "d" for n in range(50)}, at("5", event="evt-1"))
    assert register.to_json().count("evt-1") == 1
    assert len(json.loads(register.to_json())["versions"]) == 1


versions = st.builds(
    Version,
    st.just("shop"),
    st.sampled_from(["1", "2", "3"]),
    st.sampled_from(["", "t1", "t2"]),
    st.uuids().map(str),
)
names = st.sampled_from(["email", "phone", "tags.vip"])
events = st.lists(
    st.tuples(versions, st.dictionaries(names, st.sampled_from(["a", "b"]), min_size=1)), min_size=1, max_size=6
)


@given(st.data())
def test_any_order_and_multiplicity_of_the_same_events_ends_in_the_same_register(data: st.DataObject) -> None:
    happened = data.draw(events)
    once = sorted(happened, key=lambda event: event[0].key())
    copies = data.draw(st.permutations(happened + data.draw(st.lists(st.sampled_from(happened), max_size=6))))
    in_order, shuffled = LwwRegister(), LwwRegister()
    for version, fields in once:
        in_order = apply(in_order, fields, version)
    for version, fields in copies:
        shuffled = apply(shuffled, fields, version)
    assert shuffled == in_order
    for name in {n for _, fields in happened for n in fields}:
        newest = max((v.key(), f[name]) for v, f in happened if name in f)
        assert shuffled.marks[name].digest == newest[1]


@given(st.lists(st.tuples(versions | st.none(), st.dictionaries(names, st.text())), max_size=6))
def test_a_register_is_read_as_it_was_written(written: list[tuple[Version | None, dict[str, str]]]) -> None:
    register = LwwRegister(floor={"shop": at("0")})
    for version, fields in written:
        register = apply(register, fields, version)
    register = register.forgetting(["phone"])
    assert LwwRegister.from_json(register.to_json()) == register
    assert LwwRegister.from_json(None) == LwwRegister()
