"""Each verb does what it says, seen from a plain socket."""

import socket
import ssl
import time

import pytest

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def call(one, data: bytes = b"", name: str = "mine") -> socket.socket:  # type: ignore[no-untyped-def]
    sock = socket.create_connection(("127.0.0.1", one.lab.layout.ports(name)[0]), timeout=5)
    sock.sendall(data)
    return sock


def everything(sock: socket.socket) -> bytes:
    """Read until FIN."""
    data = b""
    while piece := sock.recv(65_536):
        data += piece
    sock.close()
    return data


@pytest.mark.parametrize(
    ("steps", "sent"),
    [
        ('{ write = "a\\r\\nb\\u00e4" }', b"a\r\nb\xe4"),
        ('{ write_hex = "00ff 16" }', b"\x00\xff\x16"),
        ('{ write_base64 = "AP8=" }', b"\x00\xff"),
        ("{ write_bytes = 5 }", b"xxxxx"),
        ('{ answer = "yes" }', b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nyes"),
        ('{ repeat = 3, steps = [{ write = "ab" }, { write = "c" }] }', b"abcabcabc"),
    ],
)
def test_writing_verbs(scenario, lab_of, steps: str, sent: bytes) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario(f"upstream = [[{steps}]]"))
    assert everything(call(one)) == sent


def test_read_head_waits_for_all_of_it_and_counts(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario('upstream = [[{ read = "head" }, { write = "done" }]]'))
    sock = call(one, HEAD[:-2])
    sock.settimeout(0.1)
    with pytest.raises(TimeoutError):
        sock.recv(10)
    assert one.lab.players["mine"].requests == 0
    sock.settimeout(5)
    sock.sendall(HEAD[-2:])
    assert everything(sock) == b"done"
    assert one.lab.players["mine"].requests == 1


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 5\r\n\r\nhello",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: trailer\r\n\r\n",
        b"\r\n",
    ],
)
def test_read_body_takes_just_the_body(scenario, lab_of, body: bytes) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario('upstream = [[{ read = "head" }, { read = "body" }, { read = 4 }, { write = "next" }]]'))
    assert everything(call(one, b"POST / HTTP/1.1\r\n" + body + b"more")) == b"next"


def test_read_all_ends_with_the_peer(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario('upstream = [[{ read = "all" }, { write = "heard you" }]]'))
    sock = call(one, b"x" * 100_000)
    sock.shutdown(socket.SHUT_WR)
    assert everything(sock) == b"heard you"


def test_wait_and_stall(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario('upstream = [[{ write = "1" }, { wait = 0.1 }, { write = "2" }, { stall = 0.2 }, { write = "3" }]]'))
    begin = time.monotonic()
    assert everything(call(one)) == b"12"
    assert time.monotonic() - begin >= 0.3


def test_close_is_a_fin(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario('upstream = [[{ read = "head" }, { close = true }, { write = "never" }]]'))
    assert everything(call(one, HEAD)) == b""


def test_reset_is_a_rst(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario('upstream = [[{ read = "head" }, { reset = true }]]'))
    sock = call(one, HEAD)
    with pytest.raises(ConnectionResetError):
        sock.recv(10)
    sock.close()


def test_half_close_still_reads(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario('upstream = [[{ half_close = true }, { read = "head" }, { stall = 5 }]]'))
    sock = call(one)
    assert sock.recv(10) == b""
    sock.sendall(HEAD)
    for _ in range(100):
        if one.lab.players["mine"].requests:
            break
        time.sleep(0.02)
    assert one.lab.players["mine"].requests == 1
    sock.close()


def test_echo(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario("upstream = [[{ echo = true }]]"))
    sock = call(one, b"hello")
    assert sock.recv(10) == b"hello"
    sock.sendall(b"again")
    assert sock.recv(10) == b"again"
    sock.close()


@pytest.mark.parametrize(("field", "answer"), [(b"Expect: 100-continue\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"), (b"", b"")])
def test_say_continue_only_where_expected(scenario, lab_of, field: bytes, answer: bytes) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario('upstream = [[{ read = "head" }, { say_continue = true }, { close = true }]]'))
    assert everything(call(one, b"PUT / HTTP/1.1\r\n" + field + b"\r\n")) == answer


def test_tls_encrypts_what_follows(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario('scheme = "https"\nupstream = [[{ tls = "good" }, { read = "head" }, { answer = "secret" }]]'))
    context = ssl.create_default_context(cafile=one.lab.certificates.ca_file)
    with context.wrap_socket(call(one), server_hostname=one.lab.layout.tls_name) as sock:
        sock.sendall(HEAD)
        assert sock.recv(1000).endswith(b"secret")


def test_each_connection_has_its_script_and_the_last_one_repeats(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario('upstream = [[{ write = "first" }], [{ write = "later" }]]'))
    assert [everything(call(one)) for _ in range(3)] == [b"first", b"later", b"later"]
    one.run(one.lab.players["mine"].reset())
    assert everything(call(one)) == b"first"


def test_two_servers_share_script_and_count(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario('servers = 2\nupstream = [[{ write = "first" }], [{ write = "later" }]]'))
    ports = one.lab.layout.ports("mine")
    said = [everything(socket.create_connection(("127.0.0.1", port), timeout=5)) for port in ports]
    assert said == [b"first", b"later"]


def test_reset_of_a_player_closes_its_connections(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario("upstream = [[{ stall = 20 }]]"))
    sock = call(one)
    for _ in range(100):
        if one.lab.players["mine"].connections:
            break
        time.sleep(0.02)
    one.run(one.lab.players["mine"].reset())
    assert sock.recv(10) == b""
    sock.close()


def test_the_trace_tells_the_conversation(scenario, lab_of) -> None:  # type: ignore[no-untyped-def]
    one = lab_of(scenario('upstream = [[{ read = "head" }, { write = "ab\\r\\n" }, { wait = 0.01 }, { close = true }]]'))
    everything(call(one, HEAD))
    told = [line.split(": ", 1)[1] for line in one.lab.players["mine"].trace]
    assert told == ["opened", "read a request: GET / HTTP/1.1", "wrote 4 bytes: ab\\r\\n", "wait 0.01 s", "close"]
