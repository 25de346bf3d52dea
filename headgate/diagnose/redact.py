"""What of the raw bytes may be shown: control characters escaped, secrets left out, length bounded."""

import re
from base64 import b64encode
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_plus, unquote_to_bytes, urlsplit, urlunsplit

EXCERPT_BYTES: Final = 64
"""Most raw bytes that one excerpt shows."""
REDACTED: Final = "[redacted]"
"""What stands in the place of a secret."""

_NAME: Final = (
    r"[\w.\[\]-]*(?:authorization|cookie|token|passw(?:or)?d|passphrase|pwd|secret|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|credential|signature|session|sess[_-]?id|csrf|xsrf|jwt|assertion)[\w.\[\]-]*|auth|key|sig|sid|code|otp|pin|pass"
)
"""Names of fields, parameters and JSON members whose value is nobody's business."""
_SECRET_NAME: Final = re.compile(_NAME, re.IGNORECASE)
_CUT_NAMES: Final = ("authorization", "cookie", "token", "api-key", "secret")
_CUT: Final = "|".join(sorted({name[start:] for name in _CUT_NAMES for start in range(1, len(name))}, key=len, reverse=True))
_VALUE_TO_END_OF_FIELD: Final = r"(?s:.+?)(?=\r?\n(?![ \t])|\Z)"
_PATTERNS: Final = tuple(
    re.compile(pattern.encode(), re.IGNORECASE)
    for pattern in (
        rf"((?:\A|(?<=[\r\n]))(?:{_NAME})[ \t]*:[ \t]*){_VALUE_TO_END_OF_FIELD}",  # a header field, folded lines included
        rf"(\A(?:{_CUT})[ \t]*:[ \t]*){_VALUE_TO_END_OF_FIELD}",  # the excerpt begins within the field's name
        rf"((?<![\w.\[\]-])(?:{_NAME})(?:=|%3D))[^&;\s\"'#]+",  # a parameter or a cookie
        rf"(\"(?:{_NAME})\"\s*:\s*\"?)[^\"\s,}}]+",  # a member of a JSON object
        r"\b((?:bearer|basic|digest|negotiate)[ \t]+)[^\s,;\"]+",
        r"(\b[a-z][a-z0-9+.-]*://)[^/@\s]+(?=@)",  # user and password in a URL
        r"\b()eyJ[\w-]{6,}(?:\.[\w-]*){0,2}",  # a JSON Web Token without its name
    )
)
_USER_IN_URL: Final = re.compile(r"^([a-z][a-z0-9+.-]*://)[^/]+@", re.IGNORECASE)
_PARAMETER: Final = re.compile(r"(?:^|[&;])([^&;=]*)=")
_REMEMBERED_LENGTH: Final = 64  # longer names are judged each time: nobody fills our memory with them
_NAMED: Final = {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x5C: "\\\\"}
_ESCAPED: Final = tuple(_NAMED.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}") for byte in range(256))


def is_secret(name: str) -> bool:
    """Return whether the value of a field or parameter called `name` must not be shown."""
    return _SECRET_NAME.fullmatch(name) is not None


def escape(excerpt: bytes) -> str:
    r"""Return at most the first 64 bytes as printable ASCII: others as \xNN, \r, \n, \t, a backslash doubled, secrets left out.

    Safe in a terminal and in a log line. It still holds `<`, `&` and quotes: escaping for HTML is the renderer's.
    """
    shown = excerpt[:EXCERPT_BYTES]
    for pattern in _PATTERNS:
        shown = pattern.sub(rb"\1" + REDACTED.encode(), shown)
    return "".join([_ESCAPED[byte] for byte in shown])


def clean(text: str, longest: int = 300) -> str:
    """Return `text` as one line of printable ASCII of at most `longest` characters (names, addresses, messages)."""
    if len(text) <= longest and text.isascii() and text.isprintable():
        return text
    escaped = "".join([_ESCAPED[byte] if byte != 0x5C else "\\" for byte in text[:longest].encode("utf-8", "replace")])
    return escaped if len(escaped) <= longest else escaped[: longest - 3] + "..."


def redact_target(target: str) -> str:
    """Return a request target with the values of secret query parameters, and a URL's user and password, left out."""
    path, mark, query = target.partition("?")
    if "@" in path:
        path = _USER_IN_URL.sub(rf"\1{REDACTED}@", path)
    if any(map(_is_secret_parameter, _PARAMETER.findall(query))):
        query = "".join(_redact_pair(part) for part in re.split(r"([&;])", query))
    return path + mark + query


def credentials_apart(url: str) -> tuple[str, str]:
    """Return a URL without user and password, and these as the value of Authorization ("" where there are none). RFC 7617."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, ""
    pair = unquote_to_bytes(user) if ":" in user else unquote_to_bytes(user) + b":"
    return urlunsplit(parts._replace(netloc=host)), f"Basic {b64encode(pair).decode()}"


def _redact_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    return f"{name}={REDACTED}" if equals and value and _is_secret_parameter(name) else pair


def _is_secret_parameter(name: str) -> bool:
    """Return whether the value of a parameter is secret, `name` being as it stands in the query."""
    return _remembered(name) if len(name) <= _REMEMBERED_LENGTH else is_secret(unquote_plus(name))


@lru_cache(1024)
def _remembered(name: str) -> bool:
    return is_secret(unquote_plus(name))
