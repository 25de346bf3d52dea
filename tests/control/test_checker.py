"""Active health checks against real servers: what passes, what fails and why, when they are made, and what is told."""

import asyncio
import errno
import os
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from headgate import __version__
from headgate.config.schema import Dns, Upstream
from headgate.control.checker import Checker, pause, remaining
from headgate.control.checklook import Look
from headgate.lab.certificates import NAME, Certificates, issue
from headgate.lab.processes import free_port
from headgate.model import signals as s
from headgate.net.resolve import Addresses, Resolver, Unresolved
from headgate.net.streams import abort
from headgate.net.tls import BadTlsFile

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
V4, V6 = socket.AF_INET, socket.AF_INET6
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready"
LONGEST = 20.0
"""Seconds after which a test is broken off."""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Return run(main), which runs a coroutine function on either kind of loop."""

    def on_loop(main: Callable[[], Awaitable[None]]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(LONGEST):
                await main()

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(bounded())

    return on_loop


@asynccontextmanager
async def serving(
    handler: Handler, tls: ssl.SSLContext | None = None, path: str = "", host: str = "127.0.0.1"
) -> AsyncIterator[str]:
    """Serve by `handler`; yield the server's URL. Everything is closed afterwards."""
    writers: list[asyncio.StreamWriter] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()

    if path:
        server = await asyncio.start_unix_server(one, path)
        url = f"unix:{path}"
    else:
        server = await asyncio.start_server(one, host, 0, ssl=tls)
        name = f"[{host}]" if ":" in host else host
        url = f"{'https' if tls else 'http'}://{name}:{server.sockets[0].getsockname()[1]}"
    try:
        yield url
    finally:
        server.close()
        await asyncio.sleep(0.01)  # a connection may just have been accepted
        for writer in writers:
            abort(writer)
        await asyncio.sleep(0)


