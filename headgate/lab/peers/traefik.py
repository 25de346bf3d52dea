"""Configuration of Traefik for the lab: routers and services from a file, the static part as arguments."""

import json
from typing import Any

from ..scenario import Scenario
from ..settings import CONNECT, HEAD, IDLE, Setting
from .peer import Peer

_READY = "/lab-ready"


def configuration(setting: Setting) -> str:
    """Return Traefik's dynamic configuration (JSON, which is YAML); the arguments that go with it stand in a comment."""
    scenarios = setting.scenarios
    routers = {s.name: {"rule": f"PathPrefix(`/{s.name}`)", "service": s.name, "entryPoints": ["lab"]} for s in scenarios}
    routers["ready"] = {"rule": f"Path(`{_READY}`)", "service": "ping@internal", "entryPoints": ["lab"]}
    document = {"http": {
        "routers": routers,
        "services": {s.name: {"loadBalancer": _balancer(setting, s)} for s in scenarios},
        "serversTransports": {"plain": _transport(setting, tls=False), "tls": _transport(setting, tls=True)},
    }}  # fmt: skip
    return f"# traefik {' '.join(_static(setting))}\n{json.dumps(document, indent=1)}\n"


def _balancer(setting: Setting, scenario: Scenario) -> dict[str, Any]:
    urls = [] if scenario.gateway.server.get("down") else setting.urls(scenario)  # it has no mark for a server that is down
    transport = "tls" if scenario.scheme == "https" else "plain"
    return {"servers": [{"url": url} for url in urls], "serversTransport": transport}


def _transport(setting: Setting, tls: bool) -> dict[str, Any]:
    times = {"dialTimeout": f"{CONNECT}ms", "responseHeaderTimeout": f"{HEAD}ms", "idleConnTimeout": "10s"}
    names = {"serverName": setting.layout.tls_name, "rootCAs": [str(setting.layout.ca_file)]} if tls else {}
    return {"forwardingTimeouts": times, **names}


def _static(setting: Setting) -> list[str]:
    return [
        f"--entryPoints.lab.address=127.0.0.1:{setting.port}",
        f"--entryPoints.lab.transport.respondingTimeouts.readTimeout={IDLE}ms",
        "--log.level=DEBUG",  # what went wrong with a server is said at this level only
        "--log.noColor=true",
        f"--log.filePath={setting.folder}/error.log",
        f"--accessLog.filePath={setting.access_log}",
        "--ping.manualRouting=true",
        "--global.checkNewVersion=false",
        "--global.sendAnonymousUsage=false",
    ]


def _unsuited(scenario: Scenario) -> str:
    if scenario.place.startswith("unix"):
        return "it does not speak HTTP over unix sockets"
    if scenario.dns:
        return "it asks the system's resolver, and cannot be told another"
    return ""


def _command(program: str, setting: Setting, path: str) -> list[str]:
    return [program, *_static(setting), f"--providers.file.filename={path}", "--providers.file.watch=false"]


PEER = Peer("traefik", "traefik.yml", configuration, _command, ("version",), unsuited=_unsuited, ready=_READY)
"""Traefik."""
