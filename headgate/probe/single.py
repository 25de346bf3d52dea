"""Owns the one plain look that a watch needs: a GET, nothing varied, no redirects followed."""

import time
from dataclasses import replace
from typing import Final

from .. import __version__
from ..diagnose.captured import Captured
from ..model.exchange import Attempt
from ..model.phases import CONNECT
from .names import resolve
from .request import Sent, ask
from .url import parse_url

_ADDRESSES: Final = 4
"""Most addresses that are tried."""


def agent() -> str:
    """Return the User-Agent of the probe: like a browser's, and honest."""
    return f"Mozilla/5.0 (compatible; Headgate-diagnose/{__version__})"


async def glance(
    url: str, fields: tuple[tuple[str, str], ...] = (), seconds: float = 10.0, ca: str = ""
) -> tuple[Attempt, Captured | None]:
    """Ask for a URL once, trying its addresses in order until one takes the connection. Raises BadUrl."""
    end = time.monotonic() + seconds
    place = parse_url(url)
    given = {name.lower() for name, _ in fields}
    usual = (("User-Agent", agent()), ("Accept", "*/*"), ("Accept-Encoding", "gzip"))
    sent = Sent(place, "GET", (*(pair for pair in usual if pair[0].lower() not in given), *fields), ca=ca)
    found = await resolve(place.host, place.port, seconds)
    if isinstance(found, Attempt):
        return found, None
    attempt, captured = Attempt("", place.text, time.monotonic()), None
    for address in found[:_ADDRESSES]:
        left = end - time.monotonic()
        share = left if address == found[:_ADDRESSES][-1] else left / 2  # so that a silent one leaves time for the next
        attempt, captured = await ask(replace(sent, address=(address, place.port), connect=share), max(0.2, left))
        if captured is not None or attempt.phase > CONNECT or end - time.monotonic() < 0.2:
            break
    return attempt, captured
