"""Who may ask the admin API: everything is refused here, before it is read, that a page in somebody's browser could have sent.

A page that was opened on the gateway's machine reaches loopback addresses as its user does. It cannot choose Host (against DNS
rebinding), nor hide its Origin, nor send JSON to another site without being asked about it first (and nobody answers that here).
Browsers also say whose page asks (Sec-Fetch-Site): of others' pages only a link may lead here.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from .dashboard import PAGE_FIELDS
from .door import Door
from .entrance import Entrance, Form, fields_of, local
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
_ALWAYS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
"""Fields of each answer that does not say otherwise."""
_PAGE: Final = [(name.encode(), value.encode()) for name, value in PAGE_FIELDS.items()]
_NEEDED: Final = "a token is needed: Authorization: Bearer TOKEN"
_PUBLIC: Final = "/static/"
"""What the login form needs; it is the same everywhere."""
_RELOAD: Final = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0"><title>Headgate</title>'
    '<p><a href="">Go on</a></p></html>'
)
"""A link from another site comes without our cookie (SameSite=Strict). Followed once more from here, it comes with it."""


class Refused(Exception):
    """A request is not let in. Carries status and sentence."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Guard:
    """An ASGI application around another, which gets only what may come in, with its body read."""

    def __init__(self, app: App, door: Door, note: Callable[[str], None], form: Form | None = None) -> None:
        """note: takes a line about an error of the application's own. form: makes the login page; None: browsers get none."""
        self._app, self._door, self._note = app, door, note
        self._entrance = Entrance(door.token, door.port, form) if form is not None and door.token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        begun = False

        async def tell(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                there = list(message.get("headers", ()))
                named = {name for name, _ in there}
                message["headers"] = there + [(name, value) for name, value in _ALWAYS if name not in named]
            await send(message)

        try:
            if not self._comes_in(scope):
                await self._at_the_entrance(scope, receive, tell)
                return
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

    def _comes_in(self, scope: Scope) -> bool:
        """Tell whether a request goes to the application; False: it is about the login. Raises Refused."""
        self._check_origin(scope)
        entrance, path, method = self._entrance, scope["path"], scope["method"]
        if entrance is not None and (
            (method == "POST" and path in ("/login", "/logout")) or (method == "GET" and path == "/login")
        ):
            return False
        if self._door.token and not (method == "GET" and path.startswith(_PUBLIC)):
            shown = _field(scope, b"authorization")
            if shown is None and entrance is not None:
                if not entrance.lets_in(_cookies(scope)):
                    if method == "GET" and "text/html" in (_field(scope, b"accept") or ""):
                        return False
                    raise Refused(401, f"{_NEEDED} (gateway.admin.token names its file)")
                if method not in ("GET", "HEAD") and _field(scope, b"origin") is None:
                    raise Refused(403, "a browser that has logged in says whose page asks (Origin)")
            else:
                self._check_token(shown)
        if method not in ("GET", "HEAD"):
            kind = (_field(scope, b"content-type") or "").partition(";")[0].strip().lower()
            if kind != "application/json":
                raise Refused(415, "Content-Type: application/json is needed, also without a body")
        return True

    def _check_origin(self, scope: Scope) -> None:
        """Raise Refused for what another site's page sends, or what another name brought here."""
        host = _field(scope, b"host") or ""
        if not self._door.is_ours(host):
            where = f"127.0.0.1:{self._door.port}" if self._door.port else "localhost"
            raise Refused(421, f"Host {host[:100]!r} is not this admin API: it is asked by its address, such as {where}")
        origin = _field(scope, b"origin")
        if origin is not None and origin.lower() != self._door.origin(host, scope.get("scheme", "http")):
            raise Refused(403, f"pages of {origin[:100]!r} may not use this admin API")
        if _field(scope, b"sec-fetch-site") in ("cross-site", "same-site"):
            link = scope["method"] == "GET" and _field(scope, b"sec-fetch-mode") == "navigate"
            if not link or _field(scope, b"sec-fetch-dest") not in (None, "document"):
                raise Refused(403, "pages of another site may not use this admin API")

    def _check_token(self, shown: str | None) -> None:
        scheme, _, token = (shown or "").partition(" ")
        right = hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._door.token)
        if not right or scheme.lower() != "bearer":
            said = "the token is wrong" if shown else _NEEDED
            raise Refused(401, f"{said} (gateway.admin.token names its file)")

    # The login.

    async def _at_the_entrance(self, scope: Scope, receive: Receive, tell: Send) -> None:
        """Answer what is about the login. Raises Refused."""
        host = _field(scope, b"host") or ""
        entrance, secure = self._entrance, self._door.origin(host, scope.get("scheme", "http")).startswith("https:")
        assert entrance is not None
        if scope["path"] == "/logout":
            await _read(scope, receive)
            await _move(tell, "/login", entrance.no_cookie(secure=secure))
        elif scope["method"] == "POST":
            await self._log_in(entrance, scope, await _read(scope, receive), tell, secure)
        elif _field(scope, b"sec-fetch-site") in ("cross-site", "same-site"):
            await _show(tell, 200, _RELOAD)
        else:
            query = scope.get("query_string", b"").decode("latin-1")
            to = local(scope["path"] + ("?" + query if query else ""))
            await _show(tell, 200 if scope["path"] == "/login" else 401, await asyncio.to_thread(entrance.form, "", to))

    async def _log_in(self, entrance: Entrance, scope: Scope, body: bytes, tell: Send, secure: bool) -> None:
        """Look at a token that came by the form."""
        if _field(scope, b"origin") is None and _field(scope, b"sec-fetch-site") != "same-origin":
            raise Refused(403, "the form is sent by a browser, which says whose page asks (Origin)")
        client, fields = _client(scope), fields_of(body)
        to = local(fields.get("to", "/"))
        if wait := entrance.tries.wait(client):
            problem = f"There were too many wrong tokens from here. The next one is looked at in {wait:.0f} s."
            await _show(tell, 429, await asyncio.to_thread(entrance.form, problem, to))
        elif entrance.is_right(fields.get("token", "")):
            await _move(tell, to, entrance.cookie(secure=secure))
        else:
            entrance.tries.failed(client)
            self._note(f"a wrong token was tried at the dashboard, from {client[:60]}")
            await _show(tell, 401, await asyncio.to_thread(entrance.form, "This is not the token.", to))


def _client(scope: Scope) -> str:
    """Return who asks; one word for all by a unix socket."""
    return str((scope.get("client") or ("local",))[0])


def _cookies(scope: Scope) -> str:
    return "; ".join(value.decode("latin-1") for key, value in scope["headers"] if key == b"cookie")


async def _show(send: Send, status: int, html: str) -> None:
    """Answer with a page."""
    content = html.encode()
    fields = [(b"content-type", b"text/html; charset=utf-8"), (b"content-length", str(len(content)).encode()), *_PAGE]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": content})


async def _move(send: Send, to: str, cookie: str) -> None:
    """Send a browser elsewhere, with a cookie or without one."""
    fields = [(b"location", to.encode()), (b"set-cookie", cookie.encode()), (b"content-length", b"0"), *_PAGE]
    await send({"type": "http.response.start", "status": 303, "headers": fields})
    await send({"type": "http.response.body", "body": b""})


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
