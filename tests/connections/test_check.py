"""What is wrong with a connection is found in one round, also where its platform or vendor is not known."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from loyalty_relay.connections.check import inspected

SAMPLES = sorted((Path(__file__).parents[2] / "events" / "connections").glob("*.json"))
HOSTS = frozenset({"127.0.0.1:8400"})


def sample(name: str = "shopify-kangaroo") -> Any:
    path = next(path for path in SAMPLES if path.stem == name)
    text = path.read_text(encoding="utf-8").replace("${RELAY_SANDBOX_URL}", "http://127.0.0.1:8400")
    return json.loads(text.replace("${RELAY_API_URL}", "http://127.0.0.1:8400"))


def problems(data: Any) -> dict[str, str]:
    _, found = inspected("shop", copy.deepcopy(data), HOSTS)
    assert len({p.field for p in found}) == len(found)
    return {problem.field: problem.message for problem in found}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_the_samples_have_no_problem(path: Path) -> None:
    assert problems(sample(path.stem)) == {}


def test_every_wrong_field_is_named_at_once() -> None:
    data = sample()
    data["source"]["stores"] = ["shop.example.com"]
    data["source"]["secrets"] = []
    data["source"]["options"] = {"rolls": ["customer"]}
    data["source"]["api_credentials"] = {"access_token": 5}
    data["destination"]["credentials"].pop("client_secret")
    data["destination"]["options"] = {"branch": "7"}
    data["default_country"] = "UK "
    data["mapping"] = {"custmers/*": {"first_nam": "first_name", "email": "email ||"}, "customers/*": "email"}

    found = problems(data)

    assert set(found) == {
        "source.stores.0",
        "source.secrets",
        "source.options.rolls",
        "source.api_credentials.access_token",
        "destination.credentials.client_secret",
        "destination.options.branch",
        "default_country",
        "mapping.custmers/*",
        "mapping.custmers/*.first_nam",
        "mapping.custmers/*.email",
        "mapping.customers/*",
    }
    assert "(did you mean customers/*?)" in found["mapping.custmers/*"]
    assert "(did you mean first_name?)" in found["mapping.custmers/*.first_nam"]


@pytest.mark.parametrize("pattern", ["*", "customers/*", "customers/create", "Customer/*"])
def test_a_pattern_that_matches_a_topic_is_good(pattern: str) -> None:
    assert problems({**sample(), "mapping": {pattern: {"first_name": "first_name"}}}) == {}


def test_a_misspelt_vendor_is_the_only_problem_of_the_destination() -> None:
    data = sample()
    data["destination"]["vendor"] = "kangroo"

    assert problems(data) == {"destination.vendor": "must be one of capillary, kangaroo (did you mean kangaroo?)"}


def test_a_missing_vendor_is_the_only_problem_of_the_destination() -> None:
    data = sample()
    del data["destination"]["vendor"]

    assert problems(data) == {"destination.vendor": "is required"}


def test_a_misspelt_platform_is_the_only_problem_of_the_source() -> None:
    data = sample()
    data["source"]["platform"] = "shopifi"

    found = problems(data)

    assert set(found) == {"source.platform"}
    assert "(did you mean shopify?)" in found["source.platform"]


@pytest.mark.parametrize("name", [path.stem for path in SAMPLES])
def test_an_unknown_option_of_any_platform_is_a_problem(name: str) -> None:
    data = sample(name)
    data["source"].setdefault("options", {})["unheard_of"] = True

    assert problems(data) == {"source.options.unheard_of": "unknown field unheard_of"}
