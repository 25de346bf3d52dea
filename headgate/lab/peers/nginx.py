"""Configuration of nginx for the lab: HTTP/1.1 and keep-alive to the servers, certificates checked."""

import os

from ..layout import host_and_port
from ..scenario import Scenario
from ..settings import CONNECT, HEAD, IDLE, REQUEST_BODY, Setting
from .peer import Peer


def configuration(setting: Setting) -> str:
    """Return nginx.conf: HTTP/1.1 and keep-alive to the servers, certificates checked, its defaults otherwise."""
    folder, (dns_host, dns_port) = setting.folder, setting.layout.dns
    blocks = "\n".join(_upstream(setting, scenario) for scenario in setting.scenarios)
    locations = "\n".join(_location(setting, scenario) for scenario in setting.scenarios)
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


def _upstream(setting: Setting, scenario: Scenario) -> str:
    if scenario.dns:
        return ""
    urls = setting.urls(scenario)
    down = " down" if scenario.gateway.server.get("down") else ""
    servers = " ".join(f"server {url.removeprefix('http://').removeprefix('https://')}{down};" for url in urls)
    return f"  upstream {scenario.name} {{ {servers} keepalive 16; }}"


def _location(setting: Setting, scenario: Scenario) -> str:
    if scenario.dns:  # a variable makes nginx resolve while it runs, and not once at its start
        host, port = host_and_port(setting.urls(scenario)[0])
        inner = f'set $server "{host}:{port}"; proxy_pass {scenario.scheme}://$server;'
    else:
        inner = f"proxy_pass {scenario.scheme}://{scenario.name};"
    return f"    location /{scenario.name} {{ {inner} }}"


def _command(program: str, setting: Setting, path: str) -> list[str]:
    return [program, "-e", f"{setting.folder}/error.log", "-p", str(setting.folder), "-c", path]


PEER = Peer("nginx", "nginx.conf", configuration, _command, ("-v",))
"""nginx."""
