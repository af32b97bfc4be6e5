"""``relay dev`` and ``relay demo``: the relay on this machine."""

from __future__ import annotations

import signal
import threading
import time
from typing import Annotated

import typer

from devkit.cli.logs import FUNCTIONS, Tail, pretty
from devkit.cli.options import AsJson
from devkit.cli.output import err, note, out, show_line, show_pairs
from devkit.stacks.local import remove_state, state_file, write_state

DEFAULT_PORT = 4570


def add(root: typer.Typer) -> None:
    """Put ``dev`` and ``demo`` among the commands."""
    root.command()(dev)
    root.command()(demo)


def dev(
    port: Annotated[
        int, typer.Option("--port", help="Of the AWS services and the API; 0: free ones.", min=0, max=65535)
    ] = DEFAULT_PORT,
    sandbox_port: Annotated[
        int | None,
        typer.Option("--sandbox-port", help="Of the vendor sandbox; default: the next one.", min=0, max=65535),
    ] = None,
    console_port: Annotated[
        int | None,
        typer.Option("--console-port", help="Of the console; default: the one after the sandbox's.", min=0, max=65535),
    ] = None,
    logs: Annotated[
        bool | None, typer.Option("--logs/--no-logs", help="Stream the functions' log lines; default: not with --json.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Run the whole stack on this machine until Ctrl-C: AWS services, functions, sandbox, connections, console."""
    from devkit.cli.running import RunningRelay, stopwatch
    from devkit.console.serve import ConsoleServer

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    took = stopwatch()
    chosen = sandbox_port if sandbox_port is not None else _next(port)
    with err.status("starting") as status:

        def say(line: str) -> None:
            if err.is_terminal:
                status.update(line)
            elif not json:
                note(line)

        relay = RunningRelay.start(port=port, sandbox_port=chosen, say=say)
        try:
            say("applying the sample connections")
            connections = relay.connect()
            console = ConsoleServer(relay.stack, port=console_port if console_port is not None else _next(chosen))
        except BaseException:
            relay.stop()
            raise
    path = state_file()
    try:
        write_state(relay.state, path)
        urls = {"api": relay.state.api, "sandbox": relay.state.sandbox, "aws": relay.state.aws}
        if json:
            show_line({"ready": True, **urls, "console": console.url})
        else:
            out.sentence(f"ready in {took():.1f} s")
            show_pairs([*urls.items(), ("console", console.url)])
            note(f"connections: {', '.join(connections)}")
            note("in another terminal: relay send shopify customers/create; Ctrl-C here stops everything")
        streaming = not json if logs is None else logs
        tail = Tail(relay.stack.client("logs"), relay.stack.formation, FUNCTIONS, int(time.time() * 1000))
        while not stop.wait(1.0):
            if streaming:
                _stream(tail)
    finally:
        remove_state(path)
        if not json:
            note("stopping")
        console.stop()
        relay.stop()


def _next(port: int) -> int:
    """Return the port after one that was chosen; 0 where a free one is taken."""
    return port + 1 if 0 < port < 65535 else 0


def _stream(tail: Tail) -> None:
    for line in tail.next():
        text = pretty(line)
        if text is not None:
            err.sentence(text)


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the stack running with its console, until Ctrl-C.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Send signed sample events of every source through a local stack, and show what became of each."""
    from devkit.demo.run import run

    if not run(as_json=json, keep=keep):
        raise typer.Exit(1)
