"""How a new version of the program takes over from a running one: what it is given, and how it says whether it is ready.

It inherits the listening sockets, so that no connection is refused meanwhile; the present state, so that what administrators
said of servers still holds; and a channel, on which it says that it is ready, or why it cannot be.
"""

import json
import os
import socket
import sys
from collections.abc import MutableMapping, Sequence
from typing import Any, Final, NamedTuple

from ..config.schema import Config
from ..net.channel import Channel
from ..net.seat import read_state
from .desired import Desired

_VARIABLE: Final = "HEADGATE_UPGRADE"
"""Environment variable in which the new version is told its descriptors, as JSON."""
_LONGEST: Final = 8_000
"""Characters of a reason."""


class Address(NamedTuple):
    """One address of the configuration, bound: with a socket for each worker."""

    name: str
    sockets: list[socket.socket]


class Elder:
    """The version before, as the new one sees it; for one that follows nobody, an elder that has nothing and hears nothing."""

    def __init__(self, told: str) -> None:
        """told: what `start_heir` says in the environment, "" for nothing. Raises ValueError for what it never says."""
        try:
            given: dict[str, Any] = json.loads(told or "{}")
            self.pid = int(given.get("pid", 0))
            self._sockets = [(name, [socket.socket(fileno=fd) for fd in fds]) for name, fds in given.get("sockets", ())]
            self._channel = Channel(socket.socket(fileno=given["channel"])) if "channel" in given else None
            self._present = int(given.get("present", -1))
        except (AttributeError, KeyError, TypeError, ValueError, OSError) as problem:
            raise ValueError(f"{_VARIABLE} in the environment makes no sense: {problem!r}") from None
        self._keep_to_ourselves()

    @staticmethod
    def of(environment: MutableMapping[str, str]) -> "Elder":
        """Return the one that the environment tells of, and take it out of there. Raises ValueError."""
        return Elder(environment.pop(_VARIABLE, ""))

    def _keep_to_ourselves(self) -> None:
        """Let no other program inherit the descriptors."""
        for _, sockets in self._sockets:
            for sock in sockets:
                sock.set_inheritable(False)
        if self._channel is not None:
            self._channel.sock.set_inheritable(False)
        if self._present >= 0:
            os.set_inheritable(self._present, False)

    def take(self, name: str) -> list[socket.socket]:
        """Return the sockets of an address, none where it has none; they are the caller's now."""
        for entry in self._sockets:
            if entry[0] == name:
                self._sockets.remove(entry)
                return entry[1]
        return []

    def let_go(self) -> None:
        """Close the sockets that nobody took: their addresses are no longer configured."""
        for _, sockets in self._sockets:
            for sock in sockets:
                sock.close()
        self._sockets = []

    def servers(self, config: Config) -> dict[str, Any]:
        """Return what is known of the servers and still holds by a new configuration (`Standings.snapshot`)."""
        if self._present < 0:
            return {}
        try:
            old = Desired.of(read_state(self._present))
        except (KeyError, TypeError, ValueError):  # another version wrote it, and means something else
            return {}
        finally:
            os.close(self._present)
            self._present = -1
        return old.followed_by(config).snapshot()

    def ready(self) -> bool:
        """Say that this version serves, so that the one before ends; False when that has ended already.

        Then this one must end too: whoever killed it, or looks after it, knows of no other.
        """
        return self._say({"do": "ready"})

    def failed(self, why: str) -> None:
        """Say that this version cannot serve, so that the one before tells its administrator why."""
        self._say({"do": "unusable", "why": why[:_LONGEST]})

    def _say(self, message: dict[str, Any]) -> bool:
        if self._channel is None:
            return True
        heard = self._channel.send(message)
        self._channel.close()
        self._channel = None
        return heard


def start_heir(addresses: Sequence[Address], present: int) -> tuple[int, Channel]:
    """Start this program again, with the same arguments; return its process id and the channel on which it will speak.

    present: descriptor of the present state. Raises OSError.
    """
    ours, theirs = Channel.pair()
    every = [*(sock.fileno() for address in addresses for sock in address.sockets), theirs.fileno(), present]
    told = {
        "pid": os.getpid(), "channel": theirs.fileno(), "present": present,
        "sockets": [[address.name, [sock.fileno() for sock in address.sockets]] for address in addresses],
    }  # fmt: skip
    try:
        for fd in every:
            os.set_inheritable(fd, True)
        pid = os.posix_spawn(sys.executable, sys.orig_argv, {**os.environ, _VARIABLE: json.dumps(told)})
    except OSError:
        ours.close()
        raise
    finally:
        for fd in every:
            os.set_inheritable(fd, False)
        theirs.close()
    return pid, ours
