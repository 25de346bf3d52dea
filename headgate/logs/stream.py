"""Owns how bytes of logs come in: files, standard input, compressed files, in blocks of whole lines, in constant memory."""

import bz2
import gzip
import lzma
import os
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

BLOCK: Final = 1 << 20
"""Bytes read at once."""
LONGEST_LINE: Final = 1 << 20
"""Bytes of a line that are kept; the rest of a longer one is thrown away."""
_MAGIC: Final = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\x00": "xz"}
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_CONTROL: Final = bytes(code for code in range(32) if code not in b"\t\n\r\x0b\x0c\x1b\x07\x08")
_NULS: Final = re.compile(rb"\0{16,}")
_SOME: Final = 8192


class Unusable(ValueError):
    """The file cannot be read as a log. The message is a sentence for people."""


class Chunk(NamedTuple):
    """A block of whole lines, each ending in a line feed (the last of a file may lack it)."""

    data: bytes
    done: int  # bytes of the file on disk read so far, for progress; equal to the bytes of text where not compressed
    whole: bool  # its last line ends in a line feed


def opened(path: str) -> tuple[BinaryIO, BinaryIO, str]:
    """Open a file, "-" for standard input, and see through its compression.

    Returns the stream of text, the stream of the file itself (to ask for the position), and the compression's name or "".
    Raises Unusable, OSError.
    """
    if path == "-":
        raw: BinaryIO = sys.stdin.buffer
        start = raw.peek(_SOME)[:_SOME] if hasattr(raw, "peek") else b""
    else:
        if Path(path).is_dir():
            raise Unusable("It is a directory: name the files in it.")
        raw = open(path, "rb")  # noqa: SIM115 - the caller closes it
        start = raw.peek(_SOME)[:_SOME] if hasattr(raw, "peek") else b""
    try:
        return _see_through(raw, start)
    except Unusable:
        raw.close()
        raise


def _see_through(raw: BinaryIO, start: bytes) -> tuple[BinaryIO, BinaryIO, str]:
    if start.startswith(_ZSTD):
        raise Unusable("It is compressed with zstd, which is not read: unpack it first, `zstd -dc FILE | headgate logs -`.")
    name = next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")
    if name:
        return _unpacked(raw, name), raw, name
    refuse_binary(start)
    return raw, raw, ""


def _unpacked(raw: BinaryIO, name: str) -> BinaryIO:
    if name == "gzip":
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
    return bz2.BZ2File(raw) if name == "bzip2" else lzma.LZMAFile(raw)  # type: ignore[return-value]


def refuse_binary(start: bytes) -> None:
    """Raise Unusable for what is no text: many control characters, or text of two bytes per character."""
    text = _NULS.sub(b"", start)  # a machine that lost power leaves such runs in its logs
    if start and not text:
        raise Unusable("It holds nothing but NUL bytes.")
    high = text[1:400:2]
    if text.startswith((b"\xff\xfe", b"\xfe\xff")) or (len(high) > 8 and high.count(0) > len(high) * 0.9):
        raise Unusable("It is text in UTF-16: convert it first, `iconv -f UTF-16 -t UTF-8 FILE | headgate logs -`.")
    control = len(text) - len(text.translate(None, _CONTROL))
    if control > 3 and control > len(text) * 0.03:
        raise Unusable("It is a binary file, not a log.")


def chunks(text: BinaryIO, raw: BinaryIO) -> Iterator[Chunk]:
    """Yield the stream in blocks of whole lines. Memory is bounded: a line is kept to LONGEST_LINE bytes.

    A compressed file that is cut or broken ends where it can no longer be read: raises Unusable after what could be read.
    """
    rest, broken = b"", ""
    skipping = False  # within a line that was too long
    while not broken:
        data, broken = _read(text, several=text is not raw)
        if not data:
            break
        if skipping:
            at = data.find(b"\n")
            if at < 0:
                continue
            rest, data, skipping = rest + b"\n", data[at + 1 :], False
        data = rest + data
        end = data.rfind(b"\n") + 1
        rest = data[end:]
        if len(rest) > LONGEST_LINE:
            rest, skipping = rest[:LONGEST_LINE], True
        if end:
            yield Chunk(data[:end], position(raw), True)
    if rest:
        yield Chunk(rest, position(raw), rest.endswith(b"\n"))
    if broken:
        raise Unusable(broken)


def _read(text: BinaryIO, several: bool) -> tuple[bytes, str]:
    """Return some bytes, and what is wrong with the compressed file. several: a read yields little, so collect."""
    read1 = getattr(text, "read1", text.read)
    parts: list[bytes] = []
    wanted = BLOCK // 2 if several else 1
    try:
        while wanted > 0 and (data := read1(BLOCK)):
            parts.append(data)
            wanted -= len(data)
    except EOFError:
        return b"".join(parts), "The compressed file is cut: what came before was read."
    except (zlib.error, lzma.LZMAError, OSError) as error:
        if not several:
            raise
        return b"".join(parts), f"The compressed file is damaged ({error}): what came before was read."
    return b"".join(parts), ""


def position(raw: BinaryIO) -> int:
    """Return how many bytes of the file were read, -1 where that is not known."""
    try:
        return raw.tell()
    except OSError:
        return -1


def follow(path: str, stop: Callable[[], bool], pause: float = 0.25, from_start: bool = False) -> Iterator[bytes]:
    """Yield lines as they are appended to a file, without line feed, like `tail -F`, until `stop()` is true.

    A file that is replaced (rotated) is read to its end, then the new one from its start; one that was truncated is read from
    its start; one that is missing is waited for. b"" is yielded when nothing came for `pause` seconds, so that callers can
    act in between. A line longer than LONGEST_LINE is cut.
    """
    stream: BinaryIO | None = None
    rest = b""
    at_end = not from_start
    while not stop():
        if stream is None:
            stream, rest = _try_open(path), b""
            if stream and at_end:
                stream.seek(0, os.SEEK_END)
            at_end = False  # only what was there at the beginning is skipped
        data = stream.read(BLOCK) if stream else b""
        if data:
            *lines, rest = (rest + data).split(b"\n")
            rest = rest[:LONGEST_LINE]
            yield from (line[:LONGEST_LINE] for line in lines)
            continue
        if stream and _replaced(stream, path):
            if rest:
                yield rest
            stream.close()
            stream = None
            continue
        yield b""
        time.sleep(pause)
    if stream:
        stream.close()


def _try_open(path: str) -> BinaryIO | None:
    try:
        return open(path, "rb")
    except OSError:
        return None


def _replaced(stream: BinaryIO, path: str) -> bool:
    """Whether the name leads to another file now, or to a shorter one."""
    try:
        named, ours = os.stat(path), os.fstat(stream.fileno())
    except OSError:
        return False
    return (named.st_ino, named.st_dev) != (ours.st_ino, ours.st_dev) or named.st_size < stream.tell()
