"""Owns how what follows the known fields of a line is understood: by its keys, or by its look."""

import re
from collections.abc import Mapping
from typing import Final

from ..fields import Fields

_KEYS: Final[Mapping[str, str]] = {
    "rt": "seconds", "request_time": "seconds", "reqtime": "seconds", "urt": "upstream_seconds", "uct": "connect_seconds",
    "uht": "header_seconds", "ua": "upstream", "us": "upstream_status", "ut": "upstream_seconds", "upstream": "upstream",
    "upstream_addr": "upstream", "upstream_status": "upstream_status", "upstream_response_time": "upstream_seconds",
    "upstream_connect_time": "connect_seconds", "upstream_header_time": "header_seconds",
    "upstream_response_length": "upstream_length", "ul": "upstream_length", "host": "host", "h": "host", "sn": "host",
    "server_name": "host", "request_id": "key", "rid": "key", "req_id": "key", "id": "key", "proxy_host": "cluster",
    "proxy_upstream_name": "cluster",
}  # fmt: skip
"""Names that people give to nginx's variables in their log_format."""
_PAIR: Final = re.compile(r'([A-Za-z_]+)[=:] ?("[^"]*"|[^\s",]+(?:, [^\s"=,]+(?=[\s,]|$))*)')
_TOKEN: Final = re.compile(r'"([^"]*)"|\[([^\]]*)\]|((?:[^\s",]+(?:, | : ))*[^\s",]+)')
_ADDRESS: Final = re.compile(r"(?:unix:\S+|(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:]+\]|[\w.-]*[a-z][\w.-]*):\d{2,5})")
_DURATION: Final = re.compile(r"\d+\.\d{3}(?:(?:, | : )(?:\d+\.\d{3}|-))*")
_STATUSES: Final = re.compile(r"[1-5]\d\d(?:(?:, | : )(?:[1-5]\d\d|-))*")
_KEY: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f-]{27}")


def combined(fields: Fields) -> Fields:
    """Return the fields of a combined line with those of its `tail` added."""
    made = dict(fields)
    tail = made.pop("tail", "")
    pairs = [(name.lower(), value.strip('"')) for name, value in _PAIR.findall(tail)]
    known = {_KEYS[name]: value for name, value in pairs if name in _KEYS and value}
    if known:
        return {**made, **known}
    _by_look(tail, made)
    return made


def _by_look(tail: str, made: dict[str, str]) -> None:
    """The first duration is the request's, the next the server's; addresses with a port are servers."""
    for hit in _TOKEN.finditer(tail):
        text = hit[1] or hit[2] or hit[3] or ""
        first = text.split(", ")[0].split(" : ")[0]
        if _DURATION.fullmatch(text):
            if made.setdefault("seconds", text) is not text:
                made["upstream_seconds"] = text
        elif _STATUSES.fullmatch(text):
            made.setdefault("upstream_status", text)
        elif _ADDRESS.fullmatch(first):
            made.setdefault("upstream", text)
        elif _KEY.fullmatch(text):
            made.setdefault("key", text)


def connection(fields: Fields) -> Fields:
    """A connection without requests: one that ended well counts as 200, the others have no status."""
    return {**fields, "status": "200" if fields.get("flag", "")[:2] in ("--", "CD", "cD") else ""}


def squid(fields: Fields) -> Fields:
    """Squid's result code and its hierarchy are no codes of errors; err_code and err_detail are."""
    made = {name: text for name, text in fields.items() if name not in ("flag", "result")}
    if made.get("code") == "-":
        made["passed"] = "1"  # it says that it had no error of its own
        del made["code"]
    if made.get("details", "-") == "-":
        made.pop("details", None)
    return made | {"request": f"{made.pop('method', '')} {made.pop('path', '')}"}
