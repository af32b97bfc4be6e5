"""Every reason that can be in a journal has a meaning, and what is parked has something to do."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from devkit.queries.hints import FORMER, HINTS, NOTICES, RESULTS, as_markdown, hint, in_words, meaning
from loyalty_relay.model import errors
from loyalty_relay.model.errors import PermanentError, RelayError
from loyalty_relay.model.outcomes import Result

LAYER = Path(__file__).parents[2] / "layers" / "relay" / "loyalty_relay"


def every(kind: type[RelayError]) -> list[type[RelayError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in every(child))]


@pytest.mark.parametrize("kind", every(RelayError), ids=lambda kind: kind.__name__)
def test_every_error_of_the_tree_is_explained(kind: type[RelayError]) -> None:
    if kind.__module__ == errors.__name__ and kind not in (RelayError, errors.DeliveryRefused):
        assert kind.reason in HINTS


@pytest.mark.parametrize("kind", every(PermanentError), ids=lambda kind: kind.__name__)
def test_whatever_parks_a_command_has_something_to_do(kind: type[PermanentError]) -> None:
    assert hint(kind.reason, "parked")


@pytest.mark.parametrize("result", list(Result))
def test_every_outcome_is_explained(result: Result) -> None:
    assert RESULTS[result.value].means
    assert meaning("", result.value) == RESULTS[result.value].means


def literals(call: str, argument: str | int) -> set[str]:
    """The texts that the layer's code gives to an argument of a class."""
    found = set()
    for file in LAYER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == call):
                continue
            given = [k.value for k in node.keywords if k.arg == argument]
            given += [node.args[argument]] if isinstance(argument, int) and len(node.args) > argument else []
            chosen = [c for v in given for c in ((v.body, v.orelse) if isinstance(v, ast.IfExp) else (v,))]
            found |= {value.value for value in chosen if isinstance(value, ast.Constant)}
    return {text for text in found if isinstance(text, str) and re.fullmatch(r"[a-z]+(_[a-z]+)*", text)}


def test_every_code_of_a_notice_is_put_into_words() -> None:
    codes = literals("Notice", 0)

    assert {"credits_not_sent", "phone_invalid"} <= codes
    assert [code for code in codes if in_words(code) == code] == []
    assert NOTICES.keys() - codes == {"gender_not_known", "tags_differ", "value_differs"}, "no notice has this code"


def test_a_code_means_what_its_own_vendor_documents() -> None:
    assert in_words("8014", "capillary") == "8014: the primary identifier or mobile is not valid"
    assert in_words("8014", "kangaroo") == in_words("8014") == "8014"
    assert in_words("422", "kangaroo").startswith("422: HTTP Unprocessable")
    assert in_words("invalid_grant", "gone") == "invalid_grant"


def test_every_reason_for_ignoring_or_parking_a_delivery_is_explained() -> None:
    reasons = literals("NothingToDo", "reason") | literals("Untranslatable", 0)

    assert {"no_id", "topic_not_used"} <= reasons
    assert reasons - HINTS.keys() == set()


def test_nothing_is_to_be_done_about_what_went_well() -> None:
    for result in ("applied", "unchanged", "stale", "duplicate"):
        assert hint("", result) == ""
    assert hint("older", "stale") == ""


def test_an_unknown_reason_of_something_parked_still_names_where_to_look() -> None:
    assert "relay parked list" in hint("never_seen_before", "parked")


def test_hints_name_only_commands_that_exist() -> None:
    from typer.main import get_command

    from devkit.cli.app import app

    root = get_command(app)
    known = set(getattr(root, "commands", {}))
    named = {
        word
        for h in (*HINTS.values(), *RESULTS.values())
        for word in re.findall(r"\brelay ([a-z]+)", h.means + " " + h.do)
    }

    assert named <= known


def test_a_passing_fault_that_is_parked_did_not_pass() -> None:
    actual = meaning("unavailable", "parked")

    assert actual == "It was tried for 72 hours without success; the last time: The destination cannot serve now."
    assert "by itself" in meaning("unavailable", "retrying")


def test_the_manual_has_every_reason_that_needs_an_action() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()

    # Else: replace the last table of docs/cli.md by what devkit.queries.hints.as_markdown() gives.
    assert manual.endswith(as_markdown())


@pytest.mark.parametrize(("former", "present"), FORMER.items())
def test_a_reason_of_older_journal_items_is_explained_too(former: str, present: str) -> None:
    assert former not in HINTS
    assert meaning(former, "ignored") == HINTS[present].means
