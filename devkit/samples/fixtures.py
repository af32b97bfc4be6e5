"""The sample deliveries under ``events/sources/``: loaded, changed, and given to whoever sends or reads them.

events/README.md describes a sample's file.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from devkit.samples.assignments import assigned
from devkit.stacks.errors import CommandError
from devkit.stacks.local import CHECKOUT
from loyalty_relay.sources import platforms, source_module
from loyalty_relay.sources.base import Request, Topic

FOLDER = CHECKOUT / "events" / "sources"
AMBIGUOUS_LENGTH = 3
"""Characters of a store's name that may be in a body without meaning the store."""
FORM_PAYLOAD = "payload"
"""The form field that carries an entity's JSON (Lightspeed)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A sample delivery. ``body`` is exactly what is sent; ``headers`` have no signature yet."""

    platform: str
    topic: str
    fixture: str
    headers: Mapping[str, str]
    body: bytes
    method: str = "POST"
    query: Mapping[str, str] = field(default_factory=dict)
    path_topic: str | None = None

    def request(self) -> Request:
        """Return the sample as a source's module is given it."""
        return Request(
            method=self.method,
            headers={name.lower(): value for name, value in self.headers.items()},
            query=self.query,
            body=self.body,
            topic=self.path_topic,
        )

    def of_stores(self, stores: Mapping[str, str]) -> Sample:
        """Return the same delivery from other stores: each name of ``stores`` is replaced by its value.

        A name is replaced wherever it is a whole word; one of few characters only where a member is called store_id.
        """
        if not stores:
            return self
        try:
            body = to_json(_moved(json.loads(self.body), stores))
        except ValueError:
            fields = dict(parse_qsl(self.body.decode(errors="replace"), keep_blank_values=True))
            body = urlencode(_moved(fields, stores)).encode() if fields else self.body
        return replace(self, headers=_moved(self.headers, stores), query=_moved(self.query, stores), body=body)

    def changed(self, file: Path | None, assignments: Iterable[str]) -> Sample:
        """Return the same delivery with the body of ``file`` and single values assigned. Raises CommandError."""
        body = self.body if file is None else _read(file)
        wanted = list(assignments)
        return replace(self, body=_assigned(body, wanted) if wanted else body)


def _moved(value: Any, stores: Mapping[str, str], key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {_moved(name, stores): _moved(member, stores, name) for name, member in value.items()}
    if isinstance(value, list):
        return [_moved(member, stores) for member in value]
    if key == "store_id" and str(value) in stores:
        moved = stores[str(value)]
        return int(moved) if isinstance(value, int) and moved.isdecimal() else moved
    if not isinstance(value, str):
        return value
    for before, after in stores.items():
        if len(before) > AMBIGUOUS_LENGTH:
            value = after.join(re.split(rf"(?<![\w-]){re.escape(before)}(?![\w-])", value))
    return value


def _assigned(body: bytes, assignments: list[str]) -> bytes:
    """Return the body with values set: JSON, or the JSON in a form's field ``payload``, or a form's own fields."""
    try:
        return to_json(assigned(json.loads(body), assignments))
    except ValueError:
        fields = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True)) if b"=" in body else {}
    if not fields:
        raise CommandError("the body is neither JSON nor a form, so nothing in it can be set", do="give --file")
    if FORM_PAYLOAD not in fields:
        return urlencode(assigned(fields, assignments)).encode()
    inner = assigned(json.loads(fields[FORM_PAYLOAD]), assignments)
    return urlencode({**fields, FORM_PAYLOAD: to_json(inner).decode()}).encode()


def to_json(value: Any) -> bytes:
    """Return JSON as most platforms write it: compact, UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def load(platform: str, topic: str, fixture: str | None = None) -> Sample:
    """Return the sample of a topic: the first in the catalogue, or the one that is named. Raises CommandError."""
    rows = [row for row in topics(platform) if row.name == topic]
    if not rows:
        known = ", ".join(dict.fromkeys(row.name for row in topics(platform)))
        raise CommandError(f"{platform} has no topic {topic}", do=f"one of: {known}")
    named = [row for row in rows if fixture in (None, row.fixture)]
    if not named:
        samples = ", ".join(row.fixture for row in rows)
        raise CommandError(f"{platform} {topic} has no sample {fixture}", do=f"one of: {samples}")
    return read(platform, named[0])


def topics(platform: str) -> tuple[Topic, ...]:
    """Return the platform's rows of the catalogue. Raises CommandError for a platform that does not exist."""
    if platform not in platforms():
        raise CommandError(f"there is no platform {platform}", do=f"one of: {', '.join(platforms())}")
    return source_module(platform).topics


def first_topic(platform: str) -> str:
    """Return the topic that the platform's catalogue begins with."""
    return topics(platform)[0].name


def read(platform: str, topic: Topic) -> Sample:
    """Return the sample of one row of the catalogue. Raises CommandError when its file is missing or cannot be read."""
    path = FOLDER / platform / f"{topic.fixture}.json"
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"the sample cannot be read: {error}", where=str(path), do="see relay catalogue") from error
    return Sample(
        platform=platform,
        topic=topic.name,
        fixture=topic.fixture,
        headers=given.get("headers", {}),
        body=_body(given),
        method=given.get("method", "POST"),
        query=given.get("query", {}),
        path_topic=given.get("topic"),
    )


def _body(given: Mapping[str, Any]) -> bytes:
    if "raw" in given:
        return str(given["raw"]).encode()
    return to_json(given["body"]) if "body" in given else b""


def _read(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise CommandError(f"cannot read the file: {error.strerror}", where=str(file), do="give a path") from error
