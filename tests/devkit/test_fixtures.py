"""Sample deliveries: every row of the catalogue can be loaded, changed and read by its platform's module."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from devkit.samples.fixtures import Sample, load, read
from devkit.stacks.errors import CommandError
from loyalty_relay.sources import catalogue
from loyalty_relay.sources.base import Topic


@pytest.mark.parametrize(("platform", "topic"), catalogue(), ids=lambda value: getattr(value, "fixture", value))
def test_every_row_of_the_catalogue_has_a_sample(platform: str, topic: Topic) -> None:
    sample = read(platform, topic)

    assert sample.request().body == sample.body
    assert all(name == name.lower() for name in sample.request().headers)


def test_a_topic_with_several_samples_takes_the_first_or_the_one_that_is_named() -> None:
    assert load("shopify", "customers/create").fixture == "customers-create"
    assert load("shopify", "customers/create", "customers-create-2024-10").fixture == "customers-create-2024-10"
    with pytest.raises(CommandError, match="no sample customers-dance") as caught:
        load("shopify", "customers/create", "customers-dance")
    assert "customers-create-2024-10" in caught.value.do


def test_a_value_is_set_in_a_body_without_touching_the_others() -> None:
    sample = load("shopify", "customers/update")

    changed = sample.changed(None, ["first_name=Łucja"])

    assert json.loads(changed.body) == {**json.loads(sample.body), "first_name": "Łucja"}


def test_a_body_from_a_file_is_sent_byte_by_byte(tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(b'{ "id" : 1,\r\n "name":"\\u00e9" }')

    assert load("shopify", "customers/update").changed(file, []).body == file.read_bytes()


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        load("shopify", "customers/update").changed(tmp_path / "none.json", [])

    assert caught.value.where == str(tmp_path / "none.json")


def form(body: bytes) -> Sample:
    return Sample(platform="lightspeed", topic="customer.update", fixture="x", headers={}, body=body)


def test_values_are_set_in_the_json_inside_a_form() -> None:
    changed = form(b"domain_prefix=demo&payload=%7B%22id%22%3A%22c-1%22%7D").changed(None, ["id=c-2", "version=7"])

    fields = parse_qs(changed.body.decode())
    assert fields["domain_prefix"] == ["demo"]
    assert json.loads(fields["payload"][0]) == {"id": "c-2", "version": 7}


def test_values_are_set_in_a_plain_form() -> None:
    assert form(b"webhook_id=3").changed(None, ["webhook_id=4"]).body == b"webhook_id=4"


def test_nothing_can_be_set_in_a_body_that_is_neither_json_nor_a_form() -> None:
    with pytest.raises(CommandError, match="neither JSON nor a form"):
        form(b"hello").changed(None, ["id=1"])
