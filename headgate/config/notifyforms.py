"""The forms of single values in the tables about telling people: addresses of web and mail, names with stars, shares."""

import re
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic import WithJsonSchema as InJsonSchema

from .endpoints import split_host
from .findings import Bad
from .units import SHARE_PATTERN, parse_share

_ADDRESS: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
"""An address as SMTP takes it without quoting: what HTML calls a valid e-mail address."""


def web_url(value: str) -> str:
    """Return an http or https URL that holds no password."""
    expected = 'a URL such as "https://hooks.example.org/in"'
    problem = bad_url(value)
    if problem:
        raise Bad(problem, expected)
    if "@" in urlsplit(value).netloc:
        raise Bad("a URL with a password in it", expected, "write it into a file, and url_file = that file")
    return value


def bad_url(value: str) -> str:
    """Return why something is sent to no such URL, "" where it can be. The URL is not repeated: it may be a secret."""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return "not a URL"
    if parts.scheme not in ("http", "https"):
        return "not an http or https URL"
    if not parts.hostname or port == 0:
        return "a URL without a host to connect to"
    return "a URL with spaces or control characters in it" if any(not "!" <= letter <= "~" for letter in value) else ""


def mail_server(value: str) -> str:
    """Return "host" or "host:port" of a mail server."""
    host, port = split_host(value)
    if not host or port == 0:
        raise Bad(f'"{value}" is no mail server', '"mail.example.org" or "mail.example.org:587"')
    return value


def mail_address(value: str) -> str:
    """Return a mail address, without a name around it."""
    if not _ADDRESS.fullmatch(value):
        raise Bad(f'"{value[:80]}" is no mail address', '"alerts@example.org"')
    return value


def pattern(value: str) -> str:
    """Return a name in which a star stands for anything."""
    if not value:
        raise Bad("an empty name fits nothing", 'a name such as "shop", or "shop-*"')
    return value


def cause_name(value: str) -> str:
    """Return the code of a cause, or a pattern that fits one."""
    known = causes()
    if any(fnmatchcase(code, value) for code in known):
        return value
    close = get_close_matches(value, known, 1)
    expected = "" if close else 'a code such as "connection-refused", or "tls-*" (docs/causes.md has all)'
    raise Bad(f'no cause is called "{value}"', expected, f'did you mean "{close[0]}"?' if close else "")


@cache
def causes() -> tuple[str, ...]:
    """Return the codes of all causes."""
    folder = files("headgate") / "knowledge" / "causes"
    return tuple(sorted(file.name.removesuffix(".md") for file in folder.iterdir() if file.name.endswith(".md")))


WebUrl = Annotated[str, AfterValidator(web_url)]
MailServer = Annotated[str, AfterValidator(mail_server)]
MailAddress = Annotated[str, AfterValidator(mail_address)]
Pattern = Annotated[str, AfterValidator(pattern)]
CauseName = Annotated[str, AfterValidator(cause_name)]
Share = Annotated[
    float,
    BeforeValidator(parse_share),
    Field(gt=0, le=1),
    InJsonSchema(
        {"anyOf": [{"type": "string", "pattern": SHARE_PATTERN}, {"type": "number", "exclusiveMinimum": 0, "maximum": 1}]}
    ),
]
"""A share: "1%", or a number from 0 to 1."""
