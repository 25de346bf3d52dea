"""Owns what the h2 library does not bear: a GOAWAY in order before the last answer, and bytes that are no frames at all."""

from typing import Final

_HEADER: Final = 9
_LONGEST: Final = 16_384
"""Longest frame a server may send that was allowed no longer ones (RFC 9113 4.2)."""
_GOAWAY: Final = 7


class NotFrames(ValueError):
    """What came is no HTTP/2. The message says what it is."""


class FrameFilter:
    """Lets whole frames through, without any GOAWAY that only says that no new streams are served (RFC 9113 6.8)."""

    def __init__(self, stream: int) -> None:
        """stream: the one whose answer is awaited."""
        self._stream = stream
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return the frames that are complete with this piece. Raises NotFrames."""
        data = self._held + data
        if data.startswith(b"HTTP/1."):
            raise NotFrames("it answered by HTTP/1.1 though it had agreed on HTTP/2")
        passed, at = [], 0
        while len(data) - at >= _HEADER:
            length = int.from_bytes(data[at : at + 3], "big")
            if length > _LONGEST:
                raise NotFrames(f"a frame of {length} bytes, where {_LONGEST} are allowed")
            end = at + _HEADER + length
            if end > len(data):
                break
            if not self._in_order(data[at:end]):
                passed.append(data[at:end])
            at = end
        self._held = data[at:]
        return b"".join(passed)

    def _in_order(self, frame: bytes) -> bool:
        """Return whether a frame is a GOAWAY without an error, and with our stream still to be served."""
        if frame[3] != _GOAWAY or len(frame) < _HEADER + 8:
            return False
        last, code = int.from_bytes(frame[9:13], "big") & 0x7FFFFFFF, int.from_bytes(frame[13:17], "big")
        return not code and last >= self._stream
