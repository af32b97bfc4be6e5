"""The template as written, and as CloudFormation gets it from the SAM transform."""

import json
from pathlib import Path
from typing import Any

import pytest

from devkit.localstack.template import Code, code_folders, localize, read
from tests.support.templates import whole

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The project's folder."""
    return CHECKOUT


@pytest.fixture(scope="session")
def text() -> str:
    """template.yaml."""
    return (CHECKOUT / "template.yaml").read_text()


@pytest.fixture(scope="session")
def _parsed(text: str) -> str:
    return json.dumps(whole(text))


@pytest.fixture
def template(_parsed: str) -> dict[str, Any]:
    """template.yaml and the stack nested in it as one, parsed, short forms written out; each test gets its own."""
    found: dict[str, Any] = json.loads(_parsed)
    return found


@pytest.fixture(scope="session")
def local(text: str) -> dict[str, Any]:
    """The local form of template.yaml, transformed with default parameters."""
    code = {name: Code("bucket", f"{name}.zip") for name in code_folders(read(text))}
    return localize(text, code=code, parameters={}, region="us-east-1").body
