"""Owns the request line's first parts: which methods and versions are served, and what is wrong with a line that is refused."""

import re
from typing import Final

from .grammar import ILLEGAL_OCTETS, TOKEN_OCTETS, bare_line_end, largest_line
from .limits import WireLimits
from .refusal import Refused, malformed, too_large, unsupported
from .sniff import looks_like

MINORS: Final[dict[bytes, int]] = {b"HTTP/1.1\r": 1, b"HTTP/1.0\r": 0} | {b"HTTP/1.%d\r" % minor: 1 for minor in range(2, 10)}
"""Minor version to act on, by the version's text and the line's CR: a later 1.x is read as 1.1 (RFC 9110 2.5)."""

_STANDARD: Final = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE"))
_NOT_SERVED: Final = frozenset((b"CONNECT", b"TRACE"))  # tunnels and echoes are no business of a gateway
_CONTROLS: Final = (ILLEGAL_OCTETS + b"\t").translate(None, b"\r\n")
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")


def check_method(method: bytes, head: bytes) -> None:
    """Return if a method may go on. Raises Refused: method, request-line.

    A standard method in another case is refused too: "head" is not HEAD, but a lenient server answers it without a body.
    """
    if not method:
        raise malformed("request-line", head, 0)
    illegal = method.translate(None, TOKEN_OCTETS)
    if illegal:
        raise malformed("method", head, min(method.index(octet) for octet in illegal))
    if method in _NOT_SERVED or (method not in _STANDARD and method.upper() in _STANDARD):
        raise unsupported("method", head, 0)


def line_fault(head: bytes) -> Refused:
    """Return what is wrong with the request line of `head`, which is not three parts with a version served here."""
    end = head.find(b"\r\n")
    line = head[:end] if end >= 0 else head
    if fault := first_bytes_fault(line) or bare_line_end(line, whole=True):
        return fault
    if end < 0:
        return malformed("request-line", head, len(head))
    parts = line.split(b" ")
    for number, part in enumerate(parts):
        if not part or number > 2:  # two spaces, a space at either end, or a fourth part
            return malformed("request-line", head, len(b" ".join(parts[:number])) + (number > 0))
    if len(parts) < 3:
        return malformed("request-line", head, end)
    version_at = end - len(parts[2])
    if _VERSION.fullmatch(parts[2]):
        return unsupported("version", line, version_at)
    return malformed("request-line", head, version_at)


def first_bytes_fault(line: bytes) -> Refused | None:
    """Return the refusal of a first line, whole or not, that cannot be a request: another protocol, or a control octet."""
    if line.startswith(b"PRI * HTTP/2"):
        return unsupported("version", line, 6)
    controls = [octet for octet in set(line) if octet in _CONTROLS]
    if not controls:
        return None
    protocol = looks_like(line)
    fault = malformed("not-http" if protocol else "request-line", line, min(line.index(octet) for octet in controls))
    if protocol:
        fault.facts["looks_like"] = protocol
    return fault


def target_fault(head: bytes, method: bytes, offset: int) -> Refused:
    """Return the refusal of a target that is illegal at `offset`."""
    at = len(method) + 1 + offset
    return malformed("bare-cr" if head[at : at + 1] == b"\r" else "target", head, at)


def size_fault(head: bytes, end: int, limits: WireLimits) -> Refused:
    """Return the refusal of a head that is too large; `end` is that of its first line."""
    if end > limits.request_line_bytes:
        return too_large("request_line_bytes", limits.request_line_bytes, end)
    name, _ = largest_line(head, max(0, end + 2))
    return too_large("request_header_bytes", limits.request_header_bytes, len(head), name)
