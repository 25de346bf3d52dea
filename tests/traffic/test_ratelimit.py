"""Rate limits: the laws of one bucket, many processes at one bucket, killed and stopped ones, and the fields clients get."""

import fcntl
import os
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate.traffic.ratelimit import Buckets, Rate, Verdict, fields
from headgate.traffic.shared import Memory, create

NOW = 1_000_000.0
WHO = (b"api", b"192.0.2.7")


@pytest.fixture
def memory():
    made = create(Buckets.size(64))
    yield made
    made.close()


@pytest.fixture
def buckets(memory):
    return Buckets(memory, patience=30)


def forked(work) -> tuple[int, int]:
    """Run work in a child process, return its pid and a pipe with what it says. It is killed if it takes too long."""
    ready, say = os.pipe()
    pid = os.fork()
    if pid:
        os.close(say)
        return pid, ready
    try:
        signal.alarm(50)
        work(say)
        os._exit(0)
    finally:
        os._exit(1)


def heard(pid: int, ready: int, said: bytes = b"") -> int:
    """Return the number a child wrote last, 0 if none; said is what was read already. The child is gone then."""
    while data := os.read(ready, 4096):
        said += data
    os.close(ready)
    os.waitpid(pid, 0)
    return int(said.split()[-1]) if said else 0


def test_a_burst_then_the_rate(buckets):
    first = buckets.take(*WHO, 10.0, 3, NOW)
    assert first.allowed
    assert first.remaining == 2
    assert first.reset == pytest.approx(0.1)
    assert [buckets.take(*WHO, 10.0, 3, NOW).allowed for _ in range(3)] == [True, True, False]
    refused = buckets.take(*WHO, 10.0, 3, NOW + 0.04)
    assert refused == (False, 0, pytest.approx(0.26), pytest.approx(0.06))
    assert [buckets.take(*WHO, 10.0, 3, NOW + 0.1).allowed for _ in range(2)] == [True, False]
    assert buckets.take(*WHO, 10.0, 3, NOW + 60).remaining == 2
    assert buckets.uncounted == 0


def test_rules_and_clients_do_not_share(buckets):
    names = [(b"a", b"bc"), (b"ab", b"c"), (b"abc", b""), (b"", b"abc"), (b"a", b"bd")]
    assert all(buckets.take(rule, key, 1.0, 1, NOW).allowed for rule, key in names)
    assert not any(buckets.take(rule, key, 1.0, 1, NOW).allowed for rule, key in names)


def test_a_rule_that_became_faster_forgives(buckets):
    for _ in range(5):
        buckets.take(*WHO, 0.001, 5, NOW)
    assert buckets.take(*WHO, 0.001, 5, NOW).retry_after == pytest.approx(1000)
    assert buckets.take(*WHO, 10.0, 5, NOW).retry_after == pytest.approx(0.1)


@given(
    st.lists(st.floats(0, 3), min_size=1, max_size=60),
    st.floats(0.1, 50),
    st.integers(1, 12),
)
def test_law_of_one_bucket(gaps, rate, burst):
    """Never more than burst and rate times the time, in any stretch; none refused while one is left; verdicts come true."""
    memory = create(Buckets.size(8))
    buckets = Buckets(memory)
    now, level, granted = NOW, float(burst), []
    for gap in gaps:
        now += gap
        level = min(float(burst), level + gap * rate)
        verdict = buckets.take(b"", b"", rate, burst, now)
        if abs(level - 1) > 0.01:
            assert verdict.allowed == (level > 1)
        if verdict.allowed:
            level -= 1
            granted.append(now)
            assert verdict.remaining == pytest.approx(level, abs=1.01)
            assert verdict.retry_after == 0
        else:
            assert verdict.remaining == 0
            assert 0 < verdict.retry_after <= 1.001 / rate
    for start, early in enumerate(granted):
        assert len(granted) - start <= burst + (granted[-1] - early) * rate + 0.05
    last = buckets.take(b"", b"", rate, burst, now)
    for _ in range(last.remaining):
        last = buckets.take(b"", b"", rate, burst, now)
        assert last.allowed
    refused = last if not last.allowed else buckets.take(b"", b"", rate, burst, now)
    assert not refused.allowed
    assert not buckets.take(b"", b"", rate, burst, now + refused.retry_after - 0.01 / rate).allowed
    assert buckets.take(b"", b"", rate, burst, now + refused.retry_after).allowed
    memory.close()


def test_a_full_table_forgets_the_one_that_is_full_the_soonest():
    memory = create(Buckets.size(8))
    buckets = Buckets(memory)
    for number in range(8):
        for _ in range(1 if number == 5 else 3):
            assert buckets.take(b"r", b"%d" % number, 0.1, 5, NOW).allowed
    assert buckets.take(b"r", b"new", 0.1, 5, NOW).remaining == 4
    for number in (0, 1, 2, 3, 4, 6, 7):
        assert buckets.take(b"r", b"%d" % number, 0.1, 5, NOW).remaining == 1
    assert buckets.take(b"r", b"new", 0.1, 5, NOW).remaining == 3
    assert buckets.take(b"r", b"5", 0.1, 5, NOW).remaining == 4, "it was forgotten, and is new"
    memory.close()


def test_memory_stays_bounded_under_many_keys(memory, buckets):
    assert buckets.take(*WHO, 0.001, 5, NOW + 5000).allowed
    for number in range(5_000):
        assert buckets.take(b"r", b"%d" % number, 1.0, 1, NOW).allowed
    assert memory.size == Buckets.size(64)
    assert buckets.take(*WHO, 0.001, 5, NOW + 5000).remaining == 3, "the emptiest bucket is the last to be forgotten"


