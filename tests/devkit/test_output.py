"""What the commands print at three widths, on a dumb terminal, piped, and with hostile text in it.

After a wanted change: ``RELAY_GOLDEN=write pytest tests/devkit/test_output.py``, and a look at the difference.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from rich.text import Text

from devkit.cli import output
from devkit.cli.following import show_entries
from devkit.cli.logs import Line, pretty
from devkit.cli.output import PlainConsole, note, show_error, show_json, show_pairs, show_table, show_text
from devkit.demo.run import COLUMNS as DEMO_COLUMNS
from devkit.demo.run import DROP as DEMO_DROP
from devkit.stacks.errors import CommandError
from loyalty_relay.model.outcomes import Result
from loyalty_relay.reliability.journal import JournalEntry

SNAPSHOTS = Path(__file__).parent / "snapshots"
WIDTHS = (80, 120, 200)

EVENTS = ["received", "connection", "event", "outcome", "reason", "loyalty id", "delivery"]
EVENT: list[str | Text] = [
    "2026-11-28 09:15:02Z",
    "shopify-capillary",
    "shopify customers/marketing_consent",
    "retrying",
    "rate_limited 429",
    "98765432",
    "0199a3f0-1234-7abc-8def-0123456789ab.1",
]
ENTRY = JournalEntry(
    delivery_id="0199a3f0-1234-7abc-8def-0123456789ab",
    connection="shopify-capillary",
    source="shopify",
    topic="customers/create",
    event_id="evt-1",
    operation="register",
    result=Result.PARKED,
    reason="rejected",
    code="8014",
    receives=3,
    received_at=1795857302.0,
)


def events() -> None:
    show_table(EVENTS, [EVENT, [*EVENT[:3], "applied", "", "", EVENT[6]]], drop=["loyalty id", "connection"])


def checks() -> None:
    rows = [
        ["extended field city", "missing", "The field is not enabled for the organisation.", "the business"],
        ["credentials", "ok", "The vendor accepts them.", ""],
    ]
    show_table(["what", "ok", "message", "who can fix it"], rows)


def demo() -> None:
    row: list[str | Text] = [
        "bigcommerce-kangaroo",
        "store/customer/created",
        "a thin event, completed from the platform's API",
        "applied",
        "applied",
        "POST /customers 201, PATCH /customers/1/crm-fields 200",
        "812",
        Text("✓"),
    ]
    show_table(DEMO_COLUMNS, [row], drop=DEMO_DROP)


def one_event() -> None:
    now = ENTRY.received_at
    waiting = replace(
        ENTRY, result=Result.RETRYING, reason="unavailable", code="503", codes=("phone_invalid",), next_at=now + 43
    )
    show_entries([ENTRY, waiting], lambda connection: "capillary", clock=lambda: now)


def error() -> None:
    details = [{"field": "destination.credentials.client_secret", "message": "is required by this type of credentials"}]
    what = "connection a-shop-with-a-long-name is not valid"
    show_error(CommandError(what, where="acme.json", do="correct these fields " * 4, details=details), as_json=False)


PRINTED: Mapping[str, Callable[[], None]] = {
    "events": events,
    "checks": checks,
    "demo": demo,
    "event": one_event,
    "error": error,
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PRINTED)
def test_output_fits_the_width_and_breaks_no_word(
    name: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))

    PRINTED[name]()

    printed = capsys.readouterr()
    text = "\n".join(line.rstrip() for line in (printed.out + printed.err).splitlines()) + "\n"
    file = SNAPSHOTS / f"{name}-{width}.txt"
    if os.environ.get("RELAY_GOLDEN") == "write":
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")
    assert all(len(line) <= width for line in text.splitlines())


def test_output_that_is_piped_has_neither_colours_nor_broken_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)

    events()
    note("a sentence " * 40)

    printed = capsys.readouterr()
    assert "\x1b" not in printed.out
    assert str(EVENT[6]) in printed.out.splitlines()[1]
    assert len(printed.err.splitlines()) == 1


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"NO_COLOR": "1", "TERM": "xterm"}])
def test_a_terminal_without_colours_gets_none(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    file = io.StringIO()
    console = PlainConsole(file=file, force_terminal=True, _environ=environment, highlight=False, markup=False)
    monkeypatch.setattr(output, "out", console)

    events()
    one_event()

    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", file.getvalue())
    assert "retrying" in file.getvalue()


HOSTILE = "a\x1b]0;title\x1b[2Jb\x9b31mc\u202ed\x7f\ud800[bold]:smile:"


@pytest.mark.parametrize(
    "prints",
    [
        lambda: show_table(["event", "note"], [[HOSTILE, HOSTILE]]),
        lambda: show_pairs([("topic", HOSTILE), ("next", Text(HOSTILE, style="red"))]),
        lambda: note(HOSTILE),
        lambda: show_text(HOSTILE),
        lambda: show_json({"topic": HOSTILE}),
        lambda: show_error(
            CommandError(HOSTILE, where=HOSTILE, do=HOSTILE, details=[{"field": HOSTILE, "message": HOSTILE}]),
            as_json=False,
        ),
        lambda: show_error(CommandError(HOSTILE), as_json=True),
        lambda: output.out.sentence(pretty(Line(0, "ingest", json.dumps({"message": HOSTILE, "topic": HOSTILE})))),  # type: ignore[arg-type]
        lambda: output.err.print(HOSTILE),
    ],
)
def test_no_text_reaches_the_terminal_with_control_characters(
    prints: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    prints()

    printed = capsys.readouterr()
    text = printed.out + printed.err
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800]", text)
    assert r"a\u001b]0;title\u001b[2Jb\u009b31mc\u202ed\u007f\ud800[bold]:smile:" in " ".join(text.split())


def test_escaped_json_is_still_the_same_value(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"topic": HOSTILE})

    assert json.loads(capsys.readouterr().out) == {"topic": HOSTILE}


def test_a_text_with_newlines_makes_no_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["event"], [["customers/create\napplied"]])
    show_pairs([("topic", "customers/create\noutcome applied")])

    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == [
        "event",
        "customers/create applied",
        "topic customers/create outcome applied",
    ]


def test_all_output_of_the_commands_goes_through_one_module() -> None:
    folder = Path(output.__file__).parent
    found = [
        f"{path.name}:{node.lineno}"
        for path in (*folder.glob("*.py"), *(folder.parent / "demo").glob("*.py"))
        if path.name != "output.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "typer.echo", "click.echo")
    ]

    assert found == []
