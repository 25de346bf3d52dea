"""Logs that cannot be written: nothing waits, nothing is torn for good, and what is lost is counted by the line."""

import os

import pytest

from headgate.net import logfile
from headgate.net.logfile import LogFile


@pytest.fixture
def pipe(monkeypatch):
    """A log into a pipe, and its reading end."""
    reading, writing = os.pipe()
    file = LogFile("-", standard=writing)
    yield file, reading
    os.close(reading)
    os.close(writing)


def test_lines_that_do_not_fit_into_a_pipe_are_counted_one_by_one(pipe):
    file, reading = pipe
    line = b"x" * 999 + b"\n"
    for _ in range(4):
        file.write(line * 50, 50)
    os.set_blocking(reading, False)
    got = b""
    while True:
        try:
            got += os.read(reading, 1 << 20)
        except BlockingIOError:
            break
    assert got == line * (len(got) // 1000)
    assert len(got) // 1000 + file.lost == 200
    assert file.lost > 0
    before = file.lost
    file.write(line, 1)
    assert (file.lost, os.read(reading, 10_000)) == (before, line)


def test_a_pipe_that_nobody_reads_any_more():
    reading, writing = os.pipe()
    os.close(reading)
    file = LogFile("stdout", standard=writing)
    file.write(b"a\nb\n", 2)
    assert file.lost == 2
    os.close(writing)
    file.write(b"a\n", 1)
    assert file.lost == 3


def test_a_line_that_a_full_disk_tore_does_not_spoil_the_next(tmp_path, monkeypatch):
    file = LogFile(str(tmp_path / "log"), standard=2)
    room = 5
    write = os.write

    def full(fd, data):
        nonlocal room
        if not room:
            raise OSError(28, "No space left on device")
        count = write(fd, bytes(data[:room]))
        room -= count
        return count

    monkeypatch.setattr(logfile.os, "write", full)
    file.write(b"one\ntwo\nthree\n", 3)
    assert file.lost == 2
    file.write(b"four\n", 1)
    assert file.lost == 3
    room = 1000
    file.write(b"five\n", 1)
    file.write(b"six\n", 1)
    assert (tmp_path / "log").read_text() == "one\nt\nfive\nsix\n"
    assert file.lost == 3


def test_a_disk_that_is_full_between_two_lines_leaves_no_empty_one(tmp_path, monkeypatch):
    file = LogFile(str(tmp_path / "log"), standard=2)
    room = 4
    write = os.write

    def full(fd, data):
        nonlocal room
        if not room:
            raise OSError(28, "No space left on device")
        count = write(fd, bytes(data[:room]))
        room -= count
        return count

    monkeypatch.setattr(logfile.os, "write", full)
    file.write(b"one\ntwo\n", 2)
    room = 100
    file.write(b"three\n", 1)
    assert (tmp_path / "log").read_text() == "one\nthree\n"


def test_a_file_is_opened_anew_or_kept(tmp_path):
    (tmp_path / "logs").mkdir()
    file = LogFile(str(tmp_path / "logs" / "log"), standard=2)
    (tmp_path / "logs").rename(tmp_path / "old")
    with pytest.raises(FileNotFoundError):
        file.reopen()
    file.write(b"kept\n", 1)
    assert (tmp_path / "old" / "log").read_text() == "kept\n"
    (tmp_path / "logs").mkdir()
    file.reopen()
    file.write(b"new\n", 1)
    file.close()
    file.close()
    assert (tmp_path / "logs" / "log").read_text() == "new\n"
