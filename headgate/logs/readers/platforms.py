"""Owns how lines of Heroku, Caddy's console, Traefik's own log and varnishlog are read."""

import json
import re
from typing import Final

from ..fields import Fields
from .errors import pairs

_HEROKU: Final = re.compile(
    rb"^(?:\S+ ){0,4}?(\d{4}-\d\d-\d\dT\S+) (?:\S+ )?(heroku|app)\[([\w.-]+)\]: (.*)$"
    rb"|^(?:\S+ ){0,2}?(\d{4}-\d\d-\d\dT\S+) \S+ (heroku|app) ([\w.-]+) - (?:- )?(.*)$",
    re.DOTALL,
)
_HEROKU_ERROR: Final = re.compile(r"^(?:Error )?([RL]\d\d)\b(?: \(([^)]*)\))?")
_CADDY: Final = re.compile(
    rb"^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(?:\.\d+)?)\t(?:\x1b\[\d+m)?(ERROR|WARN|INFO|DEBUG|FATAL|PANIC)(?:\x1b\[0m)?"
    rb"(?:\t([a-z][\w.]*))?\t([^\t{]*)\t?(\{.*)?$", re.DOTALL
)  # fmt: skip
_CADDY_DIAL: Final = re.compile(r"(?:dial|read|write) (?:tcp|unix|udp) (?:\S+->)?([^\s:]\S*?): ")
_CADDY_NEEDS: Final = (b'"level":"', b'"ts":', b'"msg":"')
_TRAEFIK: Final = re.compile(rb"^(?:(?P<time>\d{4}-\d\d-\d\dT\S+) (?P<level>[A-Z]{3}) |time=)(?P<rest>.*)$", re.DOTALL)
_TRAEFIK_CAUSED: Final = re.compile(r"(5\d\d|499) ?[A-Za-z ]*'?(?: caused by: (.*))?$")
_LEVELS: Final = {"DBG": "debug", "INF": "info", "WRN": "warn", "ERR": "error", "FTL": "fatal", "TRC": "debug"}


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def heroku_router(line: bytes) -> Fields | None:
    """Read a line of Heroku's router: key=value after `heroku[router]:`."""
    found = _HEROKU.match(line)
    if found is None or (found[3] or found[7]) != b"router":
        return None
    said = pairs(_text(found[4] or found[8]))
    if "status" not in said:
        return None
    return {
        "time": _text(found[1] or found[5]), "status": said["status"], "code": said.get("code", ""),
        "method": said.get("method", ""), "path": said.get("path", ""), "host": said.get("host", ""),
        "client": said.get("fwd", ""), "key": said.get("request_id", ""),
        "upstream": said.get("dyno", ""), "ms": said.get("service", "").removesuffix("ms"), "bytes": said.get("bytes", ""),
        "reason": " ".join(part for part in (said.get("code", ""), said.get("desc", "")) if part),
    }  # fmt: skip


def heroku_other(line: bytes) -> Fields | None:
    """Read the lines of Heroku that tell of its dynos: R14 (memory), R10 (boot), crashes; and those of the program itself."""
    found = _HEROKU.match(line)
    if found is None or (found[3] or found[7]) == b"router":
        return None
    message = _text(found[4] or found[8])
    fields = {"time": _text(found[1] or found[5]), "upstream": _text(found[3] or found[7]), "message": message, "level": "info"}
    if code := _HEROKU_ERROR.match(message):
        fields |= {"code": code[1], "reason": message[:200], "level": "error"}
    elif "crashed" in message:
        fields |= {"reason": message[:200], "level": "error"}
    return fields


def caddy_console(line: bytes) -> Fields | None:
    """Read a line of Caddy's console encoder: time, level, logger, message, and the rest as JSON."""
    found = _CADDY.match(line)
    if found is None:
        return None
    time, level, logger, message, rest = found.groups()
    said = {}
    if rest:
        try:
            said = json.loads(rest)
        except ValueError:
            said = {}
    fields = caddy_fields(said if isinstance(said, dict) else {}, _text(message or b""))
    return fields | {"time": _text(time), "level": _text(level).lower(), "logger": _text(logger or b"")}


def caddy_fields(said: dict[str, object], message: str) -> dict[str, str]:
    """Return what the members of Caddy's error line say."""
    request = said.get("request")
    asked = request if isinstance(request, dict) else {}
    error = said.get("error")
    words = f"{message}: {error}" if isinstance(error, str) and error else message
    client = asked.get("client_ip") or asked.get("remote_ip") or asked.get("remote_addr") or ""
    fields = {
        "message": words, "reason": words, "method": str(asked.get("method", "")), "path": str(asked.get("uri", "")),
        "host": str(asked.get("host", "")), "client": str(client), "status": str(said.get("status", "")),
        "seconds": str(said.get("duration", "")), "upstream": str(said.get("upstream", "")), "key": str(said.get("err_id", "")),
    }  # fmt: skip
    if not fields["upstream"] and (peer := _CADDY_DIAL.search(words)):
        fields["upstream"] = peer[1]
    return {name: text for name, text in fields.items() if text}


def caddy_error(line: bytes) -> Fields | None:
    """Read a JSON line of Caddy that is no access line: its errors, and what its reverse proxy says of servers."""
    if not line.startswith(b"{") or b'"msg":"handled request"' in line or any(text not in line for text in _CADDY_NEEDS):
        return None
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or "ts" not in said:
        return None
    fields = caddy_fields(said, str(said.get("msg", "")))
    told = {name: str(said[name]) for name in ("logger", "msg", "upstream", "error") if name in said}
    fields["line"] = json.dumps(told, separators=(",", ":"))  # what stays of the line when its request is left out
    return fields | {"time": str(said["ts"]), "level": str(said.get("level", ""))}


def traefik_log(line: bytes) -> Fields | None:
    """Read a line of Traefik's own log, v3 and v2, text or JSON: the reason of a failure stands there at level debug."""
    if line.startswith(b"{"):
        return _traefik_json(line)
    found = _TRAEFIK.match(line)
    if found is None:
        return None
    said = pairs(_text(line))
    if found["time"]:
        message = re.split(r" \w+=", _text(found["rest"]))[0].rpartition(" > ")[2]
        return _traefik(message, said.get("error", ""), _text(found["time"]), _LEVELS.get(_text(found["level"]), "info"))
    if "msg" not in said or "level" not in said:
        return None
    return _traefik(said["msg"], said.get("error", ""), said.get("time", ""), said["level"])


def _traefik_json(line: bytes) -> Fields | None:
    if b'"level":' not in line or b'"message":' not in line or b'"DownstreamStatus"' in line:
        return None
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    return _traefik(
        str(said.get("message", "")), str(said.get("error", "")), str(said.get("time", "")), str(said.get("level", ""))
    )


def _traefik(message: str, error: str, time: str, level: str) -> Fields:
    words = f"{message}: {error}" if error else message
    fields = {"time": time, "level": level, "message": words, "reason": words}
    if found := _TRAEFIK_CAUSED.search(message.strip("'")):
        fields |= {"status": found[1], "level": "error", "message": error or found[2] or words}
    if peer := _CADDY_DIAL.search(words):
        fields["upstream"] = peer[1]
    return fields
