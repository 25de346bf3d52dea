"""Notes of a process in the error log: what the gateway itself did, each with its time."""

import time

from .logfile import LogFile


def stamp(now: float) -> str:
    """Return wall-clock seconds as RFC 3339 text with milliseconds, UTC."""
    second = int(now)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{int((now - second) * 1000):03d}Z"


class Journal:
    """Writes notes."""

    def __init__(self, path: str) -> None:
        """path: as `log.errors` of the configuration. Raises OSError when it cannot be opened."""
        self._file = LogFile(path, standard=2)

    def note(self, text: str) -> None:
        """Write a line. What cannot be written is lost: nothing here may fail for want of a log."""
        line = " ".join(text.splitlines())
        self._file.write(f"{stamp(time.time())} note {line}\n".encode("utf-8", "backslashreplace"), 1)

    def move(self, path: str) -> None:
        """Write into another file from now on; goes on with the old one when it cannot be opened."""
        try:
            file = LogFile(path, standard=2)
        except OSError as error:
            self.note(f"{path}: {error.strerror}: notes go on here")
            return
        self._file.close()
        self._file = file

    def reopen(self) -> None:
        """Open the file anew, after it was moved away; goes on with the old one when that fails."""
        try:
            self._file.reopen()
        except OSError as error:
            self.note(f"a log file could not be opened anew: {error}")
