"""``python -m benchmarks.answering MILLISECONDS``: a DynamoDB that accepts every write, after so many milliseconds.

For measuring how long a batch takes. The emulated tables work on one request at a time, so that ten records would
wait for the emulator where DynamoDB serves them side by side. For unknown customers, an empty response is what the
real one returns: the write took place, and there was no item before.
"""

from __future__ import annotations

import asyncio
import sys
from typing import ClassVar

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length: 2\r\n\r\n{}"


class YesProtocol(asyncio.Protocol):
    """HTTP/1.1 with one request at a time per connection, as AWS clients send it."""

    delay: ClassVar[float] = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of a client that has connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer once the whole request is there."""
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        if len(body) >= int(lengths[0].split(b":")[1]) if lengths else True:
            self._received = b""
            asyncio.get_running_loop().call_later(self.delay, self._transport.write, ANSWER)


async def serve(milliseconds: float) -> None:
    """Serve on a free port of 127.0.0.1, whose URL is the first line printed, until standard input ends."""
    YesProtocol.delay = milliseconds / 1000
    loop = asyncio.get_running_loop()
    server = await loop.create_server(YesProtocol, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
