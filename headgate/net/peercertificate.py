"""Owns how a refused certificate is looked at all the same: one short handshake that trusts nothing and sends nothing."""

import asyncio
import socket
import ssl
from typing import Final

from cryptography import x509

_TIME: Final = 1.0
"""Seconds for connecting and handshake together: the failed exchange waits for it."""
_NAMES_MAX: Final = 10
_TEXT_MAX: Final = 300


async def peer_certificate(address: str, server_name: str, like: ssl.SSLContext) -> dict[str, str] | None:
    """Return subject, issuer, not_before, not_after and names of the certificate shown at `address`; None where it cannot be had.

    address: "10.0.0.5:443" or "[::1]:443". like: the context whose verification failed; its TLS versions are used.
    """
    host, _, port = address.rpartition(":")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = like.minimum_version
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    transport: asyncio.Transport | None = None
    try:
        async with asyncio.timeout(_TIME):
            await loop.sock_connect(sock, (host.strip("[]"), int(port)))
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=sock, ssl=context, server_hostname=server_name)
            shown = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return describe(shown)
    except Exception:  # whatever an odd server or certificate brings about: the look is a courtesy
        return None
    finally:
        if transport is not None:
            transport.abort()  # no close_notify: nothing was said
        sock.close()


def describe(der: bytes) -> dict[str, str]:
    """Return subject, issuer, not_before, not_after and names of a certificate. Raises ValueError where it is not one."""
    shown = x509.load_der_x509_certificate(der)
    return {
        "subject": shown.subject.rfc4514_string()[:_TEXT_MAX],
        "issuer": shown.issuer.rfc4514_string()[:_TEXT_MAX],
        "not_before": shown.not_valid_before_utc.isoformat(),
        "not_after": shown.not_valid_after_utc.isoformat(),
        "names": ", ".join(_names(shown))[:_TEXT_MAX],
    }


def _names(shown: x509.Certificate) -> list[str]:
    try:
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in names][:_NAMES_MAX]
