"""What a response body is held to on its way through, where the configuration asks for it: a largest size, and that it decodes.

Nothing is changed: the bytes go on as they came.
"""

import zlib
from typing import Final

from ..model.facts import Facts
from ..model.signals import CODING, TOO_LARGE

_WINDOWS: Final = {b"gzip": zlib.MAX_WBITS | 16, b"x-gzip": zlib.MAX_WBITS | 16, b"deflate": zlib.MAX_WBITS}
_STEP: Final = 1 << 16
"""Bytes decoded at a time: the output is thrown away, and its size stays bounded."""

Fault = tuple[str, Facts]
"""A signal and its evidence."""


class BodyCheck:
    """The state of one body's checks."""

    __slots__ = ("_coding", "_decoder", "_limit", "_offset")

    def __init__(self, limit: int, coding: bytes) -> None:
        """limit: most bytes, 0 for any number; coding: the content coding to decode. br, zstd, lists and b"" are not decoded."""
        self._limit = limit
        self._coding = coding.decode("latin-1")
        window = _WINDOWS.get(coding)
        self._decoder = zlib.decompressobj(window) if window is not None else None
        self._offset = 0

    def announced(self, length: int) -> Fault | None:
        """Return what is wrong with a body of this length."""
        if self._limit and length > self._limit:
            return TOO_LARGE, {"limit": "response_body_bytes", "limit_value": self._limit, "seen": length}
        return None

    def peek(self, data: bytes) -> Fault | None:
        """Look at the first bytes before anything is relayed, without counting them; return what is wrong with them."""
        if self._decoder is None:
            return None
        return BodyCheck(0, self._coding.encode("latin-1")).piece(data)

    def piece(self, data: bytes) -> Fault | None:
        """Look at the next bytes; return what is wrong with them."""
        start = self._offset
        self._offset += len(data)
        if (fault := self.announced(self._offset)) is not None:
            return fault
        decoder = self._decoder
        left = data
        try:
            while decoder is not None and left and not decoder.eof:
                decoder.decompress(left, _STEP)
                left = decoder.unconsumed_tail
        except zlib.error as error:
            return CODING, {"coding": self._coding, "error": str(error), "offset": start, "excerpt": data[:64]}
        return None

    def ended(self) -> Fault | None:
        """Return what is wrong with the end of the body."""
        if self._decoder is None or self._decoder.eof or not self._offset:
            return None
        error = "the compressed data has no end"
        return CODING, {"coding": self._coding, "error": error, "offset": self._offset, "excerpt": b""}
