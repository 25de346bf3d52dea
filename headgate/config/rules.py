"""What no single key can tell: the rules between tables, and the files that must be there. Each breach is an error.

Rules see a Config whose tables are valid by themselves; where one was not, a stand-in or the default is in its place.
"""

import os
import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path as FilePath

from .consistency import contradictions
from .endpoints import Address, Endpoint
from .findings import Path, Remark
from .forms import NOT_FILES
from .notifyrules import told_rightly
from .publicrules import public, template_faults
from .schema import Config, Route
from .telemetry import BadHeaders, read_headers
from .units import show_duration
from .wording import did_you_mean

Rule = Callable[[Config], Iterator[Remark]]
_SHORTEST_SECRET = 16
EXAMPLE = """\
[upstream.app]
servers = ["http://127.0.0.1:3000"]

[[route]]
path = "/"
upstream = "app"
"""
"""A whole configuration, for those who gave an empty one."""


def broken(config: Config, upstreams: Sequence[str], told: Sequence[Path] = ()) -> list[Remark]:
    """Return a remark for each rule that `config` breaks.

    upstreams: the names that are in the file, valid or not; told: paths of what is known to be wrong, to which nothing is added.
    """
    if not config.route and not upstreams and all(path[0] == "gateway" for path in told):
        return [Remark((), "no upstream and no route, so there is nothing to do", f"a whole configuration is:\n\n{EXAMPLE}")]
    whole = [number for number in range(len(config.route)) if not any(path[:2] == ("route", number) for path in told)]
    remarks = [remark for rule in RULES for remark in rule(config)]
    remarks += [*_upstream_names(upstreams), *_routes_lead_somewhere(config, upstreams), *_equal_routes(config, whole)]
    return [remark for remark in remarks if not any(_related(remark.path, path) for path in told)]


def _related(one: Path, other: Path) -> bool:
    """Return whether one path leads to the other: then one error is enough."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _upstream_names(names: Sequence[str]) -> Iterator[Remark]:
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
            yield Remark(("upstream", name), "not a name for an upstream", "", "letters, digits, hyphens, dots and underscores")


def _routes_lead_somewhere(config: Config, names: Sequence[str]) -> Iterator[Remark]:
    if not config.route and len(names) > 1:
        example = f'[[route]]\npath = "/"\nupstream = "{names[0]}"'
        yield Remark(("route",), "missing, and there are several upstreams to choose from", f"for example:\n\n{example}\n")
    for number, route in enumerate(config.route):
        if route.upstream is None:
            if not route.maintenance:
                close = f'write upstream = "{names[0]}"' if len(names) == 1 else 'write upstream = "NAME" or maintenance = true'
                yield Remark(("route", number), "the route leads nowhere", close)
        elif route.upstream not in names:
            known = f"one of {', '.join(names)}" if names else f"a table [upstream.{route.upstream}]"
            close = did_you_mean(get_close_matches(route.upstream, names, 1))
            yield Remark(
                ("route", number, "upstream"), f'no upstream is called "{route.upstream}"', close, "" if close else known
            )


def _one_path(config: Config) -> Iterator[Remark]:
    for number, route in enumerate(config.route):
        given = [
            key
            for key, value in (("path", route.path), ("path_exact", route.path_exact), ("path_regex", route.path_regex))
            if value
        ]
        if len(given) > 1:
            yield Remark(
                ("route", number), f"{' and '.join(given)} in one route", "write one route for each", "at most one of them"
            )


def _equal_routes(config: Config, whole: Sequence[int]) -> Iterator[Remark]:
    seen: dict[object, int] = {}
    for number in whole:
        first = seen.setdefault(conditions(config.route[number]), number)
        if first != number:
            hint = "remove one, or tell them apart by host, path, methods or headers"
            yield Remark(("route", number), f'fits exactly what the route "{config.route[first].label}" fits', hint)


def conditions(route: Route) -> object:
    """Return what a route asks of a request: equal for routes that fit exactly the same requests."""
    headers = frozenset(route.headers.items())
    return (route.host, route.path, route.path_exact, route.path_regex, frozenset(route.methods), headers)


def _ttl(config: Config) -> Iterator[Remark]:
    dns = config.gateway.dns
    if dns.min_ttl > dns.max_ttl:
        low, high = show_duration(dns.min_ttl), show_duration(dns.max_ttl)
        key = "max_ttl" if "max_ttl" in dns.model_fields_set else "min_ttl"
        yield Remark(("gateway", "dns", key), f'min_ttl ("{low}") is above max_ttl ("{high}")', "", "min_ttl below max_ttl")


def _own_address(config: Config) -> Iterator[Remark]:
    for name, upstream in config.upstream.items():
        for number, server in enumerate(upstream.servers):
            for address in config.gateway.addresses:
                if _leads_to(server.endpoint, address):
                    message = f"{server.url} is the gateway itself, which listens on {address}: requests would go in circles"
                    yield Remark(("upstream", name, "servers", number), message, "write the application's own address and port")


def _leads_to(endpoint: Endpoint, address: Address) -> bool:
    """Return whether connecting to `endpoint` reaches the gateway's own listener."""
    if endpoint.path or address.path:
        return endpoint.path == address.path
    if endpoint.port != address.port:
        return False
    return endpoint.host == address.host or (
        _is_local(endpoint.host) and (_is_everywhere(address.host) or _is_local(address.host))
    )


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback or ip_address(host).is_unspecified
    except ValueError:
        return host == "localhost"


