"""TLS with one address: what a good server shows, and each fault named as OpenSSL or the server's alert tells it."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from headgate.diagnose.looks import Look
from headgate.lab.certificates import NAME, Certificates
from headgate.model.phases import CONNECT, TLS
from headgate.probe.handshake import tls_look


def look(port: int, certificates: Certificates | None, seconds: float = 3.0, name: str = NAME) -> Look:
    return asyncio.run(tls_look(name, "127.0.0.1", port, seconds, 0.0, str(certificates.ca_file) if certificates else ""))


def code(found: Look) -> str:
    assert found.attempt is not None
    return found.attempt.cause.code if found.attempt.cause is not None else ""


def test_a_good_server(handshaking: Callable[..., Any], certificates: Certificates) -> None:
    with handshaking(certificates.context("good")) as port:
        found = look(port, certificates)
    assert (found.kind, found.ok, code(found)) == ("tls", True, "")
    assert (found.facts["version"], found.facts["trusted"], found.facts["without_sni"]) == ("TLSv1.3", True, "same")
    assert found.facts["certificate"]["names"] == NAME
    assert 28 < found.facts["days_left"] < 31
    assert found.facts["cipher"]
    assert found.facts["alpn"] == ""
    assert "certificate for 30 more days" in found.text


def test_http2_is_offered(handshaking: Callable[..., Any], certificates: Certificates, tmp_path: Any) -> None:
    path = certificates.folder / "good.pem"
    certificates.context("good")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(path)
    tls.set_alpn_protocols(["h2", "http/1.1"])
    with handshaking(tls) as port:
        assert look(port, certificates).facts["alpn"] == "h2"


def test_another_certificate_without_a_name(handshaking: Callable[..., Any], certificates: Certificates) -> None:
    def by_name(sock: Any, name: str | None, _: object) -> None:
        if name is not None:
            sock.context = good

    good = certificates.context("good")
    certificates.context("wrong-name")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates.folder / "wrong-name.pem")
    tls.sni_callback = by_name
    with handshaking(tls) as port:
        found = look(port, certificates)
    assert (found.ok, found.facts["without_sni"]) == (True, "other")


def test_nothing_without_a_name(handshaking: Callable[..., Any], certificates: Certificates) -> None:
    certificates.context("good")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificates.folder / "good.pem")
    tls.sni_callback = lambda _sock, name, _tls: None if name else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    with handshaking(tls) as port:
        found = look(port, certificates)
    assert (found.ok, found.facts["without_sni"]) == (True, "failed")


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("expired", "certificate-expired"),
        ("not-yet-valid", "certificate-not-yet-valid"),
        ("wrong-name", "certificate-name-mismatch"),
        ("self-signed", "certificate-self-signed"),
        ("unknown-authority", "certificate-unknown-authority"),
        ("wrong-purpose", "certificate-invalid"),
    ],
)
def test_a_certificate_that_is_refused_is_described(
    handshaking: Callable[..., Any], certificates: Certificates, kind: str, cause: str
) -> None:
    with handshaking(certificates.context(kind)) as port:
        found = look(port, certificates)
    assert (found.ok, code(found), found.facts["trusted"]) == (False, cause, False)
    shown = "another.lab.test" if kind == "wrong-name" else NAME
    assert found.facts["certificate"]["names"] == shown
    assert found.attempt is not None
    assert found.attempt.facts is not None
    assert found.attempt.facts["verify_code"] > 0
    assert (found.facts["days_left"] < 0) == (kind == "expired")
    assert kind != "wrong-name" or "it is for another.lab.test" in found.text


def test_an_authority_that_only_the_user_knows(handshaking: Callable[..., Any], certificates: Certificates) -> None:
    with handshaking(certificates.context("good")) as port:
        assert code(look(port, None)) == "certificate-unknown-authority"


@pytest.mark.parametrize(
    ("kind", "cause"),
    [("old-version", "tls-version-rejected"), ("unknown-name", "tls-name-rejected"), ("no-cipher", "tls-alert")],
)
def test_an_alert(handshaking: Callable[..., Any], certificates: Certificates, kind: str, cause: str) -> None:
    with handshaking(certificates.context(kind)) as port:
        found = look(port, certificates)
    assert (found.ok, code(found), found.facts.get("certificate")) == (False, cause, None), found.attempt


@pytest.mark.parametrize(
    ("pieces", "first", "cause"),
    [
        ((b"HTTP/1.1 400 Bad Request\r\n\r\n",), True, "tls-plaintext-server"),
        ((b"SSH-2.0-OpenSSH_9.2\r\n",), True, "tls-plaintext-server"),
        ((), True, "tls-timeout"),
    ],
)
def test_no_tls_at_all(
    served: Callable[..., Any], says: Callable[..., Any], pieces: tuple[bytes, ...], first: bool, cause: str
) -> None:
    found = served(says(*pieces, first=first), lambda port: tls_look(NAME, "127.0.0.1", port, 0.8, 0.0))
    assert (found.ok, code(found), found.attempt.phase) == (False, cause, TLS)


def test_closed_in_the_handshake(served: Callable[..., Any]) -> None:
    async def close(reader: asyncio.StreamReader, _: object) -> None:
        await reader.read(4096)

    found = served(close, lambda port: tls_look(NAME, "127.0.0.1", port, 3.0, 0.0))
    assert code(found) == "tls-closed"


def test_refused() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        found = look(sock.getsockname()[1], None)
    assert found.attempt is not None
    assert (found.ok, code(found), found.attempt.phase) == (False, "connection-refused", CONNECT)
