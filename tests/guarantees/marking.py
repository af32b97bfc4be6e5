"""Samples whose personal data is recognisable, and the search for it in what the relay leaves behind."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.guarantees.world import World
from tests.sources.samples import Sample

WORD = "Zq7mark"
"""The prefix of every marked name, address and note; part of every marked e-mail."""

_PHONES = re.compile(r"7700[\s().-]*9009")
_PHONE_LIKE = re.compile(r"\+?[\d\s().-]{7,20}")
_PHONE_KEY = re.compile(r"phone|mobile|fax", re.IGNORECASE)
_PERSONAL_KEY = re.compile(
    r"(first|last|given|family|middle|full|nick|display)_?name|^name$|username|company|address_?\d?$|address_line|street"
    r"|city|suburb|locality|postal|postcode|zip|note|birth|gender$|sex$",
    re.IGNORECASE,
)
_ORDER_NUMBER = re.compile(r"#[0-9]{1,10}")
"""What Shopify calls the ``name`` of an order; bills are made of it, and it is no person."""
_KEPT = re.compile(r"(country|_id|_code|version|status|type|state)$", re.IGNORECASE)


@dataclass
class Marker:
    """Replaces personal data by marked data, the same value always by the same."""

    given: dict[str, str] = field(default_factory=dict)
    shop: bool = False

    def sample(self, sample: Sample, *, shop: bool = False) -> Sample:
        """The sample with marked data; as it is where its body is no JSON. ``shop``: its name is that of a shop."""
        self.shop = shop
        try:
            return sample.with_body(self.value(sample.json()))
        except ValueError:
            return sample

    def value(self, value: Any, key: str = "", inside: str = "") -> Any:
        if isinstance(value, Mapping):
            return {name: self.value(child, str(name), key or inside) for name, child in value.items()}
        if isinstance(value, list):
            return [self.value(child, key, inside) for child in value]
        return self._text(value, key, inside) if isinstance(value, str) and value else value

    def _text(self, text: str, key: str, inside: str) -> str:
        if "@" in text and " " not in text:
            return self._marked(text, lambda n: f"{WORD.lower()}{n}@example.com")
        if _PHONE_KEY.search(f"{inside}.{key}") and _PHONE_LIKE.fullmatch(text):
            return self._marked(re.sub(r"\D", "", text), lambda n: f"+44770090090{n % 10}")
        if self.shop and key == "name":
            return text
        if key == "name" and _ORDER_NUMBER.fullmatch(text):
            return text
        if _PERSONAL_KEY.search(key) and not _KEPT.search(key) and not _a_date(text):
            return self._marked(text, lambda n: f"{WORD}{n}")
        return text

    def _marked(self, text: str, make: Any) -> str:
        if WORD.lower() in text.lower():
            return text
        return self.given.setdefault(text, make(len(self.given)))


def _a_date(text: str) -> bool:
    return bool(re.match(r"\d{4}-\d\d-\d\d", text))


def secrets_of(world: World, *documents: Mapping[str, Any]) -> list[str]:
    """Every credential of connections, and the proofs that requests to the vendors carried."""
    found = set()
    for document in documents:
        source, destination = document["source"], document["destination"]
        found |= {secret["value"] for secret in source["secrets"] if "PUBLIC KEY" not in secret["value"]}
        found |= set(source.get("api_credentials", {}).values())
        for name, text in destination["credentials"].items():
            if re.search(r"password|secret|token|application_key", name):
                found |= {text, hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}
    for request in world.vendors.sandbox.recorder.requests:
        for name in ("authorization", "x-cap-api-oauth-token"):
            found |= {request.headers.get(name, "").removeprefix("Bearer ").removeprefix("Basic ")}
    return [secret for secret in found if len(secret) > 5]


def hashes_of(marker: Marker) -> Iterator[str]:
    """Hashes of marked contacts that anybody could compute."""
    for text in marker.given.values():
        for form in {text, text.lower(), text.removeprefix("+")}:
            for name in ("md5", "sha1", "sha256"):
                digest = hashlib.new(name, form.encode(), usedforsecurity=False).digest()
                yield digest.hex()
                yield base64.b64encode(digest).decode().rstrip("=")
            yield base64.b64encode(form.encode()).decode().rstrip("=")


def leaks(places: Iterable[tuple[str, str]], marker: Marker, secrets: Iterable[str]) -> list[str]:
    """Return what is personal or secret where neither may be, as place and excerpt; empty if there is none."""
    forbidden = {*secrets, *hashes_of(marker)}
    forbidden |= {quote(text, safe="") for text in forbidden}
    found = []
    for place, text in places:
        if (at := text.lower().find(WORD.lower())) >= 0:
            found.append(f"{place}: …{text[max(0, at - 200) : at + 60]}…")
        if hit := _PHONES.search(text):
            found.append(f"{place}: …{text[max(0, hit.start() - 200) : hit.end() + 20]}…")
        found += [f"{place}: secret or bare hash {secret[:12]}…" for secret in forbidden if secret in text]
    return found


def held(world: World) -> Iterator[tuple[str, str]]:
    """What tables hold, and the attributes of parked messages. Their bodies may hold what was sent."""
    for table in ("state", "journal", "idempotency"):
        yield from ((table, json.dumps(item, ensure_ascii=False)) for item in world.stack.items(table))
    for operation in (
        "register",
        "update",
        "crm-patch",
        "link-store",
        "transaction",
        "import-run",
        "hydrate",
        "ingest",
    ):
        for message in world.parked(operation):
            kept = {name: value for name, value in message.items() if name != "Body"}
            yield f"parked {operation}", json.dumps(kept, ensure_ascii=False, default=str)


class Asked:
    """What was asked of AWS, without what secrets and messages are there to hold: all of it an audit trail may log."""

    def __init__(self, world: World) -> None:
        self.requests: list[tuple[str, str]] = []
        world.stack.watch("provide-client-params.*.*", self._note)

    def _note(self, params: Mapping[str, Any], model: Any, **more: Any) -> None:
        shown = json.dumps(_without(params, ("SecretString", "MessageBody")), ensure_ascii=False, default=str)
        self.requests.append((f"aws {model.name}", shown))


def _without(value: Any, names: tuple[str, ...]) -> Any:
    if isinstance(value, Mapping):
        return {name: _without(child, names) for name, child in value.items() if name not in names}
    return [_without(child, names) for child in value] if isinstance(value, list) else value
