"""Owns how a request becomes a look: counted, timed, told in words; redirects followed as far as it is safe."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urljoin

from ..diagnose.captured import Captured
from ..diagnose.looks import Asked, Look
from ..diagnose.redact import clean, redact_target
from ..diagnose.sentence import duration
from ..model.exchange import NEVER, Attempt
from .guard import allowed
from .names import resolve
from .request import Connection, Sent, ask
from .request2 import ask2
from .url import BadUrl, Url, parse_url
from .variations import Variation

REDIRECTS: Final = 5
"""Most redirects that are followed."""
_REDIRECTING: Final = frozenset({301, 302, 303, 307, 308})
_BEFORE_THE_END: Final = 0.15
_ONE_REQUEST: Final = 65.0
"""Most seconds for one request, where there is so much time: longer than the usual timers of gateways."""


class Asking:
    """The requests of one examination: no more than allowed, none after the end."""

    def __init__(self, asked: Asked, ca: str, tell: Callable[[Look], None]) -> None:
        self.asked, self.ca, self._tell = asked, ca, tell
        self.begun = time.monotonic()
        self.end = self.begun + asked.seconds
        self.left = asked.requests
        self.looks: list[Look] = []

    @property
    def seconds(self) -> float:
        """Seconds that are left."""
        return self.end - time.monotonic()

    @property
    def patience(self) -> float:
        """Seconds for the next request: it ends before the examination does, so that there is something to tell."""
        return min(self.seconds - _BEFORE_THE_END, _ONE_REQUEST)

    def may(self, count: int = 1) -> bool:
        """Return whether so many more requests may be sent now."""
        return self.left >= count and self.seconds > 2 * _BEFORE_THE_END

    def take(self, look: Look) -> Look:
        """Keep a look and tell it."""
        self.looks.append(look)
        self._tell(look)
        return look

    async def vary(self, what: Variation, address: tuple[str, int] | None, proxy: Url | None = None, **facts: Any) -> Look | None:
        """Send one request and take the look; None where no more may be sent."""
        if not self.may():
            return None
        self.left -= 1
        at = time.monotonic()
        sent = Sent(what.url, what.method, what.fields, address=address, proxy=proxy, ca=self.ca)
        seconds = self.patience
        attempt, captured = await (ask2(sent, seconds) if what.http2 else ask(sent, seconds))
        return self.take(self._look(what, attempt, captured, at, proxy, facts))

    async def kept(self, what: Variation, connection: Connection, idle: float) -> Look | None:
        """Send one request on a connection that is kept."""
        if not self.may():
            return None
        self.left -= 1
        at = time.monotonic()
        sent = Sent(what.url, what.method, what.fields, address=connection.sent.address, ca=self.ca)
        attempt, captured = await ask(sent, self.patience, connection)
        return self.take(self._look(replace(what, kind="kept"), attempt, captured, at, None, {"idle": idle}))

    def _look(
        self, what: Variation, attempt: Attempt, captured: Captured | None, at: float, proxy: Url | None, facts: dict[str, Any]
    ) -> Look:
        facts = {"sent": what.words, "path": redact_target(what.url.target), "address": attempt.address} | times(attempt) | facts
        where = f" through {proxy.host}:{proxy.port}" if proxy else f" at {attempt.address}" if attempt.address else ""
        note = f", {what.words}" if what.words else ""
        idle = f", after {facts['idle']:g} s of rest" if facts.get("idle") else ""
        label = f"{what.method} {clean(redact_target(what.url.text), 160)}{where}{note}{idle}"
        ok = captured is not None and captured.status < 500 and attempt.cause is None
        now = time.monotonic()
        return Look(what.kind, label, ok, outcome(attempt, captured), at - self.begun, now - at, attempt, captured, facts)

    async def follow(self, look: Look, what: Variation) -> tuple[Url, tuple[str, int]] | None:
        """Follow the redirects of a first look, each step being another "get"; return where they end, with its address.

        None where there was none, or where they lead in a circle or to what must not be contacted; a look says so.
        """
        end = None
        seen = [what.url.text]
        url, captured = what.url, look.captured
        while captured is not None and captured.status in _REDIRECTING and (place := captured.header("location")):
            step = _next(url, place)
            if isinstance(step, str):
                self._say(seen, step, False)
                return None
            if step.text in seen or len(seen) > REDIRECTS:
                circle, shown = step.text in seen, clean(redact_target(step.text), 120)
                text = f"the redirects lead back to {shown}" if circle else f"{len(seen)} redirects, the last one to {shown}"
                self._say([*seen, step.text], text, True, circle)
                return None
            address = await self._safe(step, look, seen)
            if address is None or not self.may():
                return None
            fields = what.fields if step.host == what.url.host else _without_users(what.fields, self.asked)
            seen.append(step.text)
            found = await self.vary(replace(what, url=step, fields=fields), address, redirected=list(map(redact_target, seen)))
            if found is None:
                return None
            url, captured, end = step, found.captured, (step, address)
        return end

    async def _safe(self, url: Url, first: Look, seen: Sequence[str]) -> tuple[str, int] | None:
        """Return the address of a redirect's target, None where it must not be contacted or has none."""
        addresses = await resolve(url.host, url.port, min(5.0, max(0.3, self.seconds)))
        if isinstance(addresses, Attempt) or not addresses:
            self._say([*seen, url.text], f"it redirects to {url.host}, which has no address", False)
            return None
        named = url.host == parse_url(self.asked.url).host
        for address in addresses:
            if allowed(address, named):
                return address, url.port
        self._say([*seen, url.text], f"it redirects to {url.host}, a private address ({addresses[0]}): not followed", False)
        return None

    def _say(self, seen: Sequence[str], text: str, loop: bool, circle: bool = False) -> None:
        shown = [clean(redact_target(one), 160) for one in seen]
        facts = {"redirected": shown, "redirect_loop": loop, "circle": circle}
        captured = next((one.captured for one in reversed(self.looks) if one.captured is not None), None)
        at = time.monotonic() - self.begun
        kind = "get" if loop else "here"
        self.take(
            Look(kind, f"redirects from {shown[0]}", False if loop else None, text, at, 0.0, captured=captured, facts=facts)
        )


