"""Which settings refuse honest clients, or believe the others."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final

from ..findings import Remark
from ..schema import Config
from ..units import show_size
from ..values import Network
from .registry import check, is_address

_COMMON_HEADER: Final = 8192


@check("everybody-trusted")
def everybody_trusted(config: Config) -> Iterator[Remark]:
    """Any client may say who it is."""
    open_to = [str(address) for address in config.gateway.addresses if not address.path and not _is_loopback(address.host)]
    for number, network in enumerate(config.gateway.trusted_proxies):
        if network.prefixlen == 0:
            where = f", and the gateway listens on {open_to[0]}" if open_to else ""
            message = f"{network} is everybody{where}: any client can pretend to be another one, past allow, deny and details_for"
            yield Remark(("gateway", "trusted_proxies", number), message, "write the networks of your own load balancers")


@check("details-for-public")
def details_for_public(config: Config) -> Iterator[Remark]:
    """Strangers are told internal addresses."""
    for number, network in enumerate(config.gateway.details_for):
        if not _is_private(network):
            message = f"{network} is not a private network: strangers are told the addresses and answers of your servers"
            hint = 'write your own networks, such as "10.0.0.0/8" or "127.0.0.0/8"'
            yield Remark(("gateway", "details_for", number), message, hint)


@check("small-request-header")
def small_request_header(config: Config) -> Iterator[Remark]:
    """Request heads are refused that servers would take."""
    limits = config.gateway.limits
    if limits.request_header_bytes < _COMMON_HEADER:
        message = (
            f'"{show_size(limits.request_header_bytes)}" is less than servers commonly take (8KiB and more): '
            f"browsers with a few cookies get 431 request-header-too-large"
        )
        yield Remark(("gateway", "limits", "request_header_bytes"), message, 'write request_header_bytes = "32KiB"')


@check("small-response-header")
def small_response_header(config: Config) -> Iterator[Remark]:
    """Response heads are refused that servers do send."""
    limits = config.gateway.limits
    if limits.response_header_bytes < _COMMON_HEADER:
        message = (
            f'"{show_size(limits.response_header_bytes)}" is less than logins and long policies need: '
            f"502 header-section-too-large, often only for some users"
        )
        yield Remark(("gateway", "limits", "response_header_bytes"), message, 'write response_header_bytes = "64KiB"')


@check("line-above-whole")
def line_above_whole(config: Config) -> Iterator[Remark]:
    """A limit for one line that the limit for all lines makes void."""
    limits = config.gateway.limits
    for line, whole in (
        ("request_line_bytes", "request_header_bytes"),
        ("response_header_line_bytes", "response_header_bytes"),
        ("trailer_line_bytes", "trailer_bytes"),
    ):
        if getattr(limits, line) > getattr(limits, whole):
            size, bound = show_size(getattr(limits, line)), show_size(getattr(limits, whole))
            message = f'{line} ("{size}") is never reached, as {whole} ends at "{bound}"'
            key = whole if whole in limits.model_fields_set else line
            yield Remark(("gateway", "limits", key), message, f"write {whole} above {line}")


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (is_address(host) and ip_address(host).is_loopback)


def _is_private(network: Network) -> bool:
    return network.is_private and network.prefixlen > 0
