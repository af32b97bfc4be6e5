"""The whole local stack as one thing: sandbox, AWS services, functions, and the sample connections in it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from devkit.localstack import LocalStack, LocalStackError
from devkit.sandbox.server import SandboxServer
from devkit.stacks.connection_store import ConnectionStore, read_file
from devkit.stacks.errors import CommandError
from devkit.stacks.local import SAMPLES, LocalState
from devkit.stacks.stack import Stack, local_stack

Say = Callable[[str], None]


class RunningRelay:
    """A local stack that this process started: ``stack`` is how commands see it. Stops what it started at the end."""

    def __init__(self, sandbox: SandboxServer, aws: LocalStack) -> None:
        self.sandbox = sandbox
        self.aws = aws
        self.state = LocalState(
            pid=os.getpid(),
            aws=aws.aws_url,
            api=aws.api_url,
            sandbox=sandbox.url,
            outputs=dict(aws.outputs),
            environment=aws.environment(),
        )
        self.stack: Stack = local_stack(self.state)

    @classmethod
    def start(cls, *, port: int = 0, sandbox_port: int = 0, say: Say = lambda line: None) -> Self:
        """Start everything; port 0 takes a free one. Raises CommandError with what to do."""
        sandbox = SandboxServer()
        try:
            sandbox.start(sandbox_port)
        except OSError as error:
            raise CommandError(
                f"the vendor sandbox cannot listen: {error.strerror}",
                where=f"127.0.0.1:{sandbox_port}",
                do="stop what listens there, or use --port 0 for free ports",
            ) from error
        try:
            aws = LocalStack.start(port=port, sandbox_url=sandbox.url, log=say)
        except LocalStackError as error:
            sandbox.stop()
            raise CommandError(
                str(error), do="free ports: --port 0; a broken set-up: make clean, then again"
            ) from error
        except BaseException:
            sandbox.stop()
            raise
        return cls(sandbox, aws)

    def connect(self, folder: Path = SAMPLES) -> list[str]:
        """Apply every sample connection; returns their ids. Raises CommandError for one that is not valid."""
        store = ConnectionStore(
            self.stack.client("secretsmanager"), self.stack.secrets_prefix, self.stack.sandbox_hosts
        )
        applied = []
        for path in sorted(folder.glob("*.json"), key=lambda path: path.stem):
            given = read_file(path, id=None, variables={"RELAY_SANDBOX_URL": self.state.sandbox, **_api(self.state)})
            store.parse(given.id, given.data)
            store.write(given.id, given.data)
            applied.append(given.id)
        return applied

    def stop(self) -> None:
        """End the AWS services with the functions, then the sandbox. May be called again."""
        self.aws.stop()
        self.sandbox.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _api(state: LocalState) -> dict[str, str]:
    return {"RELAY_API_URL": state.api}


def stopwatch() -> Callable[[], float]:
    """Return the seconds since now."""
    started = time.monotonic()
    return lambda: time.monotonic() - started
