"""Consistent hashes: the same everywhere, even, and quiet when servers change."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headgate.traffic.hashing import FAR, MOST_POINTS, SLOTS, STEP, Maglev, RingHash, place_of

QUICK = settings(max_examples=25, deadline=None)
BOTH = pytest.mark.parametrize("policy", [RingHash, Maglev])
KEYS = [b"/products/%d" % number for number in range(1000)]
MANY = [b"203.0.%d.%d" % (number >> 8, number & 255) for number in range(30_000)]


@dataclass(slots=True, eq=False)
class Server:
    label: str
    share: int = 1
    busy: int = 0
    cost: float = 0.0
    priority: int = 0


def servers(*shares: int) -> list[Server]:
    return [Server(f"http://10.0.0.{number}:80", share) for number, share in enumerate(shares)]


SMALL = st.lists(st.integers(1, 10), min_size=2, max_size=9)
LARGE = st.lists(st.integers(1, 1000), min_size=2, max_size=9)


def moved(before, after, keys, apart_from=None):
    """Return the share of the keys that changed their server, not counting those of one server."""
    changed = 0
    for key in keys:
        was = before.pick(key)
        changed += was is not apart_from and after.pick(key) is not was
    return changed / len(keys)


# The same in every process


@BOTH
def test_keys_keep_their_servers_from_version_to_version(policy):
    """Two versions run side by side during an upgrade: a change of these rows moves every client's keys."""
    made = policy(servers(1, 2, 3, 1))
    found = "".join(made.pick(b"key %d" % number).label[14] for number in range(40))
    assert (
        found
        == {
            RingHash: "3202320212123223222231020322122013122212",
            Maglev: "1002202201123313223112222312201112120211",
        }[policy]
    )


@BOTH
def test_every_process_finds_the_same(policy):
    program = (
        f"from headgate.traffic.hashing import {policy.__name__} as P\n"
        "class S:\n def __init__(s, n): s.label, s.share, s.busy = f'http://10.0.0.{n}:80', n + 1, 0\n"
        "p = P([S(n) for n in range(4)])\n"
        "print(''.join(p.pick(b'%d' % n).label[14] for n in range(200)))"
    )
    outputs = set()
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        run = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, check=True, timeout=30)
        outputs.add(run.stdout)
    here = policy(servers(1, 2, 3, 4))
    assert outputs == {"".join(here.pick(b"%d" % number).label[14] for number in range(200)).encode() + b"\n"}


@BOTH
@QUICK
@given(shares=SMALL, chance=st.randoms(use_true_random=False))
def test_the_order_of_the_list_does_not_matter(policy, shares, chance):
    group = servers(*shares)
    shuffled = chance.sample(group, len(group))
    assert moved(policy(group), policy(shuffled), KEYS) == 0


@BOTH
def test_names_of_any_kind_are_hashed(policy):
    group = [Server("unix:/run/größe.sock"), Server("unix:/run/\udcff.sock")]
    made = policy(group)
    assert {made.pick(key) for key in KEYS} == set(group)


def test_the_ring_is_closed():
    """A key behind the last point belongs to the first."""
    group = servers(1, 1, 1)
    made = RingHash(group)
    key = next(key for key in MANY if place_of(key) > made._points[-1])
    assert made.pick(key) is made._owners[0] is not made._owners[-1]


# Few keys move


@QUICK
@given(shares=SMALL, data=st.data())
def test_ring_moves_only_the_keys_of_the_server_that_went(shares, data):
    group = servers(*shares)
    gone = data.draw(st.sampled_from(group))
    before, after = RingHash(group), RingHash([server for server in group if server is not gone])
    assert moved(before, after, KEYS, apart_from=gone) == 0


@QUICK
@given(shares=LARGE, data=st.data())
def test_with_large_shares_ring_moves_not_many_more(shares, data):
    """At some sums each unit of share must have fewer points: then as many keys move as points come or go."""
    group = servers(*shares)
    gone = data.draw(st.sampled_from(group))
    before, after = RingHash(group), RingHash([server for server in group if server is not gone])
    ratio = STEP * sum(shares) / (sum(shares) - gone.share)
    assert moved(before, after, KEYS, apart_from=gone) <= 1 - 1 / ratio + 0.05


@QUICK
@given(shares=SMALL, data=st.data())
def test_ring_sends_a_retry_where_the_key_would_go_without_the_server(shares, data):
    group = servers(*shares)
    gone = data.draw(st.sampled_from(group))
    before, after = RingHash(group), RingHash([server for server in group if server is not gone])
    for key in KEYS:
        assert before.pick_other(key, [gone]) is after.pick(key)


@QUICK
@given(shares=st.lists(st.integers(1, 10), min_size=2, max_size=9), share=st.integers(1, 10), data=st.data())
def test_ring_moves_keys_only_to_or_from_the_server_whose_share_changes(shares, share, data):
    group = servers(*shares)
    before = RingHash(group)
    owners = {key: before.pick(key) for key in KEYS}
    changed = data.draw(st.sampled_from(group))
    grows, changed.share = share >= changed.share, share
    after = RingHash(group)
    for key, owner in owners.items():
        now = after.pick(key)
        assert now is owner or (now if grows else owner) is changed


