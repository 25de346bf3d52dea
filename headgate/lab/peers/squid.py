"""Configuration of Squid for the lab: as a reverse proxy, since only there each scenario's server can be a peer of its own.

It tries each peer once when it starts. One that did not answer then counts as dead, and a request for it gets ERR_READ_ERROR at
once; ERR_CONNECT_FAIL is what it says as a forward proxy, which tries the server for each request.
"""

from collections.abc import Iterator

from ..layout import host_and_port
from ..scenario import Scenario
from ..settings import REQUEST_BODY, Setting
from .peer import Peer, open_to_workers


def configuration(setting: Setting) -> str:
    """Return squid.conf: one cache_peer per server, nothing cached, no helper programs."""
    folder = setting.folder
    peers = "\n".join(line for scenario in setting.scenarios for line in _peers(setting, scenario))
    return f"""http_port 127.0.0.1:{setting.port} accel defaultsite={setting.layout.tls_name} no-vhost
visible_hostname {setting.layout.tls_name}
pid_filename {folder}/squid.pid
coredump_dir {folder}
cache_log {folder}/error.log
access_log stdio:{setting.access_log} squid
buffered_logs off
strip_query_terms off
cache deny all
cache_mem 8 MB
pinger_enable off
icp_port 0
max_filedescriptors 1024
shutdown_lifetime 0 seconds
connect_timeout 1 second
read_timeout 1 second
request_timeout 1 second
request_start_timeout 1 second
forward_timeout 3 seconds
request_body_max_size {REQUEST_BODY >> 10} KB
retry_on_error off
http_access allow all
never_direct allow all
{peers}
"""


def _peers(setting: Setting, scenario: Scenario) -> Iterator[str]:
    name = scenario.name
    yield f"acl {name} urlpath_regex ^/{name}([/?]|$)"
    options = "no-query no-digest no-netdb-exchange originserver connect-fail-limit=1000 connect-timeout=1"
    for number, url in enumerate(setting.urls(scenario)):
        host, port = host_and_port(url)
        peer = f"{name}-s{number}"
        yield f"cache_peer {host} parent {port} 0 {options} name={peer}" + (" round-robin" if scenario.servers > 1 else "")
        yield f"cache_peer_access {peer} {'deny' if scenario.gateway.server.get('down') else 'allow'} {name}"
        yield f"cache_peer_access {peer} deny all"


def _unsuited(scenario: Scenario) -> str:
    if scenario.place.startswith("unix"):
        return "it does not speak HTTP over unix sockets"
    if scenario.scheme == "https":
        return "many builds, Debian's too, lack OpenSSL and cannot check a server's name"
    if scenario.dns:
        return "it looks up a peer's name when it starts, and not for a request"
    return ""


def _command(program: str, setting: Setting, path: str) -> list[str]:
    return [program, "-N", "-n", f"lab{setting.port}", "-f", path]  # the name keeps its shared memory apart from others


PEER = Peer("squid", "squid.conf", configuration, _command, ("-v",), unsuited=_unsuited, prepare=open_to_workers)
"""Squid."""
