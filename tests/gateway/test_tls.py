"""TLS towards servers, with real servers and certificates made on the fly: every way in which the handshake ends."""

import asyncio
import datetime
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from time import monotonic
from typing import Any, cast

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from headgate.config.endpoints import Endpoint
from headgate.config.schema import Dns, ListenTls, Upstream, UpstreamTls
from headgate.diagnose.classify import classify
from headgate.gateway.dial import Dial
from headgate.gateway.target import Target
from headgate.gateway.tls import server_context
from headgate.model.exchange import NEVER, Attempt
from headgate.model.phases import HEAD, TLS
from headgate.net.alerts import ALERTS, alert_number
from headgate.net.peercertificate import describe
from headgate.net.resolve import Resolver
from headgate.net.symptoms import signal_of
from headgate.net.tls import BadTlsFile, client_context

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


class Authority:
    """Signs certificates, and writes them as files."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._sign(self.name, self.key, None, -DAY, DAY, ca=True).public_bytes(serialization.Encoding.PEM))

    def pair(
        self,
        label: str,
        names: tuple[str, ...] = ("app.example",),
        start: datetime.timedelta = -DAY,
        end: datetime.timedelta = DAY,
        self_signed: bool = False,
    ) -> ListenTls:
        """Write a certificate and its key, and return their files."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)])
        shown = self._sign(subject, key, names, start, end, self_signed=self_signed)
        certificate, private = self.folder / f"{label}.pem", self.folder / f"{label}.key"
        certificate.write_bytes(shown.public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
        return ListenTls(certificate=str(certificate), key=str(private))

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        names: tuple[str, ...] | None,
        start: datetime.timedelta,
        end: datetime.timedelta,
        ca: bool = False,
        self_signed: bool = False,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if self_signed else self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + start)
            .not_valid_after(NOW + end)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        return builder.sign(key if self_signed else self.key, hashes.SHA256())


def _general_name(name: str) -> x509.GeneralName:
    return x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "Test Authority")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "Unknown Authority")


