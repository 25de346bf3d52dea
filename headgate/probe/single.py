"""Owns the one plain look that a watch needs: a GET, nothing varied, no redirects followed."""

import time

from .. import __version__
from ..diagnose.captured import Captured
from ..model.exchange import Attempt
from ..model.phases import CONNECT
from .names import resolve
from .request import Sent, ask
from .url import parse_url


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
    for number, address in enumerate(found[:4]):
        left = end - time.monotonic()
        share = left if number == len(found) - 1 or attempt.signal is None else left / 2
        one = Sent(sent.url, sent.method, sent.fields, (address, place.port), ca=ca)
        attempt, captured = await ask(one, max(0.2, share))
        if captured is not None or attempt.phase > CONNECT or end - time.monotonic() < 0.2:
            break
    return attempt, captured
