"""No document makes a parser raise anything but the errors that it documents."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devkit.sandbox.platforms import VENDOR
from loyalty_relay.connections.check import check_connection
from loyalty_relay.connections.parse import parse_connection
from loyalty_relay.model.commands import Envelope
from loyalty_relay.model.errors import (
    ConnectionInvalid,
    DeliveryRefused,
    Untranslatable,
    UpstreamUnavailable,
    VendorRejected,
)
from loyalty_relay.sources import platforms, source_module
from loyalty_relay.sources.base import Change, HydratingSource, Request, ThinChange, not_later
from loyalty_relay.translation.mapping import check_mapping, mapped
from loyalty_relay.translation.translate import Skip, translate
from loyalty_relay.triggers.hydrate import MOST_READINGS
from tests.fuzz.documents import bodies, broken, changed, chosen, fuzz
from tests.sandbox.kangaroo_client import SandboxClient
from tests.sources.outcome_of import thin_of
from tests.sources.samples import DESTINATIONS, EVENTS, NOW, Sample, connection, document, live, load, source

TEXTS = st.text(max_size=60) | st.sampled_from(("\x00", "a" * 5000, "9" * 400, "../..", "\ud800", "v1," * 50))
HYDRATING = [platform for platform in platforms() if isinstance(source_module(platform), HydratingSource)]


@cache
def samples(platform: str) -> list[Sample]:
    """Return the signed deliveries among a platform's fixtures."""
    found = [load(platform, path.stem) for path in sorted((EVENTS / platform).glob("*.json")) if path.stem != "schema"]
    return [sample for sample in found if sample.method == "POST"]


def deliveries(platform: str) -> st.SearchStrategy[Request]:
    """Return signed deliveries whose body is a changed one of the fixtures', and perhaps one header another."""

    @st.composite
    def drawn(draw: st.DrawFn) -> Request:
        sample = draw(chosen(samples(platform)))
        try:
            body = draw(bodies([sample.json()]))
        except ValueError:
            body = draw(broken(sample.body))
        if form := sample.form():
            text = body.decode("utf-8", "surrogateescape")
            body = urlencode({**form, "payload": text}, errors="surrogateescape").encode()
        request = replace(sample, body=body).signed()
        if draw(st.booleans()):
            return request
        return replace(request, headers={**request.headers, draw(chosen(sorted(request.headers))): draw(TEXTS)})

    return drawn()


def envelopes(change: Change, platform: str, vendor: str) -> Iterator[Envelope]:
    """Yield what a change leads to, as it goes into the queue and comes out of it."""
    change = not_later(change, NOW, signed=source_module(platform).signs_event_time)
    with suppress(Untranslatable):
        to = connection(platform, vendor, default_country="GB", sales={"enabled": True})
        commands = translate(change, to)
        for command in () if isinstance(commands, Skip) else commands:
            yield Envelope(delivery_id="d", connection="shop", event=change.event, command=command)


@pytest.mark.parametrize("vendor", sorted(DESTINATIONS))
@pytest.mark.parametrize("platform", platforms())
@fuzz(5)
@given(data=st.data())
def test_a_signed_delivery_is_read_and_translated_or_refused(platform: str, vendor: str, data: st.DataObject) -> None:
    request = data.draw(deliveries(platform))
    module, known = source_module(platform), source(platform)
    module.handshake(request, known)
    module.verify(request, known, live(platform), NOW)
    module.store(request, known)
    module.accepted(request)
    with suppress(DeliveryRefused):
        for change in module.read(request, known):
            for envelope in envelopes(change, platform, vendor):
                text = envelope.to_json()
                text.encode()
                json.loads(text, parse_constant=pytest.fail)
                assert Envelope.from_json(text).to_json() == text


