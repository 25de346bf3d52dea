"""Notes of the gateway's own: each is one line with its time, and no trouble with the file is anybody's trouble."""

import os
import re

import pytest

from headgate.net.journal import Journal, stamp

LINE = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z note "


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000.9996, "2023-11-14T22:13:20.999Z"),
        (1_709_164_800.5, "2024-02-29T00:00:00.500Z"),
    ],
)
def test_times(now, text):
    assert stamp(now) == text


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("well", "well"),
        ("two\nlines", "two lines"),
        ("every\r\nkind\x0bof\x85break\u2028there is", "every kind of break there is"),
        ("not \ud800 to be encoded", r"not \ud800 to be encoded"),
        ("", ""),
    ],
)
def test_a_note_is_one_line(tmp_path, said, line):
    Journal(str(tmp_path / "log")).note(said)
    written = (tmp_path / "log").read_bytes().decode()
    assert re.fullmatch(LINE + re.escape(line) + "\n", written), written


def test_it_moves(tmp_path):
    journal = Journal(str(tmp_path / "one"))
    files = len(os.listdir("/proc/self/fd"))
    journal.note("first")
    for _ in range(5):
        journal.move(str(tmp_path / "two"))
    journal.note("second")
    journal.move(str(tmp_path / "nowhere" / "three"))
    assert len(os.listdir("/proc/self/fd")) == files
    assert (tmp_path / "one").read_text().count("\n") == 1
    lines = (tmp_path / "two").read_text().splitlines()
    assert lines[0].endswith(" note second")
    assert lines[1].endswith("three: No such file or directory: notes go on here")


def test_it_is_opened_anew(tmp_path):
    journal = Journal(str(tmp_path / "log"))
    journal.note("first")
    (tmp_path / "log").rename(tmp_path / "older")
    journal.reopen()
    journal.note("second")
    assert " first\n" in (tmp_path / "older").read_text()
    assert " second\n" in (tmp_path / "log").read_text()
    (tmp_path / "log").unlink()
    (tmp_path / "log").mkdir()
    journal.reopen()
    journal.note("third")


def test_a_full_disk_is_nobodys_trouble():
    journal = Journal("/dev/full")
    journal.note("lost")
    journal.reopen()


def test_one_that_cannot_be_opened(tmp_path):
    with pytest.raises(FileNotFoundError):
        Journal(str(tmp_path / "nowhere" / "log"))