@contextmanager
def server(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """Accept connections, each handled by a thread; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threads = []

        def handle_one(peer: socket.socket) -> None:
            with peer:
                peer.settimeout(5)
                try:
                    handle(peer)
                except OSError:  # the client's refusal arrives as one
                    pass

        def accept() -> None:
            while True:
                try:
                    peer, _ = listening.accept()
                except OSError:
                    return
                threads.append(thread := threading.Thread(target=handle_one, args=(peer,)))
                thread.start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join(10)
            for thread in threads:
                thread.join(10)


def secured(
    settings: ListenTls, change: Callable[[ssl.SSLContext], None] = lambda context: None
) -> Callable[[socket.socket], None]:
    """Return a handler that speaks TLS and echoes what it gets."""
    context = server_context(settings)
    change(context)

    def handle(peer: socket.socket) -> None:
        with context.wrap_socket(peer, server_side=True) as wrapped:
            wrapped.sendall(b"echo " + wrapped.recv(1000))

    return handle


def saying(data: bytes, reset: bool = False) -> Callable[[socket.socket], None]:
    """Return a handler that reads the ClientHello, says something, and closes."""

    def handle(peer: socket.socket) -> None:
        peer.recv(10_000)
        peer.sendall(data)
        if reset:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return handle


class Client(asyncio.Protocol):
    """Says something, and keeps what comes back."""

    def __init__(self) -> None:
        self.received = b""
        self.exc: BaseException | None = None
        self.lost = asyncio.Event()
        self.eof = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(b"hello")

    def data_received(self, data: bytes) -> None:
        self.received += data

    def eof_received(self) -> None:
        self.eof = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.exc = exc
        self.lost.set()


class Outcome:
    """What a dial said."""

    def __init__(self, result: tuple[Any, ...], attempt: Attempt, target: Target) -> None:
        self.result = result
        self.attempt = attempt
        self.target = target

    @property
    def cause(self) -> str:
        return classify(*self.result).code


def dial(port: int, times: int = 1, timeout: float = 3.0, name: str | None = "app.example", **tls: Any) -> Outcome:
    """Dial https://127.0.0.1:port, and return the last outcome. A connection that succeeds is used until its end."""

    async def main() -> Outcome:
        loop = asyncio.get_running_loop()
        settings = Upstream(
            servers=({"url": "https://app.example"},),  # type: ignore[arg-type]
            timeouts={"tls": timeout},  # type: ignore[arg-type]
            tls={"name": name, **tls},  # type: ignore[arg-type]
        )
        target = Target(loop, Resolver(Dns(hosts_file="/nonexistent")), Endpoint("https", "127.0.0.1", port), settings)
        for _ in range(times):
            done: asyncio.Future[tuple[Any, ...]] = loop.create_future()
            attempt = Attempt("app", "https://app.example", monotonic())
            Dial(target, attempt, Client, lambda *c, d=done: d.set_result(c), lambda *f, d=done: d.set_result(f)).start()
            async with asyncio.timeout(10):
                result = await done
                if len(result) == 2:
                    await result[1].lost.wait()
        await asyncio.sleep(0.01)  # let the loop close what was aborted
        return Outcome(result, attempt, target)

    return uvloop.run(main())


def failed(outcome: Outcome, signal: str, cause: str) -> dict[str, Any]:
    """Check signal and cause of a failed handshake, and return the facts."""
    phase, said, facts = outcome.result
    assert (phase, said) == (TLS, signal), facts
    assert outcome.cause == cause
    assert outcome.attempt.phase == TLS
    assert outcome.attempt.t_connected != NEVER
    assert outcome.attempt.t_secured == NEVER
    return dict(facts)


# Success.


def test_secured(authority: Authority) -> None:
    with server(secured(authority.pair("good"))) as port:
        outcome = dial(port, ca=str(authority.file))
        transport, protocol = outcome.result
        assert protocol.received == b"echo hello"
        assert transport.get_extra_info("ssl_object").version() == "TLSv1.3"
        attempt = outcome.attempt
        assert attempt.t_start <= attempt.t_connected <= attempt.t_secured
        assert attempt.address == f"127.0.0.1:{port}"


def test_alpn_and_server_name(authority: Authority) -> None:
    seen = []

    def note(context: ssl.SSLContext) -> None:
        context.sni_callback = lambda sock, name, _: seen.append(name)  # type: ignore[assignment]

    with server(secured(authority.pair("named"), note)) as port:
        outcome = dial(port, ca=str(authority.file), name="app.example.")
        assert outcome.result[0].get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"
        assert seen == ["app.example"], "the final dot is not part of the name in SNI (RFC 6066 section 3)"


def test_an_address_as_name(authority: Authority) -> None:
    with server(secured(authority.pair("by-address", names=("127.0.0.1",)))) as port:
        assert len(dial(port, ca=str(authority.file), name=None).result) == 2


def test_verification_can_be_switched_off(stranger: Authority) -> None:
    with server(secured(stranger.pair("any", names=("other.example",)))) as port:
        assert len(dial(port, verify=False).result) == 2


def test_client_certificate(authority: Authority) -> None:
    def demand(context: ssl.SSLContext) -> None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(str(authority.file))

    pair = authority.pair("gateway", names=("gateway.example",))
    with server(secured(authority.pair("demanding"), demand)) as port:
        outcome = dial(port, ca=str(authority.file), certificate=pair.certificate, key=pair.key)
        assert outcome.result[1].received == b"echo hello"


# Certificates.

EXPIRED = {"start": -3 * DAY, "end": -DAY}
EARLY = {"start": DAY, "end": 3 * DAY}


@pytest.mark.parametrize(
    ("options", "code", "cause"),
    [
        (EXPIRED, 10, "certificate-expired"),
        (EARLY, 9, "certificate-not-yet-valid"),
        ({"names": ("other.example", "third.example")}, 62, "certificate-name-mismatch"),
        ({"self_signed": True}, 18, "certificate-self-signed"),
    ],
)
def test_bad_certificates(authority: Authority, options: dict[str, Any], code: int, cause: str) -> None:
    with server(secured(authority.pair(f"bad-{code}", **options))) as port:
        facts = failed(dial(port, ca=str(authority.file)), "certificate", cause)
        assert facts["verify_code"] == code
        assert facts["verify_message"]
        assert facts["name"] == "app.example"
        shown = facts["certificate"]
        assert shown["subject"] == f"CN=bad-{code}"
        assert shown["issuer"] == (f"CN=bad-{code}" if code == 18 else "CN=Test Authority")
        assert shown["not_before"] < shown["not_after"]
        assert shown["names"] == ", ".join(options.get("names", ("app.example",)))


def test_an_unknown_authority(authority: Authority, stranger: Authority) -> None:
    with server(secured(stranger.pair("foreign"))) as port:
        facts = failed(dial(port, ca=str(authority.file)), "certificate", "certificate-unknown-authority")
        assert facts["certificate"]["issuer"] == "CN=Unknown Authority"
        facts = failed(dial(port), "certificate", "certificate-unknown-authority")
        assert facts["verify_code"] == 20


def test_a_wrong_address_in_the_certificate(authority: Authority) -> None:
    with server(secured(authority.pair("elsewhere", names=("192.0.2.1",)))) as port:
        facts = failed(dial(port, ca=str(authority.file), name=None), "certificate", "certificate-name-mismatch")
        assert facts["verify_code"] == 64
        assert facts["certificate"]["names"] == "192.0.2.1"


def test_a_refused_certificate_is_looked_at_once_a_minute(stranger: Authority) -> None:
    handshakes = []
    handle = secured(stranger.pair("watched"))

    def counted(peer: socket.socket) -> None:
        handshakes.append(peer)
        handle(peer)

    with server(counted) as port:
        facts = failed(dial(port, times=3), "certificate", "certificate-unknown-authority")
        assert facts["certificate"]["subject"] == "CN=watched"
        assert len(handshakes) == 4, "three refused ones, and one look"


def test_a_certificate_that_cannot_be_looked_at_is_left_out(stranger: Authority) -> None:
    handshakes: list[object] = []
    handle = secured(stranger.pair("shy"))

    def once(peer: socket.socket) -> None:
        handshakes.append(peer)
        if len(handshakes) == 1:
            handle(peer)

    with server(once) as port:
        assert "certificate" not in failed(dial(port), "certificate", "certificate-unknown-authority")


def test_describe_refuses_what_is_no_certificate() -> None:
    with pytest.raises(ValueError, match="asn1"):
        describe(b"nonsense")


# Alerts.


def alert(number: int) -> bytes:
    """Build a TLS record with a fatal alert."""
    return bytes((21, 3, 3, 0, 2, 2, number))


@pytest.mark.parametrize("number", sorted(set(ALERTS) - {0}))
def test_every_alert_has_its_number_and_name(number: int) -> None:
    with server(saying(alert(number))) as port:
        phase, signal, facts = dial(port).result
        assert (phase, signal) == (TLS, "alert")
        assert (facts["alert"], facts["alert_name"]) == (number, ALERTS[number])
        assert facts["name"] == "app.example"
        assert facts["tls_reason"].replace("CANCELLED", "CANCELED").endswith(ALERTS[number].upper())


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (40, "tls-alert"),
        (70, "tls-version-rejected"),
        (112, "tls-name-rejected"),
        (116, "client-certificate-required"),
        (120, "tls-alert"),
    ],
)
def test_alerts_with_a_cause_of_their_own(number: int, cause: str) -> None:
    with server(saying(alert(number))) as port:
        failed(dial(port), "alert", cause)


