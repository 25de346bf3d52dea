"""How an exchange ends: served, tried again, answered in our own name, cut, or left by its client.

The state of an exchange under way stands here, because every ending needs all of it. `fail` is the only fork: it names the cause,
asks `may_retry`, and goes back to `pick`, answers, or cuts.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING

from ..diagnose.classify import classify
from ..model.cause import Cause
from ..model.exchange import Attempt, Exchange
from ..model.facts import Facts
from ..model.phases import ADMIT
from ..model.signals import CLIENT_DEADLINE, CLIENT_GONE, EOF, RESET, TOTAL_DEADLINE
from ..wire.request import RequestHead
from ..wire.response import ResponseHead
from .bodycheck import BodyCheck
from .evidence import gather
from .retry import may_retry

if TYPE_CHECKING:
    from .dial import Dial
    from .downstream import Downstream
    from .group import Group
    from .pool import Server
    from .tunnel import Tunnel
    from .upload import Upload
    from .upstream import Upstream
    from .worker import Worker


class Ending(Exchange):
    """An exchange under way: its state, and the ways in which it ends."""

    __slots__ = (
        "_check", "_continued", "_dial", "_fresh", "_interim", "_keep", "_server", "_tried", "attempt", "chunked", "conn", "down",
        "group", "head", "idle", "raw", "request_done", "response_head", "started", "t_limit", "tunnel", "upload", "worker",
    )  # fmt: skip

    head: RequestHead  # set by `open`, as are group and attempt by the steps that follow
    group: "Group"
    attempt: Attempt  # the try under way, or the last one

    def __init__(self, down: "Downstream", reference: str, now: float) -> None:
        Exchange.__init__(self, reference, down.client, down.scheme, now)
        self.down = down
        self.worker: Worker = down.worker
        self.trusted = down.details
        self.raw = b""  # the request head as it came, for look-ups that few requests need
        self.t_limit = now + 3600.0  # when the time for the whole exchange is up
        self.conn: Upstream | None = None
        self.upload: Upload | None = None
        self.tunnel: Tunnel | None = None
        self.request_done = True  # the request is complete, as far as the client goes
        self.started = False  # a byte of the final response went to the client
        self.chunked = False  # the response body is written in chunks
        self.idle = 0.0  # timeout of the response body, seconds of silence
        self.response_head: ResponseHead | None = None
        self._check: BodyCheck | None = None
        self._dial: Dial | None = None
        self._server: Server | None = None  # counted as busy with this exchange
        self._tried: list[Server] = []
        self._fresh = False  # the next try must not use a kept connection
        self._interim = 0  # interim responses so far
        self._continued = False  # the client was told 100 (Continue)
        self._keep = False  # the client's connection may serve another request

    @abstractmethod
    def pick(self, now: float) -> None:
        """Choose a server and begin a try."""

    def finish(self) -> None:
        """The response is complete: keep the connections where that is possible, and the record."""
        attempt = self.attempt
        attempt.t_end = self.t_end = now = self.worker.clock()
        conn, server = self.conn, self._server
        assert conn is not None
        assert server is not None
        self.conn = self._server = None
        server.busy -= 1
        if server.strikes:
            self.group.works(server)
        head = self.response_head
        if head is not None and head.keep_alive and self.request_done and attempt.signal is None and not conn.paused:
            if head.keep_alive_timeout >= 0:
                server.told(head.keep_alive_timeout)
            conn.rest(now)
        else:
            conn.close()
        if attempt.signal is not None:
            self.worker.recorder.attempt_failed(self, attempt)
        self.outcome = "tunnel" if self.tunnel is not None else "served"
        self._record()
        self.down.done(close=not self._keep or self.worker.stopping, linger=not self.request_done)

    def fail(self, phase: int, signal: str, facts: Facts | None = None) -> None:
        """The try under way failed: name the cause, and try again, answer, or cut."""
        now = self.worker.clock()
        attempt, server, group = self.attempt, self._server, self.group
        assert server is not None
        cause = self._end_attempt(phase, signal, facts, now)
        if cause.strike:
            group.strike(server)
        kept = attempt.reused and attempt.received == 0 and signal in (EOF, RESET)
        if not kept:
            self._tried.append(server)
        verdict = attempt.verdict = may_retry(
            cause,
            phase,
            signal,
            method=self.method,
            started=self.started,
            kept=kept,
            replayable=self.upload is None or self.upload.replayable,
            tries_left=group.settings.retry.attempts - len(self._tried),
            time_left=self.t_limit - now,
            elsewhere=group.elsewhere(self._tried),
        )
        again = verdict.startswith("again")
        if not again:
            self._blame(cause)
        self.worker.recorder.attempt_failed(self, attempt)
        if again:
            self._fresh = kept
            self.pick(now)
        else:
            self._conclude()

    def _blame(self, cause: Cause) -> None:
        """This is what the client will be told, unless it has a response already."""
        self.cause = cause
        if not self.started:
            self.status = self.worker.status_of(cause)

    def _end_attempt(self, phase: int, signal: str, facts: Facts | None, now: float) -> Cause:
        """Put down why the try ended, and let go of its connection and server."""
        attempt = self.attempt
        attempt.phase = phase
        attempt.signal = signal
        attempt.facts = facts = gather(attempt, self.conn, facts, now)
        attempt.cause = cause = classify(phase, signal, facts)
        attempt.t_end = now
        if self._dial is not None:
            self._dial.cancel()
            self._dial = None
        if self.conn is not None:
            self.conn.abandon()
            self.conn = None
        if self._server is not None:
            self._server.busy -= 1
            self._server = None
        return cause

    def refuse(self, signal: str, facts: Facts | None = None) -> None:
        """The request ends before any try, or for want of a server for another."""
        self.signal = signal
        self.facts = facts or {}
        self._blame(classify(ADMIT, signal, self.facts))
        self.worker.recorder.refused(self)
        self._conclude()

    def fail_client(self, signal: str, facts: Facts | None = None) -> None:
        """The client left, or broke the rules: never the server's fault."""
        now = self.worker.clock()
        facts = facts or {}
        facts.setdefault("elapsed_ms", round((now - self.t_begin) * 1000))
        facts.setdefault("body_received", self.received)
        phase = self.attempt.phase if self.attempts else ADMIT
        if self._server is not None:
            self._end_attempt(phase, signal, facts, now)
            self.attempt.verdict = "not-wanted"
        self.signal, self.facts = signal, facts
        cause = classify(phase, signal, facts)
        self._blame(cause)
        self.worker.recorder.refused(self)
        if signal == CLIENT_GONE or (cause.status == 499 and not self.started):
            self._leave(now)
        else:
            self._conclude()

    def client_left(self, error: str = "") -> None:
        """The client closed its connection."""
        if self.tunnel is not None:
            self.finish()
        else:
            self.fail_client(CLIENT_GONE, {"error": error} if error else None)

    def client_late(self, what: str, limit: float) -> None:
        """The client was too slow: what is "body" (its request) or "read" (the response)."""
        facts: Facts = {"rule": what, "limit": f"gateway.timeouts.{what}", "limit_value": limit, "silent_ms": round(limit * 1000)}
        self.fail_client(CLIENT_DEADLINE, facts)

    def out_of_time(self) -> None:
        """The time for the whole exchange is up."""
        if self._server is not None:
            facts: Facts = {"limit": "timeouts.total", "limit_value": self.group.settings.timeouts.total}
            self.fail(self.attempt.phase, TOTAL_DEADLINE, facts)

    def _leave(self, now: float) -> None:
        """Nobody is left to answer."""
        self.outcome = "gone"
        self.t_end = now
        self._record()
        self.down.drop()

    def _conclude(self) -> None:
        """Answer in the gateway's own name, or cut: a response that broke off must never look complete."""
        self.t_end = self.worker.clock()
        if self.started:
            self.outcome = "cut"
            head = self.response_head
            self.down.cut(hard=not self.chunked and (head is None or head.length < 0))
            self._record()
            return
        self.outcome = "answered"
        keep = self._keep and self.request_done and not self.worker.stopping
        self.down.answer(self, keep=keep)
        self._record()
        self.down.done(close=not keep, linger=True)

    def answer_options(self) -> None:
        """The request was for the gateway itself: it is here, and that is all it says (RFC 9110 section 9.3.7)."""
        self.status = 204
        self.outcome = "answered"
        self.t_end = self.worker.clock()
        connection = b"" if self._keep and self.request_done else b"Connection: close\r\n"
        self.write(b"HTTP/1.1 204 No Content\r\nDate: %b\r\n%b\r\n" % (self.worker.recorder.http_date(), connection))
        self._record()
        self.down.done(close=bool(connection), linger=True)

    def _record(self) -> None:
        """Write the access line; and let go of the parts that point back here, so that nothing waits for the collector."""
        self.worker.recorder.ended(self)
        self.upload = self.tunnel = None

    def write(self, data: bytes) -> None:
        """Send bytes to the client."""
        self.sent += len(data)
        self.down.transport.write(data)
