"""The layer's services, wired to a stack from outside: what the functions use, the tools use too."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from devkit.stacks.stack import Stack
from loyalty_relay.runtime.settings import Settings
from loyalty_relay.runtime.wiring import Services


def services_of(stack: Stack) -> Services:
    """Return the services of a stack, as its functions have them."""
    return Services(Settings(environment=stack.environment()), client=stack.client)


@contextmanager
def unlogged() -> Iterator[None]:
    """Keep log lines and metrics of layer code, which are meant for CloudWatch, off standard output."""
    with redirect_stdout(io.StringIO()):
        yield
