"""Owns how another Headgate is asked for its view: `GET {admin API}/api/diagnose?url=...`, which answers a verdict as JSON."""

import asyncio
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Final

from ..diagnose.looks import Look
from ..diagnose.redact import clean, credentials_apart, redact_target

_ANSWER_MAX: Final = 1 << 20


async def vantage_look(vantage: str, url: str, seconds: float, begun: float) -> Look:
    """Ask another Headgate to diagnose `url`, and tell what it found. It contacts nobody but `vantage`; no redirects."""
    at = time.monotonic()
    where = redact_target(vantage).rstrip("/")
    label = f"from {clean(where, 80)}"
    facts: dict[str, Any] = {"url": where}
    try:
        async with asyncio.timeout(seconds):
            told = await asyncio.to_thread(_fetch, vantage.rstrip("/"), url, seconds)
    except (TimeoutError, OSError, ValueError) as error:
        text = f"it could not be asked ({clean(str(error) or 'no answer in time', 120)})"
        return Look("vantage", label, None, text, at - begun, time.monotonic() - at, facts=facts)
    outcome = str(told.get("outcome", "unknown"))
    cause = next((str(one.get("cause", "")) for one in told.get("suspects", ()) if isinstance(one, dict)), "")
    facts |= {"outcome": outcome, "cause": cause}
    ok = {"up": True, "failing": False, "unreachable": False, "partly": False}.get(outcome)
    text = clean(f"{outcome}: {told.get('summary', '')}", 200)
    return Look("vantage", label, ok, text, at - begun, time.monotonic() - at, facts=facts)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Never follow: the address that was named is the one that is asked."""


def _fetch(vantage: str, url: str, seconds: float) -> dict[str, Any]:
    """Return the verdict. Raises OSError, ValueError."""
    if urllib.parse.urlsplit(vantage).scheme not in ("http", "https"):
        raise ValueError(f"{redact_target(vantage)}: expected the http or https address of another Headgate's admin API")
    vantage, authorization = credentials_apart(vantage)
    request = urllib.request.Request(f"{vantage}/api/diagnose?{urllib.parse.urlencode({'url': url})}")  # noqa: S310 (checked above)
    request.add_header("Accept", "application/json")
    if authorization:
        request.add_header("Authorization", authorization)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)
    try:
        with opener.open(request, timeout=seconds) as answer:
            told = json.loads(answer.read(_ANSWER_MAX))
    except urllib.error.HTTPError as error:
        raise ValueError(f"it answered {error.code}") from None
    if not isinstance(told, dict):
        raise ValueError("it answered no verdict")
    return told
