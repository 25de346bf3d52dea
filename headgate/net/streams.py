"""Owns how a connection for a request of our own is opened: TCP, unix socket or a proxy's CONNECT, TLS on top."""

import asyncio
import re
import socket
import ssl
import time
from collections.abc import Awaitable
from contextlib import suppress
from functools import lru_cache
from typing import Final, TypeVar

from ..diagnose.captured import Captured
from ..diagnose.heads import heads
from ..model import signals as s
from ..model.exchange import Attempt
from ..model.phases import CONNECT, HEAD, TLS
from ..wire.status_line import not_http
from .failing import Broken, late, of_connect, of_stream
from .peercertificate import peer_certificate

T = TypeVar("T")
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-9])[0-9]{2}\b")
_HEAD_MAX: Final = 65_536
_PATH_MAX: Final = 107
"""Longest path of a unix socket, bytes (unix(7))."""
_LOOK: Final = 1.2
"""Seconds to look at a refused certificate once more."""


class Refusal(Exception):
    """A proxy refused CONNECT: its answer."""

    def __init__(self, captured: Captured) -> None:
        super().__init__(captured.status)
        self.captured = captured


class Link:
    """An open connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.opened = time.monotonic()
        self.rested = self.opened  # when its last exchange ended
        self.requests = 0

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS session, None without."""
        found: ssl.SSLObject | None = self.writer.get_extra_info("ssl_object")
        return found

    async def close(self) -> None:
        """Close at once; nothing more is said."""
        abort(self.writer)


def abort(writer: asyncio.StreamWriter) -> None:
    """Close a stream at once. asyncio's own TLS transport may only be told so once (until Python 3.11.3): the rest is silence."""
    with suppress(AttributeError):
        writer.transport.abort()


@lru_cache(16)
def context(ca: str = "", verify: bool = True, alpn: tuple[str, ...] = ("http/1.1",)) -> ssl.SSLContext:
    """Return a TLS context as a browser would have: the system's authorities, and those in the file `ca`."""
    made = ssl.create_default_context()
    made.minimum_version = ssl.TLSVersion.TLSv1_2  # as browsers have it; Debian's Python leaves it to the system's settings
    if ca:
        made.load_verify_locations(cafile=ca)
        made.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    if not verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    made.set_alpn_protocols(list(alpn))
    return made


async def within(seconds: float, phase: int, work: Awaitable[T]) -> T:
    """Return what `work` gives; Broken with DEADLINE in `phase` when it takes longer."""
    begun = time.monotonic()
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            return await work
    except TimeoutError:
        raise late(phase, time.monotonic() - begun) from None


async def connect(attempt: Attempt, where: tuple[str, int] | str, seconds: float) -> socket.socket:
    """Return a connected socket; `where` is address and port, or the path of a unix socket. Raises Broken."""
    attempt.phase = CONNECT
    path = where if isinstance(where, str) else ""
    if path:
        return _connect_unix(attempt, path)
    family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    attempt.address = _text(where[0], int(where[1]))
    try:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise of_connect(error, CONNECT) from None
    try:
        await within(seconds, CONNECT, asyncio.get_running_loop().sock_connect(sock, where))
    except OSError as error:
        sock.close()
        raise of_connect(error, CONNECT) from None
    except BaseException:
        sock.close()
        raise
    attempt.t_connected = time.monotonic()
    return sock


def _connect_unix(attempt: Attempt, path: str) -> socket.socket:
    """Return a socket connected to a unix socket. It never waits, and EAGAIN (a full queue) is not for the loop to wait on."""
    attempt.address = f"unix:{path}"
    if len(path.encode()) > _PATH_MAX or "\0" in path:
        raise Broken(
            CONNECT, s.MISCONFIGURED, {"path": path, "error": f"no possible path of a socket (at most {_PATH_MAX} bytes)"}
        )
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise of_connect(error, CONNECT, path) from None
    code = sock.connect_ex(path)
    if code:
        sock.close()
        raise of_connect(OSError(code, ""), CONNECT, path)
    attempt.t_connected = time.monotonic()
    return sock


def _text(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def plain(sock: socket.socket) -> Link:
    """Return a link over a connected socket."""
    if sock.family == socket.AF_UNIX:
        return Link(*await asyncio.open_unix_connection(sock=sock, limit=_HEAD_MAX))
    return Link(*await asyncio.open_connection(sock=sock, limit=_HEAD_MAX))


async def secure(
    attempt: Attempt, sock: socket.socket, name: str, tls: ssl.SSLContext, seconds: float, look: bool = True
) -> Link:
    """Do the handshake on a connected socket. Raises Broken; look: a refused certificate is fetched for the facts."""
    attempt.phase = TLS
    begun = time.monotonic()
    try:
        opening = asyncio.open_connection(
            sock=sock, ssl=tls, server_hostname=name, ssl_handshake_timeout=seconds * 2, limit=_HEAD_MAX
        )
        link = Link(*await within(seconds, TLS, opening))
    except (OSError, ssl.SSLError) as error:
        sock.close()
        broken = of_stream(error, TLS)
        broken.facts["name"] = name
        if look and isinstance(error, ssl.SSLCertVerificationError):
            broken.facts["certificate"] = await _shown(attempt, name, tls)
        raise broken from None
    except Broken:
        sock.close()
        raise
    attempt.t_secured = time.monotonic()
    link.opened = begun
    return link


async def secure_inside(attempt: Attempt, link: Link, name: str, tls: ssl.SSLContext, seconds: float) -> None:
    """Do the handshake with a site inside a proxy's tunnel. Raises Broken."""
    attempt.phase = TLS
    try:
        await within(seconds, TLS, link.writer.start_tls(tls, server_hostname=name))
    except OSError as error:
        broken = of_stream(error, TLS)
        broken.facts["name"] = name
        raise broken from None
    attempt.t_secured = time.monotonic()


async def _shown(attempt: Attempt, name: str, tls: ssl.SSLContext) -> dict[str, str]:
    try:
        async with asyncio.timeout(_LOOK):
            return await peer_certificate(attempt.address, name, tls) or {}
    except TimeoutError:
        return {}


async def tunnel(link: Link, authority: str, seconds: float) -> None:
    """Ask a proxy for a tunnel. Raises Refusal with its answer, Broken where it gives none."""
    link.writer.write(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
    try:
        head = await within(seconds, CONNECT, link.reader.readuntil(b"\r\n\r\n"))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise Broken(HEAD, s.EOF, {"error": "the proxy gave no answer to CONNECT"}) from None
    except OSError as error:
        raise of_stream(error, HEAD) from None
    status = _STATUS.match(head)
    if status is None:
        raise Broken(HEAD, s.MALFORMED, not_http(head).facts)
    if status[1] == b"2":
        return
    found = heads(head + await _some(link, seconds))
    if not found:
        raise Broken(HEAD, s.MALFORMED, not_http(head).facts)
    raise Refusal(found[0])


async def _some(link: Link, seconds: float) -> bytes:
    """Return what a proxy says beside its refusal, for at most two seconds."""
    found = b""
    try:
        async with asyncio.timeout(min(2.0, max(0.0, seconds))):
            while len(found) < _HEAD_MAX and (data := await link.reader.read(_HEAD_MAX)):
                found += data
    except (TimeoutError, OSError):
        pass
    return found
