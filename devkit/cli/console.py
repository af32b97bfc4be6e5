"""``relay console``: the page of a stack, on this machine."""

from __future__ import annotations

import signal
import webbrowser
from typing import Annotated

import typer

from devkit.cli.options import AsJson, StackName
from devkit.cli.output import note, out, show_line
from devkit.stacks.stack import find_stack

DEFAULT_PORT = 4580


def add(root: typer.Typer) -> None:
    """Put ``console`` among the commands."""
    root.command()(console)


def console(
    port: Annotated[
        int, typer.Option("--port", help="Of the page, on 127.0.0.1; 0: a free one.", min=0, max=65535)
    ] = DEFAULT_PORT,
    browse: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    stack: StackName = None,
    json: AsJson = False,
) -> None:
    """Show a stack as a page in the browser, with your AWS credentials, until Ctrl-C."""
    from devkit.console.serve import ConsoleServer

    # Ends like Ctrl-C, so that a redrive gives back what it has not sent.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = ConsoleServer(find_stack(stack), port=port)
    try:
        if json:
            show_line({"ready": True, "console": server.url})
        else:
            out.sentence(server.url)
            note("open this address: its key lets only you in; Ctrl-C ends the page")
        if browse:
            webbrowser.open(server.url)
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()
