"""Whether a client has come too often: token buckets in shared memory, one count for all workers.

A bucket is kept as one time (GCRA): when it would be full again. Each request that is let in moves that time on by what one
request costs; one that would move it further away than a whole bucket is refused. So nothing has to be refilled, and a bucket
whose time has passed is worth nothing: it may be forgotten.
"""

import fcntl
import os
import time
from functools import lru_cache
from hashlib import blake2b
from math import ceil
from struct import Struct
from typing import Final, NamedTuple

from .shared import Memory

_CELL: Final = 8  # bytes: an int64 or a float64
_WAYS: Final = 8  # places where a bucket may lie
_SET: Final = 2 * _WAYS  # cells of these places: first their marks, then their times
_HEADER: Final = 8  # cells before the first set
_SECRET: Final = 32  # bytes at the beginning, random: without them nobody can choose keys that fall into one place
_SPINS: Final = 50  # tries for a lock before sleeping: it is held for about two microseconds
_NAP: Final = 0.0001  # seconds of sleep between further tries
_GRUDGE: Final = 1.0  # seconds without any patience after it was spent in vain
_SLACK: Final = 0.001  # of one request: what rounding may do
_PLACE: Final = Struct("<Qq")


class Rate(NamedTuple):
    """So many requests in so many seconds."""

    requests: int
    seconds: int

    @property
    def per_second(self) -> float:
        """Requests in one second."""
        return self.requests / self.seconds

    def window(self, burst: int) -> float:
        """Return in how many seconds an empty bucket of that size is full again."""
        return burst * self.seconds / self.requests


class Verdict(NamedTuple):
    """What a bucket says to one request."""

    allowed: bool
    remaining: int  # requests that would be allowed right now, after this one
    reset: float  # seconds until the bucket is full again
    retry_after: float  # seconds until the next request would be allowed; 0 when this one was


_UNCOUNTED: Final = Verdict(True, 0, 0.0, 0.0)