def test_an_alert_that_nobody_defined() -> None:
    with server(saying(alert(99))) as port:
        assert failed(dial(port), "tls-protocol", "tls-protocol-error")["tls_reason"] == "UNKNOWN_ERROR"


def test_a_real_server_that_accepts_none_of_our_versions(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    def new_only(context: ssl.SSLContext) -> None:
        context.minimum_version = ssl.TLSVersion.TLSv1_3

    def old(settings: UpstreamTls) -> ssl.SSLContext:
        context = client_context(settings)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    monkeypatch.setattr("headgate.gateway.target.client_context", old)
    with server(secured(authority.pair("new"), new_only)) as port:
        assert failed(dial(port, ca=str(authority.file)), "alert", "tls-version-rejected")["alert"] == 70


def test_a_real_server_that_does_not_know_the_name(authority: Authority) -> None:
    def unknown(context: ssl.SSLContext) -> None:
        context.sni_callback = lambda sock, name, _: ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME  # type: ignore[assignment]

    with server(secured(authority.pair("picky"), unknown)) as port:
        assert failed(dial(port, ca=str(authority.file)), "alert", "tls-name-rejected")["alert"] == 112


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_is_demanded(authority: Authority, version: ssl.TLSVersion) -> None:
    """TLS 1.3 servers say so only after our side of the handshake is complete: then `connection_lost` gets the alert."""

    def demand(context: ssl.SSLContext) -> None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.maximum_version = version
        context.load_verify_locations(str(authority.file))

    with server(secured(authority.pair("strict"), demand)) as port:
        outcome = dial(port, ca=str(authority.file))
        if version == ssl.TLSVersion.TLSv1_2:
            facts = failed(outcome, "alert", "tls-alert")
            assert facts["alert"] == 40
        else:
            assert len(outcome.result) == 2, "the dial succeeded"
            signal, facts = signal_of(outcome.result[1].exc)  # type: ignore[assignment]
            assert (signal, facts["alert"]) == ("alert", 116)
            assert classify(HEAD, signal, facts).code == "client-certificate-required"


# No TLS at all.


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail ESMTP\r\n",
        b"-ERR unknown\r\n",
    ],
)
def test_a_plaintext_server(data: bytes) -> None:
    with server(saying(data)) as port:
        assert failed(dial(port), "tls-protocol", "tls-plaintext-server")["tls_reason"] == "WRONG_VERSION_NUMBER"


