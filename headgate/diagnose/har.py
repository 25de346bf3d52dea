"""Owns how a browser's recording (HAR 1.2) is read: the failed answers in it, with their times."""

import base64
import binascii
import json
from typing import Any, Final

from .captured import BODY_MAX, Captured, lower
from .redact import redact_target

_MOST: Final = 50
"""Most failed answers of one recording that are told."""


class BadHar(ValueError):
    """The JSON is no HAR. The message says what was expected."""


def captures_of(text: str) -> list[Captured]:
    """Return the failed answers (status 0 or from 400) of a recording, in order; all of them when none failed. Raises BadHar."""
    try:
        entries = json.loads(text)["log"]["entries"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadHar(
            f"this looks like a HAR file, but it cannot be read: expected JSON with log.entries ({error!s:.80})"
        ) from None
    if not isinstance(entries, list):
        raise BadHar("this looks like a HAR file, but log.entries is no list")
    found = [one for one in map(_capture, entries) if one is not None]
    failed = [one for one in found if one.status == 0 or one.status >= 400]
    return (failed or found)[:_MOST]


def _capture(entry: Any) -> Captured | None:
    """Return one entry's answer; None where the entry has none."""
    try:
        answer, request = entry["response"], entry["request"]
        fields = [(str(one["name"]), str(one["value"])) for one in answer.get("headers", ())]
        content = answer.get("content") or {}
        body = _body(content)
        timings = entry.get("timings") or {}
        wait = sum(
            float(timings.get(key) or 0)
            for key in ("blocked", "dns", "connect", "send", "wait")
            if float(timings.get(key) or 0) > 0
        )
        size = answer.get("bodySize")
        error = str(answer.get("_error") or entry.get("_error") or "")
        return Captured(
            status=int(answer.get("status") or 0), reason=str(answer.get("statusText") or ""),
            version=str(answer.get("httpVersion") or "").lower().removeprefix("http/").removeprefix("h"), fields=lower(fields),
            body=body[:BODY_MAX], length=int(size) if isinstance(size, int | float) and size > 0 else (len(body) or -1),
            seconds=wait / 1000 if wait else -1.0, url=redact_target(str(request.get("url", ""))),
            extra={"method": str(request.get("method", ""))} | ({"error": error} if error else {}),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _body(content: dict[str, Any]) -> bytes:
    text = str(content.get("text") or "")
    if content.get("encoding") == "base64":
        try:
            return base64.b64decode(text, validate=False)
        except (binascii.Error, ValueError):
            return b""
    return text.encode("utf-8", "replace")
