"""The life of a request, top to bottom: open → admit → pick → dial → send → head → body → finish, and from anywhere → fail.

A Flow is an Exchange while it is alive. Its steps stand here in the order in which they happen, each named for its phase; the
state is on the object, and how it ends stands in ending.py. Healthy exchanges run through it in callbacks, without a task or a
timer of their own.
"""

from asyncio import BaseProtocol, BaseTransport
from typing import TYPE_CHECKING, cast

from ..diagnose.classify import classify
from ..model.exchange import Attempt
from ..model.facts import Facts
from ..model.phases import BODY, HEAD, SEND
from ..model.signals import CLIENT_TOO_LARGE, DENIED, LOOP, MAINTENANCE, MALFORMED, NO_SERVER, OVERLOAD, TOO_LARGE, UPGRADE
from ..render.proxy_status import received_status
from ..wire.chunks import ChunkReader
from ..wire.framing import CHUNKED
from ..wire.request import RequestHead
from ..wire.response import ResponseHead
from ..wire.write import chunk, last_chunk, upgrade_lines
from .aside import Aside, may_be_put_aside
from .bodycheck import BodyCheck
from .dial import Dial
from .ending import Ending
from .forwarding import is_dated, is_loop, last_hop, request_lines, response_lines, within
from .hedge import Hedge, may_be_hedged
from .router import Miss, Route
from .splice import WORTH
from .tunnel import Tunnel, refusal
from .upload import Upload
from .upstream import Upstream

if TYPE_CHECKING:
    from .pool import Server


