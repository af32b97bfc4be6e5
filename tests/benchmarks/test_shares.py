"""The share of a processor that memory buys, and who is held to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.processes import Start
from benchmarks.shares import PERIOD, Shares, initialised_after, share_of


def test_a_function_gets_a_processor_by_its_memory_and_never_more_than_one() -> None:
    assert share_of(1769) == 1
    assert share_of(512) == pytest.approx(0.289, abs=0.001)
    assert share_of(3008) == 1


def test_a_start_is_its_initialisation_with_a_whole_processor_and_its_first_event_with_the_share() -> None:
    start = Start(512, init=[100.0, 200.0], first=[10.0, 20.0])
    assert start.whole == pytest.approx([100 + 34.55, 200 + 69.1], abs=0.1)
    assert str(start) == "150 + 52"


def test_the_group_has_the_share_and_is_removed_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Path.mkdir

    def kernel(self: Path, *arguments: object, **keys: object) -> None:
        made(self)
        (self / "cpu.max").touch()

    monkeypatch.setattr(Path, "mkdir", kernel)
    shares = Shares((tmp_path,))
    with shares:
        environment = shares.environment(512, "app.handler")
        (group,) = tmp_path.iterdir()
        assert (group / "cpu.max").read_text() == f"{int(PERIOD * 512 / 1769)} {PERIOD}"
        assert environment == {"HELD_HANDLER": "app.handler", "HELD_GROUP": str(group / "cgroup.procs")}
        # The kernel's files go with their folder.
        (group / "cpu.max").unlink()
    assert list(tmp_path.iterdir()) == []


def test_without_control_groups_nothing_is_held(tmp_path: Path) -> None:
    with Shares((tmp_path / "none",)) as shares:
        assert not shares.real
        assert shares.environment(512, "app.handler") == {"HELD_HANDLER": "app.handler"}


def test_the_end_of_the_initialisation_is_read_from_the_log() -> None:
    assert initialised_after("START\nHELD 123456789\nREPORT") == pytest.approx(123.456789)
    with pytest.raises(RuntimeError, match="not initialised"):
        initialised_after("Traceback")
