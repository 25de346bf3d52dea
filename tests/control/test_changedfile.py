"""When a watched file has changed."""

import os

from headgate.control.changedfile import ChangedFile


def looks(file, count=3):
    return [file.changed() for _ in range(count)]


def test_a_change_is_told_once_when_it_is_over(tmp_path):
    path = tmp_path / "file"
    path.write_text("one")
    file = ChangedFile(str(path))
    assert looks(file) == [False] * 3
    for text in ("12", "1234", "123456"):
        path.write_text(text)
        assert not file.changed(), "it is being written"
    assert looks(file) == [True, False, False]


def test_what_was_read_meanwhile_is_no_news(tmp_path):
    path = tmp_path / "file"
    path.write_text("one")
    file = ChangedFile(str(path))
    path.write_text("other")
    file.read()
    assert looks(file) == [False] * 3


def test_times_that_lie_ahead_or_back(tmp_path):
    path = tmp_path / "file"
    path.write_text("one")
    file = ChangedFile(str(path))
    for when in (4e9, 1.0):
        os.utime(path, (when, when))
        assert looks(file) == [False, True, False]


def test_a_file_that_goes_and_comes(tmp_path):
    path = tmp_path / "file"
    path.write_text("one")
    file = ChangedFile(str(path))
    path.rename(tmp_path / "away")
    assert looks(file) == [False] * 3
    (tmp_path / "away").rename(path)
    assert looks(file) == [False] * 3, "it is the same"
    path.unlink()
    (tmp_path / "other").write_text("two")
    path.symlink_to("other")
    assert looks(file) == [False, True, False]


def test_none():
    assert looks(ChangedFile("")) == [False] * 3
    assert looks(ChangedFile("\0")) == [False] * 3
