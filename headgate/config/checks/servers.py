"""Which servers, and which settings towards them, will fail."""

from collections.abc import Iterator
from typing import Final

from ..findings import Remark
from ..schema import Config
from .registry import check, is_address, speaks_https, upstreams

_ONE_BROWSER: Final = 6


@check("no-server-up")
def no_server_up(config: Config) -> Iterator[Remark]:
    """Every server of an upstream is switched off."""
    for place, upstream in upstreams(config):
        if all(server.down for server in upstream.servers):
            message = "every server has down = true: each request gets 503 no-healthy-server"
            yield Remark((*place, "servers"), message, "remove down from one of them, or write maintenance = true in the route")


@check("single-server")
def single_server(config: Config) -> Iterator[Remark]:
    """One server, and nothing to fail over to."""
    for place, upstream in upstreams(config):
        up = [server for server in upstream.servers if not server.down]
        if len(up) == 1 and _is_used(config, place[-1]):
            message = (
                f"{up[0].url} is the only server, with nothing to fail over to: while it restarts, every request gets "
                f"502 connection-refused"
            )
            yield Remark((*place, "servers"), message, f'add a second one: servers = ["{up[0].url}", "..."]')


@check("same-server-twice")
def same_server_twice(config: Config) -> Iterator[Remark]:
    """The same server stands in an upstream more than once."""
    for place, upstream in upstreams(config):
        seen = set()
        for number, server in enumerate(upstream.servers):
            if server.endpoint in seen:
                message = f"{server.url} is listed twice: another try after a failure may go to the very server that failed"
                yield Remark((*place, "servers", number), message, f'list it once: {{ url = "{server.url}", weight = 2 }}')
            seen.add(server.endpoint)


@check("scheme-against-port")
def scheme_against_port(config: Config) -> Iterator[Remark]:
    """http on the port of https, or the other way round."""
    for place, upstream in upstreams(config):
        for number, server in enumerate(upstream.servers):
            other = {("http", 443): "https", ("http", 8443): "https", ("https", 80): "http"}.get(
                (server.endpoint.scheme, server.endpoint.port)
            )
            if other:
                cause = "not-http-tls or an answer of 400" if other == "https" else "tls-plaintext-server"
                message = f"{server.url} speaks {server.endpoint.scheme} to a port where {other} is usual: 502 {cause}"
                yield Remark(
                    (*place, "servers", number), message, f'did you mean "{other}{server.url[server.url.index(":") :]}"?'
                )


@check("unused-upstream")
def unused_upstream(config: Config) -> Iterator[Remark]:
    """No route leads to an upstream."""
    for place, _ in upstreams(config):
        if not _is_used(config, place[-1]):
            yield Remark(place, "no route leads to this upstream", f'write upstream = "{place[-1]}" in a [[route]], or remove it')


@check("few-requests-at-once")
def few_requests_at_once(config: Config) -> Iterator[Remark]:
    """So few requests at once that one page's worth is refused."""
    for place, upstream in upstreams(config):
        room = upstream.max_requests * sum(not server.down for server in upstream.servers)
        if upstream.max_requests and 0 < room < _ONE_BROWSER:
            message = f"{room} requests at once in all: one browser sends 6, and what is above gets 503 server-limit-reached"
            yield Remark((*place, "max_requests"), message, f"write max_requests = {_ONE_BROWSER} or more, or 0 for no limit")


@check("verify-off")
def verify_off(config: Config) -> Iterator[Remark]:
    """Certificates are not checked."""
    for place, upstream in upstreams(config):
        if not upstream.tls.verify and speaks_https(upstream):
            message = "whoever answers at the server's address is believed to be the server"
            yield Remark(
                (*place, "tls", "verify"),
                message,
                'write ca = "FILE.pem" with the authority of the server\'s certificate instead',
            )


@check("tls-without-https")
def tls_withoutspeaks_https(config: Config) -> Iterator[Remark]:
    """A tls table beside servers that are all plain."""
    for place, upstream in upstreams(config):
        if "tls" in upstream.model_fields_set and not speaks_https(upstream):
            message = "this table has no effect: no server has an https URL, so a server that wants TLS answers 400 or closes"
            yield Remark((*place, "tls"), message, "write https:// in the servers' URLs, or remove the table")


@check("tls-address-without-name")
def tls_address_without_name(config: Config) -> Iterator[Remark]:
    """A certificate is checked against an IP address, which few certificates name."""
    for place, upstream in upstreams(config):
        if upstream.tls.verify and upstream.tls.name is None:
            for number, server in enumerate(upstream.servers):
                if server.endpoint.scheme == "https" and is_address(server.endpoint.host):
                    message = (
                        f"the certificate of {server.url} must name that address, or it fails as 502 certificate-name-mismatch"
                    )
                    hint = f'write the name that it shows: [upstream.{place[-1]}.tls] name = "example.org"'
                    yield Remark((*place, "servers", number), message, hint)


def _is_used(config: Config, name: str) -> bool:
    return any(route.upstream == name for route in config.route)
