"""Owns how something is sent by HTTP: one POST within a time, no redirect followed, little read, and the answer told in words.

httpx is loaded with the first message, so that a gateway that tells nobody does without.
"""

import asyncio
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib import import_module
from math import isnan
from typing import Any, Final
from urllib.parse import urlsplit

from .. import __version__
from .failing import Late, NotSent

_READ: Final = 2048
"""Bytes of an answer that are looked at."""
_QUOTED: Final = 200
_LONGEST_WAIT: Final = 3600.0
_AGAIN: Final = (408, 425, 429)
"""Statuses below 500 after which another try may help (RFC 9110 15.5.9, RFC 8470, RFC 6585)."""
_ACCEPTED: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class Post:
    """What is to be sent."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    secrets: Sequence[str] = ()  # what an answer may repeat, and nobody shall read
    quote: bool = True  # tell what the answer to a mistake says


class Http:
    """Sends by HTTP, over connections that are kept for a while."""

    def __init__(self, ca: str | None = None) -> None:
        """ca: file with the authorities to trust (PEM), those of the system when None."""
        self._ca = ca
        self._clients: dict[str, Any] = {}  # by scheme

    async def send(self, post: Post, seconds: float) -> str:
        """Send it; return what was answered, such as "202 Accepted". Raises NotSent."""
        try:
            async with asyncio.timeout(seconds):
                return await self._send(post)
        except TimeoutError:
            raise Late(f"no answer within {seconds:g} s") from None

    async def _send(self, post: Post) -> str:
        httpx = await asyncio.to_thread(import_module, "httpx")
        headers = {"User-Agent": f"headgate/{__version__}", "Accept-Encoding": "identity", **post.headers}
        try:
            client = await self._client(httpx, urlsplit(post.url).scheme)
            async with client.stream("POST", post.url, content=post.body, headers=headers) as answer:
                begin = await _begin(answer)
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            raise NotSent(why(error), again=not isinstance(error, httpx.InvalidURL)) from None
        if answer.status_code in _ACCEPTED:
            return f"{answer.status_code} {answer.reason_phrase}".strip()
        raise _refused(answer.status_code, answer.headers, _quoted(begin, post))

    async def _client(self, httpx: Any, scheme: str) -> Any:
        if scheme not in self._clients:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without authorities: it costs nothing, and trusts nobody
            if scheme == "https":
                context = await asyncio.to_thread(ssl.create_default_context, cafile=self._ca)
            limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30)
            self._clients[scheme] = httpx.AsyncClient(verify=context, timeout=None, limits=limits)
        return self._clients[scheme]

    async def close(self) -> None:
        """Close what is open."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()


async def _begin(answer: Any) -> bytes:
    """Return the first bytes of an answer's body."""
    begin = b""
    async for chunk in answer.aiter_raw():
        begin += chunk
        if len(begin) >= _READ:
            break
    return begin[:_READ]


def _quoted(begin: bytes, post: Post) -> str:
    if not post.quote:
        return ""
    text = begin.decode("utf-8", "replace")
    for secret in post.secrets:
        for form in (secret, urlsplit(secret).path):
            if len(form) > 1:
                text = text.replace(form, "[redacted]")
    return " ".join(text.split())[:_QUOTED]


def _refused(status: int, headers: Mapping[str, str], said: str) -> NotSent:
    again = status >= 500 or status in _AGAIN
    if 300 <= status < 400:
        return NotSent(f"answered {status}: it leads elsewhere, where nothing is sent", again=False)
    quoted = f": {said}" if said and status < 500 else ""
    return NotSent(f"answered {status}{quoted}", again=again, after=retry_after(headers.get("retry-after", "")) if again else 0.0)


def retry_after(value: str) -> float:
    """Return the seconds that a Retry-After field asks to wait (RFC 9110 10.2.3; decimals too), at most an hour."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return 0.0 if isnan(seconds) else min(max(seconds, 0.0), _LONGEST_WAIT)


def why(error: BaseException) -> str:
    """Return in words why nothing was answered. What a server said that is no HTTP is not repeated, nor is a URL."""
    for one in _causes(error):
        if isinstance(one, ssl.SSLCertVerificationError):
            return f"its certificate cannot be trusted: {one.verify_message}"
        if isinstance(one, ssl.SSLError):
            return f"no TLS connection: {(one.reason or 'no reason given').replace('_', ' ').lower()}"
        if isinstance(one, OSError) and one.strerror and one.errno:
            return one.strerror[:1].lower() + one.strerror[1:]
    name = type(error).__name__
    if name == "RemoteProtocolError":
        return "closed without an answer" if "disconnected" in str(error) else "its answer is no HTTP"
    return "its URL cannot be used" if name in ("InvalidURL", "UnsupportedProtocol") else f"no answer ({name})"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those behind it, the innermost first."""
    if error is None:
        return
    yield from _causes(error.__cause__ or error.__context__)
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
    yield error