@cache
def thin(platform: str) -> list[tuple[ThinChange, Any]]:
    """Return the thin events among a platform's fixtures, and what these lead to read, with the sandbox's answers."""
    sandbox = SandboxClient(VENDOR)
    to = connection(platform, "kangaroo")
    found = []
    for sample in samples(platform):
        with suppress(AssertionError, ValueError, DeliveryRefused):
            module, change = thin_of(sample, to)
            for _ in range(MOST_READINGS):
                fetch = module.fetch(change, to.source)
                answer = sandbox.send("GET", f"/{platform}{fetch.path}", headers=dict(fetch.headers))
                found.append((change, answer.json()))
                (read,) = module.hydrated(change, answer.status_code, answer.json())
                assert isinstance(read, ThinChange)
                change = read
    return found


@pytest.mark.parametrize("platform", HYDRATING)
@fuzz(10)
@given(data=st.data())
def test_an_answer_of_a_platform_is_read_or_refused(platform: str, data: st.DataObject) -> None:
    change, answer = data.draw(chosen(thin(platform)))
    module = source_module(platform)
    assert isinstance(module, HydratingSource)
    status = data.draw(st.sampled_from((200, 200, 200, 204, 400, 403, 404, 410, 500)))
    with suppress(Untranslatable, VendorRejected, UpstreamUnavailable):
        for read in module.hydrated(change, status, data.draw(changed([answer]))):
            for envelope in envelopes(read, platform, "kangaroo"):
                json.loads(envelope.to_json(), parse_constant=pytest.fail)


CONNECTIONS = [
    document(platform, vendor, default_country="GB", api_keys=[{"id": "pos", "sha256": "0" * 64}], mapping=mapping)
    for platform in platforms()
    for vendor, mapping in (("capillary", {"*": {"first_name": "first_name"}}), ("kangaroo", {}))
]


@fuzz(40)
@given(data=changed(CONNECTIONS), id=st.just("shop") | TEXTS)
def test_a_connection_is_read_or_invalid(data: Any, id: str) -> None:
    with suppress(ConnectionInvalid):
        check_connection(parse_connection(id, data))


@cache
def queued() -> list[Any]:
    """Return an envelope of each kind that the fixtures become."""
    found = {
        envelope.command.kind: json.loads(envelope.to_json())
        for platform in platforms()
        for vendor in DESTINATIONS
        for sample in samples(platform)
        for change in read(sample)
        for envelope in envelopes(change, platform, vendor)
    }
    return list(found.values())


def read(sample: Sample) -> list[Change]:
    with suppress(DeliveryRefused):
        return source_module(sample.platform).read(sample.signed(), source(sample.platform))
    return []


@fuzz(30)
@given(data=st.data())
def test_a_message_is_an_envelope_or_a_value_error(data: st.DataObject) -> None:
    text = data.draw(bodies(queued())).decode("utf-8", "replace")
    with suppress(ValueError):
        Envelope.from_json(text)


PARTS = ("@", "email", "note", "default_address.phone", "addresses[0].city", "tags", "*", "[]", "'x'", "`1`", '"a b"')
CALLS: tuple[str, ...] = (
    "to_number({})",
    "to_string({})",
    "length({})",
    "keys({})",
    "sort({})",
    "join(',', {})",
    "max({})",
    "sum({})",
)
CALLS += ("to_array({})[0]", "reverse({})", "not_null({}, 'x')", "map(&@, {})", "{}[?@ > `1`]", "{} || 'x'", "abs({})")
EXPRESSIONS = st.recursive(
    st.sampled_from(PARTS) | st.text(max_size=10),
    lambda inner: st.builds(str.format, st.sampled_from(CALLS), inner),
    max_leaves=3,
)
MAPPED = ("first_name", "email", "phone", "birthday", "registered_on", "custom_fields.a", "subscriptions.sms", "tags")


@fuzz(25)
@given(data=st.data())
def test_a_mapping_is_evaluated_or_untranslatable(data: st.DataObject) -> None:
    rules = data.draw(st.dictionaries(st.sampled_from(MAPPED), EXPRESSIONS, min_size=1, max_size=3))
    to = connection("shopify", mapping={"*": rules})
    if check_mapping(to):
        return
    payload = data.draw(changed([sample.json() for sample in samples("shopify")]))
    with suppress(Untranslatable):
        values, _ = mapped("customers/create", payload, to)
        json.loads(json.dumps(values), parse_constant=pytest.fail)
