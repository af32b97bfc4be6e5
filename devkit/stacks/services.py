"""The layer's services, wired to a stack from outside: what the functions use, the tools use too."""

from __future__ import annotations

import io
import threading
from contextlib import AbstractContextManager, redirect_stdout

from devkit.stacks.stack import Stack
from loyalty_relay.runtime.settings import Settings
from loyalty_relay.runtime.wiring import Services


def services_of(stack: Stack) -> Services:
    """Return the services of a stack, as its functions have them."""
    return Services(Settings(environment=stack.environment()), client=stack.client)


class _Silence:
    """Standard output put aside while at least one thread of this process wants that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = 0
        self._redirection = redirect_stdout(io.StringIO())

    def __enter__(self) -> None:
        with self._lock:
            if not self._wanted:
                self._redirection = redirect_stdout(io.StringIO())
                self._redirection.__enter__()
            self._wanted += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._wanted -= 1
            if not self._wanted:
                self._redirection.__exit__(None, None, None)


_silence = _Silence()


def unlogged() -> AbstractContextManager[None]:
    """Keep log lines and metrics of layer code, which are meant for CloudWatch, off standard output."""
    return _silence
