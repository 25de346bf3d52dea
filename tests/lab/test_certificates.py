"""Each kind of certificate fails in its own way, as OpenSSL sees it."""

import ssl
from pathlib import Path

import pytest

from headgate.lab.certificates import NAME, Certificates
from headgate.lab.scenario import CERTIFICATES

SHAKEN = {"good", "client-certificate"}
"""Kinds whose handshake succeeds for the client (a TLS 1.3 server complains later)."""
WANTED = {
    "expired": (10,), "not-yet-valid": (9,), "wrong-name": (62,), "self-signed": (18,), "unknown-authority": (19, 20),
    "wrong-purpose": (26,),
}  # fmt: skip
REASONS = {
    "client-certificate-tls12": "HANDSHAKE_FAILURE", "old-version": "PROTOCOL_VERSION", "unknown-name": "UNRECOGNIZED_NAME",
    "no-cipher": "HANDSHAKE_FAILURE",
}  # fmt: skip


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


def shake(certificates: Certificates, kind: str) -> None:
    """Do a handshake in memory. Raises what the client sees."""
    client_context = ssl.create_default_context(cafile=certificates.ca_file)
    client_context.minimum_version = ssl.TLSVersion.TLSv1_2  # as the gateway; Debian's Python would go lower
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=NAME)
    server = certificates.context(kind).wrap_bio(to_server, to_client, server_side=True)
    for _ in range(6):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError:
                if side is client:
                    raise


@pytest.mark.parametrize("kind", CERTIFICATES)
def test_every_kind_fails_as_it_says(certificates: Certificates, kind: str) -> None:
    if kind in SHAKEN:
        shake(certificates, kind)
        return
    with pytest.raises(ssl.SSLError) as caught:
        shake(certificates, kind)
    if kind in WANTED:
        assert isinstance(caught.value, ssl.SSLCertVerificationError)
        assert caught.value.verify_code in WANTED[kind]
    else:
        assert REASONS[kind] in caught.value.reason


def test_contexts_are_made_once(certificates: Certificates, tmp_path: Path) -> None:
    assert certificates.context("good") is certificates.context("good")
