"""Owns what is varied, one thing at a time, and in which order: as data, so that the help and the report can say it."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from ..diagnose.looks import Asked
from .url import Url, parse_url

BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
REPEATS_WHEN_FAILING: Final = 5
REPEATS_WHEN_WORKING: Final = 3
PAUSE: Final = 0.3
"""Seconds between two equal requests."""
RESTS: Final = (0.0, 5.5)
"""Seconds a kept connection rests before it is asked again: none, and more than the shortest usual timer of programs (5 s)."""
_PATHS: Final = ("/", "/favicon.ico", "/robots.txt")


@dataclass(frozen=True, slots=True)
class Variation:
    """One request that differs from the user's in one thing."""

    kind: str  # of the look
    url: Url
    method: str = "GET"
    fields: tuple[tuple[str, str], ...] = ()
    http2: bool = False
    words: str = ""  # what was changed


def plain(asked: Asked, url: Url, agent: str) -> Variation:
    """Return the request as the user had it, or as a browser would send it."""
    return Variation("get", url, "GET", fields_of(asked, agent))


def fields_of(asked: Asked, agent: str) -> tuple[tuple[str, str], ...]:
    """Return the user's fields, and those of a browser that he did not give."""
    given = {name.lower() for name, _ in asked.fields}
    usual = (("User-Agent", agent), ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8"), ("Accept-Encoding", "gzip"))
    return (*((name, value) for name, value in usual if name.lower() not in given), *asked.fields)


def variations(asked: Asked, url: Url, agent: str, works: bool, http2: bool, cloudflare: bool) -> Iterator[Variation]:
    """Yield what to vary, the most telling first.

    works: the plain request does, so that less is worth knowing. http2: the server offers it. cloudflare: it stands in the way.
    """
    base = plain(asked, url, agent)
    token = secrets.token_hex(8)
    fresh = _with_query(url, f"headgate={token}")
    no_cache = (*base.fields, ("Cache-Control", "no-cache"), ("Pragma", "no-cache"))
    yield replace(base, kind="no-cache", url=fresh, fields=no_cache, words="past caches")
    yield replace(base, kind="head", method="HEAD", words="HEAD")
    if http2:
        yield replace(base, kind="http2", http2=True, words="HTTP/2")
    if works:
        return
    if asked.fields:
        yield replace(base, kind="no-cookies", fields=fields_of(Asked(asked.url), agent), words="without your fields")
    yield replace(base, kind="agent", fields=_changed(base.fields, "User-Agent", BROWSER), words="as Chrome")
    yield replace(base, kind="identity", fields=_changed(base.fields, "Accept-Encoding", "identity"), words="uncompressed")
    for path in _paths(url, token, cloudflare):
        yield replace(base, kind="path", url=_with_path(url, path), words=path)


def _paths(url: Url, token: str, cloudflare: bool) -> Iterator[str]:
    own = url.target.partition("?")[0]
    if cloudflare:
        yield "/cdn-cgi/trace"
    for path in (*_PATHS, f"/headgate-{token}"):
        if path != own:
            yield path


def _changed(fields: tuple[tuple[str, str], ...], name: str, value: str) -> tuple[tuple[str, str], ...]:
    return (*((one, old) for one, old in fields if one.lower() != name.lower()), (name, value))


def _with_query(url: Url, more: str) -> Url:
    return _with_path(url, f"{url.target}{'&' if '?' in url.target else '?'}{more}")


def _with_path(url: Url, target: str) -> Url:
    return parse_url(f"{url.scheme}://{url.authority}{target}")
