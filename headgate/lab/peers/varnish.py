"""Configuration of Varnish for the lab: VCL with backends for each scenario, every request passed, nothing kept."""

import shutil
from collections.abc import Iterator

from ..layout import host_and_port
from ..scenario import Scenario
from ..settings import CONNECT, HEAD, IDLE, Setting
from .peer import Peer

_SICK = ' .probe = { .url = "/"; .initial = 0; .threshold = 8; .window = 8; .interval = 1h; }'


def configuration(setting: Setting) -> str:
    """Return the VCL."""
    backends = "\n".join(line for scenario in setting.scenarios for line in _backends(setting, scenario))
    directors = "\n".join(line for scenario in setting.scenarios for line in _director(setting, scenario))
    routes = "\n".join(_route(setting, scenario) for scenario in setting.scenarios)
    return f"""vcl 4.1;
import directors;
backend default none;
{backends}
sub vcl_init {{
{directors}
}}
sub vcl_recv {{
{routes}
  if (req.http.Upgrade) {{ return (pipe); }}
  return (pass);
}}
sub vcl_pipe {{
  set bereq.http.Upgrade = req.http.Upgrade;
  set bereq.http.Connection = req.http.Connection;
}}
"""


def _names(setting: Setting, scenario: Scenario) -> list[str]:
    word = scenario.name.replace("-", "_")
    return [f"{word}_s{number}" for number in range(len(setting.urls(scenario)))]


def _backends(setting: Setting, scenario: Scenario) -> Iterator[str]:
    times = f".connect_timeout = {CONNECT}ms; .first_byte_timeout = {HEAD}ms; .between_bytes_timeout = {IDLE}ms;"
    sick = _SICK if scenario.gateway.server.get("down") else ""
    for name, url in zip(_names(setting, scenario), setting.urls(scenario), strict=True):
        host, port = host_and_port(url)
        where = f'.path = "{url[5:]}";' if url.startswith("unix:") else f'.host = "{host}"; .port = "{port}";'
        yield f"backend {name} {{ {where} {times}{sick} }}"


def _director(setting: Setting, scenario: Scenario) -> Iterator[str]:
    names = _names(setting, scenario)
    if len(names) > 1:
        word = names[0].removesuffix("_s0") + "_all"
        yield f"  new {word} = directors.round_robin();"
        yield from (f"  {word}.add_backend({name});" for name in names)


def _route(setting: Setting, scenario: Scenario) -> str:
    first, *others = _names(setting, scenario)
    backend = first.removesuffix("_s0") + "_all.backend()" if others else first
    return f'  if (req.url ~ "^/{scenario.name}([/?]|$)") {{ set req.backend_hint = {backend}; }}'


def _unsuited(scenario: Scenario) -> str:
    if scenario.scheme == "https":
        return "it does not speak TLS to servers"
    if scenario.dns:
        return "it asks the system's resolver, and only when its configuration is loaded"
    return ""


def _state(setting: Setting) -> str:
    return f"{setting.folder}/varnish"


def _command(program: str, setting: Setting, path: str) -> list[str]:
    listen = f"127.0.0.1:{setting.port}"
    limits = ["-p", "timeout_idle=10", "-p", "vcc_allow_inline_c=off", "-p", "thread_pool_min=20"]
    return [program, "-F", "-j", "none", "-n", _state(setting), "-a", listen, "-f", path, "-s", "malloc,16m", *limits]


def _companions(setting: Setting) -> dict[str, list[str]]:
    tools = {"access.log": ["varnishncsa"], "error.log": ["varnishlog", "-g", "request"]}
    return {
        file: [program, "-n", _state(setting), "-t", "10", *words[1:]]
        for file, words in tools.items()
        if (program := shutil.which(words[0]))
    }


PEER = Peer("varnishd", "varnish.vcl", configuration, _command, ("-V",), unsuited=_unsuited, companions=_companions)
"""Varnish. Its log lives in shared memory: varnishncsa and varnishlog write it down."""
