"""`headgate upgrade`: have a new version of the program take over from a running gateway, and wait until it has."""

import json
import os
import time
from pathlib import Path
from typing import Any, Final, NoReturn

import click

from ..control.runfolder import socket_of
from .admin_client import Client, Refusal, Unreachable, client_for, options, told
from .watch import Duration

_LOOK: Final = 0.2
"""Seconds between looks."""
_GRACE: Final = 10.0
"""Seconds within which a gateway that has taken over should answer too."""


@click.command("upgrade")
@options
@click.option("--timeout", type=Duration(), default="60s", show_default=True, help="How long to wait for the new version.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def command(admin: str | None, token_file: Path | None, timeout: float, as_json: bool) -> None:
    """Have the program as it is installed now take over from a running gateway.

    The new processes get the listening sockets, so that no connection is refused; the old ones finish what runs. When the new
    version does not start, the old one goes on.

    Exit code: 0 the new version has taken over, 1 it has not, 2 the gateway cannot be asked.
    """
    client = client_for(admin, token_file)
    before = told(client, "GET", "/api/status")["gateway"]
    told(client, "POST", "/api/upgrade")
    handover = _Handover(client, before)
    limit = time.monotonic() + timeout
    while time.monotonic() < limit:
        time.sleep(_LOOK)
        if handover.done():
            click.echo(json.dumps(handover.told()) if as_json else handover.text())
            return
    _refuse(f"no new version has taken over within {timeout:g} s; the error log of the gateway says more")


def _refuse(why: str) -> NoReturn:
    click.echo(f"headgate: {why}", err=True)
    raise click.exceptions.Exit(1)


class _Handover:
    """One gateway taking over from another, as seen from outside."""

    def __init__(self, client: Client, before: dict[str, Any]) -> None:
        self._client = client
        self._old: int = before["pid"]
        self._new = 0
        self._answer: dict[str, Any] | None = None  # the new one's
        self._left = -1.0  # when the old one was first seen to leave

    def done(self) -> bool:
        """Look; True when the new one serves. Ends the command when it will not."""
        told = _gateway(self._client)
        if told is not None and told["pid"] != self._old:  # at an address that stays the same
            self._new, self._answer = told["pid"], told
            return True
        if told is not None:
            self._heed(told["upgrade"])
        if self._new and self._client.address.path == str(socket_of(self._folder, self._old)):
            self._answer = _gateway(self._client.at(str(socket_of(self._folder, self._new))))
        if told is not None and not told["draining"]:
            return False
        if not self._new:
            _refuse(f"process {self._old} has ended, and no new version is known; the error log of the gateway says more")
        if self._left < 0:
            self._left = time.monotonic()
        return self._answer is not None or time.monotonic() - self._left > _GRACE

    @property
    def _folder(self) -> Path:
        return Path(self._client.address.path).parent

    def _heed(self, upgrade: dict[str, Any] | None) -> None:
        if upgrade is None:
            return
        if upgrade["failed"]:
            _refuse(upgrade["said"])
        self._new = upgrade["pid"]

    def told(self) -> dict[str, Any]:
        """Return what happened, as JSON has it."""
        version = self._answer["version"] if self._answer is not None else None
        return {"old": self._old, "new": self._new, "version": version}

    def text(self) -> str:
        """Return what happened, in words."""
        if self._answer is not None:
            return f"process {self._new} (version {self._answer['version']}) has taken over from process {self._old}"
        if _lives(self._new):
            return f"process {self._new} has taken over from process {self._old}; its admin API does not answer here"
        _refuse(f"processes {self._old} and {self._new} have both ended; the error log of the gateway says why")


def _gateway(client: Client) -> dict[str, Any] | None:
    """Return how a gateway is, None when it does not answer."""
    try:
        found: dict[str, Any] = client.status()["gateway"]
    except (Unreachable, Refusal):
        return None
    return found


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
