"""Owns what this machine shows of a server that runs on it: who listens on its port, beside it, or on another address only."""

import ipaddress
import os
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from ..diagnose.looks import Look
from ..diagnose.redact import clean
from .autopsykernel import Port, killed_in_group, killed_since_start, port_of
from .autopsyshared import CONTAINERS, DEATHS, PROGRAMS, SOCKETS
from .machine import Listening

NEAR: Final = 100
"""Ports so far from the asked one are neighbours: 8000 and 8080."""
_NEIGHBOURS: Final = 2
_NO_HTTP: Final = re.compile(
    r"sshd|redis|valkey|memcached|postgres|mysqld|mariadb|mongo|rpc|systemd|dnsmasq|unbound|named|cups|master|exim|dovecot|ss-|chronyd"
)
"""Programs whose ports are not asked by HTTP."""
_YOUNG: Final = 600.0
"""Seconds for which a program counts as just started."""
_NAMED: Final = re.compile(r"(?:.*[:=])?(\d{1,5})", re.ASCII)
_PORT_FLAG: Final = re.compile(r"-p|-b|-l|.*(?:port|bind|listen).*", re.IGNORECASE)
_PROCESSES: Final = 3
_CONTAINERS: Final = 3


@dataclass(slots=True)
class Place:
    """What was found on this machine. `looks` are for people, the rest for advice."""

    begun: float  # when the autopsy began, monotonic
    looks: list[Look] = field(default_factory=list)
    listener: Listening | None = None  # who listens where the gateway asks
    elsewhere: Listening | None = None  # who listens on that port, on another address only
    neighbours: list[Listening] = field(default_factory=list)
    full: bool = False  # the listener's queue is full
    unseen: list[str] = field(default_factory=list)  # what could not be looked at

    def say(self, topic: str, label: str, ok: bool | None, text: str, **facts: Any) -> None:
        """Keep something that was found."""
        at = time.monotonic() - self.begun
        self.looks.append(Look("here", clean(label, 120), ok, clean(text), at, facts={"topic": topic} | facts))


