"""Where gateways leave the sockets of their admin APIs, so that `headgate status` finds them by itself: `<process id>.sock`.

The folder lets in nobody but its owner; what belongs to somebody else is not used, for whoever owns it could listen in our place.
"""

import errno
import os
import socket
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

VARIABLE: Final = "HEADGATE_RUN"
"""Environment variable that names another folder."""
_SYSTEM: Final = Path("/run/headgate")
"""Where the folder is for root, and for services (systemd: RuntimeDirectory=headgate)."""
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
PASSING: Final = ".incidents"
"""Ending of the files of incidents that end with their gateway."""


class Unsafe(Exception):
    """A folder cannot be used. The message says which and why."""


def run_folder(environment: Mapping[str, str], user: int) -> Path:
    """Return where a gateway of this user leaves its socket."""
    if told := environment.get(VARIABLE):
        return Path(told).absolute()
    if user == 0:
        return _SYSTEM
    if session := environment.get("XDG_RUNTIME_DIR"):
        return Path(session) / "headgate"
    return _temporary(user)


def _temporary(user: int) -> Path:
    return Path(tempfile.gettempdir()) / f"headgate-{user}"


def make_folder(folder: Path, user: int) -> None:
    """Make the folder if there is none, for its owner alone. Raises Unsafe when it is not safely this user's."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise Unsafe(f"{folder} cannot be made: {error.strerror}") from None
    if problem := _problem(folder, {user}):
        raise Unsafe(problem)


def _problem(folder: Path, users: set[int]) -> str:
    """Return why a folder cannot be trusted, "" when it can."""
    try:
        about = folder.lstat()
    except OSError as error:
        return f"{folder}: {error.strerror}"
    if stat.S_ISLNK(about.st_mode):
        return f"{folder} is a symbolic link, and whoever made it decides where it leads"
    if not stat.S_ISDIR(about.st_mode):
        return f"{folder} is not a folder"
    if about.st_uid not in users:
        return f"{folder} belongs to another user ({about.st_uid})"
    return f"others may write to {folder}: `chmod go-w {folder}`" if about.st_mode & _OTHERS_WRITE else ""


def socket_of(folder: Path, pid: int) -> Path:
    """Return the socket of the gateway whose parent process has this id."""
    return folder / f"{pid}.sock"


def forget_dead(folder: Path) -> None:
    """Remove what gateways left that were killed: sockets on which nobody accepts, and incidents that were to end with them."""
    for pid, path in _sockets(folder):
        if not _lives(pid) and left_behind(path):
            path.unlink(missing_ok=True)
    for path in folder.glob(f"*{PASSING}*"):
        owner = path.name.partition(".")[0]
        if owner.isascii() and owner.isdigit() and not _lives(int(owner)):
            path.unlink(missing_ok=True)


def left_behind(path: Path) -> bool:
    """Tell whether the process that listened at a socket is gone. One that is merely busy, or not ours to ask, is not."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        return sock.connect_ex(str(path)) == errno.ECONNREFUSED


def find_sockets(environment: Mapping[str, str], user: int) -> list[tuple[int, Path]]:
    """Return process id and socket of every gateway that this user may ask, by process id.

    Looked for where this user's gateways leave them; root, who may ask everybody's, is also shown those of services that run
    as another user.
    """
    folders = {run_folder(environment, user): {user}}
    if VARIABLE not in environment:
        folders[_SYSTEM] = {user, 0, *(_owner(_SYSTEM) if user == 0 else ())}
        folders.setdefault(_temporary(user), {user})
    found = []
    for folder, users in folders.items():
        if not _problem(folder, users):
            found += list(_sockets(folder))
    return sorted(found)


def _owner(folder: Path) -> Iterator[int]:
    try:
        yield folder.lstat().st_uid
    except OSError:
        return


def _sockets(folder: Path) -> Iterator[tuple[int, Path]]:
    """Yield process id and path of each socket in a folder."""
    try:
        paths = sorted(folder.glob("*.sock"))
    except OSError:
        return
    for path in paths:
        if path.stem.isascii() and path.stem.isdigit() and path.is_socket():
            yield int(path.stem), path


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
