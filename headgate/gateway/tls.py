"""Owns how TLS is set up towards clients."""

import ssl

from ..config.schema import ListenTls
from ..net.tls import common, load_pair


def server_context(settings: ListenTls) -> ssl.SSLContext:
    """Return the context for connections from clients: TLS 1.2 or newer, ALPN http/1.1. Raises BadTlsFile."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    common(context)
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    load_pair(context, settings.certificate, settings.key)
    return context


def renew(context: ssl.SSLContext, settings: ListenTls) -> None:
    """Show another certificate from the next handshake on. Raises BadTlsFile, and then the old one stays."""
    load_pair(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), settings.certificate, settings.key)
    load_pair(context, settings.certificate, settings.key)