def test_a_handshake_that_makes_no_sense() -> None:
    with server(saying(b"\x16\x03\x03\x00\x05\x99\x00\x00\x01\x00")) as port:
        assert failed(dial(port), "tls-protocol", "tls-protocol-error")["tls_reason"] == "UNEXPECTED_MESSAGE"


def test_closed_in_the_handshake() -> None:
    with server(saying(b"")) as port:
        failed(dial(port), "eof", "tls-closed")
    with server(saying(b"\x16\x03\x03\x00\x50\x02")) as port:
        failed(dial(port), "eof", "tls-closed")


def test_reset_in_the_handshake() -> None:
    with server(saying(b"", reset=True)) as port:
        facts = failed(dial(port), "reset", "tls-reset")
        assert facts["error"] == "ECONNRESET: Connection reset by peer"


def test_silent_in_the_handshake() -> None:
    done = threading.Event()
    with server(lambda peer: done.wait(5)) as port:
        try:
            outcome = dial(port, timeout=0.1)
        finally:
            done.set()
        facts = failed(outcome, "deadline", "tls-timeout")
        assert (facts["limit"], facts["limit_value"]) == ("timeouts.tls", 0.1)
        assert facts["tcp_info"]["state"] == 1


# After the handshake.


def test_how_a_secured_connection_ends(authority: Authority) -> None:
    """With close_notify `eof_received` is called, without it only `connection_lost`: what tells a whole body from a cut one."""
    context = server_context(authority.pair("ending"))

    def ending(how: str) -> Callable[[socket.socket], None]:
        def handle(peer: socket.socket) -> None:
            wrapped = context.wrap_socket(peer, server_side=True)
            wrapped.recv(100)
            if how == "close_notify":
                wrapped.unwrap()
            if how == "reset":
                wrapped.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            wrapped.close()

        return handle

    for how, eof, signal in (("close_notify", True, "eof"), ("close", False, "eof"), ("reset", False, "reset")):
        with server(ending(how)) as port:
            _, protocol = dial(port, ca=str(authority.file)).result
            assert (how, protocol.eof, signal_of(protocol.exc)[0]) == (how, eof, signal)


