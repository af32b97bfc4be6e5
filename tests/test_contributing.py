"""docs/contributing.md: what it names exists, and its list of the places of a field is complete."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "contributing.md").read_text()
LAYER = ROOT / "layers" / "relay" / "loyalty_relay"
FIELD = "birthday"
"""A plain field that every place knows."""


def named() -> set[str]:
    """Paths of the checkout that the page names; those of the platform that it invents are left out."""
    found = re.findall(r"`((?:layers|devkit|docs|events|tests|sources)/[\w./-]+)`", PAGE)
    return {path for path in found if not re.search(r"acme|NAME|VENDOR", path)}


def test_what_the_page_names_exists() -> None:
    assert {path for path in named() if not (ROOT / path).exists() and not (LAYER / path).exists()} == set()


def test_the_places_of_a_field_are_complete() -> None:
    word = re.compile(rf"\b{FIELD}\b")
    places = {path.relative_to(ROOT).as_posix() for path in LAYER.rglob("*.py") if word.search(path.read_text())}
    platforms = {place for place in places if "/sources/" in place and not place.endswith("event_schema.py")}
    listed = {path for path in named() if path.startswith("layers/") and path.endswith(".py")}

    assert places - platforms == listed
