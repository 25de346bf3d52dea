"""Bytes of logs come in as whole lines: compressed, cut, endless, binary; and followed like `tail -F`."""

import bz2
import gzip
import lzma
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from headgate.logs import stream
from headgate.logs.stream import Unusable, chunks, follow, opened

LINES = b"".join(b"line %d of a log\n" % number for number in range(200_000))


def read_all(path: Path) -> bytes:
    text, raw, _ = opened(str(path))
    with text, raw:
        return b"".join(chunk.data for chunk in chunks(text, raw))


@pytest.mark.parametrize(
    ("pack", "name"),
    [(bytes, ""), (gzip.compress, "gzip"), (bz2.compress, "bzip2"), (lzma.compress, "xz")],
    ids=["plain", "gzip", "bzip2", "xz"],
)
def test_compression_is_seen_through(tmp_path: Path, pack: Callable[[bytes], bytes], name: str) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(pack(LINES))
    text, raw, found = opened(str(path))
    with text, raw:
        parts = list(chunks(text, raw))
    assert found == name
    assert b"".join(part.data for part in parts) == LINES
    assert all(part.data.endswith(b"\n") and part.whole for part in parts)
    assert parts[-1].done == path.stat().st_size


def test_cut_compressed_file_gives_what_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    whole = gzip.compress(os.urandom(100_000).hex().encode() + b"\n" + LINES)
    path.write_bytes(whole[: len(whole) // 2])
    text, raw, _ = opened(str(path))
    read = []
    with text, raw, pytest.raises(Unusable, match="cut"):
        read.extend(chunks(text, raw))
    path.write_bytes(whole[:1000] + b"\0" * 5000 + whole[6000:])
    text, raw, _ = opened(str(path))
    with text, raw, pytest.raises(Unusable, match=r"damaged|cut"):
        list(chunks(text, raw))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 20, "binary"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 100, "zstd"),
        ("line of text\n".encode("utf-16") * 10, "UTF-16"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(data)
    with pytest.raises(Unusable, match=words):
        opened(str(path))


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="directory"):
        opened(str(tmp_path))


def test_nul_bytes_in_a_log_are_no_binary(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"\0" * 300 + LINES[:20_000])
    assert read_all(path) == path.read_bytes()


def test_endless_line_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LONGEST_LINE", 1000)
    monkeypatch.setattr(stream, "BLOCK", 512)
    path = tmp_path / "a.log"
    path.write_bytes(b"first\n" + b"x" * 100_000 + b"\nlast\n")
    first, long, last = read_all(path).splitlines()
    assert (first, last) == (b"first", b"last")
    assert len(long) == 1000


def test_last_line_without_line_feed(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"one\ntw")
    text, raw, _ = opened(str(path))
    with text, raw:
        assert [(part.data, part.whole) for part in chunks(text, raw)] == [(b"one\n", True), (b"tw", False)]


def test_follow_through_rotation_and_truncation(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"old\n")
    steps: list[Callable[[], object]] = [
        lambda: _append(path, b"one\ntw"),
        lambda: _append(path, b"o\n"),
        lambda: (path.rename(tmp_path / "a.log.1"), path.write_bytes(b"three\n")),
        lambda: path.write_bytes(b"4\n"),
    ]
    seen: list[bytes] = []
    done = threading.Event()
    idle = 0
    for line in follow(str(path), done.is_set, pause=0.01):
        if line:
            seen.append(line)
            continue
        idle += 1
        assert idle < 500, f"waited for nothing, saw {seen}"
        if len(seen) >= (0, 1, 2, 3, 4)[4 - len(steps)]:
            if not steps:
                done.set()
            else:
                steps.pop(0)()
    assert seen == [b"one", b"two", b"three", b"4"]


def test_follow_waits_for_a_file(tmp_path: Path) -> None:
    path = tmp_path / "later.log"
    seen: list[bytes] = []
    for number, line in enumerate(follow(str(path), lambda: bool(seen), pause=0.01)):
        assert number < 200
        if line:
            seen.append(line)
        elif number == 2:
            path.write_bytes(b"here\n")
    assert seen == [b"here"]


def _append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
