"""The lab's client: what it sends, and what it notes."""

import asyncio
import socket

import pytest

from headgate.lab.client import Client, Sighting, build
from headgate.lab.scenario import Request


def head_and_body(**keys: object) -> tuple[list[str], bytes]:
    head, body = build(Request(**keys), "gw:80", "/mine", "lab-1")  # type: ignore[arg-type]
    return head.decode().removesuffix("\r\n\r\n").split("\r\n"), body


def test_a_plain_request_is_marked_twice() -> None:
    lines, body = head_and_body()
    assert lines == ["GET /mine?lab=lab-1 HTTP/1.1", "Host: gw:80", "X-Request-Id: lab-1", "Accept: application/json"]
    assert body == b""


def test_path_target_and_query() -> None:
    assert head_and_body(path="/a?b=c")[0][0] == "GET /mine/a?b=c&lab=lab-1 HTTP/1.1"
    assert head_and_body(target="/elsewhere")[0][0] == "GET /elsewhere?lab=lab-1 HTTP/1.1"
    assert head_and_body(path="/", filler=3)[0][0] == "GET /mine/fff?lab=lab-1 HTTP/1.1"


def test_bodies() -> None:
    lines, body = head_and_body(method="POST", body="hey")
    assert "Content-Length: 3" in lines
    assert body == b"hey"
    lines, body = head_and_body(method="POST", body_bytes=70_000, chunked=True)
    assert "Transfer-Encoding: chunked" in lines
    assert body.startswith(b"10000\r\nbbb")
    assert body.endswith(b"b\r\n0\r\n\r\n")


def test_raw_goes_out_as_written() -> None:
    head, body = build(Request(raw="GET {path} {token}\r\n{host}\u00e4\n"), "gw", "/mine", "t")
    assert (head, body) == (b"GET /mine t\r\ngw\xe4\n", b"")


def talk(scenario, lab_of, upstream: str, *requests: Request, path: str = "/mine") -> list[Sighting]:  # type: ignore[no-untyped-def]
    """Let the client talk to the lab's server directly, without a gateway."""
    one = lab_of(scenario(f"upstream = [[{upstream}]]"))

    async def work() -> list[Sighting]:
        client = Client(("127.0.0.1", one.lab.layout.ports("mine")[0]), "h", path)
        try:
            return await client.play(requests, [f"t{n}" for n in range(len(requests))])
        finally:
            client.close()

    return asyncio.run(work())


READ = '{ read = "head" }'


@pytest.mark.parametrize(
    ("upstream", "status", "ended", "body"),
    [
        (f'{READ}, {{ answer = "fine" }}', 200, "complete", b"fine"),
        (f"{READ}, {{ close = true }}", 0, "nothing", b""),
        (f"{READ}, {{ reset = true }}", 0, "nothing", b""),
        (f'{READ}, {{ write = "HTTP/1.1 200 OK\\r\\nContent-Length: 9\\r\\n\\r\\nabc" }}', 200, "cut", b"abc"),
        (f'{READ}, {{ write = "HTTP/1.1 200 OK\\r\\nConn" }}', 0, "nothing", b""),
        (f'{READ}, {{ write = "HTTP/1.1 200 OK\\r\\n\\r\\nabc" }}', 200, "complete", b"abc"),
        (f'{READ}, {{ write = "HTTP/1.1 200 OK\\r\\n\\r\\nabc" }}, {{ wait = 0.05 }}, {{ reset = true }}', 200, "cut", b"abc"),
        (f'{READ}, {{ write = "nonsense\\r\\n" }}, {{ stall = 1 }}', 0, "garbled", b""),
    ],
)
def test_how_a_response_ended(scenario, lab_of, upstream: str, status: int, ended: str, body: bytes) -> None:  # type: ignore[no-untyped-def]
    (seen,) = talk(scenario, lab_of, upstream, Request())
    assert (seen.status, seen.ended, seen.body) == (status, ended, body)


def test_a_hang_is_noticed(scenario, lab_of, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("headgate.lab.client.PATIENCE", 0.2)
    (seen,) = talk(scenario, lab_of, f"{READ}, {{ stall = 5 }}", Request())
    assert seen.ended == "hang"


def test_pipelined_requests_are_sent_once_and_answered_in_order(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    upstream = f'{READ}, {{ answer = "1" }}, {READ}, {{ answer = "2" }}, {{ read = 1 }}, {{ write = "one too many" }}'
    seen = talk(scenario, lab_of, upstream, Request(), Request(pipelined=True))
    assert [one.body for one in seen] == [b"1", b"2"]


def test_leaving_early(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    (seen,) = talk(scenario, lab_of, f"{READ}, {{ stall = 5 }}", Request(leave_after=0.1))
    assert seen.ended == "left"


def test_background_requests_overlap(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    upstream = f'{READ}, {{ wait = 0.3 }}, {{ answer = "late" }}'
    seen = talk(scenario, lab_of, upstream, Request(background=True), Request(new_connection=True))
    assert [one.status for one in seen] == [200, 200]


def test_tunnel(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    upstream = f'{READ}, {{ write = "HTTP/1.1 101 Switching Protocols\\r\\n\\r\\n" }}, {{ echo = true }}'
    (seen,) = talk(scenario, lab_of, upstream, Request(tunnel="there and back"))
    assert (seen.status, seen.body) == (101, b"there and back")


def test_the_body_waits_for_100(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    upstream = f'{READ}, {{ say_continue = true }}, {{ read = "body" }}, {{ answer = "ok" }}'
    (seen,) = talk(scenario, lab_of, upstream, Request(method="PUT", body="x", await_continue=True))
    assert (seen.status, seen.interim) == (200, [100])


def test_an_unreachable_gateway_is_an_os_error() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        client = Client(sock.getsockname(), "h", "/")
        with pytest.raises(ConnectionRefusedError):
            asyncio.run(client.play((Request(),), ["t"]))
        client.close()


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"error": 5}', b"nonsense"])
def test_error_member_is_only_taken_where_it_is_one(body: bytes) -> None:
    assert Sighting("t", body=body).error() == {}
