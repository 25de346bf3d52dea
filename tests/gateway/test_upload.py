"""A request body on its way, with a connection that only writes down what it is given."""

from types import SimpleNamespace

import pytest

from headgate.gateway.upload import WAITING, Upload
from headgate.wire.framing import CHUNKED


class Flow:
    """Stands for the exchange."""

    def __init__(self, length):
        self.head = SimpleNamespace(length=length)
        self.received = 0
        self.attempt = SimpleNamespace(sent=0)
        self.conn = None
        self.paused = set()
        self.down = SimpleNamespace(pause=self.paused.add, resume=self.paused.discard)
        self.failed = []

    def connect(self, upload):
        """Begin a try: what came so far goes out first."""
        self.out = [upload.so_far()]
        self.conn = SimpleNamespace(write=self.out.append)

    def fail_client(self, signal, facts):
        self.failed.append((signal, facts))

    def sent(self):
        return b"".join(self.out)


def upload(length=1_000_000, keep=100, limit=0):
    flow = Flow(length)
    return flow, Upload(flow, keep, limit)


@pytest.mark.parametrize("length", [7, CHUNKED])
def test_in_its_framing_whenever_the_connection_comes(length):
    whole = b"abcdefg" if length == 7 else b"3\r\nabc\r\n4\r\ndefg\r\n0\r\nT: 1\r\n\r\n"
    for connected_after in range(4):
        flow, body = upload(length)
        steps = [
            lambda body=body: body.came(b"abc"),
            lambda body=body: body.came(b"defg"),
            lambda body=body: body.ended(b"T: 1\r\n"),
        ]
        for number, step in enumerate(steps):
            if number == connected_after:
                flow.connect(body)
            step()
        if connected_after == 3:
            flow.connect(body)
        assert flow.sent() == whole
        assert flow.received == 7


def test_a_small_body_is_sent_again_whole():
    flow, body = upload(CHUNKED)
    flow.connect(body)
    body.came(b"abc")
    flow.conn = None
    body.came(b"d")
    flow.connect(body)
    body.ended(b"")
    assert body.replayable
    assert flow.sent() == b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"


def test_a_large_body_is_not_kept():
    flow, body = upload(keep=100)
    flow.connect(body)
    body.came(bytes(100))
    assert body.replayable
    body.came(b"x")
    assert not body.replayable
    assert body.so_far() == b""


def test_what_waits_for_a_connection_is_bounded():
    flow, body = upload()
    body.came(bytes(WAITING))
    assert flow.paused == set()
    body.came(b"x")
    assert flow.paused == {"dial"}
    flow.connect(body)
    assert flow.paused == set()
    assert len(flow.sent()) == WAITING + 1


def test_a_body_above_the_limit_ends_the_exchange():
    flow, body = upload(CHUNKED, limit=10)
    flow.connect(body)
    body.came(bytes(10))
    assert flow.failed == []
    body.came(b"x")
    assert flow.failed[0][1] == {"limit": "request_body_bytes", "limit_value": 10, "seen": 11}
    assert b"x" not in flow.sent()[-4:]


def test_what_is_sent_is_counted():
    flow, body = upload(CHUNKED)
    flow.connect(body)
    body.came(b"abc")
    assert flow.attempt.sent == len(b"3\r\nabc\r\n")
