"""``relay catalogue`` and ``relay map``: what each topic becomes, and what a sample would become."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from devkit.cli.options import AsJson, StackName
from devkit.cli.output import note, out, show_json, show_pairs, show_table, show_text, write_file
from devkit.samples.fixtures import load
from devkit.stacks.errors import CommandError
from loyalty_relay.sources import catalogue as rows_of_catalogue


def add(root: typer.Typer) -> None:
    """Put ``catalogue``, ``map`` and ``openapi`` among the commands."""
    root.command()(catalogue)
    root.command("map")(map_)
    root.command()(openapi)


def catalogue(
    platform: Annotated[str | None, typer.Argument(metavar="[PLATFORM]", help="Only this platform.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As docs/catalogue.md.")] = False,
    json: AsJson = False,
) -> None:
    """List every topic of every platform and what it becomes."""
    rows = [
        {"platform": name, "topic": t.name, "becomes": t.becomes, "fixture": t.fixture, "note": t.note}
        for name, t in rows_of_catalogue()
        if platform in (None, name)
    ]
    if not rows:
        known = ", ".join(sorted({name for name, _ in rows_of_catalogue()}))
        raise CommandError(f"there is no platform {platform}", do=f"one of: {known}")
    if json:
        show_json(rows)
    elif markdown:
        show_text(as_markdown(rows).rstrip("\n"))
    else:
        shown = [[row["platform"], row["topic"], row["becomes"], row["note"]] for row in rows]
        show_table(["platform", "topic", "becomes", "note"], shown)


def as_markdown(rows: list[dict[str, str]]) -> str:
    """Return the catalogue as a page: one table per platform."""
    lines = [
        "# Catalogue",
        "",
        "Every topic of every platform and what it becomes. Made by `relay catalogue --markdown`.",
    ]
    before = ""
    for row in rows:
        if row["platform"] != before:
            before = row["platform"]
            lines += ["", f"## {before}", "", "| topic | becomes | note | sample |", "| --- | --- | --- | --- |"]
        cells = (f"`{row['topic']}`", row["becomes"], row["note"], f"`{row['fixture']}`" if row["fixture"] else "")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def map_(
    platform: Annotated[str, typer.Argument(metavar="PLATFORM", help="Such as shopify.")],
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="Such as customers/create.")],
    file: Annotated[
        Path | None, typer.Option("--file", help="A body in place of the sample's; - is standard input.")
    ] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Change a value of the body.")
    ] = None,
    connection: Annotated[
        str | None, typer.Option("--connection", help="A connection's id or file; default: a sample for the platform.")
    ] = None,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Show what a body becomes, value by value, without sending anything."""
    from devkit.queries.connections import preview
    from devkit.samples.mapping import connection_for, from_own_store

    sample = load(platform, topic)
    found = connection_for(platform, connection, stack)
    sample = from_own_store(sample, found).changed(file, assignments or ())
    view = preview(sample, found)
    if json:
        show_json(view.as_json())
        return
    note(f"connection {found.id}: {platform} to {found.destination.vendor}")
    for result in view.results:
        _show(result)


def _show(result: Mapping[str, Any]) -> None:
    if "skipped" in result:
        out.sentence(f"ignored: {result['skipped']}")
        return
    out.print(Text.assemble((result["kind"], "bold"), f" → {result['operation']}"))
    show_pairs([(name, _text(value)) for name, value in result["values"].items()])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else jsonlib.dumps(value, ensure_ascii=False)


def openapi(
    output: Annotated[Path | None, typer.Option("--output", help="Write here; default: print.")] = None,
) -> None:
    """Print the HTTP API's OpenAPI 3.1 document."""
    from devkit.openapi import text

    if output is None:
        show_text(text().rstrip("\n"))
    else:
        write_file(output, text())
