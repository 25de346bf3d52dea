"""What the admin API says when it does not do what it was asked: one sentence as application/problem+json (RFC 9457)."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from .desired import NotApplied
from .process import Unknown

_EXAMPLES: Final = {
    "seconds": '{"seconds": 60}', "weight": '{"weight": 5}', "why": '{"why": "new disk"}', "who": '{"who": "ann"}',
    "note": '{"note": "on it"}',
}  # fmt: skip
"""How each key of a body is written."""


def problem(status: int, detail: str) -> bytes:
    """Return the body of an answer with this status and sentence."""
    told = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return json.dumps(told).encode()


def answer_problems(app: FastAPI) -> None:
    """Have every error of an application answered so."""

    async def unknown(_: Request, error: Exception) -> Response:
        return _response(404, str(error.args[0]))

    async def refused(_: Request, error: Exception) -> Response:
        return _response(409, str(error))

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        unreadable = any(found["type"] == "json_invalid" for found in error.errors())
        return _response(400 if unreadable else 422, _sentence(error.errors()))

    async def other(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _response(error.status_code, _of_http(request, error), error.headers)

    app.add_exception_handler(Unknown, unknown)
    app.add_exception_handler(NotApplied, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, other)


def _response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(problem(status, detail), status, headers, "application/problem+json")


def _of_http(request: Request, error: HTTPException) -> str:
    method, path = request.method, request.url.path[:200]
    if error.status_code == 404:
        return f"there is nothing at {path}: GET /api/openapi.json lists what there is"
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return f"{method} is not for {path}" + (f", which takes {allowed}" if allowed else "")
    return f"the request cannot be used: {error.detail}"


def _sentence(errors: Sequence[Mapping[str, Any]]) -> str:
    """Return what is wrong with a request's body, all of it."""
    return "; ".join(dict.fromkeys(_one(error) for error in errors))


def _one(error: Mapping[str, Any]) -> str:
    where = [str(step) for step in error["loc"][1:]]
    key = where[-1] if where else ""
    match error["type"]:
        case "json_invalid":
            return f"the body is not JSON: {error.get('ctx', {}).get('error', 'it cannot be read')}"
        case "extra_forbidden":
            return f"{key[:50]!r} is no key here"
        case "missing" if key:
            return f"{key} is missing: for example {_EXAMPLES.get(key, key)}"
        case "missing":
            return "a JSON object is needed as the body"
    said = str(error["msg"])
    named = key in _EXAMPLES or error["loc"][0] in ("query", "path")
    return f"{key if named else 'the body'}: {said[:1].lower()}{said[1:]}"
