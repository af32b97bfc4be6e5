"""Every row of the catalogue: a fixture, a signed delivery that is believed, and the change that the row promises."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from loyalty_relay.connections.check import check_connection
from loyalty_relay.model.errors import FieldProblem
from loyalty_relay.sources import catalogue, platforms, source_module
from loyalty_relay.sources.base import (
    Change,
    CustomerChanged,
    CustomerRetired,
    NothingToDo,
    OrderChanged,
    SourceModule,
    StoreChanged,
    StoreErased,
    ThinChange,
    Topic,
    Unreadable,
    Verdict,
)
from loyalty_relay.sources.platforms import SHARED
from tests.sources.samples import EVENTS, NOW, PLATFORMS, Sample, connection, live, load, proofs, source

ROWS = [
    pytest.param(platform, topic, id=f"{platform}:{topic.fixture}")
    for platform, topic in catalogue()
    if topic.becomes != "handshake"
]
EACH_PLATFORM = pytest.mark.parametrize("platform", platforms())


def first(platform: str) -> Sample:
    """A fixture of the platform that leads to a command."""
    return load(
        platform,
        next(t.fixture for t in source_module(platform).topics if t.becomes in ("register", "update", "hydrate")),
    )


def becomes(change: Change) -> set[str]:
    match change:
        case NothingToDo():
            return {"ignored"}
        case CustomerRetired(reason="erased"):
            return {"erase"}
        case StoreErased():
            return {"erase"}
        case CustomerRetired():
            return {"retire"}
        case StoreChanged():
            return {"link-store"}
        case OrderChanged():
            return {"transaction"}
        case ThinChange():
            return {"hydrate"}
        case Unreadable():
            return {"parked"}
        case CustomerChanged(created=True):
            return {"register"}
        case _ if change.fields and all(name.startswith("tags.") for name in change.fields):
            return {"tags", "update"}
        case _ if change.fields and all(name.startswith("subscriptions.") for name in change.fields):
            return {"consent", "update"}
    return {"update"}


@pytest.mark.parametrize(("platform", "topic"), ROWS)
def test_each_row_has_a_signed_delivery_that_becomes_what_it_names(platform: str, topic: Topic) -> None:
    module = source_module(platform)
    request = load(platform, topic.fixture).signed()
    assert module.verify(request, source(platform), live(platform), NOW) is Verdict.AUTHENTIC
    changes = module.read(request, source(platform))
    assert changes
    for change in changes:
        assert topic.becomes in becomes(change)
        assert change.event.source == platform
        assert change.event.topic == topic.name
        assert change.event.id


@pytest.mark.parametrize(("platform", "topic"), ROWS)
def test_reading_twice_gives_the_same(platform: str, topic: Topic) -> None:
    module = source_module(platform)
    request = load(platform, topic.fixture).signed()
    assert module.read(request, source(platform)) == module.read(request, source(platform))


@EACH_PLATFORM
def test_each_handshake_gets_its_reply_and_proves_nothing(platform: str) -> None:
    module = source_module(platform)
    for topic in module.topics:
        if topic.becomes != "handshake":
            continue
        request = load(platform, topic.fixture).unsigned()
        reply = module.handshake(request, source(platform))
        assert reply is not None
        assert 200 <= reply.status < 300
        assert not module.verify(request, source(platform), live(platform), NOW)


@pytest.mark.parametrize(("platform", "topic"), ROWS)
def test_no_event_is_taken_for_a_handshake(platform: str, topic: Topic) -> None:
    assert source_module(platform).handshake(load(platform, topic.fixture).signed(), source(platform)) is None


@EACH_PLATFORM
def test_every_fixture_belongs_to_a_row(platform: str) -> None:
    files = {path.stem for path in (EVENTS / platform).glob("*.json")} - {"schema"}
    assert files == {topic.fixture for topic in source_module(platform).topics}


@EACH_PLATFORM
def test_fixtures_hold_nobodys_data(platform: str) -> None:
    for path in (EVENTS / platform).glob("*.json"):
        text = path.read_text()
        assert set(json.loads(text)) <= {"headers", "body", "raw", "topic", "method", "query"} or path.stem == "schema"
        for address in (word for word in re.split(r'[\s"\\]+', text) if "@" in word):
            assert address.endswith(("example.com", "example.org")), path


@EACH_PLATFORM
def test_a_platforms_name_is_that_of_its_module(platform: str) -> None:
    module = source_module(platform)
    assert isinstance(module, SourceModule)
    assert module.platform == platform


def test_shared_modules_are_no_platforms() -> None:
    assert not SHARED & set(platforms())
    for name in [*SHARED, "nosuch", "../os", ""]:
        with pytest.raises(LookupError):
            source_module(name)


# -- bad input, for every platform ----------------------------------------------------------------------------------


@EACH_PLATFORM
def test_another_secret_is_refused(platform: str) -> None:
    request = first(platform).signed(PLATFORMS[platform]["another_secret"])
    assert not source_module(platform).verify(request, source(platform), live(platform), NOW)


@EACH_PLATFORM
def test_any_live_secret_will_do(platform: str) -> None:
    module, request = source_module(platform), first(platform).signed()
    other = PLATFORMS[platform]["another_secret"]
    assert module.verify(request, source(platform), [other, *live(platform)], NOW)
    assert module.verify(request, source(platform), [*live(platform), other], NOW)


@EACH_PLATFORM
def test_without_a_secret_nothing_is_authentic(platform: str) -> None:
    module = source_module(platform)
    if module.needs_secrets:
        assert not module.verify(first(platform).signed(), source(platform), [], NOW)


@pytest.mark.parametrize("platform", [name for name in platforms() if source_module(name).signs_body])
def test_each_changed_byte_is_refused(platform: str) -> None:
    module, request = source_module(platform), first(platform).signed()
    for at in range(0, len(request.body), 7):
        body = bytearray(request.body)
        body[at] ^= 1
        assert not module.verify(replace(request, body=bytes(body)), source(platform), live(platform), NOW)


@EACH_PLATFORM
def test_missing_and_malformed_proofs_are_refused(platform: str) -> None:
    module, sample = source_module(platform), first(platform)
    request = sample.signed()
    for header in proofs(sample):
        without = {name: value for name, value in request.headers.items() if name != header}
        missing = replace(request, headers=without)
        assert module.verify(missing, source(platform), live(platform), NOW) is Verdict.NO_SIGNATURE
        for text in (
            "",
            " ",
            "x",
            "v1,",
            "====",
            "\u00e9",
            "A" * 44,
            request.headers[header][:-1],
            "\ud800",
            "v1,\x00",
        ):
            broken = replace(request, headers={**request.headers, header: text})
            assert not module.verify(broken, source(platform), live(platform), NOW), (header, text)


@EACH_PLATFORM
def test_header_values_may_have_blanks_around_them(platform: str) -> None:
    module, request = source_module(platform), first(platform).signed()
    padded = replace(request, headers={name: f" {value}\t" for name, value in request.headers.items()})
    assert module.verify(padded, source(platform), live(platform), NOW)


@EACH_PLATFORM
def test_a_signed_time_is_held_against_the_clock(platform: str) -> None:
    module, sample = source_module(platform), first(platform)
    for away in (-301, 301, -86_400, 86_400):
        verdict = module.verify(sample.signed(now=NOW + away), source(platform), live(platform), NOW)
        assert verdict is (Verdict.OUTSIDE_WINDOW if module.signs_time else Verdict.AUTHENTIC)
    for near in (-299, 299):
        assert module.verify(sample.signed(now=NOW + near), source(platform), live(platform), NOW)


# -- connections ----------------------------------------------------------------------------------------------------


@EACH_PLATFORM
def test_the_test_connection_is_a_good_one(platform: str) -> None:
    assert check_connection(connection(platform)) == []


@EACH_PLATFORM
def test_a_source_that_signs_needs_a_secret_and_cannot_be_unsigned(platform: str) -> None:
    good = connection(platform)
    module = source_module(platform)
    bare = replace(good, source=replace(good.source, secrets=()))
    assert (
        FieldProblem("source.secrets", "needs at least one secret") in check_connection(bare)
    ) == module.needs_secrets
    unsigned = replace(good, source=replace(good.source, secrets=(), unsigned=True))
    named = {problem.field for problem in check_connection(unsigned)}
    assert ("source.unsigned" in named) != module.may_be_unsigned


@EACH_PLATFORM
def test_a_platforms_api_is_read_at_its_own_domain_only(platform: str) -> None:
    good = connection(platform)
    elsewhere = replace(good, source=replace(good.source, api_host="https://api.example.net"))
    assert {p.field for p in check_connection(elsewhere)} == {"source.api_host"}
    assert check_connection(elsewhere, frozenset({"api.example.net"})) == []


@pytest.mark.attack(
    "configuration",
    "guessing the URL of a source that cannot sign",
    "its connection's id must end in 128 random bits, which `relay connections new-id` makes",
    "G4",
)
@pytest.mark.parametrize(
    ("id", "good"),
    [
        ("shop", False),
        ("shop-1234567890", False),
        ("shop-00000000000000000000000000000000", False),
        ("shop-0123456789abcdef", False),
        ("shop-9f86d081884c7d659a2feaa0c55ad015", True),
        ("9f86d081884c7d659a2feaa0c55ad015", True),
    ],
)
def test_an_unsigned_source_needs_an_unguessable_id(id: str, good: bool) -> None:
    known = connection("lightspeed")
    unsigned = replace(known, id=id, source=replace(known.source, secrets=(), unsigned=True))
    assert ("id" not in {problem.field for problem in check_connection(unsigned)}) is good
    assert "id" not in {problem.field for problem in check_connection(replace(known, id=id))}