class Flow(Ending):
    """An exchange under way, step by step."""

    __slots__ = ()

    # Open: route, and let in or not.

    def open(self, head: RequestHead, raw: bytes) -> None:
        """Begin: find the route, and whether this client may take it."""
        self.head = head
        self.raw = raw
        self.method = head.method
        self.target = head.target
        self.path = head.path
        self.host = head.host
        self.version = head.minor
        self._keep = head.keep_alive
        self.request_done = head.length == 0
        if head.managed is not None and self.down.trusts:
            self.down.told(self, head.managed)
        route = self.worker.router.match(head.host, head.path, head.method, raw)
        if isinstance(route, Miss):
            self.refuse(route.signal, {"allow": route.allow} if route.allow else None)
            return
        self.route = route.name
        if route.maintenance:
            self.refuse(MAINTENANCE)
        elif (route.allow and not within(self.client, route.allow)) or (route.deny and within(self.client, route.deny)):
            self.refuse(DENIED)
        elif route.door is None or route.door.lets_in(self):
            self.admit(route)

    def admit(self, route: Route) -> None:
        """Check loops and limits."""
        self.group = group = self.worker.groups[route.upstream]
        self.upstream = group.name
        self.retrying = retrying = route.retrying or group.retrying
        settings = group.settings
        self.idle = settings.timeouts.idle
        self.t_limit = self.t_begin + settings.timeouts.total
        head = self.head
        limits = self.worker.limits
        limit = limits.request_body_bytes
        if head.managed is not None and (field := is_loop(head, self.worker.pseudonym)) is not None:
            self.refuse(LOOP, {"header_name": field})
        elif last_hop(head):
            self.answer_options()
        elif self.down.surplus_connection:
            most, seen = self.worker.surplus()
            self._keep = False
            self.refuse(OVERLOAD, {"limit": "limits.connections", "limit_value": most, "seen": seen})
        elif limit and head.length > limit:
            self.refuse(CLIENT_TOO_LARGE, {"limit": "request_body_bytes", "limit_value": limit, "seen": head.length})
        else:
            if self.request_done:
                self.down.arm_total(self.t_limit)
            else:
                self.upload = Upload(self, retrying.body_bytes, limit)
                self.down.arm("body")
            group.requests += 1
            retrying.asked += 1
            self.pick(self.t_begin)

    # Pick, dial, send.

    def pick(self, now: float) -> None:
        """Choose a server and begin a try, on a kept connection where there is one."""
        group = self.group
        if group.replaced:
            group = self.group = self.worker.groups.get(group.name, group)
        server = group.pick(self)
        if server is None:
            if self.may_be_held(now):
                self.hold()
            else:
                self.refuse(NO_SERVER, {"servers": group.describe()})
            return
        if group.gate is not None:
            server = group.gate.let_in(self, server, now)
            if server is None:
                return
        self.server = server
        server.busy += 1
        server.requests += 1
        self.attempt = attempt = Attempt(group.name, server.label, now)
        self.attempts.append(attempt)
        conn = server.forgo() if self._fresh else server.take()
        if conn is None:
            self.dial(server)
            return
        attempt.reused = True
        attempt.address = conn.address
        attempt.opened = conn.opened
        attempt.idle = now - conn.rested_since
        attempt.requests = conn.served
        self.send(conn)

    def dial(self, server: "Server") -> None:
        """Open a connection: the only step that may have to wait before anything was sent."""
        worker = self.worker
        dial = Dial(server.target, self.attempt, lambda: Upstream(worker, server), self.dialled, self.not_dialled)
        self.waiting_dial = dial
        if not self.retrying.plain:
            self.bound_try()
        dial.start()

    def dialled(self, _transport: BaseTransport, protocol: BaseProtocol) -> None:
        """There is a connection."""
        self.waiting_dial = None
        self.stop_timer()
        conn = cast(Upstream, protocol)
        conn.address = self.attempt.address
        self.attempt.opened = conn.opened
        self.send(conn)

    def not_dialled(self, phase: int, signal: str, facts: Facts) -> None:
        """There is none, and why."""
        self.waiting_dial = None
        self.fail(phase, signal, facts)

    def send(self, conn: Upstream) -> None:
        """Send the request's head, and what there is of its body."""
        self.conn = conn
        attempt = self.attempt
        attempt.phase = SEND
        head = self.head
        host = self.group.host_for(head.host, conn.server)
        data = request_lines(head, host, self.down.forwarding(head), self.reference, self.worker.via[head.minor])
        if self.upload is not None:
            data += self.upload.so_far()
        attempt.sent = len(data)
        conn.begin(self, data, whole=self.request_done)
        if self.request_done:
            self.handed()

    def request_ended(self, trailers: bytes) -> None:
        """The client's request body is complete."""
        self.request_done = True
        assert self.upload is not None
        self.upload.ended(trailers)
        self.down.arm_total(self.t_limit)
        if self.conn is not None:
            self.handed()

    def handed(self) -> None:
        """The whole request was handed over: now the server has to answer."""
        conn = self.conn
        if conn is None or conn.paused:
            return  # the end of it waits here until the server takes more
        attempt = self.attempt
        attempt.t_sent = now = self.worker.clock()
        if not self.started:
            attempt.phase = HEAD
            if self.retrying.plain:
                conn.arm("head", now + self.group.settings.timeouts.head)
            else:
                self._expect_head(conn, now)

    def _expect_head(self, conn: Upstream, now: float) -> None:
        """Bound the time of this try, and be ready to ask a second server beside it."""
        retrying = self.retrying
        conn.arm(*retrying.until_head(self.attempt.t_start, now, self.group.settings.timeouts.head))
        if retrying.hedge_after and self.hedge is None and not self.tried and may_be_hedged(self):
            self.hedge = Hedge(self, retrying.hedge_after)

    def server_is_full(self) -> None:
        """The server takes no more for now: the client has to wait."""
        self.down.pause("server")
        if self.conn is not None and not self.started:
            self.conn.arm("send", self.worker.clock() + self.group.settings.timeouts.send)

    def server_takes_more(self) -> None:
        """The server reads again."""
        self.down.resume("server")
        if self.conn is not None and not self.started:
            if self.request_done:
                self.handed()
            else:
                self.conn.disarm()

    # The response head.

    def head_came(self, head: ResponseHead, rest: bytes, now: float) -> None:
        """Relay a response head, with as much of its body as has come along."""
        attempt = self.attempt
        attempt.status = status = head.status
        if status < 200:
            self._interim_came(head, rest)
            return
        attempt.t_head = now
        if self.hedge is not None:
            self.hedge.leave()
        if status >= 400 and self._failing(head, rest, now):
            return
        length = head.length
        attempt.body_expected = length if length >= 0 else -1
        self.response_head = head
        if self.group.checks_bodies and not self._acceptable(head, rest):
            return
        attempt.phase = BODY
        self.started = True
        self.status = status
        minor = self.version
        self.chunked = length < 0 and minor == 1
        keep = self._keep = self._keep and self.request_done and (length >= 0 or minor == 1) and not self.worker.stopping
        extra = self.notes
        if not is_dated(head.forward):
            extra += b"Date: %b\r\n" % self.worker.recorder.http_date()
        if self.group.notes or self.trusted:
            extra += self.group.notes_for(self)
        if status >= 500:
            extra += b"Proxy-Status: %b\r\n" % received_status(self.worker.name, status)
        lines = response_lines(head, minor=minor, keep=keep, extra=extra)
        self.head_sent = self.sent + len(lines)
        if length >= 0 and len(rest) >= length:  # the common case: the whole response is here
            if len(rest) > length:
                self.surplus(rest[length:])
                rest = rest[:length]
            attempt.body_received = length
            self.write(lines + rest)
            self.finish()
            return
        conn = self.conn
        assert conn is not None
        conn.expect_body(length, ChunkReader(self.worker.wire_limits, "response") if length == CHUNKED else None)
        conn.arm("idle", now + self.idle)
        attempt.received -= len(rest)  # they are counted again below
        if length - len(rest) >= WORTH and self._check is None and self.down.plain and conn.plain:
            self.write(lines)
            conn.feed(rest)
            conn.hand_to_kernel()
        else:
            self.write(lines)
            if rest:
                conn.feed(rest)

    def _failing(self, head: ResponseHead, rest: bytes, now: float) -> bool:
        """Look at a status of 400 or above: it may count as a failure, and another server may be asked first; True when it is."""
        if head.status in self.group.bad_statuses:
            self.judged = True
            assert self.server is not None
            self.group.bad(self.server, self, now, unsent=False)
        if not self.retrying.statuses or not may_be_put_aside(self, head, now):
            return False
        self.setting_aside = Aside(self, head)
        self.setting_aside.begin(rest, now)
        return True

    def _interim_came(self, head: ResponseHead, rest: bytes) -> None:
        """Relay a 1xx response (RFC 9110 section 15.2), or switch protocols."""
        conn = self.conn
        assert conn is not None
        if head.status == 101:
            self._switch(conn, head, rest)
            return
        self._interim += 1
        limit = self.worker.limits.interim_responses
        if self._interim > limit:
            self.fail(HEAD, TOO_LARGE, {"limit": "interim_responses", "limit_value": limit, "seen": self._interim})
            return
        wanted = not self._continued and self.head.expect if head.status == 100 else True
        if wanted and self.version:
            self._continued = self._continued or head.status == 100
            self.write(b"HTTP/1.1 %b\r\n%b\r\n" % (head.reason_line, head.forward))
        if rest:
            self.attempt.received -= len(rest)
            conn.feed(rest)

    def _switch(self, conn: Upstream, head: ResponseHead, rest: bytes) -> None:
        """Become a tunnel, when the client offered this protocol."""
        offered = self.head.upgrade
        if (names := refusal(offered if self.request_done else b"", head)) is not None:
            self.fail(HEAD, UPGRADE, {"offered": names[0], "accepted": names[1]})
            return
        if self.hedge is not None:
            self.hedge.leave()
        self.started = True
        self._keep = False
        self.status = 101
        self.attempt.phase = BODY
        self.attempt.t_head = self.worker.clock()
        self.write(b"HTTP/1.1 %b\r\n%b%b\r\n" % (head.reason_line, head.forward, upgrade_lines(head.upgrade)))
        self.tunnel = Tunnel(self)
        conn.expect_tunnel()
        if rest:
            self.tunnel.from_server(rest)
        self.down.expect_tunnel()

    # The response body.

    def _acceptable(self, head: ResponseHead, rest: bytes) -> bool:
        """Begin to check a body; False: it is refused before anything of it was relayed."""
        coding = head.coding if self.group.settings.check_content_coding and head.length != 0 else b""
        self._check = check = BodyCheck(self.worker.limits.response_body_bytes, coding)
        fault = check.announced(max(head.length, 0))
        if fault is None and 0 <= head.length <= len(rest):
            fault = check.piece(rest[: head.length]) or check.ended()
        elif fault is None and head.length != CHUNKED:
            fault = check.peek(rest)
        if fault is not None:
            self.attempt.body_received = len(rest)
            self.fail(HEAD, *fault)
        return fault is None

    def body_came(self, piece: bytes) -> None:
        """Relay a piece of the response body."""
        if self.setting_aside is not None:
            self.setting_aside.take(piece)
            return
        self.attempt.body_received += len(piece)
        if self._check is not None and (fault := self._check.piece(piece)) is not None:
            self.fail(BODY, *fault)
            return
        self.write(chunk(piece) if self.chunked else piece)

    def body_ended(self, piece: bytes, trailers: bytes) -> None:
        """Relay the last piece of the response body, and end."""
        if self.setting_aside is not None:
            self.setting_aside.take(piece)
            return
        self.attempt.body_received += len(piece)
        check = self._check
        if check is not None and (fault := check.piece(piece) or check.ended()) is not None:
            self.fail(BODY, *fault)
            return
        if self.chunked:
            last = last_chunk(trailers if self.head.te_trailers else b"")
            self.write(chunk(piece) + last if piece else last)
        elif piece:
            self.write(piece)
        self.finish()

    def spliced(self, taken: int, given: int) -> None:
        """The kernel moved bytes of the body."""
        self.attempt.received += taken
        self.attempt.body_received += taken
        self.sent += given

    def surplus(self, data: bytes) -> None:
        """The server sent bytes beyond the end of its response: a near miss, and the end of that connection."""
        attempt = self.attempt
        if attempt.signal is None:
            attempt.signal = MALFORMED
            attempt.facts = {"rule": "unsolicited", "excerpt": data[:64], "seen": len(data)}
            attempt.cause = classify(BODY, MALFORMED, attempt.facts)

    def client_is_full(self) -> None:
        """The client takes no more for now: the server has to wait."""
        if self.conn is not None:
            self.conn.pause_reading()
        if self.tunnel is None:
            self.down.arm("read")

    def client_takes_more(self) -> None:
        """The client reads again."""
        if self.conn is not None:
            self.conn.resume_reading()
        if self.tunnel is not None:
            return
        if self.request_done:
            self.down.arm_total(self.t_limit)
        else:
            self.down.arm("body")