def _next(url: Url, place: str) -> Url | str:
    """Return where a Location leads, or what is wrong with it."""
    try:
        return parse_url(urljoin(url.text, place))
    except (BadUrl, ValueError):
        return f"it redirects to {clean(redact_target(place), 100)}, which is no usable address"


def _without_users(fields: tuple[tuple[str, str], ...], asked: Asked) -> tuple[tuple[str, str], ...]:
    """Return fields for another host: without what the user gave, which is for the host he named."""
    return tuple(pair for pair in fields if pair not in asked.fields)


def times(attempt: Attempt) -> dict[str, float]:
    """Return the times of an attempt in milliseconds: connect, tls, wait (for the first byte), total."""
    marks = {
        "connect_ms": (attempt.t_connected, max(attempt.t_resolved, attempt.t_start)),
        "tls_ms": (attempt.t_secured, attempt.t_connected),
        "wait_ms": (attempt.t_first, attempt.t_sent),
        "total_ms": (attempt.t_end, attempt.t_start),
    }
    return {name: round((end - begin) * 1000, 1) for name, (end, begin) in marks.items() if end > NEVER and begin > NEVER}


def outcome(attempt: Attempt, captured: Captured | None) -> str:
    """Return what came of a request in words: "502 Bad Gateway in 12 ms", "the server refused the connection"."""
    took = duration(max(0.0, (attempt.t_end - attempt.t_start) * 1000)) if attempt.t_end > NEVER else ""
    if captured is not None and captured.status:
        text = clean(f"{captured.status} {captured.reason}".strip(), 80) + (f" in {took}" if took else "")
        return f"{text}; {attempt.cause.title[:1].lower()}{attempt.cause.title[1:]}" if attempt.cause else text
    if attempt.cause is not None:
        title = attempt.cause.title
        return f"{title[:1].lower() + title[1:] if title[1:2].islower() else title}" + (f", after {took}" if took else "")
    return "no answer"