@pytest.mark.parametrize(
    ("exc", "signal"),
    [
        (None, "eof"),
        (ConnectionResetError(104, "Connection reset by peer"), "reset"),
        (BrokenPipeError(32, "Broken pipe"), "reset"),
        (ConnectionAbortedError(103, "aborted"), "reset"),
        (TimeoutError(110, "timed out"), "reset"),
        (OSError(113, "No route to host"), "reset"),
        (ConnectionAbortedError("by the loop"), "reset"),
        (ConnectionResetError(), "eof"),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), "eof"),
        (ssl.SSLZeroReturnError(6, "TLS/SSL connection has been closed (EOF)"), "eof"),
        (ssl.SSLError(1, "[SSL] something new (_ssl.c:1)"), "tls-protocol"),
        (ValueError("a bug"), "unexpected"),
    ],
)
def test_what_ended_a_connection(exc: BaseException | None, signal: str) -> None:
    said, facts = signal_of(exc)
    assert said == signal
    if isinstance(exc, OSError) and exc.errno and signal == "reset":
        assert facts["errno"] == exc.errno


def test_reasons_that_are_no_alerts() -> None:
    assert alert_number("WRONG_VERSION_NUMBER") is None
    assert alert_number("TLSV1_ALERT_SOMETHING_NEW") is None
    assert signal_of(ssl.SSLError(1, "[SSL] something new (_ssl.c:1)"))[1]["tls_reason"] == "SOMETHING_NEW"


# Cancelling.


def test_a_cancelled_handshake_says_nothing() -> None:
    calls: list[object] = []
    closed = threading.Event()

    def wait_for_end(peer: socket.socket) -> None:
        while peer.recv(10_000):
            pass
        closed.set()

    async def main(port: int) -> None:
        settings = Upstream(servers=({"url": "https://app.example"},))  # type: ignore[arg-type]
        loop = asyncio.get_running_loop()
        target = Target(loop, Resolver(Dns(hosts_file="/nonexistent")), Endpoint("https", "127.0.0.1", port), settings)
        attempt = Attempt("app", "", monotonic())
        dialling = Dial(target, attempt, Client, lambda *call: calls.append(call), lambda *call: calls.append(call))
        dialling.start()
        for _ in range(100):
            await asyncio.sleep(0.01)
            if attempt.phase == TLS:
                break
        dialling.cancel()
        await asyncio.sleep(0.05)

    with server(wait_for_end) as port:
        uvloop.run(main(port))
        assert closed.wait(5)
    assert calls == []


# Files.


def test_bad_files(authority: Authority, tmp_path: Path) -> None:
    good = authority.pair("files")
    other = authority.pair("files-other")
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    missing = tmp_path / "missing.pem"
    key = serialization.load_pem_private_key(Path(good.key).read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
        )
    )
    cases: list[tuple[UpstreamTls | ListenTls, str]] = [
        (UpstreamTls(ca=str(missing)), rf"{missing}: expected one or more certificates .*No such file"),
        (UpstreamTls(ca=str(tmp_path)), r"cannot be read: Is a directory"),
        (UpstreamTls(ca=str(empty)), rf"{empty}: expected one or more certificates"),
        (UpstreamTls(ca=str(broken)), rf"{broken}: expected one or more certificates"),
        (UpstreamTls(ca=good.key), r"expected one or more certificates"),
        (UpstreamTls(certificate=str(missing), key=good.key), rf"{missing}: expected a certificate .*No such file"),
        (UpstreamTls(certificate=good.certificate), rf"{good.certificate}: expected a private key"),
        (UpstreamTls(key=good.key), r"expected a certificate beside it"),
        (ListenTls(certificate=good.key, key=good.key), r"found no certificate"),
        (ListenTls(certificate=good.certificate, key=good.certificate), r"found no key"),
        (ListenTls(certificate=good.certificate, key=other.key), r"key values mismatch"),
        (ListenTls(certificate=good.certificate, key=str(locked)), r"it has a passphrase"),
        (ListenTls(certificate=str(broken), key=good.key), rf"{broken} with key"),
    ]
    for settings, message in cases:
        make: Callable[[Any], ssl.SSLContext] = client_context if isinstance(settings, UpstreamTls) else server_context
        with pytest.raises(BadTlsFile, match=message):
            make(settings)


def test_contexts_are_safe_by_default(authority: Authority) -> None:
    towards_servers = client_context(UpstreamTls())
    assert towards_servers.verify_mode == ssl.CERT_REQUIRED
    assert towards_servers.check_hostname
    assert towards_servers.cert_store_stats()["x509_ca"] > 0
    for context in (towards_servers, server_context(authority.pair("safe"))):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
