"""What the lab has to know about another gateway: how it is configured, started and asked for its version, and what it logs."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..scenario import Scenario
from ..settings import Setting


def _everything(scenario: Scenario) -> str:
    return ""


def _nothing(setting: Setting) -> None:
    pass


def _no_companions(setting: Setting) -> dict[str, list[str]]:
    return {}


def open_to_workers(setting: Setting) -> None:
    """Prepare for a gateway that, started by root, works as another user: it must get at its files and the lab's sockets."""
    if os.geteuid() != 0:
        return
    setting.folder.chmod(0o777)
    for parent in setting.folder.parents:
        if parent == Path(tempfile.gettempdir()):
            break
        mode = stat.S_IMODE(parent.stat().st_mode)
        with contextlib.suppress(OSError):
            parent.chmod(mode | 0o011)


@dataclass(frozen=True)
class Peer:
    """Another gateway."""

    program: str
    """The name of its binary."""
    file: str
    """The name of its configuration file."""
    configuration: Callable[[Setting], str]
    """Writes that file's text."""
    command: Callable[[str, Setting, str], list[str]]
    """Takes program, setting and the file's path; returns how it is started in the foreground."""
    version: tuple[str, ...]
    """The arguments that make it tell its version."""
    unsuited: Callable[[Scenario], str] = _everything
    """Says why a scenario cannot be expressed in its configuration, "" when it can."""
    prepare: Callable[[Setting], None] = _nothing
    """Makes the folder fit for it before it starts."""
    companions: Callable[[Setting], dict[str, list[str]]] = _no_companions
    """Programs that run beside it: the file in the folder that gets their output, and how they are started."""
    access_log: str = "access.log"
    """The file in the folder with a line for each request."""
    error_log: str = "error.log"
    """The file in the folder with what it says about failures; "" where it has no such log."""
    ready: str = ""
    """A path that it answers with 200 once it has read its routes, where it listens before that."""
