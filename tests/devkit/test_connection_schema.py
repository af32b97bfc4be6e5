"""The schema of connections has what the parser reads; the file to begin with can be applied once it is filled in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from devkit import connection_schema
from devkit.connection_schema import FILE, grants, recorded, schema, start_file, text
from devkit.stacks.connection_store import PLACEHOLDER, read_file
from loyalty_relay.connections.parse import parse_connection
from loyalty_relay.destinations.registry import vendors
from loyalty_relay.sources import platforms

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "events" / "connections").glob("*.json"))
KINDS = [(vendor, grant) for vendor in vendors() for grant in grants(vendor)]


def members(schema: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, member in schema.get("properties", {}).items():
        yield f"{path}{name}", member
        yield from members(member, f"{path}{name}.")
        yield from members(member.get("items", {}), f"{path}{name}.0.")


ALL = {path: member for v, g in KINDS for p in platforms() for path, member in members(recorded(p, v, g))}


def test_the_checked_in_schema_is_that_of_the_parser() -> None:
    assert FILE.read_text(encoding="utf-8") == text()


def test_every_member_is_described() -> None:
    assert [path for path, member in ALL.items() if not member.get("description")] == []
    assert [path for path in connection_schema.DESCRIPTIONS if path not in ALL] == []


def test_every_member_is_in_the_docs() -> None:
    page = (ROOT / "docs" / "connections.md").read_text(encoding="utf-8")
    pages = page + "".join(p.read_text(encoding="utf-8") for p in (ROOT / "docs" / "platforms").glob("*.md"))

    assert [path for path in ALL if path.rpartition(".")[2] not in pages] == []


def test_every_platform_has_a_page() -> None:
    assert [name for name in platforms() if not (ROOT / "docs" / "platforms" / f"{name}.md").exists()] == []


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_the_samples_fit_the_schema(path: Path) -> None:
    jsonschema.Draft202012Validator(schema()).validate(json.loads(path.read_text(encoding="utf-8")))


def test_a_misspelt_member_does_not_fit() -> None:
    data = json.loads(SAMPLES[0].read_text(encoding="utf-8"))
    data["source"]["plattform"] = "shopify"

    assert not jsonschema.Draft202012Validator(schema()).is_valid(data)


def test_the_schema_has_one_form_for_each_platform_and_each_type_of_credentials() -> None:
    properties = schema()["properties"]

    assert len(properties["source"]["oneOf"]) == len(platforms())
    assert len(properties["destination"]["oneOf"]) == len(KINDS)


@pytest.mark.parametrize("platform", platforms())
@pytest.mark.parametrize(("vendor", "grant"), KINDS)
def test_a_start_file_is_valid_and_names_every_other_member(
    platform: str, vendor: str, grant: str, tmp_path: Path
) -> None:
    file = tmp_path / "shop.json"
    file.write_text(start_file(platform, vendor, grant), encoding="utf-8")
    written = file.read_text(encoding="utf-8")

    given = read_file(file, id=None, variables=dict.fromkeys(PLACEHOLDER.findall(written), "fake"))

    assert parse_connection(given.id, given.data).destination.credentials["type"] == grant
    for path, _ in members(recorded(platform, vendor, grant)):
        assert f'"{path.rpartition(".")[2]}": ' in written
