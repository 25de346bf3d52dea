"""Mail as a real mail server takes it: in plain, by STARTTLS with a login, refused, cut off and hanging."""

import asyncio
import email
import email.policy
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography.hazmat.primitives import serialization

from headgate.lab.certificates import issue
from headgate.notify.courier import Courier
from headgate.notify.failing import NotSent

from .conftest import destination, message


class Box:
    """A mailbox."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.refuse: dict[str, str] = {}  # address: answer
        self.after_data = ""

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.after_data:
            return self.after_data
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, parsed, session.ssl is not None, session.authenticated))
        return "250 taken"


class Server(Controller):
    """A mail server at a port that nobody else has."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture
def server() -> Iterator[Callable[..., tuple[Box, int]]]:
    running: list[Controller] = []

    def start(**more: Any) -> tuple[Box, int]:
        box = Box()
        controller = Server(box, hostname="127.0.0.1", port=0, **more)
        controller.start()
        running.append(controller)
        return box, controller.port

    yield start
    for controller in running:
        controller.stop()


def courier(port: int, *, timeout: float = 10.0, **keys: Any) -> Courier:
    table = {"server": f"127.0.0.1:{port}", "tls": "none", "from": "gate@example.org", "to": ("ops@example.org",), **keys}
    return Courier("mail", destination("email", email=table, timeout=timeout), "web1")


def send(one: Courier, *messages: Any) -> str:
    async def work() -> str:
        try:
            return await one.send(messages or [message()])
        finally:
            await one.close()

    return asyncio.run(work())


def test_a_mail_arrives(server: Callable[..., tuple[Box, int]]) -> None:
    box, port = server()
    hostile = message(server="http://a/\r\nBcc: victim@example.org\r\n\r\n<script>alert(1)</script>", servers_count=1)
    assert send(courier(port, to=("ops@example.org", "b@example.org")), hostile) == "taken for 2 addresses"
    ((sender, recipients, mail, encrypted, _),) = box.mails
    assert (sender, recipients, encrypted) == ("gate@example.org", ["ops@example.org", "b@example.org"], False)
    assert mail["Subject"].startswith("[headgate] Opened: The server refused the connection")
    assert mail["Bcc"] is None
    assert mail["Auto-Submitted"] == "auto-generated"
    plain, html = (part.get_content() for part in mail.iter_parts())
    assert "What to do" in plain
    assert "http://gate.example/incidents/AAAA" in plain
    assert "<script" not in html
    assert "&lt;script" in html


def test_by_starttls_with_a_login(server: Callable[..., tuple[Box, int]], tmp_path: Path) -> None:
    authority = issue("An authority", authority=True)
    (tmp_path / "server.pem").write_bytes(issue("localhost", by=authority, names=("localhost",)).pem())
    (tmp_path / "ca.pem").write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "password").write_text("sesame\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")

    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        return AuthResult(success=data.password == b"sesame", handled=False)

    box, port = server(tls_context=context, authenticator=check, auth_required=True)
    login = {"server": f"localhost:{port}", "tls": "starttls", "user": "gate", "password_file": str(tmp_path / "password")}
    assert send(courier(port, **login, ca=str(tmp_path / "ca.pem"))) == "taken for 1 address"
    assert box.mails[0][3:] == (True, True)
    with pytest.raises(NotSent, match="certificate cannot be trusted"):
        send(courier(port, **login))
    (tmp_path / "password").write_text("wrong-secret\n")
    with pytest.raises(NotSent, match="login refused: 535") as caught:
        send(courier(port, **login, ca=str(tmp_path / "ca.pem")))
    assert "wrong-secret" not in str(caught.value)
    assert not caught.value.again


def test_without_starttls_nothing_is_sent_in_the_open(server: Callable[..., tuple[Box, int]]) -> None:
    box, port = server()
    with pytest.raises(NotSent, match="cannot do what is asked") as caught:
        send(courier(port, tls="starttls"))
    assert not caught.value.again
    assert box.mails == []


@pytest.mark.parametrize(("answer", "again"), [("550 no such user", False), ("450 busy, later", True)])
def test_addresses_that_are_refused(server: Callable[..., tuple[Box, int]], answer: str, again: bool) -> None:
    box, port = server()
    box.refuse["ops@example.org"] = answer
    with pytest.raises(NotSent, match=answer[:3]) as caught:
        send(courier(port))
    assert caught.value.again is again
    said = send(courier(port, to=("ops@example.org", "good@example.org")))
    assert said == "taken, but not for ops@example.org"


@pytest.mark.parametrize(("answer", "again"), [("554 spam", False), ("451 try later", True)])
def test_mails_that_are_refused(server: Callable[..., tuple[Box, int]], answer: str, again: bool) -> None:
    box, port = server()
    box.after_data = answer
    with pytest.raises(NotSent, match=f"answered {answer}") as caught:
        send(courier(port))
    assert caught.value.again is again


@pytest.mark.parametrize("said", [b"", b"220 hello\r\n", b"SSH-2.0-x\r\n", b"\x00" * 100_000, b"220 " + b"x" * 100_000])
def test_servers_that_hang_or_are_no_mail_servers(said: bytes) -> None:
    over = threading.Event()

    def serve(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer:
            peer.sendall(said)
            over.wait(20)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        began = time.monotonic()
        with pytest.raises(NotSent) as caught:
            send(courier(listener.getsockname()[1], timeout=0.5))
        assert time.monotonic() - began < 15
        assert len(str(caught.value)) < 400
        over.set()
        thread.join()


def test_nobody_there(server: Callable[..., tuple[Box, int]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotSent, match="connection refused") as caught:
        send(courier(port))
    assert caught.value.again
