"""When a file that is watched has changed: it is another than the one last read, and nobody is writing it at this moment."""

import os
from typing import Final

_ABSENT: Final = (0, 0, 0)


class ChangedFile:
    """A file, as it was when it was last read, and when it was last looked at."""

    def __init__(self, path: str) -> None:
        """path: "" for none."""
        self._path = path
        self._read = self._seen = self._stamp()

    def read(self) -> None:
        """It is read now."""
        self._read = self._stamp()

    def changed(self) -> bool:
        """Look; True, once, when it is not what was read any more, and has not changed since the last look.

        A file that is away is about to come; its time may lie in the future, from a machine whose clock is ahead.
        """
        stamp = self._stamp()
        still, self._seen = stamp == self._seen, stamp
        if not still or stamp in (_ABSENT, self._read):
            return False
        self._read = stamp
        return True

    def _stamp(self) -> tuple[int, int, int]:
        try:
            about = os.stat(self._path)
        except (OSError, ValueError):
            return _ABSENT
        return about.st_mtime_ns, about.st_size, about.st_ino
