"""Owns how the fields of a line become an Entry: numbers, units, lists of several tries, addresses."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from .entry import Entry
from .times import Times

Fields = Mapping[str, str]
"""What a line says, by field name; "" and "-" say nothing."""

_TIMES: Final = Times()
_SEPARATOR: Final = re.compile(r", ?| : | (?=\S)")
_PORT: Final = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\s]+)):\d+")
_SCHEME: Final = re.compile(r"^[a-z0-9+]+://(?:[^/@]*@)?")
_UNITS: Final = {"seconds": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_LONGEST: Final = 2000


def number(text: str) -> float:
    """Return a number, -1 where there is none or it is negative."""
    try:
        found = float(text)
    except ValueError:
        return -1.0
    return found if 0 <= found < 1e15 else -1.0


def several(text: str) -> list[str]:
    """Return the values of several tries, nginx's way: commas between servers, " : " between groups."""
    return [part for part in _SEPARATOR.split(text) if part]


def address(text: str) -> str:
    """Return an address without scheme and path: "http://10.0.0.1:80/a" → "10.0.0.1:80"."""
    bare = _SCHEME.sub("", text)
    if bare.startswith("unix:"):
        return "unix:" + bare[5:].partition(":")[0]
    return bare.partition("/")[0]


def without_port(text: str) -> str:
    """Return an address without its port."""
    found = _PORT.fullmatch(text)
    return (found[1] or found[2]) if found else text


def fill(entry: Entry, fields: Fields) -> None:
    """Set what the fields say."""
    for name, text in fields.items():
        if text and text != "-" and (setter := _SETTERS.get(name)):
            setter(entry, text)
    if "date" in fields and entry.time < 0:
        _time(entry, f"{fields['date']} {fields.get('clock', '')}")


def _time(entry: Entry, text: str) -> None:
    entry.time = _TIMES[text.encode("latin-1", "replace")]


def _status(entry: Entry, text: str) -> None:
    found = number(text)
    entry.status = int(found) if 100 <= found < 1000 else 0


def _bytes(entry: Entry, text: str) -> None:
    entry.bytes = int(number(text))


def _request(entry: Entry, text: str) -> None:
    words = text.split(" ")
    if len(words) >= 2 and words[-1].startswith("HTTP/"):
        entry.method, entry.path = words[0], " ".join(words[1:-1])
    elif len(words) == 2:
        entry.method, entry.path = words
    elif text.startswith("/") or "://" in text:
        entry.path = text
    if (found := _SCHEME.match(entry.path)) and entry.method != "CONNECT":
        host, slash, rest = entry.path[found.end() :].partition("/")
        entry.host, entry.path = entry.host or host, slash + rest


def _upstream(entry: Entry, text: str) -> None:
    if text in ("<NOSRV>", '"-"'):
        return
    tried = several(text)
    entry.upstream = address(tried[-1]) if tried[-1] != "-" else ""
    entry.tries = max(entry.tries, sum(one != "-" for one in tried))


def _upstream_status(entry: Entry, text: str) -> None:
    last = several(text)[-1]
    entry.upstream_status = int(last) if last.isdigit() and len(last) == 3 and last != "000" else 0


def _seconds(unit: str) -> Callable[[Entry, str], None]:
    factor = _UNITS[unit]

    def set_seconds(entry: Entry, text: str) -> None:
        found = number(text.removesuffix("s").removesuffix("m") if text.endswith("s") else text)
        entry.seconds = found * factor if found >= 0 else entry.seconds

    return set_seconds


def _upstream_seconds(unit: str) -> Callable[[Entry, str], None]:
    factor = _UNITS[unit]

    def set_seconds(entry: Entry, text: str) -> None:
        found = number(several(text)[-1])
        entry.upstream_seconds = found * factor if found >= 0 else -1.0

    return set_seconds


def _plain(name: str) -> Callable[[Entry, str], None]:
    def set_text(entry: Entry, text: str) -> None:
        if not getattr(entry, name):
            setattr(entry, name, text[:_LONGEST])

    return set_text


def _tries(entry: Entry, text: str) -> None:
    found = number(text)
    entry.tries = int(found) if found >= 0 else entry.tries


def _retries(entry: Entry, text: str) -> None:
    found = number(text.lstrip("+"))
    entry.tries = int(found) + 1 if found >= 0 else entry.tries


def _client(entry: Entry, text: str) -> None:
    entry.client = without_port(text.split(",")[0].strip())


_SETTERS: Final[Mapping[str, Callable[[Entry, str], None]]] = {
    "time": _time,
    "status": _status,
    "bytes": _bytes,
    "request": _request,
    "upstream": _upstream,
    "upstream_status": _upstream_status,
    "client": _client,
    "tries": _tries,
    "retries": _retries,
    "reason": _plain("reason"),
    "method": _plain("method"),
    "path": _plain("path"),
    "host": _plain("host"),
    "cluster": _plain("cluster"),
    "key": _plain("key"),
    **{unit: _seconds(unit) for unit in _UNITS},
    **{f"upstream_{unit}": _upstream_seconds(unit) for unit in _UNITS},
}
"""By field name. Fields without a setter are for `reasons`."""
FIELDS: Final = (
    *_SETTERS, "date", "clock", "user", "proto", "agent", "flag", "details", "transport", "code", "substatus", "win32", "result",
    "tw", "tc", "tr", "upstream_length", "header_seconds", "connect_seconds", "connection", "message", "level", "tail",
    "phase", "line", "passed",
)  # fmt: skip
"""Every name a format may use."""
