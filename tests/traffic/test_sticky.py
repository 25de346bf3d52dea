"""The affinity cookie: it comes back as it went out, and nothing else is believed."""

import re
from http.cookies import SimpleCookie

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headgate.traffic.sticky import MOST_LOOKS, SHORTEST_KEY, Sticky

KEY = bytes(range(32))
STICKY = Sticky("hg_app", KEY)
ID = STICKY.server_id("http://10.0.0.5:3000")
PAIR = STICKY.set_cookie(ID).partition(b";")[0]
VALUE = PAIR.partition(b"=")[2]


def forged(number: int) -> bytes:
    """Return a cookie that looks like ours but is signed by nobody."""
    return b"hg_app=%012d.%020d" % (number, number)


# What is sent


def test_the_cookie_says_nothing_of_the_server():
    assert re.fullmatch(rb"hg_app=[A-Za-z0-9_-]{12}\.[A-Za-z0-9_-]{20}", PAIR)
    assert b"10" not in ID
    assert Sticky("hg_app", b"x" * 32).server_id("http://10.0.0.5:3000") != ID  # nor can guesses be tried out without the key


def test_servers_have_different_ids_that_last():
    ids = {STICKY.server_id(f"http://10.0.{number >> 8}.{number & 255}:80") for number in range(5000)}
    assert len(ids) == 5000
    assert Sticky("other", KEY).server_id("http://10.0.0.5:3000") == ID


@pytest.mark.parametrize(
    ("settings", "attributes"),
    [
        ({}, b"; Path=/; HttpOnly; SameSite=Lax"),
        ({"path": "/shop", "max_age": 3600, "secure": True}, b"; Path=/shop; Max-Age=3600; HttpOnly; Secure; SameSite=Lax"),
        ({"same_site": "None", "secure": True}, b"; Path=/; HttpOnly; Secure; SameSite=None"),
    ],
)
def test_attributes(settings, attributes):
    sticky = Sticky("a", KEY, **settings)
    field = sticky.set_cookie(ID)
    assert field.endswith(attributes)
    assert field.startswith(b"a=" + ID + b".")
    jar = SimpleCookie(field.decode())
    assert jar["a"]["path"] == settings.get("path", "/")
    assert sticky.server_of([b"a=" + jar["a"].value.encode()]) == ID


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"name": ""}, "name: "),
        ({"name": "a b"}, "name: 'a b' is no cookie name"),
        ({"name": "a;b"}, "name: "),
        ({"name": "a=b"}, "name: "),
        ({"name": "a\r\nSet-Cookie: b"}, "name: "),
        ({"name": "n" * 129}, "name: "),
        ({"name": "größe"}, "name: "),
        ({"key": b"k" * (SHORTEST_KEY - 1)}, "key: 15 bytes are too few"),
        ({"path": "shop"}, "path: "),
        ({"path": "/a; Domain=example.org"}, "path: "),
        ({"path": "/a\r\nX: y"}, "path: "),
        ({"path": ""}, "path: "),
        ({"max_age": 0}, "max_age: 0 would delete the cookie"),
        ({"max_age": -5}, "max_age: "),
        ({"same_site": "lax"}, "same_site: "),
        ({"same_site": "None"}, 'same_site: browsers refuse "None" without secure'),
        ({"name": "__Secure-a"}, "name: browsers refuse '__Secure-a' without secure"),
        ({"name": "__host-a"}, "name: browsers refuse '__host-a' without secure"),
        ({"name": "__Host-a", "secure": True, "path": "/shop"}, "name: browsers refuse '__Host-a' with another path"),
    ],
)
def test_settings_that_browsers_refuse_are_refused_by_name(settings, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        Sticky(**{"name": "a", "key": KEY} | settings)


def test_keys_may_be_longer_than_the_hash_takes():
    keys = (b"k" * 64, b"k" * 65, b"k" * 200)
    assert len({Sticky("a", key).set_cookie(ID) for key in keys}) == 3


# What is believed


@pytest.mark.parametrize(
    "fields",
    [
        [PAIR],
        [b"a=b; " + PAIR],
        [PAIR + b"; a=b"],
        [b"a=b;" + PAIR + b";c=d"],
        [b"a=b; \t " + PAIR + b" ; c=d"],
        [b"  " + PAIR],
        [b"a=b", PAIR],  # HTTP/2 may send each cookie in a field of its own (RFC 9113 section 8.2.3)
        [b"xhg_app=1; hg_app2=2; HG_APP=3; hg_app=; " + PAIR],
        [forged(1) + b"; " + PAIR],  # set for another path by somebody else
        [b"hg_app=old; hg_app=" + b"x" * 5000 + b"; " + PAIR],
        [b"broken;;; =; ;=" + b"\xff\x00; " + PAIR],
    ],
)
def test_our_cookie_is_found(fields):
    assert STICKY.server_of(fields) == ID
    assert STICKY.server_of(iter(fields)) == ID


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [b""],
        [b"hg_app"],
        [b"hg_app="],
        [b"hg_app=" + ID],
        [b"hg_app=" + ID + b"."],
        [PAIR[:-1]],
        [PAIR + b"A"],
        [PAIR + b"="],
        [PAIR + b","],
        [b'hg_app="' + VALUE + b'"'],
        [b"hg_app= " + VALUE],
        [b"hg_app =" + VALUE],
        [b"x" + PAIR],
        [b"a=b " + PAIR],  # a part of another cookie's value
        [b"a=b" + b" " * 20 + PAIR],
        [b" " * 20 + PAIR],
        [b"HG_APP=" + VALUE],
        [PAIR.replace(b".", b"_")],
        [PAIR[:20], PAIR[20:]],
        [forged(1)],
    ],
)
def test_anything_else_is_not(fields):
    assert STICKY.server_of(fields) is None


