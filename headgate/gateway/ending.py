"""How an exchange ends: served, tried again, answered in our own name, cut, or left by its client.

`fail` is the only fork: it names the cause, asks `may_retry`, and goes back to `pick`, answers, or cuts.
"""

from typing import TYPE_CHECKING

from ..diagnose.classify import classify
from ..model.cause import Cause
from ..model.facts import Facts
from ..model.methods import IDEMPOTENT
from ..model.phases import ADMIT, SEND
from ..model.signals import CLIENT_DEADLINE, CLIENT_GONE, EOF, RESET, TOTAL_DEADLINE
from ..wire.fields import find
from .evidence import gather
from .gate import FAILED, LEFT, SERVED
from .retry import may_retry
from .retrying import KEPT, MOST_SERVERS
from .underway import UnderWay

if TYPE_CHECKING:
    from .aside import Aside
    from .pool import Server


class Ending(UnderWay):
    """An exchange under way, and the ways in which it ends."""

    __slots__ = ()

    def finish(self) -> None:
        """The response is complete: keep the connections where that is possible, and the record."""
        attempt = self.attempt
        attempt.t_end = self.t_end = now = self.worker.clock()
        conn, server = self.conn, self.server
        assert conn is not None
        assert server is not None
        self.conn = self.server = None
        server.busy -= 1
        group = self.group
        server.answered += 1
        if server.suspect or group.attentive:
            self._settle(server, now)
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

    def _settle(self, server: "Server", now: float) -> None:
        """Tell those who watch over the servers of a response."""
        group, attempt = self.group, self.attempt
        seconds = attempt.t_head - attempt.t_start
        if self.judged:
            server.answered -= 1
        else:
            group.good(server, now, seconds)
        if group.gate is not None:
            group.gate.ended(self.breaker_pass, server, now, FAILED if self.judged else SERVED, seconds)

    def fail(self, phase: int, signal: str, facts: Facts | None = None) -> None:
        """The try under way failed: name the cause, and try again, answer, or cut."""
        now = self.worker.clock()
        attempt, server, group = self.attempt, self.server, self.group
        assert server is not None
        judged = self.judged  # for its status, already
        cause = self._end_attempt(phase, signal, facts, now)
        if cause.strike and not judged:
            group.bad(server, self, now, unsent=phase < SEND)
        kept = attempt.reused and attempt.received == 0 and signal in (EOF, RESET)
        if not kept:
            self.tried.append(server)
        hedge = self.hedge
        if hedge is not None and not hedge.running:
            hedge.leave()
            hedge = None
        verdict = attempt.verdict = self._verdict(cause, phase, signal, kept, now) if hedge is None else "again-hedged"
        again = verdict.startswith("again")
        if not again:
            self._blame(cause)
        self.worker.recorder.attempt_failed(self, attempt)
        if hedge is not None:
            hedge.take_over()
        elif again:
            self._again(verdict, kept, now)
        else:
            self._conclude()

    def _verdict(self, cause: Cause, phase: int, signal: str, kept: bool, now: float) -> str:
        """Return whether there is another try, and why: a key of VERDICTS."""
        verdict = may_retry(
            cause,
            phase,
            signal,
            idempotent=self.repeatable(),
            started=self.started,
            kept=kept,
            replayable=self.upload is None or self.upload.replayable,
            tries_left=self.tries_left(phase),
            time_left=self.t_limit - now,
            elsewhere=self.group.elsewhere(self.tried),
        )
        if verdict == "again-idempotent" and not self.spend_retry(now):
            return "not-budget"
        if verdict in ("not-elsewhere", "not-attempts") and phase < SEND and self.may_be_held(now):
            return "again-held"
        return verdict

    def tries_left(self, phase: int) -> int:
        """Return how many further tries are allowed by number: only those count that reached a server."""
        attempts = self.retrying.attempts
        if attempts == 1:
            return 0
        if phase < SEND:
            return MOST_SERVERS - len(self.tried)
        return attempts - sum(attempt.phase >= SEND and attempt.verdict != "again-reused" for attempt in self.attempts)

    def repeatable(self) -> bool:
        """Tell whether the request may reach a server twice: by its method, or because its client says so."""
        return self.method in IDEMPOTENT or (self.retrying.keyed and find(self.raw, b"idempotency-key") is not None)

    def _again(self, verdict: str, kept: bool, now: float) -> None:
        """Try again: at once where another server is asked or a kept connection replaced, else after a pause."""
        self._fresh = kept
        if verdict == "again-held":
            self.tried.clear()
            del self.attempts[KEPT // 2 : -KEPT // 2]
            self.hold()
        elif kept or self.group.elsewhere(self.tried):
            self.pick(now)
        else:
            self.wait(self.retrying.pause(len(self.tried)))

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
        self.let_go(FAILED if cause.strike else LEFT, now)
        return cause

    def let_go(self, how: str, now: float) -> None:
        """End the try under way, with its connection where it still has one, and count it out of its server."""
        self.stop_timer()
        if self.waiting_dial is not None:
            self.waiting_dial.cancel()
        if self.conn is not None:
            self.conn.abandon()
        self.conn = self.waiting_dial = self.setting_aside = None
        self.judged = False
        server, self.server = self.server, None
        assert server is not None
        server.busy -= 1
        self.group.waited(server, now, now - self.attempt.t_start)
        if (gate := self.group.gate) is not None:
            gate.ended(self.breaker_pass, server, now, how, -1.0)

    def ask_next(self, now: float) -> None:
        """The server's answer was put aside: ask another one."""
        self.attempt.verdict = "again-status"
        self.worker.recorder.attempt_failed(self, self.attempt)
        self._again("again-status", False, now)

    def leave_try(self, now: float) -> None:
        """Let go of the try under way without a failure: its hedge was quicker."""
        self.attempt.verdict, self.attempt.t_end = "hedged", now
        self.let_go(LEFT, now)

    def refuse(self, signal: str, facts: Facts | None = None) -> None:
        """The request ends before any try; or for want of a server for another, and then with the cause of the last one."""
        self.signal = signal
        self.facts = facts or {}
        last = self.attempts[-1].cause if self.attempts else None
        self._blame(last or classify(ADMIT, signal, self.facts))
        self.worker.recorder.refused(self)
        self._conclude()

    def fail_client(self, signal: str, facts: Facts | None = None) -> None:
        """The client left, or broke the rules: never the server's fault."""
        now = self.worker.clock()
        facts = facts or {}
        facts.setdefault("elapsed_ms", round((now - self.t_begin) * 1000))
        facts.setdefault("body_received", self.received)
        phase = self.attempt.phase if self.attempts else ADMIT
        if self.server is not None:
            self._end_attempt(phase, signal, facts, now)
            self.attempt.verdict = "not-wanted"
        else:
            self.stop_waiting()
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
        if self.hedge is not None:
            self.hedge.leave()
        if self.server is not None:
            facts: Facts = {"limit": "timeouts.total", "limit_value": self.group.settings.timeouts.total}
            self.fail(self.attempt.phase, TOTAL_DEADLINE, facts)
        elif self.waits:
            unseen = self.out_of_patience(self.worker.clock())
            self.stop_waiting()
            last = self.attempt.cause if self.attempts else None
            if last is not None:
                self._blame(last)
                self._conclude()
            elif unseen is not None:
                self.refuse(*unseen)

    def _leave(self, now: float) -> None:
        """Nobody is left to answer."""
        if self.hedge is not None:
            self.hedge.leave()
        self.outcome = "gone"
        self.t_end = now
        self._record()
        self.down.drop()

    def _conclude(self) -> None:
        """Answer in the gateway's own name, or cut: a response that broke off must never look complete."""
        self.t_end = self.worker.clock()
        if self.hedge is not None:
            self.hedge.leave()
        if self.aside is not None and not self.started and not self.down.transport.is_closing():
            self._relay(self.aside)
            return
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

    def _relay(self, aside: "Aside") -> None:
        """Relay the last real answer of a server: no further try brought a better one."""
        self.aside = self.cause = self.signal = self.facts = None
        keep = self._keep = self._keep and self.request_done and not self.worker.stopping
        self.status = aside.head.status
        lines = aside.lines(self, keep=keep)
        self.head_sent = self.sent + len(lines)
        self.write(lines + aside.body)
        self.outcome = "served"
        self._record()
        self.down.done(close=not keep, linger=not self.request_done)

    def answer_options(self) -> None:
        """The request was for the gateway itself: it is here, and that is all it says (RFC 9110 section 9.3.7)."""
        self.status = 204
        self.outcome = "answered"
        self.t_end = self.worker.clock()
        connection = b"" if self._keep and self.request_done else b"Connection: close\r\n"
        self.write(b"HTTP/1.1 204 No Content\r\nDate: %b\r\n%b\r\n" % (self.worker.recorder.http_date(), connection))
        self._record()
        self.down.done(close=bool(connection), linger=True)

    def answer_plainly(self, status: bytes, fields: bytes, body: bytes) -> None:
        """Answer what was asked of the gateway itself. status: with its reason; fields: whole header lines."""
        self.status = int(status[:3])
        self.outcome = "answered"
        self.t_end = self.worker.clock()
        keep = self._keep and self.request_done and not self.worker.stopping and not self.down.surplus_connection
        connection = b"" if keep and self.version else b"Connection: keep-alive\r\n" if keep else b"Connection: close\r\n"
        head = b"HTTP/1.1 %b\r\nDate: %b\r\nServer: headgate\r\n%b%b%bContent-Length: %d\r\n\r\n" % (
            status, self.worker.recorder.http_date(), fields, self.notes, connection, len(body),
        )  # fmt: skip
        self.head_sent = len(head)
        self.write(head if self.method == b"HEAD" else head + body)
        self._record()
        self.down.done(close=not keep, linger=True)

    def _record(self) -> None:
        """Write the access line; and let go of the parts that point back here, so that nothing waits for the collector."""
        worker, attempts = self.worker, self.attempts
        worker.recorder.ended(self)
        if self.cause is not None or self.status > 501 or len(attempts) != 1 or attempts[0].signal is not None:
            worker.reporting.ended(self, worker.wall())
            worker.public.ended(self)
        if self.held:
            for gauge in self.held:
                gauge.down()
            self.held = ()
        self.upload = self.tunnel = self.hedge = None

    def write(self, data: bytes) -> None:
        """Send bytes to the client."""
        self.sent += len(data)
        self.down.transport.write(data)