@pytest.mark.parametrize("shares", [(1,) * 5, (100,) * 5, (1,) * 100, (3, 2, 1, 5, 4)])
def test_maglev_moves_few_keys_of_the_servers_that_stay(shares):
    group = servers(*shares)
    for gone in group[:3]:
        after = Maglev([server for server in group if server is not gone])
        assert moved(Maglev(group), after, MANY[:5000], apart_from=gone) < 0.05


@BOTH
@pytest.mark.parametrize("number", [2, 5, 20])
def test_a_new_server_takes_its_part_and_no_more(policy, number):
    *old, new = group = servers(*[1] * (number + 1))
    before, after = policy(old), policy(group)
    part = sum(after.pick(key) is new for key in MANY) / len(MANY)
    assert 0.75 / (number + 1) < part < 1.25 / (number + 1)
    assert moved(before, after, MANY) <= part + (0 if policy is RingHash else 0.05)


@BOTH
def test_a_slow_start_moves_only_what_the_server_gains(policy):
    group = servers(*[50] * 6)
    group[0].share = 10
    before = policy(group)
    owners = {key: before.pick(key) for key in MANY}
    group[0].share = 20
    after = policy(group)
    changed = {key for key, owner in owners.items() if after.pick(key) is not owner}
    gained = {key for key in changed if after.pick(key) is group[0]}
    assert gained
    assert len(changed) - len(gained) <= (0 if policy is RingHash else 0.05 * len(MANY))


def test_where_the_ring_is_full_a_change_moves_little():
    group = servers(*[1] * 440)
    rings = [RingHash(group[:size]) for size in (405, 410, 440)]
    assert all(ring._count <= MOST_POINTS for ring in rings)
    assert rings[0]._count / 405 > rings[1]._count / 410  # a step
    assert moved(rings[0], rings[1], KEYS) < 1.5 * (1 - 1 / STEP) + 5 / 410
    assert moved(rings[1], rings[2], KEYS) < 1.5 * 30 / 440


# Shares


@BOTH
@pytest.mark.parametrize("shares", [(1, 1), (1,) * 10, (3, 1), (1, 2, 3, 4), (100, 50, 100), (1000, 500, 10)])
def test_keys_spread_by_shares(policy, shares):
    group = servers(*shares)
    made = policy(group)
    picked = Counter(made.pick(key) for key in MANY)
    tolerance = 0.25 if policy is RingHash else 0.05
    for server in group:
        expected = len(MANY) * server.share / sum(shares)
        assert abs(picked[server] - expected) < tolerance * expected + 4 * expected**0.5


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30))
@QUICK
def test_maglev_entries_follow_the_shares(shares):
    group = servers(*shares)
    entries = Counter(Maglev(group)._owners)
    assert sum(entries.values()) == SLOTS
    for server in group:
        assert abs(entries[server] - SLOTS * server.share / sum(shares)) < 0.02 * SLOTS * server.share / sum(shares) + 4


@BOTH
def test_a_thousand_servers_all_have_keys(policy):
    group = servers(*[1] * 1000)
    made = policy(group)
    assert len({made.pick(key) for key in MANY}) > 950


@pytest.mark.parametrize(
    "keys",
    [
        [b"user%d" % number for number in range(32_000)],
        [b"10.0.%d.%d" % (number >> 8, number & 255) for number in range(32_000)],
        [b"/a/very/long/path/that/all/keys/share/and/then/%06d/and/again" % number for number in range(32_000)],
        [number.to_bytes(8) for number in range(32_000)],
    ],
    ids=["names", "addresses", "paths", "numbers"],
)
def test_keys_that_are_alike_spread_evenly(keys):
    buckets = Counter(place_of(key) * 64 >> 32 for key in keys)
    expected = len(keys) / 64
    assert len(buckets) == 64
    assert sum((count - expected) ** 2 / expected for count in buckets.values()) < 130  # 63 degrees of freedom, p = 1e-6
    entries = Counter(place_of(key) % SLOTS % 64 for key in keys)
    assert sum((count - expected) ** 2 / expected for count in entries.values()) < 130


@BOTH
def test_the_lightest_among_many_heavy_ones_has_an_entry(policy):
    light, *_ = group = servers(1, *[1000] * 100)
    assert light in policy(group)._owners


# Trying elsewhere


@BOTH
def test_a_light_server_far_off_is_found(policy):
    heavy, *light = servers(1000, 1, 1)
    made = policy([heavy, *light])
    picked = Counter(made.pick_other(key, [heavy]) for key in KEYS)
    assert set(picked) == set(light)
    assert max(picked.values()) < 1.6 * min(picked.values())
    assert made._count > 10 * FAR


def test_maglev_sends_the_retries_of_one_server_to_all_others():
    group = servers(1, 1, 1, 1)
    made = Maglev(group)
    picked = Counter(made.pick_other(key, [group[0]]) for key in KEYS if made.pick(key) is group[0])
    assert set(picked) == set(group[1:])
    assert max(picked.values()) < 2 * min(picked.values())
