"""Decides how an error answer goes out: which form, which fields, and what each audience may read.

Two audiences. The public gets the cause, the catalogue's words for visitors and a reference; nothing of the request, the
servers or the configuration goes into it, so nothing can leak, and each answer is rendered once and then only filled with
reference and waiting time. Trusted readers (`details`) get the explanation with its evidence, rendered each time.
"""

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final, NamedTuple

from ..config.schema import Gateway
from ..diagnose.explain import explain
from ..model.cause import Cause
from ..model.exchange import Exchange
from ..model.methods import READING
from .forms import Form, make_forms
from .negotiate import Offer, choose
from .proxy_status import phrase, proxy_status
from .story import nothing_sent, repeatable, tell
from .view import Trouble, View

DEFAULT_FORM: Final = "json"
"""For clients that accept anything or say nothing: those are programs (curl, fetch, HTTP libraries). They expect to parse
what they get, and people at a terminal can read it too; browsers name text/html, and `Accept: text/plain` asks for text."""

_REFERENCE: Final = "\ue000"
"""Stands for the reference in a rendered answer, until it is filled in: a private-use character, in no text of ours."""
_WAIT: Final = 777_000_777_000_777
"""Stands for the seconds to wait: a number, so that every form writes it as one, and one that nobody waits for."""
_TROUBLE: Final = Trouble("\ue001", "\ue002", "\ue003", "\ue004")
"""Stands for what is known of the trouble."""
_LAST_FIELDS: Final = b"Proxy-Status: %(member)b\r\nX-Request-Id: %(reference)b\r\n"

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._~:=+/@,;-]")
"""What a reference may not hold, so that it can stand in a field, in HTML, in JSON and in a URN as it is."""
_METHODS: Final = re.compile(r"[A-Za-z-]+(?:, ?[A-Za-z-]+)*")
_CACHED_ACCEPT: Final = 400  # longer fields are parsed each time: nobody fills our memory with them


class Answer:
    """An answer of the gateway's own, ready for the wire."""

    __slots__ = ("body", "fields", "reason", "status")

    def __init__(self, status: int, reason: bytes, fields: bytes, body: bytes) -> None:
        self.status = status
        self.reason = reason  # the reason phrase
        self.fields = fields  # whole header lines, each ending CRLF; without Date, Server and Connection
        self.body = body  # empty for HEAD, though Content-Length tells what GET would have got


class _Rendered(NamedTuple):
    """An answer that lacks only what differs from one exchange to the next."""

    status: int
    reason: bytes
    fields: bytes  # for the % operator, with the keys of `_fill`
    body: bytes  # the same


