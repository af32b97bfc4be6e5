"""The process that serves the embedded AWS services: ministack, in an environment of its own."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

REGION = "us-east-1"
# Both sides must only agree; the services check neither.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}

_READY_WITHIN_S = 30.0
_STOPPED_WITHIN_S = 15.0


class LocalStackError(RuntimeError):
    """The local stack could not be set up, started or deployed; the message contains what to do."""


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Server:
    """One ministack on 127.0.0.1, with its workers: the executions of the Lambda functions.

    Nothing of this process's environment reaches it, because it hands its whole own one on to every handler. It ends
    with `stop`, and also when this process ends without having called it.
    """

    def __init__(self, *, python: Path, port: int, state_dir: Path | None, persist: bool) -> None:
        """Start the process and wait until it is ready.

        `python` is the interpreter that has ministack; `port` 0 takes a free one; `state_dir` receives its
        log and, with `persist`, what the services hold, written on a clean stop; without it, nothing is left behind.
        Raises LocalStackError when the port is taken or the process does not get ready within 30 s.
        """
        if not python.exists():
            raise LocalStackError(f"{python} does not exist: run `make run` or `make demo` once, which set it up")
        self._persist = persist
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._refuse_taken_port()
        self._scratch = Path(tempfile.mkdtemp(prefix="loyalty-relay-"))
        self.log_file = (state_dir or self._scratch) / "ministack.log"
        (self._scratch / "home").mkdir()
        environment = {
            "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(self._scratch / "home"),
            "TMPDIR": str(self._scratch),
            "GATEWAY_PORT": str(self.port),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "AWS_DEFAULT_REGION": REGION,
            "LOG_LEVEL": "WARNING",
            "LC_ALL": "C.UTF-8",
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            **CREDENTIALS,
        }
        if persist and state_dir:
            environment |= {
                "PERSIST_STATE": "1",
                "STATE_DIR": str(state_dir / "services"),
                "S3_PERSIST": "1",
                "S3_DATA_DIR": str(state_dir / "s3"),
            }
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [python, Path(__file__).with_name("serve.py")],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._scratch,
                # A group of its own: Ctrl-C is for us, who then stop it in order, and its workers end with it.
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def _refuse_taken_port(self) -> None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                raise LocalStackError(
                    f"port {self.port} is taken; stop what listens there, or choose another (0: a free one)"
                )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_WITHIN_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise LocalStackError(f"the local AWS services ended at once: {self._last_lines()}")
            try:
                with urllib.request.urlopen(f"{self.url}/_ministack/ready", timeout=2):  # noqa: S310 - our own URL
                    return
            except OSError:
                time.sleep(0.02)
        raise LocalStackError(
            f"the local AWS services are not ready after {_READY_WITHIN_S:.0f} s: {self._last_lines()}"
        )

    def _last_lines(self) -> str:
        lines = self.log_file.read_text(errors="replace").splitlines()
        return " | ".join(lines[-5:]) or f"nothing in {self.log_file}"

    def reset(self) -> None:
        """Forget everything that the services hold, stacks included."""
        request = urllib.request.Request(f"{self.url}/_ministack/reset", method="POST")  # noqa: S310 - our own URL
        with urllib.request.urlopen(request, timeout=30):  # noqa: S310
            pass

    @property
    def running(self) -> bool:
        """Whether the process is still there."""
        return self._process.poll() is None

    def stop(self) -> None:
        """End the process and its workers, and remove its temporary files. May be called again."""
        if self._process.stdin and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            # In order only where there is state to save: otherwise it spends half a minute tidying up what goes anyway.
            if self._persist and self.running:
                self._process.terminate()
                self._process.wait(_STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # Workers that outlived it, or all of it where it did not end in time.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            shutil.rmtree(self._scratch, ignore_errors=True)
