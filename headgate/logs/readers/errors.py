"""Owns how the error logs of nginx, Apache, HAProxy, Squid and Headgate itself are read: who asked what, and the message."""

import json
import re
from collections.abc import Mapping
from typing import Final

from ..fields import Fields

_NGINX: Final = re.compile(
    rb"^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(\w+)\] (?:\d+#\d+: )?(?:\*(\d+) )?(.*)$", re.DOTALL
)  # fmt: skip
_NGINX_TAIL: Final = re.compile(r'(?:^|, )(client|server|request|subrequest|upstream|host|referrer): ("(?:[^"\\]|\\.)*"|[^,"]+)')
_PHASE: Final = re.compile(r" while ([a-z /]+?)(?:, (?:context|client|server)\b|$)")
_NGINX_CONTINUED: Final = re.compile(rb'^(?!\d{4}/).*" while [a-z ]+ upstream, client: ')
_APACHE: Final = re.compile(
    rb"^\[(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)? \d{4})\] \[([\w-]*):?(\w+)\]"
    rb"(?: \[pid (\d+)(?::tid (\d+))?\])?(.*)$", re.DOTALL
)  # fmt: skip
_APACHE_CLIENT: Final = re.compile(r"\[(?:client|remote) ([^\]]+)\] ?")
_APACHE_ID: Final = re.compile(r"^ ?\[([\w@.+/-]{18,32})\]")
_APACHE_PEER: Final = re.compile(
    r"remote server (?!returned)([^\s,]+?)(?: \(|:?$|,|\s)|attempt to connect to \S+ \(([^)*]+|\*)\)|backend: ([^\s,]+)"
    r"|returned by (\S+?)(?:,|$)"
)
_APACHE_NUMBER: Final = re.compile(r"\bAH(\d{5}): ")
_HAPROXY: Final = re.compile(
    rb"^(?:\[(?:ALERT|WARNING|NOTICE)\] +(?:\d+/\d+ )?\(\d+\) : )?"
    rb"((?:Backup )?Server \S+/\S+ .*|backend '?\S+ has no server .*|[Pp]roxy '?\S+ (?:started|stopped|reached|has) ?.*"
    rb"|Connect\(\) failed .*|Health check for .*)$"
)
_HAPROXY_SERVER: Final = re.compile(r"[Ss]erver ([^/\s]+)/(\S+)|(?:backend|proxy) '?([^\s']+)")
_SQUID: Final = re.compile(rb"^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d)(?:\.\d+)?(?: kid\d+)?\| (.*)$", re.DOTALL)
_PAIR: Final = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')
_HARMLESS: Final = ("debug", "info", "notice", "trace1", "trace2", "trace3", "trace4", "trace5", "trace6", "trace7", "trace8")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def nginx(line: bytes) -> Fields | None:
    """Read a line of nginx's error.log (ngx_http_log_error_handler), or the end of a message that spans several lines."""
    found = _NGINX.match(line)
    if found is None:
        return _nginx_end(_text(line), {"message": _text(line)}) if _NGINX_CONTINUED.match(line) else None
    time, level, connection, message = found.groups()
    fields = {
        "time": _text(time),
        "level": _text(level),
        "key": f"*{_text(connection)}" if connection else "",
        "message": _text(message),
    }
    return _nginx_end(fields["message"], fields)


def _nginx_end(message: str, fields: dict[str, str]) -> Fields:
    start = message.rfind(", client: ")
    if start >= 0:
        for name, value in _NGINX_TAIL.findall(message[start:]):
            value = value.strip('"')
            if name == "server":
                fields.setdefault("host", value)
            elif name in ("client", "request", "upstream", "host"):
                fields[name] = value
        fields["message"] = message[:start]
    if phase := _PHASE.search(message):
        fields["phase"] = phase[1]
    fields["reason"] = fields["message"]
    return fields


def apache(line: bytes) -> Fields | None:
    """Read a line of Apache's error log, 2.4 and 2.2 (core: ErrorLogFormat)."""
    found = _APACHE.match(line)
    if found is None:
        return None
    time, module, level, process, thread, rest = found.groups()
    text = _text(rest)
    fields = {"time": _text(time), "level": _text(level), "module": _text(module)}
    if process:
        fields["key"] = f"*{_text(process)}:{_text(thread or b'')}"  # whose lines follow each other
    if key := _APACHE_ID.match(text):
        fields["key"], text = key[1], text[key.end() :]
    if client := _APACHE_CLIENT.search(text):
        fields["client"] = client[1].rpartition(":")[0] or client[1]  # an address of IPv6 stands without brackets
        text = text[: client.start()] + text[client.end() :]
    if peer := _APACHE_PEER.search(text):
        fields["upstream"] = next((one for one in peer.groups()[:3] if one and one != "*"), "")
        if peer[4]:
            fields["path"] = peer[4]
    fields["message"] = fields["reason"] = text.strip(" :").partition(", referer: ")[0]
    if number := _APACHE_NUMBER.search(text):
        fields["code"] = f"AH{number[1]}"
    return fields


def haproxy(line: bytes) -> Fields | None:
    """Read HAProxy's own sentences: servers that go down, backends without servers."""
    found = _HAPROXY.match(line)
    if found is None:
        return None
    message = _text(found[1])
    fields = {"message": message, "reason": message, "level": "alert"}
    if server := _HAPROXY_SERVER.search(message):
        fields["cluster"], fields["upstream"] = server[1] or server[3] or "", (server[2] or "").rstrip(":,")
    return fields


def squid(line: bytes) -> Fields | None:
    """Read a line of Squid's cache.log."""
    found = _SQUID.match(line)
    if found is None:
        return None
    message = _text(found[2])
    level = message.partition(":")[0].lower()
    return {
        "time": _text(found[1]), "message": message, "reason": message,
        "level": level if level in ("warning", "error", "fatal") else "info",
    }  # fmt: skip


def pairs(text: str) -> Mapping[str, str]:
    """Return the pairs of a line of key=value (logfmt), quotes taken off."""
    found = {}
    for name, value in _PAIR.findall(text):
        if value.startswith('"'):
            try:
                value = json.loads(value)
            except ValueError:
                value = value.strip('"')
        found[name] = value
    return found


def headgate(line: bytes) -> Fields | None:
    """Read a line of Headgate's own error log (render/error_log.py)."""
    if not line.startswith(b"time=") or b" cause=" not in line:
        return None
    said = pairs(_text(line))
    renamed = {
        "time": "time", "level": "level", "status": "status", "code": "cause", "reason": "message", "client": "client",
        "host": "host", "request": "request", "cluster": "upstream", "key": "reference", "tries": "attempt", "phase": "phase",
    }  # fmt: skip
    made = {name: said.get(key, "") for name, key in renamed.items()}
    return made | {"upstream": said.get("address", "") or said.get("server", "")}


def harmless(level: str) -> bool:
    """Whether a line of this level only tells of normal life."""
    return level.lower() in _HARMLESS
