import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from headgate.render.visible import visible


def test_what_cannot_be_seen_is_spelled_out():
    assert visible("a\r\n\tb\x1b[0m\x00") == "a\\r\\n\\tb\\x1b[0m\\x00"
    assert visible("abc\u202edef\u2066\ufeff\u200b") == "abc\\u202edef\\u2066\\ufeff\\u200b"
    assert visible("\U000e0041") == "\\U000e0041"
    assert visible("a\u00a0b") == "a b"
    assert visible("\ud800") == "\\ud800"


def test_letters_of_all_scripts_stay():
    assert visible("Überfluß 東京 Ωμέγα é") == "Überfluß 東京 Ωμέγα é"


def test_a_tower_of_marks_is_cut_down():
    assert visible("a" + "\u0301" * 50).count("\u0301") == 4


def test_it_is_bounded():
    assert visible("x" * 100, 10) == "x" * 9 + "…"


@given(st.text())
def test_nothing_invisible_is_left(text):
    assert all(unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in visible(text))
