"""Counts can be added, and stay bounded."""

from hypothesis import given
from hypothesis import strategies as st

from headgate.logs.tally import MOST_NAMES, OTHERS, Tally, count_bounded

REQUESTS = st.lists(
    st.tuples(
        st.integers(-1, 50),
        st.sampled_from([0, 200, 301, 404, 499, 502]),
        st.floats(-1, 300),
        st.sampled_from(["", "a", "b"]),
        st.integers(0, 9),
    ),
    max_size=50,
)


def counted(requests: list[tuple[int, int, float, str, int]]) -> Tally:
    tally = Tally()
    for minute, status, seconds, upstream, size in requests:
        failed = status in (0, 499, 502)
        tally.count(minute, status, 1, int(failed), size)
        tally.took(seconds, upstream, failed)
        tally.span(minute * 60.0)
        if failed:
            tally.blame(f"client{size}", f"/{minute}?q")
    return tally


def told(tally: Tally) -> object:
    minutes = {number: (cell.requests, cell.failed, cell.classes, cell.bytes) for number, cell in tally.minutes.items()}
    servers = {name: (server.requests, server.failed, server.histogram) for name, server in tally.upstreams.items()}
    return (
        tally.requests, tally.failed, tally.bytes, tally.first, tally.last, tally.statuses, tally.histogram, tally.clients,
        tally.paths, minutes, servers,
    )  # fmt: skip


@given(REQUESTS, REQUESTS)
def test_merging_is_counting_together(
    one: list[tuple[int, int, float, str, int]], other: list[tuple[int, int, float, str, int]]
) -> None:
    merged = counted(one)
    merged.merge(counted(other))
    assert told(merged) == told(counted(one + other))


def test_names_are_bounded() -> None:
    tally = Tally()
    for number in range(MOST_NAMES + 10):
        count_bounded(tally.clients, str(number), 1)
    assert tally.clients[OTHERS] == 10
    assert len(tally.clients) == MOST_NAMES + 1
    for number in range(2010):
        tally.took(1.0, str(number), failed=True)
    assert tally.upstreams[OTHERS].requests == 10
