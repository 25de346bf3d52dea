"""Owns what of a log's line may be shown: one line of printable ASCII, without the values that are secrets."""

import re
from typing import Final

from ..diagnose.redact import REDACTED, clean, is_secret

_PAIR: Final = re.compile(r"([?&; \"'{,]|^)([\w.%\[\]-]{2,64})(=|%3D|\\?\"\s*:\s*\\?\")([^&;\s\"'#,}\\]+)", re.IGNORECASE)
_FIELD: Final = re.compile(
    r"\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key|x-auth-token)(\\?\"?\s*[:=]\s*\[?\\?\"?)[^\"\r\n]+", re.IGNORECASE
)
_BEARER: Final = re.compile(r"\b(bearer|basic|digest|negotiate)(\s+)[\w.~+/=-]{6,}", re.IGNORECASE)
_JWT: Final = re.compile(r"\beyJ[\w-]{6,}(?:\.[\w-]*){0,2}")
_USER: Final = re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://)[^/@\s\"]+@", re.IGNORECASE)
_SEPARATE: Final = frozenset(("code", "key", "auth", "sig", "sid", "pin", "pass"))
"""Names that are a secret's in a query, and something else in a log's own words ("code=H12" of Heroku)."""


def scrub(text: str, longest: int = 300) -> str:
    """Return a line of a log without its secrets, control characters escaped, at most `longest` characters."""
    shown = text[: 4 * longest]
    shown = _FIELD.sub(rf"\1\2{REDACTED}", shown)
    shown = _BEARER.sub(rf"\1\2{REDACTED}", shown)
    shown = _JWT.sub(REDACTED, shown)
    if "@" in shown:
        shown = _USER.sub(rf"\1{REDACTED}@", shown)
    return clean(_PAIR.sub(_pair, shown), longest)


def _pair(found: re.Match[str]) -> str:
    before, name, equals, _ = found.groups()
    in_query = before in "?&;" and before
    secret = is_secret(name) and (in_query or name.lower() not in _SEPARATE)
    return f"{before}{name}{equals}{REDACTED}" if secret else found[0]