def test_too_small_a_memory_is_refused():
    memory = create(64)
    with pytest.raises(ValueError, match="64 bytes hold no buckets"):
        Buckets(memory)
    memory.close()


def test_another_process_sees_the_same_buckets(memory, buckets):
    assert buckets.take(*WHO, 1.0, 2, NOW).remaining == 1
    pid, ready = forked(lambda say: os.write(say, b"%d" % Buckets(Memory(memory.fd)).take(*WHO, 1.0, 2, NOW).remaining))
    assert heard(pid, ready) == 0
    assert not buckets.take(*WHO, 1.0, 2, NOW).allowed


def hammer(buckets, say, rounds: int = 1) -> None:
    """Ask for more than there is, in four seconds of a time of our own; say after each take how many were allowed.

    Most are allowed, so that most change the bucket: were that not done under a lock, changes would be lost and more be allowed.
    """
    allowed = 0
    for step in range(rounds * 10_001):
        allowed += buckets.take(*WHO, 1.0, 15_000, NOW + step % 10_001 / 2_500).allowed
        os.write(say, b"%d\n" % allowed)
    if buckets.uncounted:
        os.write(say, b"-1000000\n")


def test_processes_share_one_count(buckets):
    children = [forked(lambda say: hammer(buckets, say)) for _ in range(4)]
    total = sum(heard(*child) for child in children)
    assert total == pytest.approx(15_000 + 4, abs=1)


def test_killed_processes_block_nobody(buckets):
    """Killed wherever they just are, some of them within a take: what they took stays taken, one of each may be unreported."""
    survivors = [forked(lambda say: hammer(buckets, say)) for _ in range(2)]
    total = 0
    for number in range(12):
        pid, ready = forked(lambda say: hammer(buckets, say, rounds=1_000))
        said = b""
        while len(said) < number * 20:
            said += os.read(ready, 1) or pytest.fail("it ended by itself")
        os.kill(pid, signal.SIGKILL)
        total += heard(pid, ready, said)
    total += sum(heard(*child) for child in survivors)
    assert 15_003 - 12 <= total <= 15_005


def test_the_lock_of_a_killed_process_is_free(memory, buckets):
    def hold(say: int) -> None:
        fcntl.lockf(memory.fd, fcntl.LOCK_EX)
        os.write(say, b"1\n")
        signal.pause()

    pid, ready = forked(hold)
    assert os.read(ready, 2) == b"1\n"
    os.kill(pid, signal.SIGKILL)
    heard(pid, ready)
    assert buckets.take(*WHO, 1.0, 2, NOW).remaining == 1
    assert buckets.uncounted == 0


def test_a_process_stopped_within_a_take_stops_nobody(memory):
    buckets = Buckets(memory)

    def hold(say: int) -> None:
        fcntl.lockf(memory.fd, fcntl.LOCK_EX)
        os.write(say, b"1\n")
        signal.pause()

    pid, ready = forked(hold)
    assert os.read(ready, 2) == b"1\n"
    assert [buckets.take(*WHO, 1.0, 1, NOW).allowed for _ in range(50)] == [True] * 50
    assert buckets.uncounted == 50
    os.kill(pid, signal.SIGKILL)
    heard(pid, ready)
    assert [buckets.take(*WHO, 1.0, 1, NOW).allowed for _ in range(2)] == [True, False]
    assert buckets.uncounted == 50


def test_a_rate_in_seconds():
    assert Rate(20, 60).per_second == pytest.approx(1 / 3)
    assert Rate(20, 60).window(20) == 60
    assert Rate(100, 1).window(10) == pytest.approx(0.1)


def test_fields_of_an_allowed_request():
    assert fields(Verdict(True, 50, 30.0, 0.0), 100, 60.0) == (
        b'RateLimit-Policy: "default";q=100;w=60\r\nRateLimit: "default";r=50;t=30\r\n'
    )
    assert fields(Verdict(True, 0, 60.0, 0.0), 100, 60.0, 'a "b" \\') == (
        b'RateLimit-Policy: "a \\"b\\" \\\\";q=100;w=60\r\nRateLimit: "a \\"b\\" \\\\";r=0;t=1\r\n'
    )


def test_fields_of_a_refused_request_name_one_moment():
    assert fields(Verdict(False, 0, 59.0, 2.2), 20, 60.0, "api") == (
        b'RateLimit-Policy: "api";q=20;w=60\r\nRateLimit: "api";r=0;t=3\r\nRetry-After: 3\r\n'
    )


@pytest.mark.parametrize("name", ["a\r\nSet-Cookie: b", "\x7f", "Straße"])
def test_a_name_that_is_no_field_string_is_refused(name):
    with pytest.raises(ValueError, match="not printable ASCII"):
        fields(Verdict(True, 1, 1.0, 0.0), 2, 2.0, name)


@given(st.integers(1, 10**6), st.sampled_from([1, 60, 3600, 86400]), st.integers(1, 10**6), st.data())
def test_law_of_the_fields(count, seconds, burst, data):
    """The policy tells the rate, at most; who spreads what remains over the time told is not faster than the rate."""
    left = data.draw(st.integers(0, burst - 1))
    rate = Rate(count, seconds)
    written = fields(Verdict(True, left, 1.0, 0.0), burst, rate.window(burst)).decode()
    values = {part[0]: int(part[2:]) for part in written.replace("\r\n", ";").split(";") if part[1:2] == "="}
    assert values["q"] / values["w"] <= rate.per_second * 1.001 + 0.001
    assert values["q"] + 1 > rate.per_second * values["w"] * 0.999
    assert values["r"] == left
    assert left / values["t"] <= rate.per_second * 1.001
