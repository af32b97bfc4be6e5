"""What operators read agrees with the template, the code and the command line."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from devkit.cli.app import app
from loyalty_relay.telemetry.metrics import METRICS

PAGES = ("docs/deploy.md", "docs/operations.md", "docs/sam-local.md")
RUNBOOKS = sorted(path.name for path in (Path(__file__).resolve().parents[2] / "docs/runbooks").glob("*.md"))


def commands() -> set[str]:
    """Every command of `relay`, groups' included: `send`, `connections apply`."""
    found = set()
    root = typer.main.get_command(app)
    for name, command in getattr(root, "commands", {}).items():
        inner = getattr(command, "commands", None)
        found |= {f"{name} {sub}" for sub in inner} if inner else {name}
    return found


def section(text: str, title: str) -> str:
    """A page's section, from its title to the next one."""
    return re.split(r"^## ", text.partition(f"\n## {title}\n")[2], flags=re.MULTILINE)[0]


@pytest.mark.parametrize("page", [*PAGES, *(f"docs/runbooks/{name}" for name in RUNBOOKS)])
def test_a_page_names_only_commands_and_pages_that_there_are(checkout: Path, page: str) -> None:
    text = (checkout / page).read_text()
    known = commands()
    groups = {command.split()[0] for command in known if " " in command}
    code = "\n".join(re.findall(r"`[^`]+`|^.*bin/relay.*$", text, re.MULTILINE))
    named = re.findall(r"(?:^|[`/\s])relay ([a-z-]+)(?: ([a-z-]+))?", code)
    for first, second in named:
        assert (f"{first} {second}" if first in groups else first) in known, (first, second)

    for target in re.findall(r"\]\(([^)#]+)", text):
        assert "://" in target or (checkout / page).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("name", [name for name in RUNBOOKS if name != "README.md"])
def test_a_runbook_names_what_to_look_at_what_to_do_and_when_it_is_over(checkout: Path, name: str) -> None:
    text = (checkout / "docs/runbooks" / name).read_text()

    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == ["Look at", "Do", "Over when"]
    assert "`relay " in text


def test_every_parameter_is_in_the_table_with_its_default(checkout: Path, template: dict[str, Any]) -> None:
    table = section((checkout / "docs/deploy.md").read_text(), "Parameters")
    documented: dict[str, str] = {}
    for names, defaults in re.findall(r"^\| (`[^|]+`) \| ([^|]+) \|", table, re.MULTILINE):
        words = re.findall(r"`(\w+)`", names)
        documented |= dict(zip(words, defaults.split(", "), strict=True))

    assert documented == {name: str(p["Default"]) or "empty" for name, p in template["Parameters"].items()}


def test_every_metric_is_in_the_table(checkout: Path) -> None:
    table = section((checkout / "docs/operations.md").read_text(), "Metrics")

    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == list(METRICS)


def test_every_saved_query_is_in_the_table(checkout: Path, template: dict[str, Any]) -> None:
    table = section((checkout / "docs/operations.md").read_text(), "Logs")
    queries = [r["Properties"] for r in template["Resources"].values() if r["Type"] == "AWS::Logs::QueryDefinition"]

    names = [query["Name"]["Fn::Sub"].partition("/")[2] for query in queries]
    assert re.findall(r"^\| `STACK/([^`]+)`", table, re.MULTILINE) == names


def test_every_alarm_is_in_the_runbooks_table(checkout: Path, template: dict[str, Any]) -> None:
    table = (checkout / "docs/runbooks/README.md").read_text()
    patterns = [re.sub("OPERATION|FUNCTION", "[a-z-]+", name) for name in re.findall(r"`STACK-([\w-]+)`", table)]

    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            name = resource["Properties"]["AlarmName"]["Fn::Sub"].removeprefix("${AWS::StackName}-")
            assert any(re.fullmatch(pattern, name) for pattern in patterns), name