class Errors:
    """Makes error answers. Built once: templates are compiled and tried then, public answers are kept as they first occur."""

    def __init__(self, gateway: Gateway) -> None:
        """Raises page.BadTemplate where an own template cannot be read, compiled or rendered."""
        self._name = gateway.name
        self._late_status = gateway.timeout_status
        self._forms = make_forms(gateway.pages)
        self._kept: dict[tuple[str, str, bool, bool, bool, bool, bool], _Rendered] = {}
        offers = [Offer(name, _media_type(form.content_type.encode()), form.outright) for name, form in self._forms.items()]
        self._by_media_type = {offer.media_type: offer.name for offer in offers if offer.name.startswith("grpc")}
        choosable = [offer for offer in offers if not offer.name.startswith("grpc")]
        self._choose: Callable[[bytes], str] = partial(choose, offers=choosable, default=DEFAULT_FORM)
        self._chosen = lru_cache(1024)(self._choose)

    def answer(
        self,
        exchange: Exchange,
        *,
        accept: bytes | None,
        content_type: bytes | None,
        details: bool,
        retry_after: int | None,
        trouble: Callable[[Exchange], Trouble] | None = None,
    ) -> Answer:
        """Return the answer for an exchange whose cause is set.

        accept, content_type: the request's fields, None where absent. details: the client is trusted and may know addresses,
        bytes and evidence. retry_after: seconds for Retry-After, None where nobody can tell. trouble: asked for what is known of
        it, where the answer tells that.
        """
        cause = exchange.cause
        assert cause is not None, "only failed exchanges are answered"
        name = self._form_name(accept, content_type)
        form = self._forms[name]
        reference = _UNSAFE.sub("_", exchange.reference)
        told = trouble(exchange) if form.asks and trouble is not None else Trouble()
        if details or not form.keep:
            rendered = self._render(exchange, form, reference, retry_after, told, details=details)
        else:
            rendered = self._public(exchange, cause, name, retry_after, asks=bool(told.status_url))
        member = proxy_status(self._name, cause, exchange, details=details)
        answered = _fill(rendered, reference.encode("ascii"), retry_after, member, told)
        if cause.status == 405:
            answered.fields += _allow(exchange)
        if exchange.method == b"HEAD":
            answered.body = b""
        return answered

    def _form_name(self, accept: bytes | None, content_type: bytes | None) -> str:
        if content_type is not None and content_type[:16].lower() == b"application/grpc":
            grpc = self._by_media_type.get(_media_type(content_type))
            if grpc is not None:
                return grpc
        if accept is None:
            return DEFAULT_FORM
        return self._chosen(accept) if len(accept) <= _CACHED_ACCEPT else self._choose(accept)

    def _public(self, exchange: Exchange, cause: Cause, name: str, retry_after: int | None, *, asks: bool) -> _Rendered:
        """Return the kept answer for this kind of exchange, rendering it where it is the first."""
        method = exchange.method
        again, unsent = repeatable(exchange, cause), nothing_sent(exchange)
        key = (cause.code, name, method in READING, again, unsent, retry_after is None, asks)
        rendered = self._kept.get(key)
        if rendered is None:
            wait = None if retry_after is None else _WAIT
            told = _TROUBLE if asks else Trouble()
            rendered = self._kept[key] = self._render(exchange, self._forms[name], _REFERENCE, wait, told, details=False)
        return rendered

    def _render(
        self, exchange: Exchange, form: Form, reference: str, wait: int | None, told: Trouble, *, details: bool
    ) -> _Rendered:
        cause = exchange.cause
        assert cause is not None
        status = self._late_status if cause.status == 504 else cause.status
        reading, unsent = exchange.method in READING, nothing_sent(exchange)
        view = View(
            status=status,
            reason=phrase(status),
            cause=cause,
            story=tell(cause, reading=reading, unsent=unsent),
            reference=reference,
            retryable=repeatable(exchange, cause),
            retry_after=wait,
            reading=reading,
            explanation=explain(exchange) if details else None,
            trouble=told,
        )
        again = "" if wait is None else f"Retry-After: {_WAIT}\r\n"
        fields = (
            f"Content-Type: {form.content_type}\r\n"
            "Content-Language: en\r\n"
            "Vary: Accept\r\n"
            "Cache-Control: no-store\r\n"
            "X-Content-Type-Options: nosniff\r\n"
            f"{form.fields(view)}"
        )
        status = form.status or status
        template = _template(fields) + b"Content-Length: %(length)d\r\n" + _template(again) + _LAST_FIELDS
        return _Rendered(status, phrase(status).encode(), template, _template(form.body(view)))


_KEYS: Final = {
    "%": "%%", _REFERENCE: "%(reference)b", str(_WAIT): "%(wait)d",
    **{str(place): f"%({name})b" for name, place in _TROUBLE._asdict().items()},
}  # fmt: skip
_PLACES: Final = re.compile("|".join(_KEYS))


def _template(text: str) -> bytes:
    """Return rendered text for the % operator: what stands for something that differs becomes its key."""
    return _PLACES.sub(lambda place: _KEYS[place[0]], text).encode()


def _fill(rendered: _Rendered, reference: bytes, retry_after: int | None, member: bytes, told: Trouble) -> Answer:
    """Return the answer with what differs: reference, waiting time, Proxy-Status (member), trouble and length."""
    status, reason, fields, body = rendered
    wait = _WAIT if retry_after is None else retry_after  # without a time, a text that happens to hold the number keeps it
    differing: dict[bytes, bytes | int] = {
        b"reference": reference, b"wait": wait, b"member": member, b"status_url": told.status_url.encode(),
        b"since": told.since.encode(), b"expected": told.expected.encode(),
        b"acknowledged": b"true" if told.acknowledged else b"false",
    }  # fmt: skip
    body %= differing
    differing[b"length"] = len(body)
    return Answer(status, reason, fields % differing, body)


def _media_type(content_type: bytes) -> bytes:
    """Return a Content-Type's media type: lower case, without parameters and, for gRPC, without its +suffix."""
    media_type = content_type.partition(b";")[0].strip().lower()
    return media_type.partition(b"+")[0] if media_type.startswith(b"application/grpc") else media_type


def _allow(exchange: Exchange) -> bytes:
    """Return the Allow field, which 405 must have (RFC 9110 15.5.6); empty where the methods are not known."""
    allow = (exchange.facts or {}).get("allow", "")
    return b"Allow: %b\r\n" % (allow.encode() if _METHODS.fullmatch(allow) else b"")
