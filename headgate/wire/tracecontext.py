"""Owns which trace context is legal: the fields traceparent and tracestate (W3C Trace Context, level 2)."""

import re
from typing import Final, NamedTuple

_PARENT: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x20-\x7e]*)?")
_LONGEST_PARENT: Final = 512
"""Bytes of a traceparent of a version to come: this one's has 55."""
_KEY: Final = rb"[a-z0-9][a-z0-9_*/@-]{0,255}"
_MEMBER: Final = re.compile(_KEY + rb"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]")
_MOST_MEMBERS: Final = 32
_LONGEST_STATE: Final = 512
"""Characters that everybody has to pass on (section 3.3.1.5)."""
_LARGE_MEMBER: Final = 128
"""Characters of a member above which it is the first to go."""


class Parent(NamedTuple):
    """Where a request comes from."""

    trace_id: str
    span_id: str
    flags: int


def read_parent(value: bytes) -> Parent | None:
    """Return what a traceparent says, or None where it is not legal: then the trace begins anew (section 3.2).

    value: of the field, repeated ones joined by a comma, which makes them illegal.
    """
    found = _PARENT.fullmatch(value) if len(value) <= _LONGEST_PARENT else None
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more is not None) or not trace.strip(b"0") or not span.strip(b"0"):
        return None
    return Parent(trace.decode(), span.decode(), int(flags, 16))


def read_state(value: bytes) -> str:
    """Return a tracestate as it may go on: as it came, or without what is too long; "" where it is not legal (section 3.3)."""
    members = [member for part in value.split(b",") if (member := part.strip(b" \t"))]
    if not members or len(members) > _MOST_MEMBERS or not all(map(_MEMBER.fullmatch, members)):
        return ""
    if len(value) <= _LONGEST_STATE:
        return value.decode()
    left = [member for member in members if len(member) <= _LARGE_MEMBER]
    while left and sum(map(len, left)) + len(left) - 1 > _LONGEST_STATE:
        left.pop()
    return b",".join(left).decode()


def parent_line(trace_id: str, span_id: str, flags: int) -> bytes:
    """Return the traceparent line."""
    return f"traceparent: 00-{trace_id}-{span_id}-{flags:02x}\r\n".encode()


def state_line(state: str) -> bytes:
    """Return the tracestate line; nothing for an empty state."""
    return f"tracestate: {state}\r\n".encode() if state else b""
