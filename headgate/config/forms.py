"""The forms of single values: networks, hosts, paths, methods and the like. Each function returns the value in its normal
form or raises Bad, and is a pydantic validator in the schema.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pydantic import ValidationInfo

from .endpoints import host_name, parse_listen, parse_server, split_host
from .findings import Bad
from .paths import matching_form

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110 section 5.6.2
NOT_FILES = frozenset({"-", "off", "stderr"})
"""Words that stand for something else where a file may be named."""


def network(value: Any) -> IPv4Network | IPv6Network:
    """Return the network that "10.0.0.0/8", "fd00::/8" or a single address names."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    expected = 'a network such as "10.0.0.0/8" or "fd00::/8", or one address, in quotes'
    if not isinstance(value, str):
        raise Bad("not a network", expected)
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        wider = ip_network(value, strict=False)
    except ValueError:
        raise Bad(f'"{value}" is not a network', expected) from None
    raise Bad(f'"{value}" names an address within a network', expected, f'did you mean "{wider}"?')


def file(value: str, info: ValidationInfo) -> str:
    """Return a file's path; a relative one is taken from the folder in the validation's context."""
    if not value or "\0" in value:
        raise Bad("the file's name is missing", "a path")
    folder = (info.context or {}).get("folder")
    return value if value in NOT_FILES or folder is None else str(Path(folder) / value)


def listen(value: str, info: ValidationInfo) -> str:
    """Return an address to listen on, as it was written but for a relative socket path."""
    return _absolute_socket(value, parse_listen(value).path, info)


def server_url(value: str, info: ValidationInfo) -> str:
    """Return a server's URL, as it was written but for a relative socket path."""
    return _absolute_socket(value, parse_server(value).path, info)


def _absolute_socket(value: str, path: str, info: ValidationInfo) -> str:
    return f"unix:{file(path, info)}" if path else value


def resolver(value: str) -> str:
    """Return a DNS server's "address" or "address:port"."""
    expected = '"address", "address:port" or "[v6]:port"'
    bare = value.startswith("[") or value.count(":") < 2
    host, port = split_host(value if bare else f"[{value}]")
    if port == 0 or not (":" in host or host.replace(".", "").isdigit()):
        raise Bad(
            f'"{value}" is not the address of a DNS server', expected, "names cannot be resolved before there is a resolver"
        )
    return value


def host_pattern(value: str) -> str:
    """Return a route's host in lower case: a name or address, or "*." and a name; with or without a port."""
    if not value:
        return value
    expected = '"example.org", "*.example.org", or either with ":port"'
    if value == "*":
        raise Bad('"*" alone is not a host', expected, "leave host out: the route then fits every host")
    if "://" in value or "/" in value:
        raise Bad(f'"{value}" is not a host', expected, "a path goes into path, path_exact or path_regex")
    star = "*." if value.startswith("*.") else ""
    rest = value.removeprefix(star)
    if "*" in rest:
        raise Bad(f'"{value}" has its star in the wrong place', expected, 'one "*." at the front stands for any depth below')
    host, port = split_host(rest)
    if star and (":" in host or host.replace(".", "").isdigit()):
        raise Bad(f'"{value}" is a wildcard for an address', expected, "addresses have no subdomains")
    shown = f"[{host}]" if ":" in host else host.removesuffix(".")
    return f"{star}{shown}" + ("" if port is None else f":{port}")


def path_prefix(value: str) -> str:
    """Return a prefix of paths, decoded; empty for "/", which every path begins with."""
    prefix = _path(value) if value else ""
    return "" if prefix == "/" else prefix


def _path(value: str) -> str:
    """Return a path decoded, as requests are compared with it."""
    expected = 'a path that begins with "/"'
    if not value.startswith("/"):
        raise Bad(f'"{value}" does not begin with "/"', expected, f'did you mean "/{value.removeprefix("*").lstrip("/")}"?')
    for mark, what in (("?", "a query"), ("#", "a fragment")):
        if mark in value:
            raise Bad(f"{what} is not part of a path", expected, f'write "{value.split(mark)[0]}"')
    if "*" in value:
        hint = f'a prefix fits all below it: write path = "{value.split("*")[0].rstrip("/") or "/"}", or use path_regex'
        raise Bad("a star has no special meaning in a path", expected, hint)
    decoded = unquote(value, errors="surrogateescape")
    if any(ord(character) < 32 or ord(character) == 127 for character in decoded):
        raise Bad("a control character in the path", expected)
    normal = matching_form(value.encode()).decode("utf-8", "surrogateescape")
    if normal != decoded:
        hint = f'requests are compared without dots and repeated slashes: write "{normal}"'
        raise Bad(f'"{value}" fits no request', expected, hint)
    return normal


def path_exact(value: str) -> str:
    """Return a whole path, decoded, as requests are compared with it."""
    if not value:
        raise Bad("the path is empty, which fits no request", 'a path that begins with "/"')
    return _path(value)


def path_regex(value: str) -> str:
    """Return a regular expression, if it compiles."""
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise Bad(f"the regular expression does not compile: {error}", "Python's syntax, fitting the whole path") from None
    if not value:
        raise Bad("the regular expression is empty, which fits no path", 'for example "/(en|de)/.*"')
    return value


