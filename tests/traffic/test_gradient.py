"""Adaptive concurrency, against a simulated server: so many requests at once, the others wait in its queue."""

import heapq
import random
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.traffic.gradient import Gradient


class Server:
    """Works on `slots` requests at once; workers keep as many under way as their limits and clients allow. Time is simulated."""

    def __init__(
        self, gradients: list[Gradient], slots: int, seconds: float, *, clients: int = 10_000, spread: float = 0.4
    ) -> None:
        self.gradients, self.slots, self.seconds, self.clients = gradients, slots, seconds, clients
        self.spread = spread
        self.now = 5_000.0
        self.busy = [0] * len(gradients)
        self.queue: deque[tuple[float, int, int]] = deque()
        self.running: list[tuple[float, int, float, int, int]] = []
        self.served = 0
        self.random = random.Random(4)

    def fill(self, worker: int) -> None:
        while self.busy[worker] < min(self.gradients[worker].limit, self.clients):
            self.busy[worker] += 1
            self.queue.append((self.now, worker, self.busy[worker]))
        while self.queue and len(self.running) < self.slots:
            self.served += 1
            takes = self.seconds * self.random.uniform(1 - self.spread, 1 + self.spread)
            heapq.heappush(self.running, (self.now + takes, self.served, *self.queue.popleft()))

    def run(self, seconds: float) -> list[int]:
        """Return the sum of the limits after each response of that time."""
        limits = []
        end = self.now + seconds
        for worker in range(len(self.gradients)):
            self.fill(worker)
        while self.running[0][0] < end:
            self.now, _, sent, worker, busy = heapq.heappop(self.running)
            self.busy[worker] -= 1
            self.gradients[worker].sample(self.now - sent, busy, self.now)
            self.fill(worker)
            limits.append(sum(gradient.limit for gradient in self.gradients))
        self.now = end
        return limits


def mean(limits: list[int]) -> float:
    return sum(limits) / len(limits)


@pytest.mark.parametrize(("slots", "seconds", "workers"), [(20, 0.05, 1), (50, 0.05, 1), (150, 0.2, 1), (60, 0.05, 4)])
def test_the_limit_finds_what_the_server_can_do(slots, seconds, workers):
    server = Server([Gradient(least=5) for _ in range(workers)], slots, seconds)
    server.run(60)
    before = server.served
    limits = server.run(40)
    assert slots / 2 < mean(limits) < slots * 2
    assert max(limits) < slots * 2.2
    assert server.served - before > 0.85 * 40 * slots / seconds, "little is lost by stepping back"
    if workers > 1:
        each = [gradient.limit for gradient in server.gradients]
        assert max(each) < 3 * min(each), "no worker takes it all"


def test_it_falls_with_the_server_and_recovers():
    server = Server([Gradient(least=5)], 80, 0.05)
    server.run(60)
    healthy = mean(server.run(10))
    server.slots = 20
    server.run(15)
    assert mean(server.run(5)) < healthy / 2
    server.run(40)
    assert 10 < mean(server.run(20)) < 45
    server.slots = 80
    server.run(60)
    assert 40 < mean(server.run(20)) < 160


def test_a_server_that_became_slower_as_such_is_believed_after_a_while():
    """As many at once as before, each of them four times as long: the limit may fall at first, and must come back."""
    server = Server([Gradient(least=5)], 50, 0.02)
    server.run(60)
    server.seconds = 0.08
    server.run(60)
    assert 25 < mean(server.run(20)) < 100
    server.seconds = 0.02
    server.run(60)
    assert 25 < mean(server.run(20)) < 100


def test_it_does_not_grow_while_unused():
    gradient = Gradient(start=40)
    server = Server([gradient], 1_000, 0.02, clients=15)
    assert set(server.run(60)) == {40}
    server.clients = 10_000
    assert server.run(20)[-1] > 80


def test_slowness_with_little_to_do_changes_no_limit():
    gradient = Gradient(start=40)
    server = Server([gradient], 1_000, 0.02, clients=5)
    server.run(10)
    server.seconds = 1.0
    assert set(server.run(60)) == {40}
    assert gradient.baseline > 0.1


def test_refusals_shrink_it_once_a_window():
    gradient = Gradient(start=100, window=1.0)
    for _ in range(50):
        gradient.dropped(7.0)
    assert gradient.limit == 90
    gradient.dropped(7.9)
    assert gradient.limit == 90
    gradient.dropped(8.0)
    assert gradient.limit == 81


def learned(seconds: float, start: int) -> Gradient:
    """Return a gradient that knows its baseline, at 3 s on its clock."""
    gradient = Gradient(start=start, window=1.0)
    for step in range(3):
        for _ in range(10):
            gradient.sample(seconds, start, float(step))
    assert gradient.baseline == pytest.approx(seconds, abs=1e-5)
    assert gradient.limit == start
    return gradient


def test_a_window_with_a_refusal_does_not_grow_it():
    gradient = learned(0.01, 100)
    for step in range(3, 8):
        gradient.dropped(step + 0.5)
        for _ in range(20):
            gradient.sample(0.01, 100, step + 0.6)
    assert gradient.limit == int(100 * 0.9**5)


def test_a_few_responses_are_no_verdict():
    gradient = learned(0.01, 50)
    for step in range(9):
        gradient.sample(9.0, 50, 10.0 + step)
    assert gradient.limit == 50
    gradient.sample(9.0, 50, 20.0)
    assert gradient.limit < 50


def test_the_quickest_responses_alone_make_no_baseline():
    """With latencies all over, the first ones to come back are quick; believing them would keep the limit at its least."""
    server = Server([Gradient()], 60, 1.0, spread=0.99)
    server.run(200)
    assert 30 < mean(server.run(60)) < 120


def test_no_latency_at_all_is_no_trouble():
    gradient = learned(0.0, 50)
    for step in range(3, 60):
        for _ in range(10):
            gradient.sample(0.0, 1_000, step + 0.5)
    assert gradient.limit > 500


def test_the_start_lies_within_the_bounds():
    assert Gradient(least=30, start=20).limit == 30
    assert Gradient(most=15, start=20).limit == 15


@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 300), st.floats(0, 3), st.integers(1, 15), st.booleans()), max_size=60),
    st.integers(1, 50),
    st.integers(0, 200),
    st.integers(1, 300),
)
def test_law_of_the_bounds(windows, least, more, start):
    """Whatever is measured, the limit stays within its bounds."""
    gradient = Gradient(least, least + more, start)
    now = 0.0
    for seconds, busy, gap, samples, drop in windows:
        now += gap
        for _ in range(samples):
            gradient.sample(seconds, busy, now)
        if drop:
            gradient.dropped(now)
        assert least <= gradient.limit <= least + more
        assert isinstance(gradient.limit, int)
        assert gradient.baseline >= 0
