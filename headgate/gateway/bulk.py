"""A long response body handed to the kernel: when that can be done, and what the exchange is told of it."""

from typing import TYPE_CHECKING

from ..model.phases import BODY
from ..model.signals import EOF
from ..net.symptoms import signal_of
from .splice import Splice

if TYPE_CHECKING:
    from .upstream import Upstream


class Bulk:
    """The rest of one body on its way from a connection to its exchange's client."""

    __slots__ = ("_conn", "_splice")

    def __init__(self, conn: "Upstream", source: int, target: int) -> None:
        """Raises OSError when descriptors run out."""
        self._conn = conn
        self._splice = Splice(conn.worker.loop, source, target, conn.left, self._moved, self._ended)

    @classmethod
    def begin(cls, conn: "Upstream") -> "Bulk | None":
        """Take over the body of `conn`'s exchange, both sides plain TCP; None where the ordinary way has to go on."""
        assert conn.flow is not None
        client = conn.flow.down.transport
        if client.is_closing() or client.get_write_buffer_size():
            return None  # bytes wait in front: they go first
        try:
            bulk = cls(conn, conn.fileno(), client.get_extra_info("socket").fileno())
        except OSError:
            return None
        conn.transport.pause_reading()
        return bulk

    def start(self) -> None:
        """Move what can be moved now."""
        self._splice.start()

    def stop(self) -> None:
        """Let go."""
        self._splice.stop()

    @property
    def blocked(self) -> bool:
        """Whether it is the client who has to read before anything can move."""
        return self._splice.blocked

    def _moved(self, taken: int, given: int) -> None:
        conn = self._conn
        flow = conn.flow
        if flow is None:
            return
        now = conn.worker.clock()
        if taken:
            conn.last_byte = now
        conn.left -= taken
        flow.spliced(taken, given)
        conn.worker.deadlines.arm(conn, now + (conn.worker.client_timeouts["read"] if self.blocked else flow.idle))

    def _ended(self, how: str, error: OSError | None) -> None:
        conn = self._conn
        flow = conn.flow
        conn.bulk = None
        if flow is None:
            return
        if how == "done":
            conn.transport.resume_reading()
            conn.feed(b"")
        elif how == "target":
            flow.client_left(str(error))
        else:
            signal, facts = signal_of(error) if error is not None else (EOF, {})
            flow.fail(BODY, signal, facts)
