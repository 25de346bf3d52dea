"""Configuration of Envoy for the lab: its defaults, certificates checked, one cluster per scenario."""

import json
from typing import Any

from ..layout import host_and_port
from ..scenario import Scenario
from ..settings import CONNECT, IDLE, TOTAL, Setting
from .peer import Peer


def configuration(setting: Setting) -> str:
    """Return Envoy's bootstrap (JSON): its defaults, certificates checked, times as for the others."""
    manager = {
        "@type": _TYPE + "filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "lab",
        "request_headers_timeout": "1s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [{"name": "router", "typed_config": {"@type": _TYPE + "filters.http.router.v3.Router"}}],
        "route_config": {"virtual_hosts": [{"name": "lab", "domains": ["*"], "routes": [_route(s) for s in setting.scenarios]}]},
        "access_log": [{"name": "file", "typed_config": {
            "@type": _TYPE + "access_loggers.file.v3.FileAccessLog", "path": str(setting.access_log),
        }}],
    }  # fmt: skip
    listener = {
        "address": _address("127.0.0.1", setting.port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    clusters = [_cluster(setting, scenario) for scenario in setting.scenarios]
    bootstrap = {
        "node": {"id": "lab", "cluster": "lab"},
        "static_resources": {"listeners": [listener], "clusters": clusters},
    }
    return json.dumps(bootstrap, indent=1) + "\n"


_TYPE = "type.googleapis.com/envoy.extensions."


def _address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _route(scenario: Scenario) -> dict[str, Any]:
    return {
        "match": {"path_separated_prefix": f"/{scenario.name}"},
        "route": {"cluster": scenario.name, "timeout": f"{TOTAL / 1000}s", "idle_timeout": f"{IDLE / 1000}s"},
    }


def _cluster(setting: Setting, scenario: Scenario) -> dict[str, Any]:
    endpoints = []
    for url in setting.urls(scenario):
        where = {"pipe": {"path": url[5:]}} if url.startswith("unix:") else _address(*host_and_port(url))
        health = {"health_status": "UNHEALTHY"} if scenario.gateway.server.get("down") else {}
        endpoints.append({"endpoint": {"address": where}} | health)
    cluster: dict[str, Any] = {
        "name": scenario.name,
        "type": "STRICT_DNS" if scenario.dns else "STATIC",
        "connect_timeout": f"{CONNECT / 1000}s",
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "load_assignment": {"cluster_name": scenario.name, "endpoints": [{"lb_endpoints": endpoints}]},
    }
    if scenario.dns:
        cluster["wait_for_warm_on_init"] = False  # a silent DNS server must not hold up the start
        cluster["typed_dns_resolver_config"] = {"name": "cares", "typed_config": {
            "@type": _TYPE + "network.dns_resolver.cares.v3.CaresDnsResolverConfig",
            "resolvers": [_address(*setting.layout.dns)],
            "dns_resolver_options": {"no_default_search_domain": True},
        }}  # fmt: skip
    if scenario.scheme == "https":
        name = setting.layout.tls_name
        cluster["transport_socket"] = {"name": "tls", "typed_config": {
            "@type": _TYPE + "transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": name,
            "common_tls_context": {"validation_context": {
                "trusted_ca": {"filename": str(setting.layout.ca_file)},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": name}}],
            }},
        }}  # fmt: skip
    return cluster


def _command(program: str, setting: Setting, path: str) -> list[str]:
    return [
        program,
        "-c",
        path,
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--log-level",
        "warning",
        "--file-flush-interval-msec",
        "50",
    ]


PEER = Peer("envoy", "envoy.json", configuration, _command, ("--version",), error_log="output.log")
"""Envoy. It names errors in the access log's flags; standard error has what concerns the process."""
