"""Owns what of a log's line may be shown: one line of printable ASCII, without the values that are secrets."""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_plus

from ..diagnose.redact import REDACTED, clean, is_secret, redact_target

_NAME: Final = re.compile(r"(?<![\w.%\[\]-])([\w.%\[\]-]{2,200})(=\\?[\"']?|%3D|\\?[\"']?\s*:\s*\[?\s*\\?[\"']?)", re.IGNORECASE)
"""A name and what stands between it and its value: in queries, cookies, JSON (also within a string), header fields."""
_VALUES: Final = {
    "": re.compile(r"[^&;\s\"'#]+"),
    ":": re.compile(r"[^&;\s\"'#,}\]\\]+"),
    '"': re.compile(r"(?:[^\"\\]|\\.)*"),
    "'": re.compile(r"(?:[^'\\]|\\.)*"),
    "\\": re.compile(r"[^\"\\]*"),
}
"""What a value is: bare, a JSON member's without quotes, in quotes, in quotes within a string."""
_FIELD: Final = re.compile(
    r"\b((?:proxy-)?authorization|(?:set-)?cookie2?)(\\?[\"']?\s*[:=]\s*)(digest\b[^\r\n]+|\[[^\]\r\n]*\]?|\\?\"[^\"\r\n]*|[^\"\r\n]+)",
    re.IGNORECASE,
)
"""Header fields whose whole value is secret: a list of strings, one string, or all up to the line's end."""
_BEARER: Final = re.compile(r"\b(bearer|basic|digest|negotiate)(\s+)[\w.~+/=-]{6,}", re.IGNORECASE)
_JWT: Final = re.compile(r"\beyJ[\w-]{6,}(?:\.[\w-]*){0,2}")
_USER: Final = re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://)[^/\s\"?#]*@", re.IGNORECASE)
_SEPARATE: Final = frozenset(("code", "key", "auth", "sig", "sid", "pin", "pass"))
"""Names that are a secret's in a query, and something else in a log's own words ("code=H12" of Heroku)."""


def scrub(text: str, longest: int = 300) -> str:
    """Return a line of a log without its secrets, control characters escaped, at most `longest` characters."""
    shown = text[: 4 * longest]
    shown = _without_fields(shown)
    shown = _BEARER.sub(rf"\1\2{REDACTED}", shown)
    shown = _JWT.sub(REDACTED, shown)
    if "@" in shown:
        shown = _USER.sub(rf"\1{REDACTED}@", shown)
    return clean(_without_values(shown), longest)


def _without_fields(text: str) -> str:
    """Leave out whole header fields: one within quotes ends with these, any other with the line."""
    parts, at = [], 0
    for found in _FIELD.finditer(text):
        if found.start() < at:
            continue
        parts += [text[at : found.end(2)], REDACTED]
        bare = found[3][0] not in '["\\'
        quoted = text.count('"', 0, found.start()) % 2
        at = len(text) if bare and not quoted else found.end()
    return "".join((*parts, text[at:]))


def shown_path(path: str, longest: int) -> str:
    """Return a path, or an URL, as it may be shown."""
    return scrub(redact_target(path[: 4 * longest]), longest)


def _without_values(text: str) -> str:
    """Leave out the values of names that are a secret's. A value that is none is searched in turn: "args=token=..."."""
    parts, at = [], 0
    for found in _NAME.finditer(text):
        if found.start() < at or not _secret(found[1], text[found.start() - 1 : found.start()], found[2]):
            continue
        value = _VALUES[_kind(found[2])].match(text, found.end())
        if value and value[0] and not text.startswith(REDACTED, found.end() - found[2].endswith("[")):
            parts += [text[at : found.end()], REDACTED]
            at = value.end()
    return "".join((*parts, text[at:]))


def _kind(equals: str) -> str:
    """Return which kind of value follows what stands between it and its name."""
    if equals[-1] in "\"'":
        return "\\" if equals[-2:-1] == "\\" else equals[-1]
    return ":" if ":" in equals else ""


def _secret(name: str, before: str, equals: str) -> bool:
    """Whether a value must not be shown, by its name and by what stands around it."""
    plain = _plain(name)
    if plain.lower() in _SEPARATE:
        return before in ("?", "&", ";") or plain != name or "%" in equals
    return is_secret(plain) or plain.rpartition(".")[2].lower() == "sid"  # Express calls its cookie connect.sid


@lru_cache(1024)
def _plain(name: str) -> str:
    """Return a name as it is meant: %-encoding undone, and what stands before it in an encoded query left out."""
    return re.split(r"[?&;/]", unquote_plus(name))[-1]
