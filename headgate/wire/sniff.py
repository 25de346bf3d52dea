"""Owns how other protocols are recognised by the first bytes they send where HTTP was expected."""

import re
from collections.abc import Callable
from typing import Final

Test = Callable[[bytes], object]


def _begins(*prefixes: bytes) -> Test:
    return lambda first: first.startswith(prefixes)


def _fits(pattern: bytes) -> Test:
    return re.compile(pattern, re.IGNORECASE | re.DOTALL).match


def _http2(first: bytes) -> bool:
    """A SETTINGS frame on stream 0 (RFC 9113 6.5), which opens the connection; or GOAWAY; or the client's preface."""
    if first.startswith(b"PRI * HTTP/2"):
        return True
    length = int.from_bytes(first[:3], "big")
    settings = first[3:4] == b"\x04" and length % 6 == 0 and length <= 600
    goaway = first[3:4] == b"\x07" and 8 <= length <= 4096
    return len(first) >= 9 and (settings or goaway) and first[5:9] == bytes(4)


def _mysql(first: bytes) -> bool:
    """A handshake (version 10) or an error packet: length in three bytes, little-endian, sequence 0 or 1."""
    length = int.from_bytes(first[:3], "little")
    return len(first) >= 5 and 5 <= length <= 1024 and first[3] <= 1 and first[4] in (0x0A, 0xFF)


def _postgresql(first: bytes) -> bool:
    """An ErrorResponse: "E", its length, then fields such as "SFATAL"; or a text error before the protocol was agreed."""
    length = int.from_bytes(first[1:5], "big")
    if first[:1] == b"E" and 8 <= length <= 30_000 and first[5:6] in (b"S", b"V", b"M", b"C"):
        return True
    return first.startswith((b"EFATAL:", b"EERROR:", b"Eunsupported frontend protocol", b"Einvalid length of startup packet"))


def _fastcgi(first: bytes) -> bool:
    """A record of version 1 that an application sends: END_REQUEST, STDOUT, STDERR, GET_VALUES_RESULT, UNKNOWN_TYPE."""
    return len(first) >= 8 and first[0] == 1 and first[1] in (3, 6, 7, 10, 11) and first[7] == 0


def _uwsgi(first: bytes) -> bool:
    """A uwsgi packet: a modifier, a little-endian size that fits, and variables with plausible sizes."""
    if len(first) < 8 or first[0] not in (0, 1) or first[3] > 1:
        return False
    size, key = int.from_bytes(first[1:3], "little"), int.from_bytes(first[4:6], "little")
    return 4 <= size <= 4096 and 0 < key <= size and first[6 : 6 + key].isascii() and first[6:7].isalpha()


PROTOCOLS: Final[tuple[tuple[str, Test], ...]] = (
    ("ssh", _begins(b"SSH-")),
    ("tls", _fits(rb"[\x15\x16]\x03[\x00-\x04]|\x15\x03?$")),
    ("http2", _http2),
    ("redis", _fits(rb"-(?:ERR|DENIED|NOAUTH|WRONGPASS|MISCONF|LOADING|BUSY)\b|\+PONG\r|\+OK\r\n$|\$-1\r")),
    ("mongodb", _fits(rb".{0,200}It looks like you are trying to access MongoDB over HTTP")),
    ("imap", _fits(rb"\* (?:OK|PREAUTH|BYE|BAD)\b")),
    ("pop3", _fits(rb"\+OK ")),
    ("ftp", _fits(rb"(?:220|120|421|500|530)[ -](?:[^\r\n]*(?:ftp|filezilla|pure-ftpd|vsftpd|proftpd|file transfer)|\(vs)")),
    ("smtp", _fits(rb"(?:220|421|554)[ -][^\r\n]*|50[0-3][ -]|[45][0-9]{2}[ -][45]\.[0-9]\.[0-9]")),
    ("mysql", _mysql),
    ("postgresql", _postgresql),
    ("fastcgi", _fastcgi),
    ("uwsgi", _uwsgi),
    ("html", _fits(rb"\s{0,64}<(?:!doctype|html|head|body|\?xml|!--)")),
)
"""Name and test of each protocol, the surer ones first. The first that fits is it."""


def looks_like(first: bytes) -> str | None:
    """Return the name of the protocol that begins with these bytes, or None. HTTP/1 is not among them."""
    first = first[:1024]
    for name, test in PROTOCOLS:
        if test(first):
            return name
    return None
