"""Owns the look at the gateway's own machine: what listens, what runs, what the kernel counted, whether upstreams answer."""

import asyncio
import grp
import os
import pwd
import stat
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from ..diagnose.looks import Asked, Look
from . import machine
from .localconfig import BadLocalConfig, Configured, upstreams
from .machine import Listening, Running
from .upstream import ask

Tell = Callable[[Look], None]
_AT_ONCE: Final = 16
_LISTENING_SHOWN: Final = 40
_UPSTREAMS_ASKED: Final = 60


async def look_around(asked: Asked, tell: Tell, configs: Iterable[tuple[str, Path]] = ()) -> list[Look]:
    """Look at this machine, telling each look as it finishes; return them all.

    configs: configurations to read besides those of the gateways that run here: product and file.
    """
    around = _Around(tell)
    sockets, gateways, containers, kernel = await asyncio.gather(
        asyncio.to_thread(machine.listening), asyncio.to_thread(machine.running), asyncio.to_thread(machine.containers),
        asyncio.to_thread(machine.kernel),
    )  # fmt: skip
    _sockets(around, sockets)
    _gateways(around, gateways)
    for one in containers:
        if not one.running:
            around.say("container", f"container {one.name}", False, one.status, {"image": one.image, "ports": one.ports})
    if containers:
        up = sum(one.running for one in containers)
        around.say("container", "containers", None, f"{up} of {len(containers)} run")
    _kernel(around, kernel)
    _resolvers(around)
    if mode := machine.selinux():
        may = (
            "it may forbid a gateway to connect: ausearch -m avc -ts recent" if mode == "enforcing" else "it forbids nothing now"
        )
        around.say("selinux", "SELinux", None, f"{mode}; {may}")
    found = _configured(around, gateways, configs)
    gate = asyncio.Semaphore(_AT_ONCE)
    by_port = {one.address.rpartition(":")[2]: one for one in sockets}

    async def asked_from_here(server: Configured) -> None:
        async with gate:
            around.take(await _ask(server, asked, by_port, around.begun))

    await asyncio.gather(*(asked_from_here(server) for server in found if server.server))
    return around.looks


class _Around:
    """Collects looks."""

    def __init__(self, tell: Tell) -> None:
        self.looks: list[Look] = []
        self.begun = time.monotonic()
        self._tell = tell

    def take(self, look: Look) -> None:
        """Keep a look, and tell it."""
        self.looks.append(look)
        self._tell(look)

    def say(self, topic: str, label: str, ok: bool | None, text: str, facts: dict[str, Any] | None = None) -> None:
        """Keep something that was found on this machine."""
        at = time.monotonic() - self.begun
        self.take(Look("here", label, ok, text, at=at, facts={"topic": topic} | (facts or {})))


def _sockets(around: _Around, sockets: list[Listening]) -> None:
    for one in sockets[:_LISTENING_SHOWN]:
        who = f"{one.program} (pid {one.pid})" if one.program else "a program of another user"
        if one.full:
            text = f"{who}: its queue of new connections is full, {one.waiting} of {one.backlog}: the program accepts too slowly"
            around.say("listening", one.address, False, text, {"address": one.address, "waiting": one.waiting})
        else:
            only = ", reachable from this machine only" if one.local_only else ""
            around.say("listening", one.address, None, who + only, {"address": one.address})
    if not sockets:
        around.say("listening", "listening sockets", None, "none can be seen")


def _gateways(around: _Around, gateways: list[Running]) -> None:
    for one in gateways:
        where = f" in container {one.container}" if one.container else ""
        text = f"runs as {one.user or 'unknown'}, pid {one.pid}{where}; configuration: {', '.join(one.config) or 'not found'}"
        around.say("process", one.product, None, text, {"product": one.product, "container": one.container})
    if not gateways:
        around.say("process", "gateways", None, "no gateway that is known here runs on this machine")


def _kernel(around: _Around, kernel: machine.Kernel) -> None:
    for trouble in kernel.troubles:
        around.say("kernel", "kernel", None, f"{trouble} since the machine started")
    if kernel.lossy:
        share = kernel.sent_again / kernel.sent
        around.say("kernel", "kernel", False, f"{share:.1%} of all segments had to be sent again: packets get lost on some way")


def _resolvers(around: _Around) -> None:
    try:
        lines = Path("/etc/resolv.conf").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        around.say("resolv.conf", "/etc/resolv.conf", False, str(error.strerror))
        return
    words = [line.split() for line in lines if line.split()[:1] in (["nameserver"], ["options"], ["search"])]
    text = "; ".join(" ".join(one) for one in words) or "no nameserver in it"
    around.say("resolv.conf", "/etc/resolv.conf", None, text)


def _configured(around: _Around, gateways: list[Running], configs: Iterable[tuple[str, Path]]) -> list[Configured]:
    """Return the upstream servers of all configurations that can be read."""
    files = [(one.product, Path(path)) for one in gateways for path in one.config]
    files += [pair for pair in configs if pair not in files]
    if not files:
        files = [
            (product, Path(path)) for product, paths in machine.DEFAULT_CONFIGS.items() for path in paths if Path(path).is_file()
        ]
    found: list[Configured] = []
    for product, path in dict.fromkeys(files):
        try:
            servers = upstreams(product, path)
        except BadLocalConfig as error:
            around.say("config", f"configuration of {product}", None, str(error))
            continue
        around.say("config", f"configuration of {product}", None, f"{path}: {len(servers)} upstream servers")
        for one in servers:
            if one.note:
                around.say("config", f"{one.file}:{one.line}", None, f"{one.server or one.group}: {one.note}".lstrip(": "))
        found += servers
    return found[:_UPSTREAMS_ASKED]


async def _ask(server: Configured, asked: Asked, by_port: dict[str, Listening], begun: float) -> Look:
    """Ask one upstream server from here, and say what its socket shows."""
    at = time.monotonic() - begun
    host = urlsplit(asked.url).hostname or ""
    attempt, captured, text = await ask(server.server, host)
    facts: dict[str, Any] = {
        "gateway": server.gateway,
        "server": server.server,
        "file": server.file,
        "line": server.line,
        "group": server.group,
    }
    failed = attempt.cause is not None or (captured is not None and captured.status >= 500)
    if failed and server.server.startswith("unix:"):
        text += "; " + socket_words(Path(server.server.removeprefix("unix:")))
    elif failed and attempt.cause is not None and attempt.cause.code == "connection-refused":
        text += "; " + _port_words(server.server, by_port)
    label = f"upstream {server.server} ({Path(server.file).name}:{server.line})"
    return Look("upstream", label, not failed, text, at, time.monotonic() - begun - at, attempt, captured, facts)


def _port_words(server: str, by_port: dict[str, Listening]) -> str:
    """Return what listens on a port where a connection was refused: it may be another address of this machine."""
    port = server.rpartition(":")[2]
    one = by_port.get(port)
    if one is None:
        return f"nothing on this machine listens on port {port}"
    return f"{one.program or 'a program'} listens on {one.address}, which is not where the gateway asks"


def socket_words(path: Path) -> str:
    """Return what a unix socket's file says: missing, no socket, or its owner and mode."""
    try:
        info = os.stat(path)
    except OSError as error:
        return f"{path}: {error.strerror}"
    if not stat.S_ISSOCK(info.st_mode):
        return f"{path} is no socket"
    return f"{path}: mode {stat.filemode(info.st_mode)}, owner {_user(info.st_uid)}, group {_group(info.st_gid)}"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