def says(*pieces: bytes) -> Handler:
    """Return a handler that reads a request's head, writes these pieces, and closes."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    return handler


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def soon(done: Callable[[], object]) -> None:
    """Wait until it is so."""
    while not done():  # noqa: ASYNC110
        await asyncio.sleep(0.002)


class Told:
    """A checker under test, and what it told."""

    def __init__(self, *urls: str, resolver: Resolver | None = None, **settings: Any) -> None:
        upstream = {key: settings.pop(key) for key in ("tls", "deny_addresses") if key in settings}
        health = {"interval": 0.03, "timeout": 2.0, "rise": 2, "fall": 2} | settings
        self.events: list[tuple[str, str, str]] = []
        self.notes: list[str] = []
        self.only_one = False  # stop at the first event
        self.checker = Checker(
            "app",
            Upstream(servers=urls, health=health, **upstream),
            resolver or Resolver(Dns()),
            self._hear,
            self.notes.append,
        )

    def _hear(self, label: str, event: str, why: str) -> None:
        self.hear(label, event, why)
        if self.only_one:
            self.checker.stop()

    def hear(self, label: str, event: str, why: str) -> None:
        """Take in an event; tests replace it."""
        self.events.append((label, event, why))

    async def until(self, done: Callable[["Told"], object]) -> "Told":
        """Check until it is so."""
        self.checker.start()
        try:
            await soon(lambda: done(self))
        finally:
            self.checker.stop()
        return self

    async def first(self) -> tuple[str, str]:
        """Return the first event and why, once it is told; no further check is made."""
        self.only_one = True
        await self.until(lambda told: told.events)
        return self.events[0][1:]

    def last(self) -> dict[str, Any]:
        """Return what is described of the only server."""
        (described,) = self.checker.describe().values()
        return described


# What is asked, and what passes.


def test_a_good_server_passes_and_gets_one_plain_request(run: Any) -> None:
    asked: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)

    async def main() -> None:
        async with serving(handler) as url:
            told = Told(url, path="/health?deep=1")
            assert await told.first() == ("check-passed", "2 checks in a row passed: GET /health?deep=1 answered 200")
            assert told.events[0][0] == url
            assert told.notes == []
            described = told.last()
            assert (described["ok"], described["cause"], described["count"]) == (True, "", 2)
            assert described["latency_ms"] > 0
            assert described["at"] > 1_700_000_000
            assert asked[0].decode().split("\r\n") == [
                "GET /health?deep=1 HTTP/1.1",
                f"Host: {url.removeprefix('http://')}",
                f"User-Agent: Headgate-Health/{__version__}",
                "Accept: */*",
                "Accept-Encoding: identity",
                "Connection: close",
                "",
                "",
            ]
            await Told(url, host="www.example.org").first()
            assert b"\r\nHost: www.example.org\r\n" in asked[-1]

    run(main)


@pytest.mark.parametrize(
    ("answer", "settings", "event", "text"),
    [
        (b"HTTP/1.1 500 Oops\r\n\r\n", {}, "failed", "GET / answered 500, expected 200-399"),
        (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", {}, "passed", "GET / answered 302"),
        (b"HTTP/1.1 302 Found\r\n\r\n", {"status": ("200", "204")}, "failed", "GET / answered 302, expected 200, 204"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", {"status": ("500-599",)}, "passed", "GET / answered 503"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK, {"body": "ready"}, "passed", 'GET / answered 200, and the body has "ready"'),
        (OK, {"body": "READY"}, "failed", 'GET / answered 200, but the body lacks "READY"'),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b", {"body": "ready"},
            "failed", 'GET / answered 200, but the body lacks "ready" (it came in Content-Encoding gzip)',
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nre\r\n3\r\nady\r\n0\r\n\r\n", {"body": "ready"},
            "passed", 'GET / answered 200, and the body has "ready"',
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"." * 65_531 + b"ready", {"body": "ready"}, "passed", 'and the body has "ready"'),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"." * 65_532 + b"ready", {"body": "ready"}, "failed", 'but the body lacks "ready"'),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nhalf", {"body": "ready"},
            "failed", "502 body-truncated: 127.0.0.1:PORT closed the connection after 4 of 90 bytes.",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nhalf", {}, "passed", "GET / answered 200"),
        (b"HTTP/1.1 200 OK\nA: b\n\n", {}, "failed", "502 line-ending-invalid: 127.0.0.1:PORT"),
        (b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", {}, "failed", '502 header-invalid: 127.0.0.1:PORT sent a header line that breaks'),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", {}, "failed", "502 length-conflict: "),
        (b"SSH-2.0-OpenSSH_9.2\r\n", {}, "failed", "502 not-http-ssh: "),
        (b"", {}, "failed", "502 closed-before-answer: 127.0.0.1:PORT took the request and closed the connection"),
        (b"HTTP/1.1 200 OK\r\nA: ", {}, "failed", "502 head-truncated: 127.0.0.1:PORT closed the connection after 20 bytes"),
    ],
)  # fmt: skip
def test_answers(answer: bytes, settings: dict[str, Any], event: str, text: str, run: Any) -> None:
    async def main() -> None:
        async with serving(says(answer)) as url:
            told = Told(url, **settings)
            happened, why = await told.first()
            assert happened == f"check-{event}"
            assert why.startswith(f"2 checks in a row {event}: ")
            assert text.replace("PORT", url.rpartition(":")[2]) in why
            assert told.last()["ok"] is (event == "passed")
            assert told.last()["cause"] == (text.split()[1].rstrip(":") if text.startswith("502") else "")

    run(main)


def test_text_that_comes_in_two_pieces_is_found(run: Any) -> None:
    async def main() -> None:
        async with serving(says(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nre", b"ady")) as url:
            assert (await Told(url, body="ready").first())[0] == "check-passed"

    run(main)


def test_only_a_connection_is_asked_for(run: Any) -> None:
    got: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read(100))

    async def main() -> None:
        async with serving(handler) as url:
            assert await Told(url, kind="tcp").first() == ("check-passed", "2 checks in a row passed: connected")
            await soon(lambda: len(got) > 1)
            assert got[:2] == [b"", b""]

    run(main)


# Ways to the server.


def test_nothing_listens(run: Any) -> None:
    async def main() -> None:
        port = free_port()
        told = Told(f"http://127.0.0.1:{port}", fall=3)
        event, why = await told.first()
        assert event == "check-failed"
        assert why.startswith(f"3 checks in a row failed: 502 connection-refused: Nothing listens on 127.0.0.1:{port}: ")
        described = told.last()
        assert (described["ok"], described["cause"], described["count"]) == (False, "connection-refused", 3)
        assert described["text"] == why.partition("failed: ")[2]

    run(main)


def test_a_server_that_takes_connections_and_says_nothing_is_cut_at_the_timeout(run: Any) -> None:
    async def main() -> None:
        async with serving(silent) as url:
            told = Told(url, timeout=0.1, fall=1)
            event, why = await told.first()
            assert event == "check-failed"
            assert why.startswith("the check failed: 504 response-timeout: ")
            assert "(upstream.app.health.timeout)" in why
            assert told.last()["cause"] == "response-timeout"

    run(main)


def test_a_full_backlog_is_a_connection_timeout(run: Any) -> None:
    async def main() -> None:
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            server.listen(0)
            fillers = [socket.socket(V4, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) for _ in range(3)]
            for filler in fillers:
                filler.connect_ex(server.getsockname())
            try:
                _, why = await Told(f"http://127.0.0.1:{server.getsockname()[1]}", timeout=0.2, fall=1).first()
                assert why.startswith("the check failed: 504 connection-timeout: ")
            finally:
                for filler in fillers:
                    filler.close()

    run(main)


def test_unix_sockets(run: Any, tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)

    async def main() -> None:
        path = str(tmp_path / "app.sock")
        _, why = await Told(f"unix:{path}").first()
        assert "502 socket-missing: " in why
        assert path in why
        async with serving(handler, path=path) as url:
            assert (await Told(url).first())[0] == "check-passed"
            assert b"\r\nHost: localhost\r\n" in asked[0]

    run(main)


def test_ipv6(run: Any) -> None:
    async def main() -> None:
        async with serving(says(OK), host="::1") as url:
            assert (await Told(url).first())[0] == "check-passed"

    run(main)


def test_names_lead_to_the_family_that_answers(run: Any, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("::1 app.test\n127.0.0.1 app.test\n")

    async def main() -> None:
        async with serving(says(OK)) as url:  # on IPv4 alone
            resolver = Resolver(Dns(hosts_file=str(hosts)))
            port = url.rpartition(":")[2]
            assert (await Told(f"http://app.test:{port}", resolver=resolver).first())[0] == "check-passed"
        _, why = await Told(f"http://app.test:{port}", resolver=resolver).first()
        assert "502 connection-refused: " in why
        resolver.close()

    run(main)


def test_a_name_that_nobody_resolves(run: Any) -> None:
    async def main() -> None:
        with socket.socket(V4, socket.SOCK_DGRAM) as mute:
            mute.bind(("127.0.0.1", 0))
            resolver = Resolver(Dns(servers=(f"127.0.0.1:{mute.getsockname()[1]}",)))
            _, why = await Told("http://app.test:80", resolver=resolver, timeout=0.1, fall=1).first()
            assert why.startswith("the check failed: 504 dns-timeout: ")
            resolver.close()

    run(main)


class Moved(Resolver):
    """Knows an address, and another one when asked again, or for both families."""

    def __init__(self, before: str, after: str, partial: bool) -> None:
        super().__init__(Dns())
        self._before = Addresses("app.test", ((V4, before),), partial=partial)
        self._after = Addresses("app.test", ((V4, after),))
        self.asked: list[str] = []

    async def resolve(self, name: str, whole: bool = False) -> Addresses:
        self.asked.append("whole" if whole else "first")
        return self._after if whole else self._before

    def invalidate(self, name: str) -> None:
        self.asked.append("invalidate")

    async def renewed(self, name: str) -> Addresses | None:
        return self._after


@pytest.mark.parametrize(("partial", "asked"), [(True, ["first", "whole"]), (False, ["first", "invalidate"])])
def test_a_server_that_moved_is_found_by_the_check_that_misses_it(partial: bool, asked: list[str], run: Any) -> None:
    async def main() -> None:
        async with serving(says(OK)) as url:
            resolver = Moved("127.0.0.2", "127.0.0.1", partial)
            told = Told(f"http://app.test:{url.rpartition(':')[2]}", resolver=resolver, rise=1)
            assert (await told.first())[0] == "check-passed"
            assert resolver.asked == asked
            assert told.last()["count"] == 1
            away = Told(f"http://app.test:{url.rpartition(':')[2]}", resolver=resolver, fall=1, deny_addresses=("127.0.0.1/32",))
            assert "address-denied" in (await away.first())[1]

    run(main)


class Puzzled(Resolver):
    """Says of every name that it cannot be one."""

    async def resolve(self, name: str, whole: bool = False) -> Addresses:
        raise Unresolved(s.MISCONFIGURED, {"name": name, "error": "not a possible name"})


def test_a_name_that_cannot_be_one_is_told_as_an_unusable_address(run: Any) -> None:
    async def main() -> None:
        _, why = await Told("http://app.test:80", resolver=Puzzled(Dns())).first()
        assert "500 address-unusable: " in why
        assert "app.test:80" in why

    run(main)


def test_addresses_in_denied_networks_are_not_asked(run: Any) -> None:
    connections: list[int] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)

    async def main() -> None:
        async with serving(handler) as url:
            told = Told(url, deny_addresses=("127.0.0.0/8",))
            assert "502 address-denied: " in (await told.first())[1]
            assert connections == []

    run(main)


# TLS.


@pytest.mark.parametrize(
    ("kind", "tls", "event", "text"),
    [
        ("good", {"name": NAME}, "passed", "GET / answered 200"),
        ("good", {"name": "other.lab.test"}, "failed", "certificate-name-mismatch: The certificate does not name other.lab.test"),
        ("wrong-name", {"name": NAME}, "failed", f"certificate-name-mismatch: The certificate does not name {NAME}"),
        ("expired", {"name": NAME}, "failed", f"certificate-expired: The certificate of {NAME} has expired"),
        ("expired", {"name": NAME, "verify": False}, "passed", "GET / answered 200"),
        ("unknown-authority", {"name": NAME}, "failed", "certificate-unknown-authority: "),
    ],
)
def test_tls(kind: str, tls: dict[str, Any], event: str, text: str, run: Any, certificates: Certificates) -> None:
    async def main() -> None:
        async with serving(says(OK), tls=certificates.context(kind)) as url:
            happened, why = await Told(url, tls={"ca": str(certificates.ca_file)} | tls).first()
            assert happened == f"check-{event}"
            assert text in why

    run(main)


def test_a_client_certificate_is_shown(run: Any, certificates: Certificates, tmp_path: Path) -> None:
    authority = issue("Clients", authority=True)
    ours, clients = tmp_path / "ours.pem", tmp_path / "clients.pem"
    ours.write_bytes(issue("gateway", by=authority, purpose=ExtendedKeyUsageOID.CLIENT_AUTH).pem())
    clients.write_bytes(authority.pem())
    certificates.context("good")  # writes the file
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.folder / "good.pem")
    context.load_verify_locations(clients)
    context.verify_mode = ssl.CERT_REQUIRED
    trusted = {"ca": str(certificates.ca_file), "name": NAME}

    async def main() -> None:
        async with serving(says(OK), tls=context) as url:
            assert (await Told(url, tls=trusted | {"certificate": str(ours), "key": str(ours)}).first())[0] == "check-passed"
            assert (await Told(url, tls=trusted).first())[0] == "check-failed"

    run(main)


def test_only_a_handshake_is_asked_for(run: Any, certificates: Certificates) -> None:
    trusted = {"ca": str(certificates.ca_file), "name": NAME}

    async def main() -> None:
        async with serving(silent, tls=certificates.context("good")) as url:
            assert await Told(url, kind="tcp", tls=trusted).first() == (
                "check-passed", "2 checks in a row passed: connected, with TLS",
            )  # fmt: skip
        async with serving(silent) as url:
            secured = url.replace("http:", "https:")
            _, why = await Told(secured, kind="tcp", tls=trusted, timeout=0.1, fall=1).first()
            assert "504 tls-timeout: " in why
            assert "within 0.1 s (upstream.app.health.timeout)" in why

    run(main)


def test_a_certificate_that_ends_soon_is_noted_once(run: Any, certificates: Certificates) -> None:
    trusted = {"ca": str(certificates.ca_file), "name": NAME}

    async def main() -> None:
        async with serving(says(OK), tls=certificates.context("good")) as url:  # it ends in 30 days
            near = await Told(url, tls=trusted, certificate_days=31).until(lambda told: told.last()["count"] >= 4)
            (note,) = near.notes
            assert note == f"app: certificate of {url} ends in 29 days ({near.last()['certificate_ends'][:10]})"
            assert (await Told(url, tls=trusted, certificate_days=29).until(lambda told: told.events)).notes == []
            far = await Told(url, tls=trusted, certificate_days=0).until(lambda told: told.events)
            assert far.notes == []
            assert far.last()["certificate_ends"] == near.last()["certificate_ends"]

    run(main)


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (6.5, "ends in 6 days"), (1.0, "ends in 1 day"), (0.9, "ends in less than a day"),
        (-0.1, "ended less than a day ago"), (-3.2, "ended 3 days ago"),
    ],
)  # fmt: skip
def test_the_end_of_a_certificate_in_words(days: float, words: str) -> None:
    assert remaining(days * 86_400) == words


# When it is checked, and what is told.


@given(interval=st.floats(0.001, 1e5), jitter=st.floats(0, 1), draw=st.floats(0, 1, exclude_max=True))
def test_the_pause_stays_within_its_jitter(interval: float, jitter: float, draw: float) -> None:
    seconds = pause(interval, jitter, draw)
    assert interval * (1 - jitter) - 1e-9 * interval <= seconds <= interval * (1 + jitter) * (1 + 1e-9)
    assert pause(interval, 0.0, draw) == interval
    assert pause(interval, jitter, 0.5) == interval


def test_the_pause_uses_the_whole_jitter() -> None:
    assert pause(10.0, 0.2, 0.0) == 8.0
    assert pause(10.0, 0.2, 0.75) == 11.0


def test_a_server_that_recovers_is_told_after_rise_checks(run: Any) -> None:
    answers = [500] * 3 + [200] * 2 + [500] + [200] * 9
    seen: list[int] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        seen.append(answers[min(len(seen), len(answers) - 1)])
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % seen[-1])

    async def main() -> None:
        async with serving(handler) as url:
            told = Told(url, rise=3, fall=2)
            at: list[int] = []
            told.hear = lambda *_: at.append(len(seen))  # type: ignore[method-assign]
            await told.until(lambda told: told.last()["count"] >= 12)
            assert at == [2, 9]  # two failed; of those that passed the first two were no three in a row

    run(main)


def test_a_verdict_is_told_once_until_it_is_forgotten(run: Any) -> None:
    async def main() -> None:
        async with serving(says(OK)) as url:
            told = await Told(url).until(lambda told: told.last()["count"] >= 6)
            assert len(told.events) == 1
            told.checker.forget(url)
            await told.until(lambda told: len(told.events) == 2)
            assert [event for _, event, _ in told.events] == ["check-passed", "check-passed"]
            with pytest.raises(KeyError):
                told.checker.forget("http://nobody:1")

    run(main)


def test_checks_of_one_server_never_overlap_and_servers_do_not_wait_for_each_other(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = Look.once
    now: Counter[Look] = Counter()
    most: Counter[Look] = Counter()

    async def counted(self: Look) -> Any:
        now[self] += 1
        most[self] = max(most[self], now[self])
        try:
            return await once(self)
        finally:
            now[self] -= 1

    monkeypatch.setattr(Look, "once", counted)

    async def main() -> None:
        most.clear()
        async with serving(silent) as slow, serving(says(OK)) as quick:
            told = Told(slow, quick, interval=0.01, timeout=0.08)
            await told.until(lambda told: told.checker.describe()[slow]["count"] >= 4)
            assert list(most.values()) == [1, 1]
            assert told.checker.describe()[quick]["count"] > told.checker.describe()[slow]["count"]
            assert {(label, event) for label, event, _ in told.events} == {(slow, "check-failed"), (quick, "check-passed")}

    run(main)


def test_first_checks_come_soon_even_where_the_interval_is_long(run: Any) -> None:
    async def main() -> None:
        async with serving(says(OK)) as one, serving(says(OK)) as other:
            told = await Told(one, other, interval=3600, rise=1).until(lambda told: len(told.events) == 2)
            assert {label for label, _, _ in told.events} == {one, other}

    run(main)


def test_nothing_is_known_before_the_first_check_and_nothing_told_after_the_end(run: Any) -> None:
    async def main() -> None:
        async with serving(says(OK)) as url:
            told = Told(url, rise=1)
            assert told.last() == {
                "ok": None, "cause": "", "text": "", "latency_ms": None, "at": None, "count": 0, "certificate_ends": "",
            }  # fmt: skip
            told.checker.start()
            told.checker.start()
            assert len(asyncio.all_tasks()) >= 2
            told.checker.stop()
            await asyncio.sleep(0.1)
            assert told.events == []
            assert told.last()["count"] == 0

    run(main)


# Trouble of our own.


def test_an_error_of_ours_is_noted_once_and_counts_as_nothing(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    once = Look.once
    broken = 4

    async def sometimes(self: Look) -> Any:
        nonlocal broken
        broken -= 1
        if broken >= 0:
            raise RuntimeError("a bug")
        return await once(self)

    monkeypatch.setattr(Look, "once", sometimes)

    async def main() -> None:
        nonlocal broken
        broken = 4
        async with serving(says(OK)) as url:
            told = Told(url, fall=1)
            assert (await told.first())[0] == "check-passed"
            assert told.notes == [f"app: {url}: a check failed by an error of the gateway: RuntimeError: a bug"]

    run(main)


def test_a_verdict_that_could_not_be_told_is_told_again(run: Any) -> None:
    async def main() -> None:
        async with serving(says(OK)) as url:
            told = Told(url)
            deaf = [OSError("the link is down")]
            hear = told.hear

            def sometimes(label: str, event: str, why: str) -> None:
                if deaf:
                    raise deaf.pop()
                hear(label, event, why)

            told.hear = sometimes  # type: ignore[method-assign]
            assert (await told.first())[0] == "check-passed"
            assert told.last()["count"] == 4
            assert len(told.notes) == 1
            assert "the link is down" in told.notes[0]

    run(main)


def test_want_of_descriptors_takes_no_server_down(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    async def main() -> None:
        async with serving(says(OK)) as url:
            told = Told(url, fall=1)
            with monkeypatch.context() as patched:
                patched.setattr("headgate.net.race.socket.socket", exhausted)
                await told.until(lambda told: told.last()["count"] >= 3)
            assert told.events == []
            assert told.last()["ok"] is None
            assert told.last()["cause"] == "descriptors-exhausted"
            assert len(told.notes) == 1
            assert told.notes[0].startswith(f"app: {url}: a check says nothing about the server: 503 descriptors-exhausted: ")

    run(main)


def test_no_check_leaves_a_descriptor_behind(run: Any, certificates: Certificates) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    async def main() -> None:
        plain, secured = serving(silent), serving(says(OK), tls=certificates.context("good"))
        async with plain as mute, secured as right, serving(says(OK), tls=certificates.context("wrong-name")) as wrong:
            urls = (
                mute,
                right,
                wrong,
                mute.replace("http:", "https:"),
                f"http://127.0.0.1:{free_port()}",
                "unix:/nowhere/app.sock",
            )
            tls = {"ca": str(certificates.ca_file), "name": NAME}
            told = Told(*urls, tls=tls, interval=0.01, timeout=0.03)
            before = descriptors()
            await told.until(lambda told: all(told.checker.describe()[url]["count"] >= 12 for url in urls))
            await soon(lambda: descriptors() <= before + 1)  # none for each of 72 checks; one more may be the loop's own

    run(main)


def test_what_cannot_be_checked_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="upstream app has no active checks"):
        Checker("app", Upstream(servers=("http://app:1",)), Resolver(Dns()), print, print)
    with pytest.raises(BadTlsFile, match="expected one or more certificates"):
        Told("https://app:1", tls={"ca": str(tmp_path / "none.pem")})
