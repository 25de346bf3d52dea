"""Decides what each form of an error answer contains: one renderer and one row of `make_forms` for each.

A renderer turns a `View` into text. For the public, reference and waiting time in the view are placeholders which
`errors.py` replaces in the finished text, so the built-in renderers print them and do nothing else with them.
"""

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from ..config.schema import Pages
from .page import make_page
from .view import View


class Form(NamedTuple):
    """One form of answer."""

    content_type: str
    body: Callable[[View], str]
    fields: Callable[[View], str] = lambda view: ""  # further header lines, each ending CRLF
    status: int = 0  # the HTTP status, where the form does not leave it to the cause
    outright: bool = False  # only for clients that name its media type
    asks: bool = False  # may ask whether it works again, and tell what is known of the trouble
    keep: bool = True  # prints the placeholders as they are; otherwise it is rendered for each answer


def make_forms(pages: Pages) -> dict[str, Form]:
    """Return the forms by name, in the order in which equally welcome ones are preferred. Raises page.BadTemplate."""
    html, text = make_page("html", pages.html), make_page("text", pages.text)
    return {
        "problem": Form("application/problem+json", _problem, outright=True),
        "html": Form("text/html; charset=utf-8", html.render, lambda view: html.policy, asks=True, keep=html.built_in),
        "json": Form("application/json", _error_object),
        "text": Form("text/plain; charset=utf-8", text.render, asks=not text.built_in, keep=text.built_in),
        "grpc": _grpc("application/grpc"),
        "grpc-web": _grpc("application/grpc-web"),
        "grpc-web-text": _grpc("application/grpc-web-text"),
    }


def _members(view: View) -> dict[str, Any]:
    """Return the members that both JSON forms share; evidence only for trusted readers."""
    members: dict[str, Any] = {
        "cause": view.cause.code,
        "reference": view.reference,
        "retryable": view.retryable,
        "retry_after": view.retry_after,
    }
    if view.explanation:
        members["evidence"] = view.explanation.evidence
        members["timeline"] = view.timeline
        members["verdict"] = view.explanation.verdict
        members["next_steps"] = view.explanation.next_steps
    return members


def _error_object(view: View) -> str:
    error = {"code": view.status, "message": view.reason, "details": view.details, **_members(view)}
    return json.dumps({"error": error}, ensure_ascii=False) + "\n"


def _problem(view: View) -> str:
    """RFC 9457. The type is a URI that names the cause and leads nowhere, as section 3.1.1 allows: the project owns no
    address that would outlive its installations, and about:blank would say no more than the status."""
    problem = {
        "type": f"urn:headgate:cause:{view.cause.code}",
        "title": view.cause.title,
        "status": view.status,
        "detail": view.details,
        "instance": f"urn:headgate:reference:{view.reference}",
        **_members(view),
    }
    return json.dumps(problem, ensure_ascii=False) + "\n"


_GRPC_CODES: Final = {
    400: 13,  # INTERNAL, and so on: gRPC's own mapping for what proxies answer, refined where the cause tells more
    403: 7,  # PERMISSION_DENIED
    404: 12,  # UNIMPLEMENTED
    405: 12,
    408: 4,  # DEADLINE_EXCEEDED
    413: 8,  # RESOURCE_EXHAUSTED
    414: 8,
    431: 8,
    499: 1,  # CANCELLED
    500: 13,
    501: 12,
    502: 14,  # UNAVAILABLE
    503: 14,
    504: 4,
    505: 13,
}
"""Status of the cause → gRPC status code."""
_GRPC_PLAIN: Final = "".join(chr(byte) for byte in range(0x20, 0x7F) if byte != 0x25)


def _grpc(content_type: str) -> Form:
    """A gRPC answer without messages: HTTP 200, and the trailers stand among the header fields ("Trailers-Only")."""
    return Form(content_type, lambda view: "", _grpc_fields, status=200, outright=True)


def _grpc_fields(view: View) -> str:
    code = _GRPC_CODES.get(view.cause.status, 2)  # UNKNOWN
    message = quote(view.details, safe=_GRPC_PLAIN)
    return f"grpc-status: {code}\r\ngrpc-message: {message} Reference: {view.reference}\r\n"
