"""What is kept of every exchange: an access line, one error line for each failed attempt, and counters, in small batches.

Error lines go out at once. Access lines wait for the next tick at most. A log that cannot be written is never waited for.
"""

import os
import time
from collections import Counter
from email.utils import formatdate
from typing import Final

from ..config.schema import Log
from ..model.exchange import Attempt, Exchange
from ..render.access_log import combined_line, json_line
from ..render.error_log import error_line
from ..wire.fields import find

_BATCH: Final = 64
"""Access lines written at once."""


class Recorder:
    """The logs and counters of one worker."""

    def __init__(self, settings: Log) -> None:
        self._settings = settings
        self._line = {"json": self._json, "combined": self._combined}[settings.format] if settings.access != "off" else None
        self._waiting: list[bytes] = []
        self._access = -1
        self._errors = -1
        self._second = 0
        self._prefix = ""
        self._date = b""
        self.exchanges = 0
        self.lost_lines = 0
        self.failures: Counter[str] = Counter()  # failed attempts by cause, near misses included
        self.refusals: Counter[str] = Counter()  # requests that no server was asked about, by cause
        self.reopen()

    def reopen(self) -> None:
        """Open the files anew, after they were moved away (SIGUSR1). Raises OSError when one cannot be opened."""
        self.flush()
        access = self._settings.access
        self._access = _swap(self._access, -1 if access == "off" else 1 if access == "-" else _append(access))
        self._errors = _swap(self._errors, 2 if self._settings.errors == "stderr" else _append(self._settings.errors))

    def ended(self, exchange: Exchange) -> None:
        """Record an exchange that is over."""
        self.exchanges += 1
        if self._line is not None:
            self._waiting.append(self._line(exchange))
            if len(self._waiting) >= _BATCH:
                self.flush()

    def _json(self, exchange: Exchange) -> bytes:
        return json_line(exchange, self.now())

    def _combined(self, exchange: Exchange) -> bytes:
        raw: bytes = getattr(exchange, "raw", b"")
        now = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
        return combined_line(exchange, now, find(raw, b"referer"), find(raw, b"user-agent"))

    def attempt_failed(self, exchange: Exchange, attempt: Attempt) -> None:
        """Record a failed attempt, whether or not the exchange was rescued."""
        assert attempt.cause is not None
        self.failures[attempt.cause.code] += 1
        self._write(self._errors, (error_line(exchange, attempt, self.now()) + "\n").encode())

    def refused(self, exchange: Exchange) -> None:
        """Record a request that failed without, or beside, a server's doing."""
        assert exchange.cause is not None
        self.refusals[exchange.cause.code] += 1
        self._write(self._errors, (error_line(exchange, None, self.now()) + "\n").encode())

    def note(self, text: str) -> None:
        """Write a line of the gateway's own to the error log."""
        self._write(self._errors, f"{self.now()} note {text}\n".encode())

    def flush(self) -> None:
        """Write the access lines that wait."""
        if self._waiting:
            lines, self._waiting = self._waiting, []
            self._write(self._access, b"".join(lines), len(lines))

    def _write(self, fd: int, data: bytes, lines: int = 1) -> None:
        try:
            while data:
                data = data[os.write(fd, data) :]
        except OSError:  # a full disk or a closed pipe must not stop the traffic
            self.lost_lines += lines

    def now(self) -> str:
        """Return the time as RFC 3339 text with milliseconds, UTC."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._second = second
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._date = formatdate(second, usegmt=True).encode()
        return f"{self._prefix}.{int((now - second) * 1000):03d}Z"

    def http_date(self) -> bytes:
        """Return the time for a Date field (RFC 9110 section 6.6.1)."""
        self.now()
        return self._date


def _append(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def _swap(old: int, new: int) -> int:
    if old > 2:
        os.close(old)
    return new
