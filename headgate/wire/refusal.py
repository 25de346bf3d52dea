"""Owns what a refusal of bytes is: the exception `Refused`, and the closed list of rules that can be broken."""

from typing import Final, Literal

from ..model.facts import Facts

Kind = Literal["malformed", "too-large", "unsupported"]

RULES: Final[dict[str, str]] = {
    # The first line.
    "not-http": "the first bytes cannot begin an HTTP/1 message (RFC 9112 2.1)",
    "request-line": "a request line is method, one space, target, one space, version (RFC 9112 3)",
    "method": "a method is a token, spelled exactly; CONNECT and TRACE are not served (RFC 9110 9.1)",
    "target": "a target is a path, an http or https URL, or * with OPTIONS, in visible ASCII without # (RFC 9112 3.2)",
    "version": "only HTTP/1.0 and HTTP/1.1 are spoken here (RFC 9112 2.3)",
    "status-line": "a status line is version, one space, three digits, one space, reason (RFC 9112 4)",
    "status-code": "a status code is three digits from 100 to 599 (RFC 9110 15)",
    "reason": "a reason phrase is printable text, spaces and tabs (RFC 9112 4)",
    # Lines and fields.
    "bare-lf": "a line ends with CR and LF, never with LF alone (RFC 9112 2.2)",
    "bare-cr": "a CR stands only before LF (RFC 9112 2.2)",
    "obs-fold": "a field value must not continue on a line that begins with white space (RFC 9112 5.2)",
    "no-colon": "a field line is a name, a colon and a value (RFC 9112 5)",
    "space-before-colon": "no white space may stand between a field name and its colon (RFC 9112 5.1)",
    "field-name": "a field name is a token: letters, digits and !#$%&'*+-.^_`|~ (RFC 9110 5.6.2)",
    "field-value": "a field value is printable text, spaces and tabs, in the form its field defines (RFC 9110 5.5)",
    # Host.
    "host-missing": "an HTTP/1.1 request has a Host field (RFC 9112 3.2)",
    "host-repeated": "a request has only one Host field (RFC 9112 3.2)",
    "host-invalid": "a host is a name, an IPv4 address or an IPv6 address in brackets, with an optional port (RFC 9110 7.2)",
    # Framing.
    "length-invalid": "Content-Length is a decimal number of digits only, below 10^18 (RFC 9110 8.6)",
    "length-conflict": "Content-Length has one value (RFC 9112 6.3)",
    "length-and-coding": "a message has Content-Length or Transfer-Encoding, not both (RFC 9112 6.1)",
    "transfer-coding": "the only transfer coding understood here is chunked (RFC 9112 6.1)",
    "transfer-coding-position": "chunked is the last transfer coding, and applied once (RFC 9112 6.1)",
    "transfer-coding-version": "HTTP/1.0 has no transfer codings (RFC 9112 6.1)",
    # Chunks.
    "chunk-size": "a chunk begins with its size, 1 to 16 hexadecimal digits, and CRLF (RFC 9112 7.1)",
    "chunk-extension": "a chunk extension is ;name or ;name=value, on a line below 1 KiB (RFC 9112 7.1.1)",
    "chunk-ending": "a chunk's data is followed by CRLF (RFC 9112 7.1)",
    "trailer-name": "a trailer line begins with a field name and a colon (RFC 9112 7.1.2)",
    "trailer-value": "a trailer's value is printable text, spaces and tabs (RFC 9110 5.5)",
    # The connection.
    "unsolicited": "a server sends nothing that was not asked for (RFC 9112 9.2)",
}
"""Every rule that bytes may break, explained in words."""

EXCERPT: Final = 64
"""Longest excerpt, in bytes."""
_BEFORE: Final = 24  # how much of the excerpt stands before the offending byte


class Refused(Exception):
    """Bytes were refused. `kind` says which signal this is, `facts` why (rule and offset, or limit and seen)."""

    def __init__(self, kind: Kind, facts: Facts) -> None:
        super().__init__(kind, facts)
        self.kind: Kind = kind
        self.facts = facts

    def __str__(self) -> str:
        rule = self.facts.get("rule")
        if rule is None:
            return f"more than {self.facts['limit_value']:g} ({self.facts['limit']})"
        return f"{RULES[rule]}, at byte {self.facts['offset']}: {self.facts['excerpt']!r}"


def excerpt(data: bytes, offset: int) -> bytes:
    """Return at most 64 bytes of `data` around `offset`."""
    begin = max(0, offset - _BEFORE)
    return bytes(data[begin : begin + EXCERPT])


def malformed(rule: str, data: bytes, offset: int, header_name: bytes = b"") -> Refused:
    """Return the refusal of illegal bytes: `data[offset]` is the first that breaks `rule`."""
    assert rule in RULES
    facts = Facts(rule=rule, offset=offset, excerpt=excerpt(data, offset))
    if header_name:
        facts["header_name"] = header_name[:EXCERPT].decode("latin-1")
    return Refused("malformed", facts)


def unsupported(rule: str, data: bytes, offset: int) -> Refused:
    """Return the refusal of something legal that is not spoken here."""
    assert rule in RULES
    return Refused("unsupported", Facts(rule=rule, offset=offset, excerpt=excerpt(data, offset)))


def too_large(limit: str, value: int, seen: int, header_name: bytes = b"") -> Refused:
    """Return the refusal of `seen` bytes (or lines) where the setting `limit` allows `value`."""
    facts = Facts(limit=limit, limit_value=value, seen=seen)
    if header_name:
        facts["header_name"] = header_name[:EXCERPT].decode("latin-1")
    return Refused("too-large", facts)
