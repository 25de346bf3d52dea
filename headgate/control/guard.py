"""Who may ask the admin API: everything is refused here, before it is read, that a page in somebody's browser could have sent.

A page that was opened on the gateway's machine reaches loopback addresses as its user does. It cannot choose Host (against DNS
rebinding), nor hide its Origin, nor send JSON to another site without being asked about it first (and nobody answers that here).
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from .door import Door
from .problems import problem

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LARGEST: Final = 64 << 10
"""Bytes of a body."""
_PATIENCE: Final = 10.0
"""Seconds for a whole body."""
_ALWAYS: Final = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class Refused(Exception):
    """A request is not let in. Carries status and sentence."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Guard:
    """An ASGI application around another, which gets only what may come in, with its body read."""

    def __init__(self, app: App, door: Door, note: Callable[[str], None]) -> None:
        """note: takes a line about an error of the application's own."""
        self._app, self._door, self._note = app, door, note

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        begun = False

        async def tell(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message["headers"] = [*message.get("headers", ()), *_ALWAYS]
            await send(message)

        try:
            self._check(scope)
            body = await _read(scope, receive)
        except Refused as refused:
            await _answer(refused, tell)
            return
        try:
            await self._app(scope, _Replay(body, receive).next, tell)
        except Exception as error:  # an error of ours ends this request, and nothing else
            self._note(f"admin API: {scope['method']} {scope['path'][:200]!r}: {error!r}")
            if not begun:
                await _answer(Refused(500, "an error within the gateway; its error log says more"), tell)

    def _check(self, scope: Scope) -> None:
        """Raise Refused unless the head may come in."""
        host = _field(scope, b"host") or ""
        if not self._door.is_ours(host):
            where = f"127.0.0.1:{self._door.port}" if self._door.port else "localhost"
            raise Refused(421, f"Host {host[:100]!r} is not this admin API: it is asked by its address, such as {where}")
        origin = _field(scope, b"origin")
        if origin is not None and origin.lower() != f"http://{host}".lower():
            raise Refused(403, f"pages of {origin[:100]!r} may not use this admin API")
        self._check_token(_field(scope, b"authorization"))
        if scope["method"] not in ("GET", "HEAD"):
            kind = (_field(scope, b"content-type") or "").partition(";")[0].strip().lower()
            if kind != "application/json":
                raise Refused(415, "Content-Type: application/json is needed, also without a body")

    def _check_token(self, shown: str | None) -> None:
        if not self._door.token:
            return
        scheme, _, token = (shown or "").partition(" ")
        right = hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._door.token)
        if not right or scheme.lower() != "bearer":
            said = "the token is wrong" if shown else "a token is needed: Authorization: Bearer TOKEN"
            raise Refused(401, f"{said} (gateway.admin.token names its file)")


def _field(scope: Scope, name: bytes) -> str | None:
    """Return a field's value, None when it is absent. Raises Refused when it is there twice, as only one could be checked."""
    values = [value for key, value in scope["headers"] if key == name]
    if len(values) > 1:
        raise Refused(400, f"{name.decode().title()} stands there {len(values)} times")
    return values[0].decode("latin-1") if values else None


async def _read(scope: Scope, receive: Receive) -> bytes:
    """Return the body. Raises Refused for one that is too large or too slow."""
    too_large = Refused(413, f"a body of more than {LARGEST} bytes, which nothing here needs")
    length = _field(scope, b"content-length")
    if length is not None and int(length) > LARGEST:  # digits only: the HTTP reader saw to it
        raise too_large
    body = b""
    try:
        async with asyncio.timeout(_PATIENCE):
            while True:
                message = await receive()
                part: bytes = message.get("body", b"")
                body += part
                if len(body) > LARGEST:
                    raise too_large
                if not message.get("more_body", False):
                    return body
    except TimeoutError:
        raise Refused(408, f"the body did not come within {_PATIENCE:g} s") from None


class _Replay:
    """Gives out a body that was read, then what still comes."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def next(self) -> Message:
        """Return the next ASGI message."""
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _answer(refused: Refused, send: Send) -> None:
    """Answer a refusal, and close: what may still come is not read."""
    content = problem(refused.status, refused.detail)
    fields = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(content)).encode()),
        (b"connection", b"close"),
    ]
    if refused.status == 401:
        fields.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refused.status, "headers": fields})
    await send({"type": "http.response.body", "body": content})
