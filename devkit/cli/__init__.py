"""The `relay` command: run the relay on this machine, connect shops, send events, see what became of them."""

from __future__ import annotations


def main(arguments: list[str] | None = None) -> None:
    """Run the command with the process's arguments, or with those given; exits with its status."""
    from devkit.cli.app import app

    app(args=arguments, prog_name="relay")
