"""Owns which upstream servers a local gateway is configured with, and where it says so (nginx, HAProxy, Apache, Caddy, ours)."""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import crossplane

from ..config.findings import BadConfig
from ..config.load import load

_MOST: Final = 200
_NGINX_PASS: Final = {
    "proxy_pass": "", "grpc_pass": "grpc", "fastcgi_pass": "fastcgi", "uwsgi_pass": "uwsgi", "scgi_pass": "scgi",
}  # fmt: skip
"""Directives that name a server, and the protocol that is spoken with it ("": as the URL says)."""


class BadLocalConfig(ValueError):
    """A configuration file cannot be read. The message names it and says why."""


@dataclass(frozen=True, slots=True)
class Configured:
    """One upstream server as a gateway is told."""

    gateway: str  # product id
    server: str  # "http://127.0.0.1:3000", "https://app:443", "fastcgi://127.0.0.1:9000", "unix:/run/app.sock"
    file: str
    line: int
    group: str = ""  # the upstream or backend it belongs to
    note: str = ""  # what is odd about it: "the name is resolved only once, at the start"


def upstreams(product: str, path: Path) -> list[Configured]:
    """Return the upstream servers in a configuration, each once. Raises BadLocalConfig.

    product: nginx, openresty, haproxy, apache, caddy or headgate.
    """
    reader = _READERS.get(product)
    if reader is None:
        raise BadLocalConfig(f"{path}: configurations of {product} cannot be read; expected {', '.join(sorted(_READERS))}")
    try:
        found = list(reader(path))
    except OSError as error:
        raise BadLocalConfig(f"{path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadLocalConfig(f"{path}: cannot be understood ({error!s:.120})") from None
    unique = {(one.server, one.group): one for one in reversed(found)}
    return list(unique.values())[::-1][:_MOST]


def _nginx(path: Path) -> Iterator[Configured]:
    payload = crossplane.parse(str(path), catch_errors=True, strict=False, check_ctx=False, check_args=False)
    if not any(config["parsed"] for config in payload["config"]):
        error = next((str(one.get("error", "")) for one in payload["errors"]), "it is empty")
        raise ValueError(error)
    blocks = [(config["file"], block) for config in payload["config"] for block in _walk(config["parsed"])]
    groups: dict[str, list[tuple[str, str, int]]] = {}
    for file, block in blocks:
        if block["directive"] == "upstream" and block["args"]:
            servers = [
                (one["args"][0], file, one["line"])
                for one in block.get("block", ())
                if one["directive"] == "server" and one["args"]
            ]
            groups[block["args"][0]] = servers
    for file, block in blocks:
        if block["directive"] in _NGINX_PASS and block["args"]:
            yield from _nginx_pass(block["directive"], block["args"][0], file, block["line"], groups)


def _nginx_pass(
    directive: str, target: str, file: str, line: int, groups: Mapping[str, list[tuple[str, str, int]]]
) -> Iterator[Configured]:
    scheme, mark, rest = target.partition("://")
    if not mark:
        scheme, rest = _NGINX_PASS[directive] or "http", target
    scheme = _NGINX_PASS[directive] or scheme
    if rest.startswith("unix:"):
        yield Configured("nginx", rest.split(":/", 1)[0] + ":/" + rest.split(":/", 1)[1].split(":")[0], file, line)
        return
    host = rest.split("/", 1)[0]
    if host in groups:
        for server, where, number in groups[host]:
            address = server if server.startswith("unix:") else f"{scheme}://{_with_port(server, scheme)}"
            yield Configured("nginx", address, where, number, host)
    elif "$" in host:
        yield Configured("nginx", "", file, line, note=f"{directive} {target}: the server is only known at run time (a variable)")
    elif host:
        note = "" if _is_address(host) else "the name is resolved only once, when nginx starts or reloads"
        yield Configured("nginx", f"{scheme}://{_with_port(host, scheme)}", file, line, note=note)


def _walk(blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for block in blocks:
        yield block
        yield from _walk(block.get("block") or [])


def _haproxy(path: Path) -> Iterator[Configured]:
    section = ""
    for number, words in _lines(path):
        if words[0] in ("backend", "listen") and len(words) > 1:
            section = words[1]
        elif words[0] in ("frontend", "global", "defaults", "resolvers", "peers"):
            section = ""
        elif words[0] == "server" and section and len(words) > 2:
            address, options = words[2], words[3:]
            if address.startswith(("unix@", "/")):
                server = "unix:" + address.removeprefix("unix@")
            else:
                scheme = "https" if "ssl" in options else "http"
                server = f"{scheme}://{_with_port(address.removeprefix('ipv4@').removeprefix('ipv6@'), scheme)}"
            yield Configured("haproxy", server, str(path), number, section, "disabled" if "disabled" in options else "")


def _apache(path: Path) -> Iterator[Configured]:
    group = ""
    for file, number, words in _apache_lines(path, depth=0):
        name = words[0].lower()
        if name == "<proxy" and len(words) > 1:
            group = words[1].rstrip(">").removeprefix("balancer://")
        elif name == "</proxy>":
            group = ""
        targets = [word for word in words[1:] if re.match(r"(https?|h2c?|fcgi|ajp|uwsgi|scgi|wss?|unix):", word)]
        if name in ("proxypass", "proxypassmatch", "balancermember", "proxyset", "sethandler", "rewriterule") and targets:
            yield Configured("apache", _apache_server(targets[0]), str(file), number, group)
        elif name == "sethandler" and len(words) > 1 and words[1].startswith("proxy:"):
            yield Configured("apache", _apache_server(words[1].removeprefix("proxy:")), str(file), number, group)


def _apache_server(target: str) -> str:
    if target.startswith("unix:"):
        return target.split("|", 1)[0]
    scheme, _, rest = target.partition("://")
    scheme = {"fcgi": "fastcgi", "h2": "https", "h2c": "http", "ws": "http", "wss": "https"}.get(scheme, scheme)
    return f"{scheme}://{_with_port(re.split(r'[/?$]', rest)[0], scheme)}"


def _apache_lines(path: Path, depth: int) -> Iterator[tuple[Path, int, list[str]]]:
    """Yield the lines of a file and, ten deep, of those it includes (relative to the first file's folder)."""
    for number, words in _lines(path):
        if words[0].lower() in ("include", "includeoptional") and len(words) > 1 and depth < 10:
            for found in sorted(path.parent.glob(words[1]) if not words[1].startswith("/") else Path("/").glob(words[1][1:])):
                if found.is_file():
                    yield from _apache_lines(found, depth + 1)
        else:
            yield path, number, words


def _caddy(path: Path) -> Iterator[Configured]:
    text = path.read_text(encoding="utf-8", errors="replace")
    if text.lstrip().startswith("{") and '"apps"' in text:
        for dial, tls in _caddy_json(json.loads(text)):
            yield Configured("caddy", _caddy_server(f"https://{dial}" if tls else dial), str(path), 0)
        return
    inside = 0
    for number, words in _lines(path):
        if words[0] in ("reverse_proxy", "php_fastcgi") or (inside and words[0] == "to"):
            scheme = "fastcgi://" if words[0] == "php_fastcgi" else ""
            targets = [word for word in words[1:] if word != "{" and not word.startswith(("/", "@", "*"))]
            for target in targets:
                yield Configured("caddy", _caddy_server(scheme + target), str(path), number)
            inside = inside or int(words[-1] == "{")
        elif words[0] == "}":
            inside = 0


def _caddy_server(target: str) -> str:
    """Return a dial address of Caddy's as our kind of URL: "unix//run/x.sock", ":3000", "h2c://app:80", "localhost:9000"."""
    if hit := re.search(r"unix(?:\+h2c)?/(/.*)", target):
        return f"unix:{hit[1]}"
    scheme, _, rest = target.rpartition("://")
    scheme = {"": "http", "h2c": "http"}.get(scheme, scheme)
    host = rest.split("/")[0]
    return f"{scheme}://{_with_port(f'127.0.0.1{host}' if host.startswith(':') else host, scheme)}"


def _caddy_json(node: Any) -> Iterator[tuple[str, bool]]:
    """Yield what every reverse_proxy handler of a JSON configuration dials, and whether by TLS."""
    if isinstance(node, dict):
        if node.get("handler") == "reverse_proxy":
            tls = "tls" in (node.get("transport") or {})
            for one in node.get("upstreams") or ():
                if one.get("dial"):
                    yield str(one["dial"]), tls
        for value in node.values():
            yield from _caddy_json(value)
    elif isinstance(node, list):
        for value in node:
            yield from _caddy_json(value)


def _headgate(path: Path) -> Iterator[Configured]:
    try:
        config = load(path)
    except BadConfig as error:
        raise ValueError(str(error).splitlines()[0]) from None
    text = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for name, upstream in config.upstream.items():
        line = next((number for number, one in enumerate(text, 1) if one.strip().startswith(f"[upstream.{name}]")), 0)
        for server in upstream.servers:
            yield Configured("headgate", str(server.url), str(path), line, name)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the words of each line that says something; a backslash at its end joins it with the next."""
    kept, begun = "", 0
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        begun = begun or number
        kept += line.rstrip()
        if kept.endswith("\\"):
            kept = kept[:-1] + " "
            continue
        text, at = kept.strip(), begun
        kept, begun = "", 0
        if text and not text.startswith("#"):
            try:
                words = shlex.split(text, comments=True)
            except ValueError:  # an open quote
                words = text.split()
            if words:
                yield at, words


_PORTS: Final = {"http": 80, "https": 443, "grpc": 80, "fastcgi": 9000, "ajp": 8009, "uwsgi": 3031, "scgi": 4000}


def _with_port(host: str, scheme: str) -> str:
    """Return host:port, with the scheme's own port where none is written."""
    return host if re.search(r":\d+$", host) and not host.endswith("]") else f"{host}:{_PORTS.get(scheme, 80)}"


def _is_address(host: str) -> bool:
    return bool(re.fullmatch(r"(\d{1,3}(\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\])(:\d+)?", host))


_READERS: Final[dict[str, Callable[[Path], Iterator[Configured]]]] = {
    "nginx": _nginx, "openresty": _nginx, "haproxy": _haproxy, "apache": _apache, "caddy": _caddy, "headgate": _headgate,
}  # fmt: skip