@given(st.integers(0, len(VALUE) - 1), st.integers(1, 255))
def test_no_changed_octet_is_believed(at, change):
    value = bytearray(VALUE)
    value[at] ^= change
    assert STICKY.server_of([b"hg_app=" + value]) is None


def test_a_value_is_good_for_its_cookie_and_its_key_only():
    other_name, other_key = Sticky("hg_api", KEY), Sticky("hg_app", b"k" * 32)
    assert other_name.server_of([b"hg_api=" + VALUE]) is None
    assert other_key.server_of([PAIR]) is None
    assert Sticky("hg_app", KEY, path="/a", max_age=5).server_of([PAIR]) == ID


def test_a_signature_of_one_server_is_none_for_another():
    other = STICKY.server_id("http://10.0.0.6:3000")
    assert STICKY.server_of([b"hg_app=" + other + VALUE[12:]]) is None


@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([PAIR, b"hg_app=", b";", b" ", b"=", VALUE, ID])), max_size=12))
@example([b"hg_app=", b"hg_app=", PAIR])
def test_whatever_comes_there_is_our_id_or_none(parts):
    assert STICKY.server_of([b"".join(parts)]) in (ID, None)
    assert STICKY.server_of(parts) in (ID, None)


def test_looking_is_bounded(monkeypatch):
    few = [forged(number) for number in range(MOST_LOOKS - 1)]
    assert STICKY.server_of([b"; ".join([*few, PAIR])]) == ID
    many = [forged(number) for number in range(MOST_LOOKS)]
    assert STICKY.server_of([b"; ".join([*many, PAIR])]) is None
    assert STICKY.server_of([*many, PAIR]) is None
    signed = []
    monkeypatch.setattr(Sticky, "_signature", lambda self, server_id: signed.append(server_id) or b"")
    for hostile in (
        b"; ".join([forged(1)] * 10_000),
        b"hg_app=" * 100_000,
        b" " * 1_000_000,
        b";" * 1_000_000,
        b"hg_app" * 100_000,
    ):
        STICKY.server_of([hostile] * 3)
    assert len(signed) <= MOST_LOOKS
