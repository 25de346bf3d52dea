"""Configuration of HAProxy for the lab: its defaults, certificates checked, one backend per scenario."""

from ..scenario import Scenario
from ..settings import CONNECT, IDLE, Setting
from .peer import Peer


def configuration(setting: Setting) -> str:
    """Return haproxy.cfg: its defaults, certificates checked."""
    dns_host, dns_port = setting.layout.dns
    backends = "\n".join(_backend(setting, scenario) for scenario in setting.scenarios)
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


def _backend(setting: Setting, scenario: Scenario) -> str:
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


def _command(program: str, setting: Setting, path: str) -> list[str]:
    return [program, "-db", "-f", path]


PEER = Peer("haproxy", "haproxy.conf", configuration, _command, ("-v",), access_log="output.log", error_log="")
"""HAProxy. What it logs goes to standard error, which it writes as a syslog daemon would get it."""
