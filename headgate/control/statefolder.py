"""Where a gateway keeps its incidents, so that the next start with the same configuration file finds them."""

import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from .runfolder import PASSING, Unsafe, make_folder, run_folder

VARIABLE: Final = "HEADGATE_STATE_DIRECTORY"
"""Environment variable with the folder, instead of the usual one."""
AUTO: Final = "auto"
MEMORY: Final = "memory"
_OWN: Final = "headgate-incidents-"
_SYSTEM: Final = Path("/var/lib/headgate")


def state_folder(environment: Mapping[str, str], user: int) -> Path:
    """Return the folder. systemd names it where the unit has StateDirectory=."""
    for name in (VARIABLE, "STATE_DIRECTORY"):
        if found := environment.get(name, "").partition(":")[0]:
            return Path(found)
    if user == 0:
        return _SYSTEM
    state = environment.get("XDG_STATE_HOME") or os.path.join(environment.get("HOME", "/nonexistent"), ".local", "state")
    return Path(state) / "headgate"


def incident_file(configured: str, configuration: str, environment: Mapping[str, str], user: int) -> Path | None:
    """Return the file for incidents; None: they are kept in memory. Makes the folder for "auto". Raises OSError.

    configured: `incidents.file`. configuration: path of the configuration file, "" without one.
    """
    if configured == MEMORY or (configured == AUTO and not configuration):
        return None
    if configured != AUTO:
        return Path(configured)
    folder = state_folder(environment, user)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder / name_for(configuration)


def passing_file(pid: int, environment: Mapping[str, str], user: int) -> Path:
    """Return the file of a gateway that keeps none: beside its socket, where another control process of it finds it.

    pid: of the parent. Where that folder cannot be used, it is a new one, which only this process knows.
    """
    folder = run_folder(environment, user)
    try:
        make_folder(folder, user)
    except Unsafe:
        folder = Path(tempfile.mkdtemp(prefix=_OWN))
    return folder / f"{pid}{PASSING}"


def forget(file: Path) -> None:
    """Remove a passing file, and what belongs to it."""
    for one in file.parent.glob(f"{file.name}*"):
        one.unlink(missing_ok=True)
    if file.parent.name.startswith(_OWN):
        with suppress(OSError):
            file.parent.rmdir()


def name_for(configuration: str) -> str:
    """Return the file's name for a configuration file: readable, and another one for each path."""
    path = os.path.realpath(configuration)
    return f"{Path(path).stem[:40]}-{blake2b(os.fsencode(path), digest_size=4).hexdigest()}.incidents"