def own(ip: str) -> bool:
    """Return whether an address is one of this machine's. No packet is sent."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
        if address.is_loopback or address.is_unspecified:
            return True
        with socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((ip, 9))  # of a datagram socket: the kernel only looks for a route
            return str(probe.getsockname()[0]).partition("%")[0] == str(address).partition("%")[0]
    except (OSError, ValueError):
        return False


def look_at_port(begun: float, ip: str, port: int, failed: bool) -> Place:
    """Look at one port of this machine, and at what runs here. It blocks, for a second at most.

    failed: the server did not answer as it should, so that neighbours, processes and containers are of interest.
    """
    place = Place(begun)
    sockets = SOCKETS.get()
    mine = [one for one in sockets if _port(one) == port]
    place.listener = next((one for one in mine if _covers(one, ip)), None)
    counted = port_of(port)
    if place.listener is not None:
        _listener(place, place.listener, counted)
    elif failed:
        _nobody(place, mine, ip, port, sockets)
        _named_port(place, port)
    if failed:
        _deaths(place)
        _containers(place)
    return place


def _port(one: Listening) -> int:
    text = one.address.rpartition(":")[2]
    return int(text) if text.isdigit() else 0


def _covers(one: Listening, ip: str) -> bool:
    """Whether who listens there gets connections to `ip`."""
    host = one.address.rpartition(":")[0].strip("[]").removeprefix("::ffff:")
    return host in (ip, "::", "0.0.0.0") and not (host == "0.0.0.0" and ":" in ip)  # noqa: S104 (compared, not bound)


def who(one: Listening) -> str:
    """Return a listener as people call it."""
    return f"{clean(one.program, 40)} (pid {one.pid})" if one.program else "a program that this user may not see"


def _listener(place: Place, one: Listening, counted: Port) -> None:
    """Tell who listens, whether it keeps up, and how it is."""
    waiting = one.waiting if one.waiting >= 0 else counted.waiting
    place.full = waiting > 0 and 0 <= one.backlog <= waiting
    room = f" (room for {one.backlog})" if one.backlog >= 0 else ""
    queue = f"; {waiting} connections wait in its queue{room}" if waiting > 0 else ""
    if place.full:
        queue += ", which is full: the program accepts too slowly, or not at all"
    place.say(
        "listening", one.address, False if place.full else None, f"{who(one)} listens on {one.address}{queue}", waiting=waiting
    )
    waits = counted.states["close-wait"]
    if waits >= 10:
        text = f"{waits} connections to port {_port(one)} were closed by their clients and are not closed by {who(one)}: it hangs"
        place.say("listening", one.address, False, text)
    if one.pid:
        _program(place, one)


def _program(place: Place, one: Listening) -> None:
    """Tell how the listening program is: just started, stopped, out of descriptors, killed before."""
    told: list[tuple[bool | None, str]] = []
    try:
        process = psutil.Process(one.pid)
        age = time.time() - process.create_time()
        if 0 <= age < _YOUNG:
            told.append((None, f"{who(one)} was started {age:.0f} s ago"))
        state = process.status()
        if state in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP, psutil.STATUS_ZOMBIE, psutil.STATUS_DISK_SLEEP):
            told.append((False, f"{who(one)} does not run: its state is {state}"))
        most = process.rlimit(psutil.RLIMIT_NOFILE)[0]
        used = process.num_fds()
        if 0 < most <= used + 8:
            told.append((False, f"{who(one)} has {used} of {most} descriptors open: it cannot take more connections"))
    except (psutil.Error, OSError):
        place.unseen.append(f"state and descriptors of {who(one)}")
    if (kills := killed_in_group(one.pid)) > 0:
        told.append((None, f"the kernel killed {kills} programs of the control group of {who(one)} for want of memory"))
    for ok, text in told:
        place.say("process", clean(one.program, 40), ok, text)


def _nobody(place: Place, mine: Sequence[Listening], ip: str, port: int, sockets: Sequence[Listening]) -> None:
    """Tell that nobody listens where the gateway asks, and who does near it."""
    shown = f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
    if mine:
        place.elsewhere = mine[0]
        text = f"{who(mine[0])} listens on {mine[0].address} only: {shown} is not among it"
        place.say("listening", shown, False, text)
    else:
        place.say("listening", shown, False, f"nothing listens on {shown}")
    family, passing = _family(), passing_ports()
    near = [
        one
        for one in sockets
        if 0 < abs(_port(one) - port) <= NEAR
        and one.pid not in family
        and _port(one) not in passing
        and not _NO_HTTP.search(one.program)
        and (_covers(one, ip) or _covers(one, "127.0.0.1"))
    ]
    near.sort(key=lambda one: abs(_port(one) - port))
    place.neighbours = near[:_NEIGHBOURS]


def passing_ports(file: str = "/proc/sys/net/ipv4/ip_local_port_range") -> range:
    """Return the ports that the kernel hands out to whoever asks for any: that one is near another one means nothing."""
    try:
        first, last = map(int, Path(file).read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return range(32_768, 61_000)
    return range(first, last + 1)


def _family() -> set[int]:
    """Return the processes of the gateway itself: this one, its parent, and the children of both."""
    try:
        me = psutil.Process()
        parent = me.parent()
        relatives = [*me.children(), *([parent, *parent.children()] if parent is not None and parent.pid > 1 else ())]
        return {me.pid, me.ppid(), *(one.pid for one in relatives)}
    except psutil.Error:
        return {os.getpid()}


def _named_port(place: Place, port: int) -> None:
    """Tell of programs that have the port on their command line and do not listen on it. The line itself is not shown."""
    family, found = _family(), 0
    for one in PROGRAMS.get():
        if one.pid in family or not names_port(one.words, port):
            continue
        age = time.time() - one.begun
        young = f", started {age:.0f} s ago" if 0 <= age < _YOUNG else ""
        name = clean(one.name or "a program", 40)
        text = f"{name} (pid {one.pid}{young}) names port {port} on its command line, and does not listen on it"
        place.say("process", name, None, text)
        found += 1
        if found == _PROCESSES:
            return
    if not found:
        place.say("process", "processes", None, f"no program that runs here names port {port} on its command line")


def names_port(words: Sequence[str], port: int) -> bool:
    """Return whether a command line tells a program to listen on a port: "--port 8000", "--bind=0.0.0.0:8000", "-b :8000"."""
    before = ""
    for word in words[1:]:
        hit = _NAMED.fullmatch(word) if "://" not in word and len(word) < 200 else None
        if hit and hit[1] == str(port) and (_PORT_FLAG.fullmatch(before) or _PORT_FLAG.fullmatch(word.partition("=")[0])):
            return True
        before = word
    return False


def _deaths(place: Place) -> None:
    """Tell whom the kernel killed lately, or how many since it started."""
    found = DEATHS.get()[0]
    if found is None:
        place.unseen.append("the kernel's log (kills for want of memory, crashes)")
        count = killed_since_start()
        if count > 0:
            text = f"the kernel killed {count} programs for want of memory since it started; when is not to be seen from here"
            place.say("kernel", "kernel", None, text)
        return
    for one in found[:2]:
        when = time.strftime("%H:%M:%S", time.localtime(one.at))
        how = "the kernel killed {} for want of memory" if one.how == "memory" else f"{{}} crashed ({one.how})"
        name = f"{clean(one.name, 40)} (pid {one.pid})"
        place.say("kernel", "kernel", False, f"{how.format(name)} at {when}", name=clean(one.name, 40), how=one.how)


def _containers(place: Place) -> None:
    """Tell of containers that do not run."""
    for one in [one for one in CONTAINERS.get() if not one.running][:_CONTAINERS]:
        place.say(
            "container",
            f"container {one.name}",
            None,
            f"container {one.name} ({one.image}): {one.status}",
            name=clean(one.name, 60),
        )
