"""The stylesheet: texts and fields have the contrast of WCAG AA, light and dark."""

from __future__ import annotations

import re

import pytest

from devkit.console.rendering import HERE

CSS = (HERE / "static" / "console.css").read_text()
LIGHT, DARK = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
TEXT = [
    *((ink, ground) for ink in ("ink", "soft", "accent") for ground in ("card", "page", "hover")),
    ("accent", "tint"),
    ("card", "accent"),
    ("card", "bad"),
    ("bad", "card"),
    *((word, f"{word}-bg") for word in ("good", "calm", "warn", "bad", "idle")),
]
PARTS = [("field", "card"), ("ring", "page"), ("ring", "card"), ("good", "card"), ("warn", "card"), ("calm", "card")]
"""Edges and marks that carry meaning need 3:1."""


def luminance(colour: str) -> float:
    digits = colour if len(colour) == 6 else "".join(digit * 2 for digit in colour)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(colours: dict[str, str], one: str, other: str) -> float:
    low, high = sorted((luminance(colours[one]), luminance(colours[other])))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_and_fields_can_be_read(scheme: str) -> None:
    colours = dict(re.findall(r"--([\w-]+): #([0-9a-f]{3,6});", scheme))
    assert [(a, b) for a, b in TEXT if contrast(colours, a, b) < 4.5] == []
    assert [(a, b) for a, b in PARTS if contrast(colours, a, b) < 3] == []


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert not re.findall(r"url\(|@import|https?:", CSS)
