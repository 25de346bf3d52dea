"""Owns what this machine shows of a server's unix socket: the file, the folders above it, who listens, and sockets like it."""

import os
import stat
from itertools import islice
from pathlib import Path
from typing import Final

from ..diagnose.redact import clean
from .autopsyplace import Place
from .here import socket_words

_TABLE: Final = Path("/proc/net/unix")
_LISTENS: Final = 0x10000
"""__SO_ACCEPTCON in the flags of /proc/net/unix."""
_LIKE: Final = 3
_LINES: Final = 100_000


def look_at_socket(begun: float, path: str, failed: bool) -> Place:
    """Look at a unix socket and around it. It blocks shortly."""
    place = Place(begun)
    file = Path(path)
    missing = not os.path.lexists(path)
    place.say("socket", path, False if missing else None, socket_words(file), path=clean(path))
    closed = _closed_folder(file)
    if closed is not None:
        mode = _mode(closed)
        place.say(
            "socket",
            str(closed),
            False,
            f"this user ({os.geteuid()}) may not pass the folder {closed} ({mode})",
            folder=clean(str(closed)),
        )
    listening = listening_sockets()
    if path in listening:
        place.say("listening", path, None, f"a program listens on {path}")
    elif not missing and closed is None and failed:
        place.say(
            "listening", path, False, f"nobody listens on {path}: its program has ended, and left the file behind", left=True
        )
    if missing:
        _alike(place, file, listening)
    return place


def _closed_folder(file: Path) -> Path | None:
    """Return the first folder on the way to a file that this process may not pass, None where there is none."""
    for folder in reversed(file.absolute().parents):
        if not folder.exists():
            return None
        if not os.access(folder, os.X_OK, effective_ids=True):
            return folder
    return None


def _mode(path: Path) -> str:
    try:
        return stat.filemode(os.stat(path).st_mode)
    except OSError as error:
        return str(error.strerror)


def _alike(place: Place, file: Path, listening: set[str]) -> None:
    """Of a socket that is missing, tell which folder is missing, and which listening sockets may be meant."""
    if not file.parent.exists():
        place.say("socket", str(file.parent), False, f"the folder {file.parent} does not exist either")
    beside = sorted(one for one in listening if Path(one).parent == file.parent)
    elsewhere = sorted(one for one in listening if Path(one).name == file.name)
    for one in (beside + elsewhere)[:_LIKE]:
        place.say("listening", one, None, f"a program listens on {one}", instead=clean(one))


def listening_sockets() -> set[str]:
    """Return the paths of all listening unix sockets that this machine shows."""
    found = set()
    try:
        with _TABLE.open(encoding="utf-8", errors="surrogateescape") as file:
            for line in islice(file, _LINES):
                words = line.rstrip("\n").split(None, 7)
                if len(words) == 8 and words[7].startswith("/") and _flags(words[3]) & _LISTENS:
                    found.add(words[7])
    except OSError:
        return set()
    return found


def _flags(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0
