"""What is kept of every exchange: an access line, one error line for each failed attempt, and counters, in small batches.

Error lines go out with the present turn of the loop, access lines with the next tick at most. A log that takes no more is never
waited for: its lines are counted as lost.
"""

import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from ..config.schema import Log
from ..model.exchange import Attempt, Exchange
from ..model.signals import CIRCUIT, LIMIT, OVERLOAD, RATE
from ..net.logfile import LogFile
from ..render.access_log import combined_line, json_line, traced_json_line
from ..render.error_log import error_line
from ..wire.fields import find
from .counts import Counts

_BATCH: Final = 64
"""Access lines written at once."""
SHED_LINES: Final = 10
"""Error lines a second for each cause of shedding: telling of overload must not become the load."""
_SHED: Final = frozenset({LIMIT, OVERLOAD, RATE, CIRCUIT})


class Recorder:
    """The logs and counters of one worker."""

    def __init__(self, settings: Log, soon: Callable[[Callable[[], None]], object]) -> None:
        """soon: calls a function with the next turn of the loop. Raises OSError when a file cannot be opened."""
        self._soon = soon
        self._access = LogFile(settings.access, standard=1) if settings.access != "off" else None
        self._errors = LogFile(settings.errors, standard=2)
        self._format = settings.format
        self._line = self._json
        self.trace(False)
        self._lines: list[bytes] = []
        self._error_lines: list[str] = []
        self._shed: Counter[str] = Counter()  # requests that were shed in this second, by cause
        self._shed_second = 0
        self._second = 0
        self._prefix = ""
        self._date = b""
        self.counts = Counts()
        self.refusals: Counter[str] = Counter()  # requests that failed without, or beside, a server's doing, by cause

    @property
    def exchanges(self) -> int:
        """Exchanges that are over."""
        return self.counts.exchanges

    @property
    def failures(self) -> Counter[str]:
        """Failed attempts by cause, near misses included."""
        return self.counts.failures

    @property
    def lost_lines(self) -> int:
        """Lines that could not be written."""
        return self._errors.lost + (self._access.lost if self._access is not None else 0)

    def follow(self, before: "Recorder") -> None:
        """Go on counting where another recorder, which writes no more, has come to."""
        before.flush()
        self.counts, self.refusals = before.counts, before.refusals
        before.close()

    def close(self) -> None:
        """Write what waits, and close the files."""
        self.flush()
        self._errors.close()
        if self._access is not None:
            self._access.close()

    def reopen(self) -> None:
        """Open the files anew, after they were moved away (SIGUSR1). Raises OSError when one cannot be opened."""
        self.flush()
        self._errors.reopen()
        if self._access is not None:
            self._access.reopen()

    def ended(self, exchange: Exchange) -> None:
        """Record an exchange that is over."""
        self.counts.ended(exchange)
        if self._access is not None:
            self._lines.append(self._line(exchange))
            if len(self._lines) >= _BATCH:
                self.flush()

    def trace(self, on: bool) -> None:
        """Let access lines tell of traces from now on, or leave it; not in the combined form, which has no place for it."""
        json = self._traced_json if on else self._json
        self._line = {"json": json, "combined": self._combined}[self._format]

    def _json(self, exchange: Exchange) -> bytes:
        return json_line(exchange, self.now())

    def _traced_json(self, exchange: Exchange) -> bytes:
        return traced_json_line(exchange, self.now())

    def _combined(self, exchange: Exchange) -> bytes:
        raw: bytes = getattr(exchange, "raw", b"")
        now = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
        return combined_line(exchange, now, find(raw, b"referer"), find(raw, b"user-agent"))

    def attempt_failed(self, exchange: Exchange, attempt: Attempt) -> None:
        """Record a failed attempt, whether or not the exchange was rescued."""
        self.counts.attempt_failed(attempt)
        self._tell(error_line(exchange, attempt, self.now()))

    def refused(self, exchange: Exchange) -> None:
        """Record a request that failed without, or beside, a server's doing."""
        assert exchange.cause is not None
        self.refusals[exchange.cause.code] += 1
        if exchange.signal not in _SHED or self._has_room(exchange.cause.code):
            self._tell(error_line(exchange, None, self.now()))

    def _has_room(self, code: str) -> bool:
        """Tell whether a request that was shed gets a line of its own: the first few of each second do, others are counted."""
        now = int(time.time())
        if now != self._shed_second:
            self._tell_shed()
            self._shed_second = now
        self._shed[code] += 1
        return self._shed[code] <= SHED_LINES

    def _tell_shed(self) -> None:
        """Note how many requests were shed without a line."""
        for code, count in self._shed.items():
            if count > SHED_LINES:
                self.note(f"{count - SHED_LINES} more requests got {code} within a second; the access log has each of them")
        self._shed.clear()

    def note(self, text: str) -> None:
        """Write a line of the gateway's own to the error log."""
        self._tell(f"{self.now()} note {text}")

    def _tell(self, line: str) -> None:
        if not self._error_lines:
            self._soon(self._flush_errors)
        self._error_lines.append(line)

    def _flush_errors(self) -> None:
        if self._error_lines:
            lines, self._error_lines = self._error_lines, []
            lines.append("")
            self._errors.write("\n".join(lines).encode(), len(lines) - 1)

    def flush(self) -> None:
        """Write the lines that wait."""
        if self._shed and int(time.time()) != self._shed_second:
            self._tell_shed()
        self._flush_errors()
        if self._lines and self._access is not None:
            lines, self._lines = self._lines, []
            self._access.write(b"".join(lines), len(lines))

    def now(self) -> str:
        """Return the time as RFC 3339 text with milliseconds, UTC."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
            self._date = formatdate(second, usegmt=True).encode()
        return f"{self._prefix}{int((now - second) * 1000):03d}Z"

    def http_date(self) -> bytes:
        """Return the time for a Date field (RFC 9110 section 6.6.1)."""
        self.now()
        return self._date
