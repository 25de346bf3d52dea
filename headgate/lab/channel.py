"""How the lab moves bytes on one connection: raw sockets, so that every close, reset and unread byte is deliberate."""

import asyncio
import contextlib
import socket
import ssl
import struct

_ABORT = struct.pack("ii", 1, 0)


class Gone(Exception):
    """The peer closed or reset the connection."""


class Channel:
    """A connected socket, plain or (after `secure`) with TLS. Nothing is read that was not asked for, but up to `bite` bytes."""

    bite = 65_536

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.buffer = bytearray()  # received and not consumed
        self.number = 0  # which connection of its scenario it is, from 1
        self.head = b""  # the last request head
        self._loop = asyncio.get_running_loop()
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()

    async def fill(self) -> None:
        """Wait for more bytes and append them to `buffer`. Raises Gone."""
        self.buffer += await self._receive()

    async def take(self, count: int) -> bytes:
        """Return exactly so many bytes. Raises Gone."""
        while len(self.buffer) < count:
            await self.fill()
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    async def take_until(self, mark: bytes, limit: int = 1 << 20) -> bytes:
        """Return everything up to and with `mark`. Raises Gone, also where it does not come within `limit` bytes."""
        while (end := self.buffer.find(mark)) < 0:
            if len(self.buffer) > limit:
                raise Gone(f"{limit} bytes without {mark!r}")
            await self.fill()
        return await self.take(end + len(mark))

    async def send(self, data: bytes) -> None:
        """Send all of it. Raises Gone."""
        if self._tls is not None:
            view = memoryview(data)
            while view:  # in pieces, so that the memory BIO stays small
                self._tls.write(view[:16_384])
                view = view[16_384:]
                await self._flush()
            return
        await self._send_raw(data)

    async def secure(self, context: ssl.SSLContext, server_name: str | None = None) -> None:
        """Do the handshake: as a server, or as a client where a name is given. Raises Gone, ssl.SSLError."""
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name)
        self._incoming.write(bytes(self.buffer))
        self.buffer.clear()
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                self._incoming.write(await self._receive_raw())
            except ssl.SSLError:
                with contextlib.suppress(Gone):
                    await self._flush()  # the alert
                raise
        self._tls = tls
        await self._flush()

    async def _receive(self) -> bytes:
        while self._tls is not None:
            try:
                if data := self._tls.read(self.bite):
                    return data
                raise Gone("close_notify")
            except ssl.SSLWantReadError:
                self._incoming.write(await self._receive_raw())
            except ssl.SSLError as error:
                raise Gone(str(error)) from None
        return await self._receive_raw()

    async def _receive_raw(self) -> bytes:
        try:
            data = await self._loop.sock_recv(self.sock, self.bite)
        except OSError as error:
            raise Gone(error.strerror) from error
        if not data:
            raise Gone("closed")
        return data

    async def _send_raw(self, data: bytes) -> None:
        try:
            await self._loop.sock_sendall(self.sock, data)
        except OSError as error:
            raise Gone(error.strerror) from error

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            await self._send_raw(data)

    def half_close(self) -> None:
        """Send FIN and keep reading."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the socket (FIN, or RST by the kernel where bytes were left unread)."""
        self.sock.close()

    def reset(self) -> None:
        """Abort: send RST, whatever is still queued."""
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.sock.close()
