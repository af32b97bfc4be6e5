"""The console on 127.0.0.1: in a thread beside other work, or until it is stopped."""

from __future__ import annotations

import asyncio
import socket
import threading

import uvicorn

from devkit.console.app import build_app
from devkit.console.safety import Keys
from devkit.queries.redriving import Redrives
from devkit.stacks.errors import CommandError
from devkit.stacks.stack import Stack

HOST = "127.0.0.1"
STOPPING_SECONDS = 10


class ConsoleServer:
    """A running console; ``url`` is the address that opens it, with its key."""

    def __init__(self, stack: Stack, *, port: int = 0) -> None:
        """Listen and serve in a thread; ``port`` 0 takes a free one. Raises CommandError when the port is taken."""
        try:
            listener = socket.create_server((HOST, port))
        except OSError as error:
            raise CommandError(
                f"the console cannot listen: {error.strerror}",
                where=f"{HOST}:{port}",
                do="stop what listens there, or use another port; 0 takes a free one",
            ) from error
        chosen = int(listener.getsockname()[1])
        keys = Keys()
        self.url = f"http://{HOST}:{chosen}/?key={keys.access}"
        self._redrives = Redrives(stack)
        # No access log: an address has ids, and the first one the key.
        config = uvicorn.Config(
            build_app(stack, keys, chosen, redrives=self._redrives),
            access_log=False,
            log_level="warning",
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=_run, args=(self._server, listener), name="console", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Return when the server has ended."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def stop(self) -> None:
        """End the server, its thread, and a redrive that runs; may be called again."""
        self._server.should_exit = True
        self._redrives.stop()
        self._thread.join(STOPPING_SECONDS)


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    with listener:
        asyncio.run(server.serve(sockets=[listener]))