def method(value: str) -> str:
    """Return a method, if it is a token; methods are case-sensitive (RFC 9110 section 9.1)."""
    expected = 'a method such as "GET"'
    if not _TOKEN.fullmatch(value):
        raise Bad(f'"{value}" is not a method', expected)
    if value != value.upper():
        raise Bad(f'"{value}" is not in upper case, and methods are case-sensitive', expected, f'write "{value.upper()}"')
    return value


def field_name(value: str) -> str:
    """Return a header field's name in lower case."""
    if not _TOKEN.fullmatch(value):
        raise Bad(f'"{value}" is not the name of a header field', 'a name such as "x-version"')
    return value.lower()


def field_value(value: str) -> str:
    """Return a header field's value without the space around it."""
    if not value.isprintable() or not value.strip():
        raise Bad("not the value of a header field", 'one line of text, or "*" for any value')
    return value.strip()


def sent_host(value: str) -> str:
    """Return "pass", "server", or the literal Host to send."""
    if value in {"pass", "server"}:
        return value
    host, port = split_host(value)
    shown = f"[{host}]" if ":" in host else host_name(host)
    return shown if port is None else f"{shown}:{port}"


def admin_listen(value: str, info: ValidationInfo) -> str:
    """Return where the admin API listens: "auto", "off", or an address as for the gateway itself."""
    return value if value in ("auto", "off") else listen(value, info)


def dashboard_listen(value: str) -> str:
    """Return where the dashboard listens: "auto", "off", or "host:port"."""
    if value in ("auto", "off"):
        return value
    if parse_listen(value).path:
        raise Bad("browsers do not reach a unix socket", '"auto", "off" or "host:port"')
    return value


def incident_file(value: str, info: ValidationInfo) -> str:
    """Return where incidents are kept: "auto", "memory", or a file."""
    return value if value in ("auto", "memory") else file(value, info)


def host_field(value: str) -> str:
    """Return a value of Host (RFC 9110 section 7.2)."""
    if not re.fullmatch(r"[A-Za-z0-9._~:\[\]-]{1,255}", value):
        raise Bad(f'"{value}" cannot stand in Host', 'a name or address, with or without ":port"')
    return value


def hash_key(value: str) -> str:
    """Return what requests are told apart by: "client", "path", "header:name" or "cookie:name"; names of fields in lower case."""
    return _key(value, '"client", "path", "header:NAME" or "cookie:NAME"', ("client", "path"), ("header", "cookie"))


def limit_key(value: str) -> str:
    """Return what a rate limit counts: "client" or "header:name", the name in lower case."""
    return _key(value, '"client" or "header:NAME"', ("client",), ("header",))


def _key(value: str, expected: str, alone: tuple[str, ...], named: tuple[str, ...]) -> str:
    if value in alone:
        return value
    kind, colon, name = value.partition(":")
    if kind not in named or not colon or not _TOKEN.fullmatch(name):
        raise Bad(f'"{value}" is nothing that can be told of a request', expected)
    return f"{kind}:{name.lower() if kind == 'header' else name}"


_RATE = re.compile(r"([1-9][0-9]{0,8})/(s|sec|second|m|min|minute|h|hour|d|day)")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_STATUS = re.compile(r"([1-5][0-9][0-9])(?:-([1-5][0-9][0-9]))?")


def rate(value: str) -> str:
    """Return a rate as it was written, "100/s", "600/min", "5000/h" or "9/day"."""
    if not _RATE.fullmatch(value):
        raise Bad(f'"{value}" is not a rate', '"100/s", "600/min", "5000/h" or "9/day"')
    return value


def parsed_rate(value: str) -> tuple[int, int]:
    """Return how many a rate allows in how many seconds."""
    count, _, unit = value.partition("/")
    return int(count), _UNITS[unit[0]]


def status_range(value: str) -> str:
    """Return a status or a range of statuses, "503" or "500-599"."""
    found = _STATUS.fullmatch(value)
    if found is None or int(found[1]) > int(found[2] or found[1]):
        raise Bad(f'"{value}" is not a status or a range of statuses', 'a text such as "503" or "500-599"')
    return value


def failing_status(value: str) -> str:
    """Return a status or a range of statuses that can mean a failure: 400 and above."""
    if status_range(value)[0] not in "45":
        raise Bad(f'"{value}" holds statuses below 400, which mean no failure', 'a text such as "503" or "500-599"')
    return value


def statuses(ranges: Iterable[str]) -> frozenset[int]:
    """Return every status in ranges such as "200-399"."""
    found: set[int] = set()
    for item in ranges:
        low, _, high = item.partition("-")
        found.update(range(int(low), int(high or low) + 1))
    return frozenset(found)


def target_path(value: str) -> str:
    """Return the target of a request to a server: a path with or without a query, ready to be sent."""
    if not value.startswith("/") or any(not "!" <= letter <= "~" or letter == "#" for letter in value):
        raise Bad(f'"{value}" cannot be asked for', 'a path such as "/health", percent-encoded where needed')
    return value
