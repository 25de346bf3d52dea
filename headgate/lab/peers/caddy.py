"""Configuration of Caddy for the lab: JSON, one reverse_proxy route per scenario, certificates checked."""

import json
from typing import Any

from ..layout import host_and_port
from ..scenario import Scenario
from ..settings import CONNECT, HEAD, IDLE, Setting
from .peer import Peer


def configuration(setting: Setting) -> str:
    """Return Caddy's configuration (JSON): access log and default log as JSON lines in files."""
    access, default = str(setting.access_log), str(setting.folder / "error.log")
    server = {
        "listen": [f"127.0.0.1:{setting.port}"],
        "automatic_https": {"disable": True},
        "read_header_timeout": "1s",
        "read_timeout": "1s",
        "logs": {"default_logger_name": "lab"},
        "routes": [_route(setting, scenario) for scenario in setting.scenarios],
    }
    document = {
        "admin": {"disabled": True, "config": {"persist": False}},
        "storage": {"module": "file_system", "root": str(setting.folder / "storage")},
        "logging": {"logs": {
            "default": {"writer": _file(default), "encoder": {"format": "json"}, "exclude": ["http.log.access.lab"]},
            "access": {"writer": _file(access), "encoder": {"format": "json"}, "include": ["http.log.access.lab"]},
        }},
        "apps": {"http": {"servers": {"lab": server}}},
    }  # fmt: skip
    return json.dumps(document, indent=1) + "\n"


def _file(path: str) -> dict[str, Any]:
    return {"output": "file", "filename": path, "roll": False}


def _route(setting: Setting, scenario: Scenario) -> dict[str, Any]:
    servers = [] if scenario.gateway.server.get("down") else setting.urls(scenario)  # it has no mark for a server that is down
    transport: dict[str, Any] = {
        "protocol": "http",
        "dial_timeout": f"{CONNECT}ms",
        "response_header_timeout": f"{HEAD}ms",
        "read_timeout": f"{IDLE}ms",
        "write_timeout": f"{HEAD}ms",
    }
    if scenario.dns:
        transport["resolver"] = {"addresses": ["udp/{}:{}".format(*setting.layout.dns)]}
    if scenario.scheme == "https":
        transport["tls"] = {
            "ca": {"provider": "file", "pem_files": [str(setting.layout.ca_file)]},
            "server_name": setting.layout.tls_name,
            "handshake_timeout": f"{HEAD}ms",
        }
    proxy = {"handler": "reverse_proxy", "transport": transport, "upstreams": [{"dial": _dial(url)} for url in servers]}
    return {"match": [{"path": [f"/{scenario.name}", f"/{scenario.name}/*"]}], "handle": [proxy], "terminal": True}


def _dial(url: str) -> str:
    if url.startswith("unix:"):
        return f"unix/{url.removeprefix('unix:')}"
    host, port = host_and_port(url)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _command(program: str, setting: Setting, path: str) -> list[str]:
    return [program, "run", "--config", path]


PEER = Peer("caddy", "caddy.json", configuration, _command, ("version",))
"""Caddy."""
