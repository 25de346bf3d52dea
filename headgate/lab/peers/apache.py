"""Configuration of Apache for the lab: mod_proxy_http with one ProxyPass per scenario, certificates checked."""

import os
from pathlib import Path

from ..scenario import Scenario
from ..settings import CONNECT, REQUEST_BODY, Setting
from .peer import Peer, open_to_workers

_MODULES = Path("/usr/lib/apache2/modules")
_LOADED = (
    "mpm_event", "authz_core", "reqtimeout", "ssl", "socache_shmcb", "proxy", "proxy_http", "proxy_balancer", "slotmem_shm",
    "lbmethod_byrequests", "proxy_wstunnel",
)  # fmt: skip
_COMBINED = '"%h %l %u %t \\"%r\\" %>s %O \\"%{Referer}i\\" \\"%{User-Agent}i\\"" combined'


def configuration(setting: Setting) -> str:
    """Return httpd.conf with a ServerRoot in the setting's folder."""
    folder, ca = setting.folder, setting.layout.ca_file
    modules = "\n".join(f"LoadModule {name}_module {_MODULES}/mod_{name}.so" for name in _LOADED)
    user = "User nobody\nGroup nogroup\n" if os.geteuid() == 0 else ""
    longest_first = sorted(setting.scenarios, key=lambda scenario: -len(scenario.name))
    routes = "\n".join(_route(setting, scenario) for scenario in longest_first)
    return f"""ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/apache.pid
{modules}
{user}Listen 127.0.0.1:{setting.port}
ServerName {setting.layout.tls_name}
ErrorLog {folder}/error.log
LogLevel warn proxy:error
LogFormat {_COMBINED}
CustomLog {setting.access_log} combined
Timeout 1
RequestReadTimeout header=1 body=1
LimitRequestBody {REQUEST_BODY}
StartServers 1
ServerLimit 2
ThreadsPerChild 32
MaxRequestWorkers 64
ProxyTimeout 1
ProxyPreserveHost On
SSLProxyEngine on
SSLProxyVerify require
SSLProxyCACertificateFile {ca}
SSLProxyCheckPeerName on
SSLProxyCheckPeerExpire on
{routes}
"""


def _route(setting: Setting, scenario: Scenario) -> str:
    name, urls, options = scenario.name, setting.urls(scenario), f"connectiontimeout={CONNECT}ms timeout=1 retry=0"
    if scenario.gateway.server.get("down"):
        options += " status=+D"
    if urls[0].startswith("unix:"):
        return f'ProxyPass "/{name}" "{urls[0]}|http://{setting.layout.tls_name}/{name}" {options}'
    if len(urls) == 1 and "status" not in options:
        return f'ProxyPass "/{name}" "{urls[0]}/{name}" {options} upgrade=websocket'
    members = "\n".join(f"  BalancerMember {url} {options}" for url in urls)
    return f'<Proxy "balancer://{name}">\n{members}\n</Proxy>\nProxyPass "/{name}" "balancer://{name}/{name}"'


def _unsuited(scenario: Scenario) -> str:
    return "it asks the system's resolver, and cannot be told another" if scenario.dns else ""


def _command(program: str, setting: Setting, path: str) -> list[str]:
    return [program, "-D", "FOREGROUND", "-f", path]


PEER = Peer("apache2", "apache.conf", configuration, _command, ("-v",), unsuited=_unsuited, prepare=open_to_workers)
"""Apache. It checks a server's certificate against the Host of the request, since the servers are told as addresses."""
