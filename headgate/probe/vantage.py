"""Owns how another Headgate is asked for its view: `GET {admin API}/api/diagnose?url=...`, which answers a verdict as JSON."""

import asyncio
import json
import time
from typing import Any
from urllib.parse import urlencode

from ..diagnose.looks import Look
from ..diagnose.redact import clean, credentials_apart, redact_target
from .address import said
from .single import glance


async def vantage_look(vantage: str, url: str, seconds: float, begun: float) -> Look:
    """Ask another Headgate to diagnose `url`, and tell what it found. It contacts nobody but `vantage`; no redirects."""
    at = time.monotonic()
    where = redact_target(vantage).rstrip("/")
    label = f"from {clean(where, 80)}"
    facts: dict[str, Any] = {"url": where}
    try:
        async with asyncio.timeout(seconds):
            told = await _fetch(vantage.rstrip("/"), url, seconds)
    except (TimeoutError, OSError, ValueError) as error:
        text = f"it could not be asked ({clean(str(error) or 'no answer in time', 120)})"
        return Look("vantage", label, None, text, at - begun, time.monotonic() - at, facts=facts)
    outcome = str(told.get("outcome", "unknown"))
    suspects = told.get("suspects")
    cause = (
        next((str(one.get("cause", "")) for one in suspects if isinstance(one, dict)), "") if isinstance(suspects, list) else ""
    )
    facts |= {"outcome": outcome, "cause": cause}
    ok = {"up": True, "failing": False, "unreachable": False, "partly": False}.get(outcome)
    text = clean(f"{outcome}: {told.get('summary', '')}", 200)
    return Look("vantage", label, ok, text, at - begun, time.monotonic() - at, facts=facts)


async def _fetch(vantage: str, url: str, seconds: float) -> dict[str, Any]:
    """Return the verdict. Raises OSError, ValueError."""
    vantage, authorization = credentials_apart(vantage)
    fields = (("Accept", "application/json"), *((("Authorization", authorization),) if authorization else ()))
    attempt, answer = await glance(f"{vantage}/api/diagnose?{urlencode({'url': url})}", fields, seconds)
    if answer is None:
        raise OSError(said(attempt))
    if answer.status != 200:
        raise ValueError(f"it answered {answer.status}")
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise ValueError("it answered no verdict")
    return told
