"""What was observed, in words: one line for each kind of proof that a failure's facts hold."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ..model.signals import CIRCUIT, DEADLINE, RATE, TOTAL_DEADLINE
from .redact import clean
from .sentence import duration, errno_text, number, size

_HINTS: Final = {
    "tls": "TLS: the server wants https",
    "http2": "HTTP/2: this port speaks no HTTP/1.1",
    "ssh": "SSH: the port belongs to an SSH server",
    "fastcgi": "FastCGI: the port belongs to something like php-fpm, which needs a web server in front",
    "uwsgi": "the uwsgi protocol: the application server has another option for HTTP",
    "redis": "Redis: the port belongs to a Redis server",
}
"""What the first bytes resemble, by `looks_like`; others are named as they are."""


def evidence(known: Mapping[str, Any], signal: str | None) -> tuple[str, ...]:
    """Return the lines of evidence in `known` (see sentence.values), most telling first. All printable ASCII."""
    lines = [line for witness in _WITNESSES for line in witness(known, signal)]
    return tuple(clean(line) for line in lines)


Witness = Callable[[Mapping[str, Any], str | None], list[str]]


def _errno(known: Mapping[str, Any], signal: str | None) -> list[str]:
    if text := errno_text(known.get("errno", -1)):
        return [f"errno {known['errno']} ({text})"]
    if "error" not in known or signal == RATE:  # there it is the rate, and stands with its setting
        return []
    return [f"{'why the circuit opened' if signal == CIRCUIT else 'error'}: {known['error']}"]


def _silence(known: Mapping[str, Any], signal: str | None) -> list[str]:
    silent = [f"silent for {duration(known['silent_ms'])}"] if "silent_ms" in known else []
    if known.get("untouched"):
        return [", ".join(["no byte of the response had come", *silent])]
    return [", ".join([f"{known['received']} bytes of the response had come", *silent])] if known.get("received") else []


def _body(known: Mapping[str, Any], signal: str | None) -> list[str]:
    lines = [f"the server had answered {known['status']}"] if "status" in known else []
    if "body_expected" in known:
        lines.append(f"Content-Length announced {known['body_expected']} bytes, {known.get('body_received', 0)} came")
    return lines


def _reuse(known: Mapping[str, Any], signal: str | None) -> list[str]:
    if not known.get("reused"):
        return []
    parts = ["the connection was a reused one"]
    if "age_ms" in known:
        parts.append(f"{duration(known['age_ms'])} old")
    if "idle_ms" in known:
        parts.append(f"idle for {duration(known['idle_ms'])}")
    if "requests" in known:
        parts.append("1 request served before" if known["requests"] == 1 else f"{known['requests']} requests served before")
    return [", ".join(parts)]


def _network(known: Mapping[str, Any], signal: str | None) -> list[str]:
    info = known.get("tcp_info")
    if not info:
        return []
    again = max(info.get("total_retrans", 0), info.get("retransmits", 0))
    lost = info.get("lost", 0)
    if known.get("phase") == "connect":
        repeated = f"the kernel repeated its first packet {_times(again)} without an answer"
        return [f"{repeated}: dropped on the way, or the server's backlog is full"] if again else []
    if again or lost:
        packets = "1 lost packet" if lost == 1 else f"{lost} lost packets" if lost else "lost packets"
        return [f"the kernel saw {again} retransmission{'s' * (again != 1)} and {packets}: the network, not the program"]
    rtt = f", rtt {duration(info['rtt_us'] / 1000)}" if info.get("rtt_us", 0) > 0 else ""
    verdict = ", the program is silent" if signal in (DEADLINE, TOTAL_DEADLINE) else ""
    return [f"0 retransmissions{rtt}: the network is fine{verdict}"]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


_OTHER_TIMES: Final = (".queue.wait", ".retry.per_try")
"""Settings that are times, though their names do not say timeout."""


def _limit(known: Mapping[str, Any], signal: str | None) -> list[str]:
    if "limit" not in known:
        return []
    value = known.get("limit_value")
    line = f"limit: {known['limit']}" + (f" = {number(value)}" if isinstance(value, int | float) else "")
    if signal == RATE and "error" in known:
        return [f"{line} = {known['error']}"]
    if not known["limit"].endswith(_OTHER_TIMES) and "timeout" not in known["limit"]:
        return [f"{line}, seen {known['seen']}" if "seen" in known else line]
    came = [f"{size(known['seen'])} had come"] if "seen" in known else []  # the limit is a time
    return [f"{line} s" if "limit_value" in known else line, *came]


def _again(known: Mapping[str, Any], signal: str | None) -> list[str]:
    return [f"worth asking again in {number(known['retry_after'])} s"] if "retry_after" in known else []


def _tls(known: Mapping[str, Any], signal: str | None) -> list[str]:
    lines = []
    if "alert" in known:
        lines.append(f"TLS alert {known['alert']}" + (f" ({known['alert_name']})" if "alert_name" in known else ""))
    if "tls_reason" in known:
        lines.append(f"the TLS library's reason: {known['tls_reason']}")
    if "verify_code" in known:
        message = f" ({known['verify_message']})" if "verify_message" in known else ""
        lines.append(f"certificate verification error {known['verify_code']}{message}")
    lines += [f"certificate, {key.replace('_', ' ')}: {value}" for key, value in known.get("certificate", {}).items() if value]
    return lines


def _dns(known: Mapping[str, Any], signal: str | None) -> list[str]:
    if "resolver" not in known and "rcode" not in known:
        return []
    line = f"DNS server {known.get('resolver', 'unknown')}"
    if "rcode" in known:
        line += f" answered {known['rcode']}"
    if "ede" in known:
        line += f", extended error {known['ede']}" + (f" ({known['ede_text']})" if "ede_text" in known else "")
    return [line]


def _tried(known: Mapping[str, Any], signal: str | None) -> list[str]:
    entries = known.get("attempts_by_address") or []
    if not entries:
        addresses = known.get("addresses") or []
        return [f"addresses tried, in this order: {', '.join(map(str, addresses))}"] if addresses else []
    return [_tried_one(entry) for entry in entries]


def _tried_one(entry: Mapping[str, Any]) -> str:
    line = f"tried {entry.get('address', 'an address')}: {entry.get('signal') or 'no answer'}"
    if text := errno_text(entry.get("errno") or -1):
        line += f" ({text})"
    elapsed = entry.get("elapsed_ms")
    return line + (f" after {duration(elapsed)}" if isinstance(elapsed, int | float) and elapsed >= 0 else "")


def _hint(known: Mapping[str, Any], signal: str | None) -> list[str]:
    looks = known.get("looks_like")
    return [f"the first bytes look like {_HINTS.get(looks, looks)}"] if looks else []


def _rule(known: Mapping[str, Any], signal: str | None) -> list[str]:
    if "offset" not in known or "rule" not in known:
        return []
    return [f"rule {known['rule']} broken at byte {known['offset']}"]


def _servers(known: Mapping[str, Any], signal: str | None) -> list[str]:
    return [": ".join(str(value) for value in server.values()) for server in known.get("servers") or []]


_WITNESSES: Final[tuple[Witness, ...]] = (
    _errno, _silence, _body, _reuse, _network, _limit, _again, _tls, _dns, _tried, _rule, _hint, _servers,
)  # fmt: skip
