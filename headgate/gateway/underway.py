"""The state of an exchange under way: what its steps (flow.py) and its endings (ending.py) share."""

import asyncio
from typing import TYPE_CHECKING

from ..model.exchange import Attempt, Exchange
from ..wire.request import RequestHead
from ..wire.response import ResponseHead
from .bodycheck import BodyCheck

if TYPE_CHECKING:
    from ..traffic.shared import Gauge
    from .aside import Aside
    from .dial import Dial
    from .downstream import Downstream
    from .gate import Gate
    from .group import Group
    from .hedge import Hedge
    from .pool import Server
    from .retrying import Retrying
    from .tunnel import Tunnel
    from .upload import Upload
    from .upstream import Upstream
    from .worker import Worker


class UnderWay(Exchange):
    """An exchange under way."""

    __slots__ = (
        "_check", "_continued", "_fresh", "_interim", "_keep", "_timer", "_waits_in", "aside", "attempt",
        "breaker_pass", "chunked", "conn", "down", "group", "head", "hedge", "held", "idle", "judged", "notes", "queued", "raw",
        "request_done", "response_head", "retrying", "server", "started", "t_limit", "tried", "tunnel", "upload", "wait_since",
        "waiting_dial", "worker",
    )  # fmt: skip

    head: RequestHead  # set by `open`, as are group and attempt by the steps that follow
    group: "Group"
    retrying: "Retrying"  # what the route or the upstream says of further tries
    wait_since: float  # when it began to wait in the queue
    breaker_pass: int  # what the circuit breaker gave it
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
        self.waiting_dial: Dial | None = None
        self.server: Server | None = None  # counted as busy with this exchange
        self._timer: asyncio.TimerHandle | None = None  # it waits for its next try
        self._waits_in: Gate | None = None  # it waits in this queue
        self.queued = False  # it has waited in a queue, and need not wait behind others again
        self.tried: list[Server] = []  # servers that failed
        self.held: tuple[Gauge, ...] = ()  # counted in these until it ends
        self.notes = b""  # header lines to be added to the response
        self.aside: Aside | None = None  # a server's answer that is relayed if no better one is found
        self.hedge: Hedge | None = None  # a second try beside the first
        self.judged = False  # the response under way counts as a failure of its server
        self._fresh = False  # the next try must not use a kept connection
        self._interim = 0  # interim responses so far
        self._continued = False  # the client was told 100 (Continue)
        self._keep = False  # the client's connection may serve another request
