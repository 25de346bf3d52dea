"""A server's answer put aside while another server is asked: relayed in the end if no better one is found."""

from typing import TYPE_CHECKING, Final

from ..diagnose.classify import classify
from ..model.phases import HEAD
from ..model.signals import ANSWERED
from ..render.proxy_status import received_status
from ..render.server_timing import server_timing
from ..wire.response import ResponseHead
from .forwarding import is_dated, response_lines
from .gate import FAILED, LEFT

if TYPE_CHECKING:
    from .ending import Ending

LARGEST: Final = 65_536
"""Bytes of a body that is put aside; an answer with a larger one, or one of unknown length, is relayed at once."""


class Aside:
    """An answer with one of the statuses after which another server is asked."""

    __slots__ = ("_flow", "body", "head")

    def __init__(self, flow: "Ending", head: ResponseHead) -> None:
        self._flow = flow
        self.head = head
        self.body = b""

    def begin(self, rest: bytes, now: float) -> None:
        """Read the body. rest: what of it has come along with the head."""
        flow, length = self._flow, self.head.length
        if len(rest) >= length:
            self.take(rest)
            return
        conn = flow.conn
        assert conn is not None
        conn.expect_body(length, None)
        conn.arm("idle", now + flow.idle)
        flow.attempt.received -= len(rest)  # they are counted again
        if rest:
            conn.feed(rest)

    def take(self, data: bytes) -> None:
        """Take more of the body; when it is whole, the next server is asked."""
        self.body += data
        if len(self.body) >= self.head.length:
            self._done()

    def _done(self) -> None:
        flow, head = self._flow, self.head
        attempt, conn, server = flow.attempt, flow.conn, flow.server
        assert conn is not None
        assert server is not None
        whole = len(self.body) == head.length and attempt.signal is None  # and nothing beyond it
        self.body = self.body[: head.length]
        now = attempt.t_end = flow.worker.clock()
        attempt.phase, attempt.signal = HEAD, ANSWERED
        attempt.body_received = len(self.body)
        attempt.facts = {"status": head.status, "body_received": len(self.body)}
        attempt.cause = classify(HEAD, ANSWERED, attempt.facts)
        flow.conn = None
        flow.let_go(FAILED if flow.judged else LEFT, now)
        if head.keep_alive and whole and not conn.paused:
            conn.rest(now)
        else:
            conn.close()
        flow.aside = self
        flow.tried.append(server)
        flow.ask_next(now)

    def lines(self, flow: "Ending", *, keep: bool) -> bytes:
        """Return the head as it goes to the client."""
        extra = flow.notes
        if not is_dated(self.head.forward):
            extra += b"Date: %b\r\n" % flow.worker.recorder.http_date()
        if self.head.status >= 500:
            extra += b"Proxy-Status: %b\r\n" % received_status(flow.worker.name, self.head.status)
        if flow.trusted:
            extra += server_timing(flow, flow.t_end)
        return response_lines(self.head, minor=flow.version, keep=keep, extra=extra)


def may_be_put_aside(flow: "Ending", head: ResponseHead, now: float) -> bool:
    """Tell whether to ask another server instead of relaying this answer. Takes one retry out of the budget when it says yes."""
    retrying = flow.retrying
    return (
        head.status in retrying.statuses
        and 0 <= head.length <= LARGEST
        and flow.request_done
        and flow.repeatable()
        and (flow.upload is None or flow.upload.replayable)
        and flow.tries_left(HEAD) > 0
        and now < flow.t_limit
        and flow.hedge is None
        and flow.server is not None
        and flow.group.elsewhere([*flow.tried, flow.server])
        and flow.spend_retry(now)
    )
