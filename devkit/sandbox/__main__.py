"""``python -m devkit.sandbox --port N``: the sandbox in the foreground."""

from __future__ import annotations

import argparse
import signal
import sys

from devkit.sandbox.server import HOST, SandboxServer


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted; prints the URL once it accepts connections."""
    parser = argparse.ArgumentParser(prog="python -m devkit.sandbox", description="Serve the vendor sandbox.")
    parser.add_argument("--port", type=int, default=8400, help="0 takes a free one (default 8400)")
    options = parser.parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        # Set explicitly: a process that a shell started in the background inherits an ignored SIGINT.
        signal.signal(number, signal.default_int_handler)
    server = SandboxServer()
    try:
        server.start(options.port)
    except OSError as error:
        print(f"cannot listen on {HOST}:{options.port}: {error}", file=sys.stderr)
        return 1
    print(f"vendor sandbox on {server.url}", flush=True)
    try:
        server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
