"""The pinned requirement files install the same bytes anywhere, and name no place to get them from."""

import re
from pathlib import Path

import pytest

NAMES = ("layer", "dev", "local", "sam", "build", "runtime", "safety")


def pins(checkout: Path, name: str) -> dict[str, str]:
    """Package -> version of one pinned file, markers left out."""
    text = (checkout / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", NAMES)
def test_every_package_is_pinned_with_hashes(checkout: Path, name: str) -> None:
    text = (checkout / "requirements" / f"{name}.txt").read_text().replace("\\\n", " ")

    requirements = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert requirements
    assert all("==" in line and "--hash=sha256:" in line for line in requirements)


@pytest.mark.parametrize("name", NAMES)
def test_no_file_names_an_address(checkout: Path, name: str) -> None:
    for suffix in ("in", "txt"):
        text = (checkout / "requirements" / f"{name}.{suffix}").read_text()
        assert not re.search(r"://|--(extra-)?index-url|--find-links|^-[if] ", text, re.MULTILINE)


def test_tests_run_with_the_packages_that_the_layer_ships(checkout: Path) -> None:
    assert pins(checkout, "layer").items() <= pins(checkout, "dev").items()


def test_the_layer_is_built_from_the_pinned_file(checkout: Path) -> None:
    assert (checkout / "layers/relay/requirements.txt").resolve() == checkout / "requirements/layer.txt"
