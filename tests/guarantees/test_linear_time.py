"""Whatever a text holds, reading or redacting it takes time in proportion to its length."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from loyalty_relay.destinations.capillary import redaction
from loyalty_relay.destinations.kangaroo import redaction as kangaroo_redaction
from loyalty_relay.model.commands import CustomerRef, Identifier, UpdateCustomer
from loyalty_relay.model.errors import VendorRejected
from loyalty_relay.model.phones import to_e164
from loyalty_relay.model.redaction import conceal, without_markup
from loyalty_relay.sources import platforms, source_module
from loyalty_relay.sources.parsing import json_value, moment, text_id, text_or_none
from loyalty_relay.sources.rsa import public_key
from loyalty_relay.sources.woocommerce import signing_key, site_of
from loyalty_relay.translation.coercion import coerce
from tests.sources.samples import NOW, Sample, live, load, source

SIZES = (32_768, 1_048_576)
NOISE = 0.01
"""Seconds: what takes less is not compared."""

TEXTS: dict[str, Callable[[int], str]] = {
    "blanks": lambda n: "2026-01-01" + " " * n + "x",
    "letters": lambda n: "a" * n + "!",
    "digits": lambda n: "1" * n + "x",
    "separated digits": lambda n: "1-(" * (n // 3),
    "at signs": lambda n: "a@" * (n // 2),
    "angle brackets": lambda n: "<" * n,
    "scripts": lambda n: "<script" * (n // 7),
    "quotes": lambda n: "“'\"" * (n // 3),
    "entities": lambda n: "&#00" * (n // 4),
    "marks": lambda n: "a" + "\u0315\u0300" * (n // 2),
    "key": lambda n: "-----BEGIN PUBLIC KEY-----" + " " * n + "-----END",
    "ids": lambda n: "customer[id: 'gid://shopify/Customer/" * (n // 37),
}
CUSTOMER = CustomerRef(identifiers=(Identifier("email", "a" * 1000), Identifier("mobile", "a1")))


def concealed(text: str) -> None:
    command = UpdateCustomer(customer=CUSTOMER, fields={"first_name": text, "last_name": "a" * 1000 + "b"})
    conceal(VendorRejected(text), command)


READERS: dict[str, Callable[[str], Any]] = {
    "moment": moment,
    "json": lambda text: json_value(f'"{text.replace(chr(34), "")}"'),
    "text_id": text_id,
    "text_or_none": text_or_none,
    "to_e164": lambda text: to_e164(text, "GB"),
    "date": lambda text: coerce("birthday", text),
    "time": lambda text: coerce("registered_on", text),
    "country": lambda text: coerce("country", text),
    "site_of": site_of,
    "signing_key": signing_key,
    "public_key": public_key,
    "conceal": concealed,
    "without_markup": without_markup,
    "capillary redaction": lambda text: redaction.redact(text, [text, "a" * 1000]),
    "capillary excerpt": lambda text: redaction.excerpt(None, text.encode(), [text]),
    "kangaroo redaction": lambda text: kangaroo_redaction.redact(text, [text, "a" * 1000]),
}


def assert_linear(work: Callable[[int], object]) -> None:
    """For 32 times the text a quadratic reader takes about 1,000 times as long. One that is too slow for the small text
    is not given the large one.
    """
    small, large = SIZES
    first, before = seconds(work, small // 8), seconds(work, small)
    assert before <= 24 * max(first, NOISE), f"{before:.3f} s after {first:.3f} s"
    taken = seconds(work, large)
    assert taken <= 96 * max(before, NOISE), f"{taken:.3f} s after {before:.3f} s"


def seconds(work: Callable[[int], object], size: int) -> float:
    start = time.thread_time()
    with suppress(Exception):
        work(size)
    return time.thread_time() - start


@pytest.mark.attack("senders", "texts that make a regular expression, a normalisation or a digest take quadratic time")
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", TEXTS)
def test_a_long_text_is_read_in_linear_time(reader: str, text: str) -> None:
    assert_linear(lambda size: READERS[reader](TEXTS[text](size)))


@pytest.mark.attack("senders", "texts that make a regular expression, a normalisation or a digest take quadratic time")
@pytest.mark.parametrize("platform", platforms())
def test_a_delivery_with_a_long_text_anywhere_is_read_in_linear_time(platform: str) -> None:
    module = source_module(platform)
    topic = next(topic for topic in module.topics if topic.becomes in ("register", "update", "hydrate"))
    sample = load(platform, topic.fixture)
    known, secrets = source(platform), live(platform)

    def work(size: int) -> None:
        for changed in longer(sample, "2026-01-01" + " " * size + "x"):
            request = changed.unsigned()
            module.handshake(request, known)
            module.verify(request, known, secrets, NOW)
            module.store(request, known)
            with suppress(Exception):
                module.read(request, known)

    assert_linear(work)


def longer(sample: Sample, text: str) -> Iterator[Sample]:
    """Yield the sample with each of its body's texts, and each of its headers, replaced by ``text``, one at a time."""
    for path in list(texts(sample.json()))[:12]:
        yield sample.with_body(replaced(sample.json(), path, text))
    for name in sample.headers:
        yield sample.with_headers(**{name: text})


def texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, str):
        yield path
    if isinstance(value, dict | list):
        for name, child in value.items() if isinstance(value, dict) else enumerate(value):
            yield from texts(child, (*path, name))


def replaced(value: Any, path: tuple[Any, ...], text: str) -> Any:
    if not path:
        return text
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], text)
    return copy


@pytest.mark.attack("senders", "texts that make a regular expression, a normalisation or a digest take quadratic time")
@pytest.mark.parametrize(
    ("platform", "entry"), [("adobe", '{"type":1}'), ("cloudevents", "{}"), ("clover", '{"objectId":"C:1"}')]
)
def test_many_entries_that_cannot_be_read_cost_no_more_than_their_number(platform: str, entry: str) -> None:
    """The body is hashed once for all of them, and beyond the limit none is looked at."""
    module, known = source_module(platform), source(platform)
    topic = next(t for t in module.topics if "batch" in t.fixture or platform == "clover")
    sample = load(platform, topic.fixture)

    def body(size: int) -> bytes:
        entries = ",".join([entry] * (size // len(entry)))
        return (f'{{"merchants":{{"M":[{entries}]}}}}' if platform == "clover" else f"[{entries}]").encode()

    assert_linear(lambda size: module.read(Sample(platform, "", sample.headers, body(size)).unsigned(), known))
