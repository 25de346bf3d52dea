"""Owns what collectors write before a log's own line, or around it: syslog, journald, Docker, Kubernetes."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

_ISO: Final = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)"
_PROGRAM: Final = rb"[\w./@-]+(?:\[\d+\])?: ?"
_PATTERNS: Final = {
    "Kubernetes": _ISO + rb" (?:stdout|stderr) [FP] ",
    "syslog": rb"(?:<\d{1,3}>)?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)? (?:[\w.:-]+ )?" + _PROGRAM,
    "syslog (RFC 5424)": rb"(?:\d+ )?<\d{1,3}>1 \S+ \S+ \S+ \S+ \S+ (?:-|(?:\[[^\]\n]*\])+) ?(?:\xef\xbb\xbf)?",
    "syslog (ISO time)": rb"(?:<\d{1,3}>)?" + _ISO + rb" (?:\S+ )" + _PROGRAM,
    "docker compose": rb"(?:\x1b\[\d+m)?[\w.-]+ +\| (?:\x1b\[0m)?",
    "kubectl": rb"\[pod/[^\]\n]+\] ",
    "journald": rb"[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d(?:\.\d+)? \S+ " + _PROGRAM,
    "times": _ISO + rb" ",
}  # fmt: skip


class Prefix(NamedTuple):
    """A way of wrapping lines."""

    name: str
    strip: Callable[[bytes], bytes]  # a block of lines → the block of lines within, one for one


def _plain(name: str, pattern: bytes) -> Prefix:
    compiled = re.compile(rb"^" + pattern, re.MULTILINE)
    return Prefix(name, lambda block: compiled.sub(b"", block))


def _docker(block: bytes) -> bytes:
    """Return the lines within Docker's `{"log":"...","stream":"..."}`; lines that are none stay as they are."""
    lines = block.split(b"\n")
    return b"\n".join([_unwrapped(line) for line in lines])


def _unwrapped(line: bytes) -> bytes:
    if not line.startswith(b"{"):
        return line
    try:
        text = json.loads(line).get("log")
    except (ValueError, AttributeError, RecursionError):
        return line
    if not isinstance(text, str):
        return line
    return text.rstrip("\r\n").replace("\n", " ").encode("utf-8", "backslashreplace")


DOCKER: Final = Prefix("Docker", _docker)
PREFIXES: Final = (DOCKER, *(_plain(name, pattern) for name, pattern in _PATTERNS.items()))
"""Every known way of wrapping, the most telling first."""
_ENOUGH: Final = 0.5


def candidates(lines: Sequence[bytes]) -> list[Prefix]:
    """Return the wrappings that most of the lines have, the most telling first."""
    block = b"\n".join(lines)
    found = []
    for prefix in PREFIXES:
        inner = prefix.strip(block).split(b"\n")
        changed = sum(one != other for one, other in zip(lines, inner, strict=False))
        if len(inner) == len(lines) and changed > len(lines) * _ENOUGH:
            found.append(prefix)
    return found
