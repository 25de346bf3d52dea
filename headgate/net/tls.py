"""Owns how TLS is set up towards servers, and how the files of TLS are read for either side."""

import ssl
from collections.abc import Callable
from pathlib import Path

from ..config.schema import UpstreamTls


class BadTlsFile(ValueError):
    """A certificate, key or authority file cannot be used. The message names the file and what was expected."""


def client_context(settings: UpstreamTls) -> ssl.SSLContext:
    """Return the context for connections to servers: verified, TLS 1.2 or newer, ALPN http/1.1. Raises BadTlsFile."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    common(context)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.ca is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_authorities(context, settings.ca)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN  # an intermediate authority may be the one to trust
    if settings.certificate is not None:
        load_pair(context, settings.certificate, settings.key or settings.certificate)
    elif settings.key is not None:
        raise BadTlsFile(f"key {settings.key}: expected a certificate beside it, but none is configured")
    return context


def common(context: ssl.SSLContext) -> None:
    """Set what holds on either side: TLS 1.2 or newer, ALPN http/1.1, no compression."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_COMPRESSION


def _load_authorities(context: ssl.SSLContext, path: str) -> None:
    expected = "one or more certificates (PEM) of trusted authorities"
    _read(path, expected)
    _guard(lambda: context.load_verify_locations(cafile=path), path, expected)
    if not context.cert_store_stats()["x509"]:
        raise BadTlsFile(f"{path}: expected {expected}, found none")


def load_pair(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Let a context show the certificate with its chain, by its key. Raises BadTlsFile."""
    chain = "a certificate with its chain (PEM)"
    private = "a private key without passphrase (PEM)"
    if b"-----BEGIN CERTIFICATE-----" not in _read(certificate, chain):
        raise BadTlsFile(f"{certificate}: expected {chain}, found no certificate")
    if b"PRIVATE KEY-----" not in _read(key, private):
        raise BadTlsFile(f"{key}: expected {private}, found no key")

    def never() -> str:
        raise BadTlsFile(f"{key}: expected {private}, but it has a passphrase")

    _guard(lambda: context.load_cert_chain(certificate, key, never), f"{certificate} with key {key}", f"{chain} and its key")


def _read(path: str, expected: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as exc:
        raise BadTlsFile(f"{path}: expected {expected}, but it cannot be read: {exc.strerror or exc}") from None


def _guard(load: Callable[[], None], what: str, expected: str) -> None:
    try:
        load()
    except ssl.SSLError as exc:
        reason = (exc.reason or str(exc)).replace("_", " ").lower()
        raise BadTlsFile(f"{what}: expected {expected}, but OpenSSL says: {reason}") from None