def _is_everywhere(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def _certificates(config: Config) -> Iterator[Remark]:
    if config.gateway.tls:
        tls = config.gateway.tls
        yield from _pair(("gateway", "tls"), tls.certificate, tls.key)
    for name, upstream in config.upstream.items():
        place: Path = ("upstream", name, "tls")
        client, key, ca = upstream.tls.certificate, upstream.tls.key, upstream.tls.ca
        if client and key:
            yield from _pair(place, client, key)
        elif client or key:
            have, lack = ("certificate", "key") if client else ("key", "certificate")
            yield Remark((*place, have), f"{have} without {lack}", f'write {lack} = "FILE.pem" beside it')
        if ca:
            yield from _authorities((*place, "ca"), ca)


def _pair(place: Path, certificate: str, key: str) -> Iterator[Remark]:
    """Load a certificate with its key, as the gateway will."""
    unreadable = [*_unreadable((*place, "certificate"), certificate), *_unreadable((*place, "key"), key)]
    if unreadable:
        yield from unreadable
        return
    asked: list[bool] = []

    def no_pass_phrase() -> str:
        asked.append(True)
        return ""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, no_pass_phrase)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", "") or ""
        if asked:
            hint = f"write it without: openssl pkey -in {key} -out plain.pem"
            yield Remark((*place, "key"), f"{key} is protected by a pass phrase", hint)
        elif reason == "KEY_VALUES_MISMATCH":
            yield Remark((*place, "key"), f"{key} is not the key of the certificate in {certificate}")
        else:
            said = reason.replace("_", " ").lower() or str(error)
            message = f"{certificate} and {key} cannot be used ({said})"
            yield Remark((*place, "certificate"), message, "", "a certificate with its chain, and its private key, both PEM")


def _authorities(place: Path, file: str) -> Iterator[Remark]:
    unreadable = list(_unreadable(place, file))
    if unreadable:
        yield from unreadable
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except ssl.SSLError:
        yield Remark(place, f"{file} holds no certificate", "", "certificates of authorities (PEM)")


def _unreadable(place: Path, file: str) -> Iterator[Remark]:
    try:
        FilePath(file).read_bytes()
    except OSError as error:
        yield Remark(place, f"{file} cannot be read: {(error.strerror or str(error)).lower()}")


def _secrets(config: Config) -> Iterator[Remark]:
    for place, file in (
        (("gateway", "secret"), config.gateway.secret),
        (("gateway", "admin", "token"), config.gateway.admin.token),
    ):
        if file is None:
            continue
        unreadable = list(_unreadable(place, file))
        yield from unreadable
        if not unreadable and len(FilePath(file).read_bytes().strip()) < _SHORTEST_SECRET:
            hint = f"make one: openssl rand -hex 32 > {file}"
            yield Remark(place, f"{file} holds fewer than {_SHORTEST_SECRET} bytes, which can be guessed", hint)


def _telemetry(config: Config) -> Iterator[Remark]:
    telemetry = config.telemetry
    if telemetry is None:
        return
    if not telemetry.traces and not telemetry.logs:
        hint = "remove the table, or one of the two"
        yield Remark(("telemetry",), "neither traces nor logs, so there is nothing to tell", hint)
    if telemetry.ca:
        yield from _authorities(("telemetry", "ca"), telemetry.ca)
    if telemetry.headers:
        try:
            read_headers(telemetry.headers)
        except BadHeaders as problem:
            yield Remark(("telemetry", "headers"), str(problem))
        except OSError as error:
            said = (error.strerror or str(error)).lower()
            yield Remark(("telemetry", "headers"), f"{telemetry.headers} cannot be read: {said}")


def _pages(config: Config) -> Iterator[Remark]:
    for key, file in (("html", config.gateway.pages.html), ("text", config.gateway.pages.text)):
        if file:
            yield from template_faults(("gateway", "pages", key), file)


def _log_files(config: Config) -> Iterator[Remark]:
    for key, file in (("access", config.gateway.log.access), ("errors", config.gateway.log.errors)):
        if file not in NOT_FILES and (reason := _unwritable(FilePath(file))):
            yield Remark(("gateway", "log", key), f"{file} cannot be written: {reason}")


def _unwritable(file: FilePath) -> str:
    """Return why a file cannot be appended to, or nothing."""
    if file.is_dir():
        return "it is a folder"
    if file.exists():
        return "" if os.access(file, os.W_OK) else "no permission"
    return _no_folder(file.parent)


def _sockets(config: Config) -> Iterator[Remark]:
    listen = config.gateway.admin.listen
    if listen.startswith("unix:") and (reason := _no_folder(FilePath(listen.removeprefix("unix:")).parent)):
        yield Remark(("gateway", "admin", "listen"), f"the socket {listen} cannot be made: {reason}")
    for number, address in enumerate(config.gateway.addresses):
        if address.path and (reason := _no_folder(FilePath(address.path).parent)):
            yield Remark(("gateway", "listen", number), f"the socket {address.path} cannot be made: {reason}")


def _no_folder(folder: FilePath) -> str:
    """Return why files cannot be made in a folder, or nothing."""
    if not folder.is_dir():
        return f"there is no folder {folder}"
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"no permission for the folder {folder}"


RULES: tuple[Rule, ...] = (
    _one_path, _ttl, _own_address, contradictions, _certificates, _secrets, _pages, _log_files, _sockets, _telemetry, public,
    told_rightly,
)  # fmt: skip
