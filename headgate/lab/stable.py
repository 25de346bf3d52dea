"""Decides what stands in a fixture for what differs from run to run: ports, dates, process numbers, folders, marks.

Every stand-in keeps the product's format, and in a response its length too, since a body's length tells products apart.
"""

import re
from collections.abc import Mapping

from .scenario import Scenario
from .settings import Setting

_ZERO = re.compile(r"\d")


def _zeros(text: str | None) -> str:
    return _ZERO.sub("0", text or "")


_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple((re.compile(pattern, re.MULTILINE), by) for pattern, by in (
    (r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d", "21/Nov/2026:12:00:00"),
    (r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d", "2026/11/21 12:00:00"),
    (r"\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d", r"2026-11-21\g<1>12:00:00"),
    (r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", "Sat, 21 Nov 2026 12:00:00 GMT"),
    (r"[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d(\.\d+)? \d{4}", r"Sat Nov 21 12:00:00\g<1> 2026"),
    (r"^<\d+>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d haproxy", "Nov 21 12:00:00 lab haproxy"),  # as a syslog daemon writes it
    (r"haproxy\[\d+\]", "haproxy[1234]"),
    (r"\b\d+#\d+: \*\d+", "1234#1234: *1"),
    (r"\b\d+#\d+: ", "1234#1234: "),
    (r"\[pid \d+:tid \d+\]", "[pid 1234:tid 1234]"),
    (r"^(\[2026-11-21 12:00:00\.\d+\])\[\d+\]", r"\g<1>[1234]"),
    (r"lab-[0-9a-f]{12}", "lab-000000000001"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "00000000-0000-4000-8000-000000000001"),
    (r'"duration":(\d+\.\d\d)\d*', r'"duration":\g<1>'),
    (r'"err_id":"\w+"', '"err_id":"000000001"'),
))  # fmt: skip
_FRACTION = re.compile(r"(12:00:00|\b1[789]\d{8})(\.\d+)")
_XID = re.compile(r"(X-Varnish: |XID: |>> |(?:bereq|req|sess) )(\d+)(?=\s| [a-z]|<|$)")
_EPOCH = re.compile(r"(?<![\d.])1[789]\d{8}(?!\d)")
_CLIENT = re.compile(r'(127\.0\.0\.1(?::|/| )|"remote_port":")(\d{4,5})\b')
_GATEWAY, _SERVER, _DNS, _OTHER = 18_080, 19_001, 15_353, 50_001


def stable(text: str, setting: Setting, scenario: Scenario) -> str:
    """Return what a gateway with this setting said about a scenario, with stand-ins for all that changes between runs."""
    text = text.replace(str(setting.folder), "/srv/gateway").replace(str(setting.layout.folder), "/srv/lab")
    ports = _ports(setting, scenario)
    text = re.sub(r"(?<![\d.])(\d{4,5})(?![\d.]\d|\d)", lambda match: ports.get(match[1], match[1]), text)
    for pattern, by in _RULES:
        text = pattern.sub(by, text)
    text = _FRACTION.sub(lambda match: match[1] + _zeros(match[2]), text)
    text = _XID.sub(lambda match: match[1] + "3" * len(match[2]), text) if "arnish" in text or ">> " in text else text
    text = _EPOCH.sub("1795262400", text)
    known = set(ports.values())
    return _CLIENT.sub(lambda match: match[1] + (match[2] if match[2] in known else str(_OTHER)), text)


def _ports(setting: Setting, scenario: Scenario) -> Mapping[str, str]:
    servers = {str(port): str(_SERVER + number) for number, port in enumerate(setting.layout.ports(scenario.name))}
    return {str(setting.port): str(_GATEWAY), str(setting.layout.dns[1]): str(_DNS)} | servers
