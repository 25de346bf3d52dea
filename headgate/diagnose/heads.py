"""Owns how an HTTP answer is read from what tools print (curl -i, curl -v, wget -S, a saved response). Lenient on purpose."""

import re
import zlib
from typing import Final

from .captured import BODY_MAX, Captured, lower

_LINES: Final = re.compile(rb"(?<=\n)")
_STATUS_LINE: Final = re.compile(rb"HTTP/(\d(?:\.\d)?)\s+(\d{3})(?!\d)(?:[ \t]+([^\r\n]*))?")
_VERBOSE: Final = re.compile(rb"^(?:[<>*{}] |[<>*{}]\r?$|\[\d+ bytes)", re.MULTILINE)
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:[ \t]*(.*)")
_LENGTH: Final = re.compile(r"[0-9]{1,18}")
_INDENT: Final = re.compile(rb"^[ \t]{2}(?=HTTP/|\S+:)")
_INTERIM: Final = range(100, 200)
MOST: Final = 50
"""Most answers of one capture that are read."""
_MOST_FIELDS: Final = 1000
"""Most field lines of one answer that are kept."""


def heads(data: bytes) -> list[Captured]:
    """Return the answers in `data`, in order; interim ones (1xx) and the proxy's answer to CONNECT (200) are left out.

    Empty when no line of the first fifty is an HTTP status line at the beginning of a line (after "< " in a verbose dump).
    """
    verbose = _is_verbose(data)
    lines = _unverbose(data) if verbose else _LINES.split(data)
    start = next(
        (number for number, line in enumerate(lines[: len(lines) if verbose else 50]) if _STATUS_LINE.match(_plain(line))), -1
    )
    if start < 0 or (start > 0 and not verbose and not _only_talk(lines[:start])):
        return []
    found: list[Captured] = []
    rest = lines[start:]
    while rest and len(found) < MOST:
        one, rest = _one(rest)
        found.append(one)
    kept = [one for one in found if one.status not in _INTERIM]
    if (
        len(kept) > 1
        and kept[0].reason.lower() in ("connection established", "ok")
        and not kept[0].length > 0
        and not kept[0].body
    ):
        kept = kept[1:]
    return kept


def _is_verbose(data: bytes) -> bool:
    """Whether it is a dump of curl -v: lines marked with < and >."""
    return re.search(rb"^< HTTP/", data, re.MULTILINE) is not None


def _only_talk(lines: list[bytes]) -> bool:
    """Whether what stands before the status line is a tool's chatter: its progress, "---response begin---", a typed command."""
    return all(
        re.match(rb"\s*$|[$#%>*+-]|.*\bcurl\b|  % Total|\s+Dload|\s*\d+ |--\d{4}|Resolving|Connecting|HTTP request sent", line)
        for line in lines
    )


def _plain(line: bytes) -> bytes:
    return _INDENT.sub(b"", line)


def _unverbose(data: bytes) -> list[bytes]:
    """Return the answer's lines of a verbose dump: those marked <, without the mark, and the unmarked ones (the body)."""
    kept: list[bytes] = []
    for line in _LINES.split(data):
        if line.startswith(b"< ") or line.rstrip() == b"<":
            kept.append(line[2:] or b"\n")
        elif not _VERBOSE.match(line) and not re.match(rb"[>*{}]|\[\d+ bytes data\]|  % Total|\s+Dload|\s*\d+ +\d", line):
            kept.append(line)
    return kept


def _one(lines: list[bytes]) -> tuple[Captured, list[bytes]]:
    """Return the first answer, and the lines behind it. The body reaches to the next status line."""
    hit = _STATUS_LINE.match(_plain(lines[0]))
    version, status, reason = hit.groups(b"") if hit else (b"", b"0", b"")
    fields: list[tuple[str, str]] = []
    at = 1
    while at < len(lines) and (line := _plain(lines[at]).rstrip(b"\r\n")).strip():
        if pair := _FIELD.match(line):
            if len(fields) < _MOST_FIELDS:
                fields.append((pair[1].decode("latin-1"), pair[2].decode("utf-8", "replace")))
        elif fields and line[:1] in b" \t":
            fields[-1] = (fields[-1][0], f"{fields[-1][1]} {line.strip().decode('utf-8', 'replace')}")
        else:
            break  # no head any more: a body without a blank line before it
        at += 1
    start = at + 1 if at < len(lines) and not lines[at].strip() else at
    end = next((n for n in range(start, len(lines)) if _STATUS_LINE.match(lines[n]) and not lines[n - 1].strip()), len(lines))
    clean = lower(fields)
    body = _decoded(b"".join(lines[start:end]), dict(clean).get("content-encoding", ""))
    announced = dict(clean).get("content-length", "")
    return Captured(
        status=int(status), reason=reason.decode("utf-8", "replace").strip(), version=version.decode(), fields=clean,
        body=body[:BODY_MAX], length=int(announced) if _LENGTH.fullmatch(announced) else (len(body) or -1),
    ), lines[end:]  # fmt: skip


def _decoded(body: bytes, coding: str) -> bytes:
    try:
        if coding.lower() == "gzip" and body.startswith(b"\x1f\x8b"):
            return zlib.decompressobj(31).decompress(body, BODY_MAX)  # a small body may hold gigabytes
    except zlib.error:
        pass
    return body
