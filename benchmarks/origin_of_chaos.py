"""A server that can be told to misbehave, and that counts what it executes: one line in a file for each POST it has read whole.

    python origin_of_chaos.py PORT NAME FILE

GET /-/MODE (asked directly, not through a gateway) sets what it does from then on: ok; slow (a fifth of a second); reset (reads
the request, then breaks the connection); close (reads it, then closes in order); error (answers 503).
"""

import asyncio
import os
import re
import socket
import struct
import sys

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


class Origin:
    """The server."""

    def __init__(self, name: str, file: str) -> None:
        self.name = name.encode()
        self.mode = "ok"
        self.log = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            while await self.exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Read a request and answer it as the mode says; False when the connection is over."""
        head = await reader.readuntil(b"\r\n\r\n")
        found = LENGTH.search(head)
        body = await reader.readexactly(int(found[1])) if found else b""
        method, path = head.split(b" ", 2)[:2]
        if path.startswith(b"/-/"):
            self.mode = path[3:].decode()
        if method == b"POST":
            os.write(self.log, path + b"\n")  # executed, whatever the client hears of it
        if self.mode in ("reset", "close") and not path.startswith(b"/-/"):
            if self.mode == "reset":
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if self.mode == "slow":
            await asyncio.sleep(0.2)
        status = b"503 Service Unavailable" if self.mode == "error" else b"200 OK"
        answer = b"%b %b %b" % (self.name, path, body)
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(answer), answer))
        await writer.drain()
        return True


async def main(port: int, name: str, file: str) -> None:
    """Listen until SIGTERM."""
    origin = Origin(name, file)
    server = await asyncio.start_server(origin.serve, "127.0.0.1", port, reuse_address=True, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