class Buckets:
    """Buckets of any number of rules and clients, in a table of fixed size that all workers share.

    A bucket lies in one of eight places, chosen by a keyed hash of rule and client. When all eight are taken, the one that is
    full the soonest is forgotten. The eight are changed under a lock on their bytes of the file, which the kernel takes back
    from a process that dies. Who cannot get it within the patience (its holder was stopped) lets the request through and counts
    it in uncounted: a rate limit must not be what stops the gateway.
    """

    __slots__ = ("_fd", "_hash", "_impatient_until", "_marks", "_sets", "_times", "_tries", "uncounted")

    def __init__(self, memory: Memory, patience: float = 0.02) -> None:
        """Look at memory as buckets.

        Args:
            memory: made with size(); whoever comes first makes it ready. Nobody but these buckets may use it.
            patience: seconds to wait at most for a process that holds a lock.

        Raises:
            ValueError: the memory holds not one bucket.

        """
        self._sets = (memory.size // _CELL - _HEADER) // _SET
        if self._sets < 1:
            raise ValueError(f"{memory.size} bytes hold no buckets")
        used = memoryview(memory.bytes)[: (_HEADER + self._sets * _SET) * _CELL]
        self._marks = used.cast("q")
        self._times = used.cast("d")
        self._fd = memory.fd
        self._hash = blake2b(digest_size=_PLACE.size, key=_secret(memory))
        self._tries = _SPINS + int(patience / _NAP)
        self._impatient_until = 0.0
        self.uncounted = 0  # requests let through because a lock was not to be had

    @staticmethod
    def size(slots: int) -> int:
        """Return the bytes that at least so many buckets take."""
        return (_HEADER + -(-slots // _WAYS) * _SET) * _CELL

    def take(self, rule: bytes, key: bytes, rate: float, burst: int, now: float) -> Verdict:
        """Take one request out of a client's bucket, if there is one in it.

        Args:
            rule: which limit; its name, so that it stays the same over a reload.
            key: who is limited: an address, a header's value.
            rate: requests a second that come back, above 0.
            burst: requests in a full bucket, at least 1.
            now: CLOCK_MONOTONIC in seconds, the same for all processes of the machine.

        """
        hasher = self._hash.copy()
        hasher.update(b"%d:%b%b" % (len(rule), rule, key))
        number, mark = _PLACE.unpack(hasher.digest())
        first = _HEADER + number % self._sets * _SET
        if not self._lock(first * _CELL, now):
            self.uncounted += 1
            return _UNCOUNTED
        try:
            return self._count(first, mark or 1, 1.0 / rate, burst, now)
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, _SET * _CELL, first * _CELL)

    def _lock(self, start: int, now: float) -> bool:
        """Get the lock of one set of places; say whether that worked."""
        patient = now >= self._impatient_until
        for attempt in range(self._tries if patient else 1):
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, _SET * _CELL, start)
            except OSError:
                if attempt < _SPINS:
                    os.sched_yield()
                else:
                    time.sleep(_NAP)
            else:
                return True
        if patient:
            self._impatient_until = now + _GRUDGE
        return False

    def _count(self, first: int, mark: int, step: float, burst: int, now: float) -> Verdict:
        """Decide and write down, the lock being held."""
        marks = self._marks[first : first + _WAYS].tolist()
        full = burst * step
        if mark in marks:
            place = first + marks.index(mark)
            # A time further away than a whole bucket is left from a slower rule of the same name.
            lacking = min(max(self._times[place + _WAYS] - now, 0.0), full)
        else:
            place = -1
            lacking = 0.0
        after = lacking + step
        if after > full + step * _SLACK:
            return Verdict(False, 0, lacking, after - full)
        if place < 0:
            self._settle(first, mark, now + after)
        else:
            self._times[place + _WAYS] = now + after
        return Verdict(True, max(0, int((full - after) / step + _SLACK)), after, 0.0)

    def _settle(self, first: int, mark: int, due: float) -> None:
        """Put a new bucket in the place of the one that is full the soonest, or was long ago, or never was."""
        times = self._times[first + _WAYS : first + _SET].tolist()
        place = first + times.index(min(times))
        self._marks[place] = 0  # whoever is killed between these lines leaves an empty place, not a wrong bucket
        self._times[place + _WAYS] = due
        self._marks[place] = mark


def _secret(memory: Memory) -> bytes:
    """Return the key of the hash; the first process that asks makes it up."""
    fcntl.lockf(memory.fd, fcntl.LOCK_EX, _SECRET, 0)
    try:
        if not any(memory.bytes[:_SECRET]):
            memory.bytes[:_SECRET] = os.urandom(_SECRET)
        return memory.bytes[:_SECRET]
    finally:
        fcntl.lockf(memory.fd, fcntl.LOCK_UN, _SECRET, 0)


def fields(verdict: Verdict, burst: int, window: float, name: str = "default") -> bytes:
    """Return the header lines that tell a client where it stands (draft-ietf-httpapi-ratelimit-headers-11).

    RateLimit-Policy says the rate in whole seconds. RateLimit says what is left and the seconds that should last: never so few
    that a client which spreads its requests evenly over them would be faster than the rate (section 8.5). A refused client also
    gets Retry-After, which names the same moment (section 6).

    Args:
        verdict: of Buckets.take().
        burst: requests in a full bucket.
        window: seconds in which an empty bucket is full again (Rate.window).
        name: the policy's, printable ASCII.

    Raises:
        ValueError: the name cannot be written as a structured field's string (RFC 9651, 3.3.3).

    """
    left, wait = verdict.remaining, verdict.retry_after
    seconds = _whole(left * window / burst) if verdict.allowed else _whole(wait)
    lines = b"%bRateLimit: %b;r=%d;t=%d\r\n" % (_policy(name, burst, window), _quoted(name), left, seconds)
    return lines if verdict.allowed else b"%bRetry-After: %d\r\n" % (lines, seconds)


@lru_cache(256)
def _policy(name: str, burst: int, window: float) -> bytes:
    seconds = _whole(window)
    quota = int(burst * seconds / window + _SLACK)  # windows have whole seconds: what the rate makes of them
    return b"RateLimit-Policy: %b;q=%d;w=%d\r\n" % (_quoted(name), quota, seconds)


@lru_cache(256)
def _quoted(name: str) -> bytes:
    if not (name.isascii() and name.isprintable()):
        raise ValueError(f"the name of a rate limit goes into a header field: {name!r} is not printable ASCII")
    return b'"%b"' % name.replace("\\", "\\\\").replace('"', '\\"').encode()


def _whole(seconds: float) -> int:
    """Return whole seconds, rounded up, at least one."""
    return max(1, ceil(seconds - 1e-9))
