"""What the lab asks of each kind of gateway: one route per scenario, timeouts alike; and Headgate's configuration for it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .peers import PEERS
from .scenario import Scenario
from .settings import CONNECT, HEAD, IDLE, REQUEST_BODY, RESPONSE_BODY, TOTAL, Setting


def headgate(setting: Setting) -> str:
    """Return Headgate's configuration (TOML)."""
    layout, lines = setting.layout, []
    gateway: dict[str, Any] = {
        "listen": [f"127.0.0.1:{setting.port}"],
        "workers": 1,  # breakers, queues and pools are counted by each: with one, what is seen is what was sent
        "trusted_proxies": ["127.0.0.0/8"],
        "details_for": ["127.0.0.0/8"],
        "timeouts": {"head": "1s", "body": f"{HEAD}ms", "read": "1s", "idle": "10s"},
        "limits": {"request_body_bytes": REQUEST_BODY, "response_body_bytes": RESPONSE_BODY},
        "log": {"access": str(setting.access_log)},
        "dns": {"servers": [f"{layout.dns[0]}:{layout.dns[1]}"], "timeout": f"{HEAD}ms"},
        "admin": {"dashboard": setting.dashboard},
    }
    for scenario in setting.scenarios:
        gateway = merge(gateway, scenario.gateway.gateway)
    lines.append("[gateway]")
    lines += [f"{key} = {toml(value)}" for key, value in gateway.items()]
    lines += ["", "[incidents]", 'file = "memory"', f"examine = {toml(setting.examine)}"]
    for scenario in setting.scenarios:
        lines += ["", f"[upstream.{scenario.name}]"]
        lines += [f"{key} = {toml(value)}" for key, value in _upstream(setting, scenario).items()]
    for scenario in setting.scenarios:
        route = merge({"path": f"/{scenario.name}", "upstream": scenario.name}, scenario.gateway.route)
        lines += ["", "[[route]]"] + [f"{key} = {toml(value)}" for key, value in route.items()]
    return "\n".join(lines) + "\n"


def _upstream(setting: Setting, scenario: Scenario) -> dict[str, Any]:
    ms = {"connect": CONNECT, "tls": HEAD, "send": HEAD, "head": HEAD, "idle": IDLE, "tunnel": IDLE, "total": TOTAL}
    upstream: dict[str, Any] = {
        "servers": [{"url": url} | scenario.gateway.server for url in setting.urls(scenario)],
        "timeouts": {key: f"{value}ms" for key, value in ms.items()},
        "retry": {"attempts": 2},
    }
    if scenario.scheme == "https":
        upstream["tls"] = {"ca": str(setting.layout.ca_file), "name": setting.layout.tls_name}
    return merge(upstream, scenario.gateway.upstream)


def merge(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return base with extra's keys, table by table."""
    merged = dict(base)
    for key, value in extra.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def toml(value: Any) -> str:
    """Write a value in TOML, tables inline."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(inner) for inner in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def unsuited(scenario: Scenario, kind: str) -> str:
    """Return why a scenario says nothing about this kind of gateway, "" when it does."""
    if kind == "headgate":
        return ""
    if not scenario.peers:
        return "a setting or a choice of Headgate's own: nothing to compare"
    return PEERS[kind].unsuited(scenario) if kind in PEERS else ""


def suits(scenario: Scenario, kind: str) -> bool:
    """Return whether a scenario says anything about this kind of gateway."""
    return not unsuited(scenario, kind)


@dataclass(frozen=True)
class Written:
    """A configuration in a file."""

    kind: str
    path: Path
    setting: Setting


def write(kind: str, setting: Setting, folder: Path) -> Written:
    """Write a configuration into a folder and return where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ("headgate.toml" if kind == "headgate" else PEERS[kind].file)
    path.write_text(KINDS[kind](setting), encoding="utf-8")
    return Written(kind, path, setting)


KINDS: dict[str, Callable[[Setting], str]] = {"headgate": headgate} | {kind: peer.configuration for kind, peer in PEERS.items()}
"""How each kind's configuration is written."""
COMPARED = ("headgate", "nginx", "haproxy", "envoy")
"""The kinds that the published table shows."""
