"""The commands that the pages print: each can be typed as written, and those of a stack in process succeed.

What needs the functions, the vendors or a customer's ledger is run by tests/devkit/test_dev.py, test_resend.py and
test_ledger_commands.py.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup, TyperOption

from devkit.cli.app import app
from devkit.samples.fixtures import load
from devkit.stacks.connection_store import rotated
from loyalty_relay.model.commands import CustomerRef, Envelope, Event, RegisterCustomer
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import Journal, JournalEntry
from tests.devkit.conftest import Relay, command_of
from tests.support.stack import shared_client
from tests.support.tables import JOURNAL

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SAMPLE = ROOT / "events" / "connections" / "shopify-capillary.json"
WIDTH = 80

ELSEWHERE = {
    *("connect ", "connections authorize", "connections check", "connections link-store"),
    *("customers reset", "customers show", "demo", "dev", "events resend", "import", "logs", "sales show", "send"),
    "reconcile acme --every",
    "subscriptions",
}
"""Commands that need more than tables, queues and secrets."""
MEANT_BY = {"0199…": "0199-delivery", "ID": "0199-delivery.0"}


def in_blocks(page: Path) -> Iterator[str]:
    """Commands of a page's shell blocks; of a pipe, each command of ours."""
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.splitlines():
            for part in re.split(r" \| ", line.partition(" #")[0]):
                if found := re.match(r"(?:\.venv/bin/)?relay (.+)", part.strip()):
                    yield found[1]


def in_text(page: Path) -> Iterator[str]:
    """Commands in the sentences of a page, which may leave out what an example needs."""
    for found in re.findall(r"`(?:\.venv/bin/)?relay ([a-z][^`]*)`", page.read_text()):
        yield from (part.removeprefix("relay ") for part in found.split(" | "))


def printed(find: object) -> list[object]:
    assert callable(find)
    return [pytest.param(line, id=f"{page.name}: {line}") for page in PAGES for line in dict.fromkeys(find(page))]


def parse(words: Sequence[str]) -> str:
    """Parse the words of a command as the command does, without running it; the command's name."""
    command: Any = command_of(app)
    context = typer.Context(command, info_name="relay")
    rest, names = list(words), list[str]()
    while isinstance(command, TyperGroup):
        if not rest:
            return " ".join(names)
        found: Any
        name, found, rest = command.resolve_command(context, rest)
        names.append(str(name))
        command, context = found, typer.Context(found, info_name=name, parent=context)
    command.make_context(names[-1], rest, parent=context.parent)
    return " ".join(names)


@pytest.fixture(autouse=True)
def _prompts_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TyperOption, "prompt_for_value", lambda option, context: "typed")


@pytest.mark.parametrize("line", printed(in_blocks))
def test_a_command_of_a_block_can_be_typed_as_written(line: str) -> None:
    assert parse(shlex.split(line))


@pytest.mark.parametrize("line", printed(in_text))
def test_a_command_in_a_sentence_exists_with_its_options(line: str) -> None:
    try:
        parse(shlex.split(line))
    except Exception as error:
        # Typer's own Click is private.
        if type(error).__name__ != "MissingParameter":
            raise


def runnable() -> list[str]:
    found = dict.fromkeys(line for line in in_blocks(ROOT / "docs" / "cli.md"))
    return [line for line in found if not line.startswith(tuple(ELSEWHERE))]


@pytest.fixture
def prepared(relay: Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Relay:
    """A connection, an event that was parked, and the files that the pages name; the terminal has 80 columns."""
    relay.env["COLUMNS"] = str(WIDTH)
    monkeypatch.chdir(tmp_path)
    Path("acme.json").write_text(SAMPLE.read_text())
    data = json.loads(SAMPLE.read_text().replace("${RELAY_SANDBOX_URL}", relay.env["RELAY_SANDBOX_URL"]))
    Path("body.json").write_bytes(load("shopify", "customers/create").body)
    connection = rotated(data, "fake-second-secret", now=time.time(), overlap_hours=1)
    secrets = shared_client("secretsmanager")
    secrets.create_secret(Name=relay.env["RELAY_DIGEST_SECRET"], SecretString="a digest key for tests only")
    secrets.create_secret(Name="relay-test/connections/acme", SecretString=json.dumps(connection))
    event = Event(source="shopify", topic="customers/create", id="evt-1", entity_id="7")
    command = RegisterCustomer(customer=CustomerRef(source_id="7"), fields={"first_name": "Ana"})
    envelope = Envelope(
        delivery_id="0199-delivery", connection="acme", event=event, command=command, received_at=1_790_000_000
    )
    shared_client("sqs").send_message(
        QueueUrl=relay.env["RELAY_PARKED_REGISTER"],
        MessageBody=envelope.to_json(),
        MessageAttributes={"reason": {"DataType": "String", "StringValue": "rejected"}},
    )
    parked = JournalEntry(
        delivery_id="0199-delivery", connection="acme", result=Result.PARKED, reason="rejected", code="8014"
    )
    Journal(shared_client("dynamodb"), JOURNAL, clock=lambda: 0.0).write(parked)
    return relay


def run(relay: Relay, line: str) -> tuple[int, str]:
    """Exit status, and everything that was printed for people; a line is too wide only for a word that is."""
    words = [MEANT_BY.get(word, word) for word in shlex.split(line)]
    if words[-2:] == ["--file", "-"] or words[:3] == ["connections", "apply", "-"]:
        stdin = Path("body.json" if "--file" in words else "acme.json").read_text()
    else:
        stdin = ""
    result = relay(*words, stdin=stdin)
    shown = result.stderr if "{" in result.stdout else result.stdout + result.stderr
    wide = [text for text in shown.splitlines() if len(text) > WIDTH]
    assert [text for text in wide if max(map(len, text.split())) <= WIDTH - 30] == []
    return result.exit_code, result.stdout + result.stderr


@pytest.mark.parametrize("line", runnable())
def test_a_command_succeeds_as_its_page_shows_it(prepared: Relay, line: str) -> None:
    name = parse(shlex.split(line))
    asks = name == "connections delete"

    code, shown = run(prepared, f"{line} --yes" if asks else line)

    assert (code, "error:" in shown) == (0, False), shown


@pytest.mark.parametrize("line", [line for line in runnable() if re.search(r"\b(acme|ID|0199…)", line)])
def test_a_command_about_something_that_is_not_there_reports_it(prepared: Relay, line: str) -> None:
    other = re.sub(r"\bID\b|0199…", "nope", line).replace("acme.json", "nope.json").replace(" acme", " nope")
    if "connections new-id" in line or "apply -" in line:
        return

    code, shown = run(prepared, other)

    assert code == 1, shown
    assert "error:" in shown
    assert "nope" in shown


@pytest.mark.parametrize("line", printed(in_blocks))
def test_an_option_that_does_not_exist_is_a_usage_error(line: str) -> None:
    with pytest.raises(Exception, match="--no-such-option") as caught:
        parse([*shlex.split(line), "--no-such-option"])

    assert getattr(caught.value, "exit_code", None) == 2


def test_the_json_of_an_error_is_json(prepared: Relay) -> None:
    result = prepared("connections", "show", "nope", "--json")

    assert json.loads(result.stderr)["error"]["what"]
