"""One function under Lambda's runtime interface emulator, which comes with the SAM command line.

Seen on aws-sam-cli 1.170.0: two requests at once end the emulator, so each `Emulator` serves one request at a time;
the process is initialised at the first invocation; time-outs, errors and exits give Lambda's responses; the
length of the initialisation is in its own log only.
"""

import contextlib
import json
import os
import platform
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from devkit.localstack.server import free_port

_LISTENS_WITHIN_S = 10.0
_PATH = "/2015-03-31/functions/function/invocations"


class RuntimeProblem(RuntimeError):
    """A prerequisite of the functions is missing, or the emulator did not start; the message contains what to do."""


@dataclass(frozen=True)
class Invocation:
    """What a function returned: its parsed payload, or `error` (Lambda's error type) with the message as payload."""

    payload: Any
    error: str | None
    milliseconds: float
    """From request to answer, initialisation included where there was one."""


def emulator_binary(checkout: Path) -> Path:
    """Return the emulator of this machine's processor. Raises RuntimeProblem when it is not installed."""
    kind = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine().lower())
    found = sorted(checkout.glob(f".local/sam/lib/python*/site-packages/samcli/local/rapid/aws-lambda-rie-{kind}"))
    if not found:
        raise RuntimeProblem(f"no runtime interface emulator for {platform.machine()}: run `make runtime`")
    return found[0]


class Emulator:
    """One execution environment of one function; a context manager.

    `environment` is the function's own (tables, queues, AWS endpoint and credentials); nothing else of this
    process's reaches it. The layer is found as on Lambda: after the function's own folder, before what belongs to
    the interpreter.
    """

    def __init__(
        self,
        *,
        binary: Path,
        python: Path,
        folder: Path,
        layer: Path,
        handler: str,
        environment: Mapping[str, str],
        timeout: float = 30,
        memory: int = 512,
    ) -> None:
        """Start the emulator and wait until it listens. The function itself is loaded by the first invocation.

        `folder` is the built function, `layer` the unpacked layer, `timeout` in seconds, `memory` in MB. Raises
        RuntimeProblem when it does not listen within 10 s.
        """
        self._timeout = timeout
        self._one = threading.Lock()
        port = free_port()
        self._url = f"http://127.0.0.1:{port}{_PATH}"
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        variables = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "LAMBDA_TASK_ROOT": str(folder),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory),
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(int(timeout)),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_FUNCTION_NAME": folder.name,
            "PYTHONPATH": str(layer / "python"),
            # Both folders are read-only on Lambda.
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        }
        command: list[str | Path] = [
            *(binary, "--runtime-interface-emulator-address", f"127.0.0.1:{port}"),
            *("--runtime-api-address", f"127.0.0.1:{free_port()}", "--log-level", "info"),
            *(python, "-m", "awslambdaric", handler),
        ]
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait_for(port)
        except BaseException:
            self.stop()
            raise

    def _wait_for(self, port: int) -> None:
        deadline = time.monotonic() + _LISTENS_WITHIN_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.01)
        raise RuntimeProblem(f"the runtime interface emulator does not listen: {self.log[-500:]}")

    @property
    def log(self) -> str:
        """What function and emulator have written so far."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    @property
    def init_milliseconds(self) -> list[float]:
        """How long each initialisation took, from the emulator's own report; the first line of it is the first."""
        return [float(found) for found in re.findall(r"INIT REPORT\(durationMs: ([\d.]+)", self.log)]

    def invoke(self, event: Any) -> Invocation:
        """Invoke the function with an event and wait for its answer; one at a time.

        A failed function is an Invocation with `error`. Raises RuntimeProblem when the emulator itself does not answer.
        """
        request = urllib.request.Request(self._url, json.dumps(event).encode(), method="POST")  # noqa: S310 - our own URL
        with self._one:
            started = time.monotonic()
            try:
                with urllib.request.urlopen(request, timeout=self._timeout + 30) as answer:  # noqa: S310
                    body = answer.read()
            except urllib.error.HTTPError as refused:
                with refused:
                    body = refused.read()
            except OSError as error:
                raise RuntimeProblem(f"the runtime interface emulator does not answer: {error}") from error
            took = (time.monotonic() - started) * 1000
        return _invocation(body, took)

    def stop(self) -> None:
        """End the emulator and the function's process. May be called again."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _invocation(body: bytes, took: float) -> Invocation:
    try:
        payload = json.loads(body)
    except ValueError:
        # The response to a time-out is plain text.
        return Invocation(body.decode(errors="replace"), "Task.Failed", took)
    if isinstance(payload, dict) and "errorType" in payload:
        return Invocation(payload.get("errorMessage", ""), str(payload["errorType"]), took)
    return Invocation(payload, None, took)
