"""How many requests a server may work on at once, learned from how its latency answers to load.

Up to what a server can do at once, latency does not depend on how many requests it has; above, each further one only waits there.
So the latency of now is compared with a baseline, that of the same server with less to do: about the same, and the limit grows by
a little (a queue of its square root); more than tolerated, and it shrinks in proportion.

The baseline follows a faster server by itself. It never follows a slower one while the limit is in use, or it would take its own
overload for normal and grow without end: to learn that a server simply became slower, the limit is halved for two windows now and
then (and one that lies at its least limit anyway is believed to be slower, step by step). All processes of a machine share one
clock, and windows end where it shows a multiple of their length, so all workers step back at once.
"""

from math import inf, sqrt
from typing import Final

_FEWEST: Final = 10  # samples to judge by
_INSTANT: Final = 1e-6  # seconds; nothing is quicker, and ratios exist
_LONGEST: Final = 8  # times the given length that a window may be, for a server whose latency is about as long
_FIRST: Final = 3  # windows at the beginning, before anything is compared
_SHRINK: Final = 0.5  # factor that one step applies at most
_SMOOTH: Final = 0.3  # share of a way down that one step goes: a burst of slow requests is no verdict
_LEARN: Final = 0.2  # share of a new, lower latency in the baseline
_DRIFT: Final = 0.05  # share of a new, higher one while the server has little to do
_DROP: Final = 0.9  # factor for a refused or timed out request, at most once a window
_PROBE: Final = 32  # windows from one probe to the next
_SOON: Final = 8  # windows to the next probe while the last one still found something new
_NEWS: Final = 0.9  # a probe that finds less than this share of the baseline found something new
_STUCK: Final = 5  # windows at the least limit after which the baseline is no longer believed


class Gradient:
    """The limit of one server, or of one upstream, as one process sees it."""

    __slots__ = (
        "_at_least", "_baseline", "_busiest", "_clean", "_count", "_drop_until", "_estimate", "_learning", "_length",
        "_next_probe", "_probing", "_regular", "_sum", "_until", "_window", "least", "limit", "most", "tolerance",
    )  # fmt: skip

    def __init__(self, least: int = 10, most: int = 1000, start: int = 20, tolerance: float = 1.5, window: float = 0.5) -> None:
        """Begin with a guess.

        Args:
            least: the limit never falls below; at least 1.
            most: and never rises above.
            start: the limit before anything is known.
            tolerance: how many times the baseline latency may be before the limit shrinks, at least 1.
            window: seconds that are judged together, at least; a slow server's are longer.

        """
        self.least = least
        self.most = most
        self.tolerance = tolerance
        self.limit = min(most, max(least, start))  # requests at once, to be compared with before each
        self._estimate = float(self.limit)
        self._window = window
        self._length = window  # of the present one
        self._baseline = 0.0  # seconds; 0: unknown
        self._learning = _FIRST  # windows that only make the baseline
        self._until = -inf  # when the window ends; the first one as soon as there is enough to judge by
        self._sum = 0.0
        self._count = 0
        self._busiest = 0
        self._clean = True  # nothing was dropped in this window
        self._drop_until = -inf
        self._at_least = 0  # windows spent at the least limit, in a row
        self._probing = 0  # windows of a probe to come: the first drains what was under way, the second measures
        self._next_probe = inf
        self._regular = False

    @property
    def baseline(self) -> float:
        """Seconds that the server takes when it has little to do; 0: unknown."""
        return self._baseline

    def sample(self, seconds: float, busy: int, now: float) -> None:
        """Take note of a response.

        Args:
            seconds: from the request to the response's head, without any time in a queue of ours.
            busy: requests the server was working on for this process when this one was sent.
            now: CLOCK_MONOTONIC.

        """
        self._sum += seconds
        self._count += 1
        if busy > self._busiest:
            self._busiest = busy
        if now >= self._until:
            self._judge(now)

    def dropped(self, now: float) -> None:
        """Take note that the server refused a request for want of capacity, or that one timed out there."""
        self._clean = False
        if now >= self._drop_until:
            self._drop_until = now + self._window
            self._set(self._estimate * _DROP)

    def _judge(self, now: float) -> None:
        """End the window, if there is enough to judge by."""
        if self._count < _FEWEST:
            return
        latency = max(_INSTANT, self._sum / self._count)
        if self._learning:
            # What comes back first is what was quick: only after some windows is the average one of all requests.
            self._learning -= 1
            self._baseline = latency
            self._plan(now, _SOON)
        elif self._probing:
            self._probe(latency, now)
        else:
            self._step(latency, now)
        self._length = self._window
        while self._length < 2 * latency and self._length < self._window * _LONGEST:
            self._length *= 2
        # Windows end at the same moments in all workers, so that what one measures while probing is not another's full load.
        self._until = (now // self._length + 1) * self._length
        self._sum = 0.0
        self._count = self._busiest = 0
        self._clean = True

    def _step(self, latency: float, now: float) -> None:
        """Move the limit by what a window showed."""
        used = self._busiest * 2 >= self.limit
        if latency < self._baseline:
            if latency < self._baseline * _NEWS:
                self._plan(now, _SOON)
            self._baseline += (latency - self._baseline) * _LEARN
        elif not used:
            self._baseline += (latency - self._baseline) * _DRIFT
        if not used:
            return  # whatever the latency is, it says nothing about the limit
        gradient = max(_SHRINK, min(1.0, self.tolerance * self._baseline / latency))
        change = self._estimate * (gradient - 1) + sqrt(self._estimate)
        if change < 0:
            change *= _SMOOTH
        elif not self._clean:
            change = 0.0
        self._set(self._estimate + change)
        self._doubt(latency)
        if now >= self._next_probe:
            self._probing = 2
            self._set(self._estimate)

    def _doubt(self, latency: float) -> None:
        """Raise a baseline that keeps the limit at its least: the server will never be seen with less to do than that."""
        self._at_least = self._at_least + 1 if self.limit <= self.least else 0
        if self._at_least >= _STUCK:
            self._at_least = 0
            self._baseline = min(latency, self._baseline * self.tolerance)

    def _probe(self, latency: float, now: float) -> None:
        """Take note of a window at half the limit: even that may be more than the server can do, so a baseline rises in steps."""
        self._probing -= 1
        if self._probing:
            return
        news = latency < self._baseline * _NEWS
        if news or self._regular:
            self._baseline = min(latency, self._baseline * self.tolerance)
        self._plan(now, _SOON if news else _PROBE)
        self._set(self._estimate)

    def _plan(self, now: float, windows: int) -> None:
        """Set the time of the next probe, by the clock of the machine."""
        period = windows * self._length
        self._next_probe = (now // period + 1) * period
        # Between the regular probes not all workers probe: the server has more to do then, which may not raise the baseline.
        self._regular = windows == _PROBE

    def _set(self, estimate: float) -> None:
        """Set the limit, half of it while probing."""
        self._estimate = min(float(self.most), max(float(self.least), estimate))
        self.limit = max(self.least, int(self._estimate / 2 if self._probing else self._estimate))
