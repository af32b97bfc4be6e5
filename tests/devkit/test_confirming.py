"""Prompts before a change, and what takes their place without a terminal."""

from __future__ import annotations

import pytest
import typer

from devkit.cli import output
from devkit.stacks.errors import CommandError


def test_without_a_terminal_the_error_names_what_would_change_and_the_option() -> None:
    with pytest.raises(CommandError) as caught:
        output.confirm("Delete connection shop?", where="shop", terminal=False)
    assert (caught.value.where, caught.value.do) == ("shop", "add --yes")


def test_on_a_terminal_the_change_is_shown_and_has_to_be_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(typer, "confirm", lambda question, abort: shown.append(question))
    output.confirm("Delete connection shop?", where="shop", show=lambda: shown.append("what"))
    assert shown == ["what", "Delete connection shop?"]
