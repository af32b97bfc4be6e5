"""What the fuzz targets are given: real documents, changed in a few places, and texts that are no documents.

``RELAY_FUZZ``: examples per target (``make fuzz``). Without it the few of ``make test`` are the same in every run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.support.json_values import JSON

T = TypeVar("T")

EXAMPLES = int(os.environ.get("RELAY_FUZZ") or 0)


def fuzz(few: int = 20) -> settings:
    """Return the settings of a target; ``few``: its examples in ``make test``."""
    return settings(
        max_examples=EXAMPLES or few,
        derandomize=not EXAMPLES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )


ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**63, 10**30, 1e308, -1e-308, 0.1, {}, [], [[]], {"": ""}),
    *("", " ", "\x00", "\ud800", "a" * 3000, "Infinity", "nan", "-0", "1e999", "..", "/", "#", "%2e", "'\"`"),
    *("9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "2026-02-30", "2026-01-01T00:00:60Z", "１２３"),
    *("{{}}", "\r\nx: y", "é\u0315\u0300", "x@x", "+" * 30, json.loads("[" * 60 + "]" * 60)),
)
NO_JSON = (b"[" * 5000, b"9" * 5000, b"\xff\xfe", b'"\\ud800"', b"NaN", b"1e999")
VALUES = st.sampled_from(ODD).map(deepcopy) | JSON


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every member and element inside a document."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in children:
        yield (*path, name)
        yield from paths(child, (*path, name))


def chosen(seeds: Sequence[T]) -> st.SearchStrategy[T]:
    """Return a strategy that draws one of the seeds; it is not described by all of them."""
    return st.integers(0, len(seeds) - 1).map(lambda index: deepcopy(seeds[index]))


def changed(seeds: Sequence[Any]) -> st.SearchStrategy[Any]:
    """Return documents: one of the seeds with up to three places replaced, removed, repeated or exchanged."""

    @st.composite
    def drawn(draw: st.DrawFn) -> Any:
        document = draw(chosen(seeds))
        for _ in range(draw(st.integers(0, 3))):
            places = list(paths(document))
            if not places:
                return draw(VALUES)
            *way, last = draw(chosen(places))
            parent = at(document, way)
            how = draw(st.sampled_from(("value", "value", "remove", "list", "another", "name")))
            if how == "value":
                parent[last] = draw(VALUES)
            elif how == "remove":
                del parent[last]
            elif how == "list":
                parent[last] = [deepcopy(parent[last])] * draw(st.integers(0, 3))
            elif how == "another":
                parent[last] = deepcopy(at(document, draw(chosen(places))))
            elif isinstance(parent, dict):
                parent[draw(st.text(max_size=12))] = draw(VALUES)
        return document

    return drawn()


def at(document: Any, path: Sequence[Any]) -> Any:
    """Return what a path leads to."""
    for name in path:
        document = document[name]
    return document


def broken(text: bytes) -> st.SearchStrategy[bytes]:
    """Return bytes that begin like a document and go on otherwise, or have nothing to do with it."""

    @st.composite
    def drawn(draw: st.DrawFn) -> bytes:
        cut = draw(st.integers(0, len(text)))
        middle = draw(st.binary(max_size=40) | st.sampled_from(NO_JSON))
        rest = text[cut:] if draw(st.booleans()) else b""
        return text[:cut] + middle + rest if draw(st.booleans()) else middle

    return drawn()


def bodies(seeds: Sequence[Any]) -> st.SearchStrategy[bytes]:
    """Return bodies: mostly changed documents as JSON, some that are none."""
    texts = changed(seeds).map(lambda value: json.dumps(value).encode())
    return texts | texts | texts | chosen(seeds).flatmap(lambda seed: broken(json.dumps(seed).encode()))
