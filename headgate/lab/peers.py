"""Configurations of other gateways, for the same routes and times as Headgate's: what a careful operator would write."""

import json
import os
from typing import Any

from .layout import host_and_port
from .scenario import Scenario
from .settings import CONNECT, HEAD, IDLE, REQUEST_BODY, TOTAL, Setting


def nginx(setting: Setting) -> str:
    """Return nginx.conf: HTTP/1.1 and keep-alive to the servers, certificates checked, its defaults otherwise."""
    folder, (dns_host, dns_port) = setting.folder, setting.layout.dns
    blocks = "\n".join(_nginx_upstream(setting, scenario) for scenario in setting.scenarios)
    locations = "\n".join(_nginx_location(setting, scenario) for scenario in setting.scenarios)
    user = "user root;\n" if os.geteuid() == 0 else ""  # else its workers may not use the folder of this run
    return f"""{user}daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 1024; }}
http {{
  access_log {setting.access_log};
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  client_max_body_size {REQUEST_BODY};
  client_header_timeout 1s; client_body_timeout {HEAD}ms; send_timeout 1s;
  resolver {dns_host}:{dns_port} valid=1s; resolver_timeout {HEAD}ms;
  map $http_upgrade $connection_upgrade {{ default upgrade; "" ""; }}
  proxy_http_version 1.1;
  proxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
  proxy_connect_timeout {CONNECT}ms; proxy_send_timeout {HEAD}ms; proxy_read_timeout {IDLE}ms;
  proxy_ssl_verify on; proxy_ssl_trusted_certificate {setting.layout.ca_file};
  proxy_ssl_server_name on; proxy_ssl_name {setting.layout.tls_name};
{blocks}
  server {{
    listen 127.0.0.1:{setting.port};
    location / {{ return 404; }}
{locations}
  }}
}}
"""


def _nginx_upstream(setting: Setting, scenario: Scenario) -> str:
    if scenario.dns:
        return ""
    urls = setting.urls(scenario)
    down = " down" if scenario.gateway.server.get("down") else ""
    servers = " ".join(f"server {url.removeprefix('http://').removeprefix('https://')}{down};" for url in urls)
    return f"  upstream {scenario.name} {{ {servers} keepalive 16; }}"


def _nginx_location(setting: Setting, scenario: Scenario) -> str:
    if scenario.dns:  # a variable makes nginx resolve while it runs, and not once at its start
        host, port = host_and_port(setting.urls(scenario)[0])
        inner = f'set $server "{host}:{port}"; proxy_pass {scenario.scheme}://$server;'
    else:
        inner = f"proxy_pass {scenario.scheme}://{scenario.name};"
    return f"    location /{scenario.name} {{ {inner} }}"


def haproxy(setting: Setting) -> str:
    """Return haproxy.cfg: its defaults, certificates checked."""
    dns_host, dns_port = setting.layout.dns
    backends = "\n".join(_haproxy_backend(setting, scenario) for scenario in setting.scenarios)
    return f"""global
  maxconn 2000
  log stderr local0 info
defaults
  mode http
  log global
  option httplog
  option redispatch
  timeout connect {CONNECT}ms
  timeout server {IDLE}ms
  timeout client 1s
  timeout http-request 1s
  timeout http-keep-alive 10s
  timeout tunnel {IDLE}ms
resolvers lab
  nameserver lab {dns_host}:{dns_port}
  resolve_retries 2
  timeout resolve 300ms
  timeout retry 200ms
  hold nx 1s
  hold other 1s
  hold refused 1s
  hold timeout 1s
  hold valid 1s
frontend front
  bind 127.0.0.1:{setting.port}
  use_backend %[path,field(2,/)]
{backends}
"""


def _haproxy_backend(setting: Setting, scenario: Scenario) -> str:
    tls = f" ssl verify required ca-file {setting.layout.ca_file} sni str({setting.layout.tls_name})"
    tls += f" verifyhost {setting.layout.tls_name}"
    extra = tls if scenario.scheme == "https" else ""
    extra += " resolvers lab init-addr none" if scenario.dns else ""
    extra += " disabled" if scenario.gateway.server.get("down") else ""
    lines = [f"backend {scenario.name}"]
    for number, url in enumerate(setting.urls(scenario)):
        address = url.removeprefix("http://").removeprefix("https://").replace("unix:", "unix@")
        lines.append(f"  server s{number} {address}{extra}")
    return "\n".join(lines)


def envoy(setting: Setting) -> str:
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
