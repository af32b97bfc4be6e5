"""Fixtures of the sandbox tests."""

from __future__ import annotations

import pytest

from tests.sandbox.capillary_client import CapillaryApi


@pytest.fixture
def capillary() -> CapillaryApi:
    """A fresh Capillary with its demo organisation."""
    return CapillaryApi()
