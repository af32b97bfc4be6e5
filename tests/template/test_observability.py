"""The nested stack that watches the application is what the code makes of template, metrics and destinations."""

import json
from pathlib import Path
from typing import Any

import pytest

from devkit.localstack.template import read
from infra import observability

Json = dict[str, Any]


def test_the_checked_in_document_is_current() -> None:
    assert observability.DOCUMENT.read_text() == observability.text()


def test_a_document_that_drifted_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(observability, "DOCUMENT", tmp_path / "observability.json")
    monkeypatch.setattr("sys.argv", ["observability", "--check"])
    assert observability.main() == 1
    (tmp_path / "observability.json").write_text(observability.text().replace("register-parked", "register-held"))
    assert observability.main() == 1
    assert "make observability" in capsys.readouterr().err

    monkeypatch.setattr("sys.argv", ["observability"])
    assert observability.main() == 0
    monkeypatch.setattr("sys.argv", ["observability", "--check"])
    assert observability.main() == 0


def test_a_new_function_with_a_queue_is_watched(text: str) -> None:
    template = read(text)
    template["Mappings"]["Names"]["Sale"] = {"Name": "sale"}
    given = template["Resources"]["Observability"]["Properties"]["Parameters"]
    for end in ("Function", "Queue", "ParkedQueue"):
        template["Resources"][f"Sale{end}"] = template["Resources"][f"Update{end}"]
        given[f"Sale{end}"] = {"Ref": f"Sale{end}"}
    resources = observability.document(template)["Resources"]

    assert {f"Sale{kind}Alarm" for kind in ("Parked", "Age", "InFlight", "Throttles")} <= set(resources)
    assert '"label": "sale"' in resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]


@pytest.mark.parametrize(
    ("metric", "dimensions"), [("Deliveries", []), ("Outcomes", ["source", "connection", "topic", "outcome"])]
)
def test_a_metric_that_not_every_stack_writes_is_refused(metric: str, dimensions: list[str]) -> None:
    with pytest.raises(ValueError, match=metric):
        observability.emitted(metric, dimensions)


def test_the_nested_stack_is_given_every_parameter_and_uses_each(text: str) -> None:
    given = read(text)["Resources"]["Observability"]["Properties"]["Parameters"]
    nested = json.loads(observability.DOCUMENT.read_text())
    used = json.dumps([nested["Conditions"], nested["Resources"]])

    assert nested["Parameters"].keys() == given.keys()
    assert all(f'"Ref": "{name}"' in used or f"${{{name}}}" in used for name in given)
