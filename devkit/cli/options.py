"""The options that every command shares, and how a command's errors become an exit status."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from devkit.cli.output import show_error
from devkit.queries.failures import problem_of

StackName = Annotated[
    str | None,
    typer.Option("--stack", help="A deployed stack; 'local' is that of relay dev. [RELAY_STACK]", show_default=False),
]


def _remember(context: typer.Context, value: bool) -> bool:
    context.meta[JSON_ASKED] = value
    return value


JSON_ASKED = "devkit.cli.json"
"""Where a context remembers --json, so that errors are JSON then, too."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.", callback=_remember)]
Wait = Annotated[float, typer.Option("--wait", help="Seconds to follow the event to its outcome; 0: do not.", min=0)]


class Commands(TyperGroup):
    """A group of commands whose failures report what is wrong, where, and what to do, and exit with status 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; errors that are meant for people become text or, with --json, JSON on standard error."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                raise
        show_error(problem, as_json=bool(ctx.meta.get(JSON_ASKED)))
        raise typer.Exit(1)


def group(help: str) -> typer.Typer:
    """Return a group of commands."""
    return typer.Typer(help=help, no_args_is_help=True, cls=Commands, pretty_exceptions_enable=False)
