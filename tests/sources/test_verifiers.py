"""No header and no body whatever makes a verifier raise, and none is accepted that the secret's holder did not sign.

`make fuzz` runs these with as many examples as its other targets.
"""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from loyalty_relay.model.errors import DeliveryRefused
from loyalty_relay.sources import platforms, source_module
from loyalty_relay.sources.base import Request, Topic
from tests.fuzz.documents import EXAMPLES
from tests.sources.samples import NOW, live, load, source
from tests.support.json_values import JSON

ANY_TEXT = st.text(max_size=80)
BODIES = st.one_of(
    st.binary(max_size=300), st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass"))
)


def names(platform: str) -> list[str]:
    """The headers that the platform's deliveries have."""
    found: set[str] = set()
    for topic in deliveries(platform):
        found |= set(load(platform, topic.fixture).signed().headers)
    return sorted(found)


def deliveries(platform: str) -> list[Topic]:
    """The topics that are signed."""
    return [topic for topic in source_module(platform).topics if topic.becomes != "handshake"]


@pytest.mark.attack(
    "senders",
    "requests that crash a verifier",
    "verifiers take any bytes and never raise; a bug of ours is a 503 and a line without its text",
    "G4",
)
@pytest.mark.parametrize("platform", platforms())
@settings(max_examples=EXAMPLES or 50, deadline=None)
@given(data=st.data())
def test_no_invented_request_raises_or_is_accepted(platform: str, data: st.DataObject) -> None:
    headers = data.draw(
        st.dictionaries(
            st.sampled_from(names(platform)), st.one_of(ANY_TEXT, st.just("v1,AAAA"), st.just("1790000000"))
        )
    )
    request = Request(headers=headers, body=data.draw(BODIES), topic=data.draw(st.none() | ANY_TEXT))
    module = source_module(platform)
    assert not module.verify(request, source(platform), live(platform), NOW)
    module.handshake(request, source(platform))
    module.store(request, source(platform))


@pytest.mark.parametrize("platform", platforms())
@settings(max_examples=EXAMPLES or 40, deadline=None)
@given(data=st.data())
def test_a_signed_delivery_with_any_one_header_changed_is_read_or_refused_but_never_crashes(
    platform: str, data: st.DataObject
) -> None:
    module = source_module(platform)
    topic = data.draw(st.sampled_from(deliveries(platform)))
    request = load(platform, topic.fixture).signed()
    name = data.draw(st.sampled_from(sorted(request.headers)))
    headers = {**request.headers, name: data.draw(ANY_TEXT)}
    changed = Request(headers=headers, body=request.body, topic=request.topic)
    without = Request(
        headers={other: value for other, value in headers.items() if other != name},
        body=request.body,
        topic=request.topic,
    )
    proof = not module.verify(without, source(platform), live(platform), NOW)
    if proof and headers[name].strip() != request.headers[name].strip():
        assert not module.verify(changed, source(platform), live(platform), NOW), f"{name} is a proof, and was changed"
    with suppress(DeliveryRefused):
        module.read(changed, source(platform))


@pytest.mark.parametrize("platform", platforms())
@settings(max_examples=EXAMPLES or 60, deadline=None)
@given(data=st.data())
def test_any_signed_body_is_read_or_untranslatable(platform: str, data: st.DataObject) -> None:
    """Bodies made out of the fixtures' own members with values of every type, as a platform's next version may send."""
    module = source_module(platform)
    topic = data.draw(st.sampled_from(deliveries(platform)))
    sample = load(platform, topic.fixture)
    body = sample.json()
    assume(isinstance(body, dict) and body)
    for name in data.draw(st.lists(st.sampled_from(sorted(body)), max_size=3)):
        body[name] = data.draw(JSON)
    for name in data.draw(st.lists(st.sampled_from(sorted(body)), max_size=2)):
        body.pop(name, None)
    with suppress(DeliveryRefused):
        module.read(sample.with_body(body).signed(), source(platform))
