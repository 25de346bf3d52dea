"""Owns one HTTP/1.1 request of the probe: how it is written, over which connection it goes, and the record of it."""

import re
import time
from dataclasses import dataclass, replace
from typing import Final

from ..diagnose.captured import Captured
from ..model import signals as s
from ..model.exchange import Attempt
from ..model.phases import HEAD, RESOLVE, SEND
from ..net.failing import Broken, fail, of_stream
from ..net.streams import Link, Refusal, connect, context, plain, secure, secure_inside, tunnel, within
from .answer import AnswerReader
from .names import resolve
from .url import Url

_UNSAFE: Final = re.compile(r"[\r\n\0]+")
_CONNECT: Final = 10.0
"""Most seconds for connecting, and for a handshake."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What is sent, and where."""

    url: Url
    method: str = "GET"
    fields: tuple[tuple[str, str], ...] = ()
    address: tuple[str, int] | None = None  # connect here instead of resolving the name
    unix: str = ""  # or to this unix socket
    proxy: Url | None = None  # or through this proxy
    ca: str = ""  # file of further authorities to trust
    verify: bool = True
    alpn: tuple[str, ...] = ("http/1.1",)
    connect: float = _CONNECT  # most seconds for connecting

    def lines(self, kept: bool) -> bytes:
        """Return the request as it goes out. kept: another one may follow on the connection."""
        target = self.url.text if self.proxy is not None and self.url.scheme == "http" else self.url.target
        given = {name.lower() for name, _ in self.fields}
        rows = [f"{self.method} {target} HTTP/1.1"]
        if "host" not in given:
            rows.append(f"Host: {self.url.authority}")
        rows += [f"{name}: {value}" for name, value in self.fields]
        if self.method not in ("GET", "HEAD", "OPTIONS") and "content-length" not in given:
            rows.append("Content-Length: 0")
        if "connection" not in given:
            rows.append(f"Connection: {'keep-alive' if kept else 'close'}")
        return "\r\n".join((*(_UNSAFE.sub(" ", row) for row in rows), "", "")).encode("utf-8", "replace")


class Connection:
    """A connection that is kept for several requests."""

    def __init__(self, sent: Sent) -> None:
        self.sent = sent
        self.link: Link | None = None
        self._used = False

    @property
    def open(self) -> bool:
        """Whether another request may be sent on it."""
        return self.link is not None or not self._used

    async def close(self) -> None:
        """Close it."""
        if self.link is not None:
            await self.link.close()
            self.link = None
        self._used = True


async def ask(sent: Sent, seconds: float, connection: Connection | None = None) -> tuple[Attempt, Captured | None]:
    """Send one request and read its answer, within `seconds` in all. What fails stands in the attempt, with its cause.

    connection: one that is kept; it is opened with the first request. What a proxy answers to CONNECT is returned as the answer,
    with extra {"connect": status}.
    """
    begun = time.monotonic()
    end = begun + seconds
    attempt = Attempt("", sent.url.text, begun)
    link = connection.link if connection is not None else None
    try:
        if link is None:
            link = await open_link(sent, attempt, end)
        else:
            _reuse(attempt, link)
        captured, keep = await _exchange(sent, attempt, link, end, kept=connection is not None)
    except Refusal as refusal:
        return attempt, refused(sent, attempt, refusal)
    except Broken as broken:
        fail(attempt, broken)
        captured, keep = None, False
    except BaseException:  # the examination's time is up
        if link is not None:
            await link.close()
        raise
    if connection is not None:
        connection.link = link if keep else None
        connection._used = True
    if link is not None and not keep:
        await link.close()
    return attempt, captured


def refused(sent: Sent, attempt: Attempt, refusal: Refusal) -> Captured:
    """Return what a proxy answered to CONNECT, as the answer of the attempt."""
    answer = refusal.captured
    attempt.t_end, attempt.status = time.monotonic(), answer.status
    extra = {"connect": str(answer.status)}
    return replace(answer, seconds=attempt.t_end - attempt.t_start, url=sent.url.text, extra=extra)


def _reuse(attempt: Attempt, link: Link) -> None:
    now = time.monotonic()
    peer = link.writer.get_extra_info("peername")
    attempt.reused, attempt.opened, attempt.idle, attempt.requests = True, link.opened, now - link.rested, link.requests
    attempt.address = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) and ":" not in str(peer[0]) else _bracketed(peer)


def _bracketed(peer: object) -> str:
    return f"[{peer[0]}]:{peer[1]}" if isinstance(peer, tuple) else "unix"


async def open_link(sent: Sent, attempt: Attempt, end: float) -> Link:
    """Open the connection for a request. Raises Broken, Refusal."""
    where = await _place(sent, attempt, end)
    sock = await connect(attempt, where, min(sent.connect, _left(end)))
    through = sent.proxy
    if through is not None and through.scheme == "https":
        link = await secure(attempt, sock, through.host, context(sent.ca, sent.verify), _left(end))
    elif through is None and sent.url.scheme == "https":
        return await secure(attempt, sock, sent.url.host, context(sent.ca, sent.verify, sent.alpn), _left(end))
    else:
        link = await plain(sock)
    if through is not None and sent.url.scheme == "https":
        try:
            authority = sent.url.authority if ":" in sent.url.authority.rpartition("]")[2] else f"{sent.url.authority}:443"
            await tunnel(link, authority, _left(end))
            await secure_inside(attempt, link, sent.url.host, context(sent.ca, sent.verify, sent.alpn), _left(end))
        except BaseException:
            await link.close()
            raise
    return link


async def _place(sent: Sent, attempt: Attempt, end: float) -> tuple[str, int] | str:
    """Return where to connect. Raises Broken where the name leads nowhere."""
    if sent.unix:
        return sent.unix
    if sent.address is not None and sent.proxy is None:
        return sent.address
    to = sent.proxy or sent.url
    attempt.phase = RESOLVE
    found = await resolve(to.host, to.port, _left(end))
    if isinstance(found, Attempt):
        raise Broken(RESOLVE, found.signal or "", found.facts)
    attempt.t_resolved = time.monotonic()
    return found[0], to.port


def _left(end: float) -> float:
    return max(0.05, min(_CONNECT, end - time.monotonic()))


async def _exchange(sent: Sent, attempt: Attempt, link: Link, end: float, kept: bool) -> tuple[Captured | None, bool]:
    """Send the request on an open connection and read the answer; return it, and whether the connection can be kept."""
    attempt.phase = SEND
    if link.requests and link.reader.at_eof():
        raise Broken(HEAD, s.EOF)  # the server closed while the connection rested: nothing was sent
    data = sent.lines(kept)
    try:
        link.writer.write(data)
        await within(max(0.05, end - time.monotonic()), SEND, link.writer.drain())
    except OSError as error:
        raise of_stream(error, SEND) from None
    attempt.sent, attempt.t_sent = len(data), time.monotonic()
    reader = AnswerReader(link, attempt, sent.method, end)
    captured = await reader.read(sent.url.text)
    link.requests += 1
    link.rested = time.monotonic()
    return captured, kept and reader.keep_alive and attempt.signal is None
