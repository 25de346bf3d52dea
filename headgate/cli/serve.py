"""`headgate serve`: read the configuration, bind, and run the gateway."""

import gc
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import click

from ..config.findings import BadConfig
from ..config.load import Loaded, from_servers, read
from ..config.schema import Config
from ..control.parent import Parent
from ..gateway.counting import memories
from ..gateway.descriptors import affordable
from ..gateway.process import run_worker
from ..gateway.sockets import CannotListen, address_of, bind_shares
from ..net.journal import Journal
from ..net.seat import Seat, write_state
from ..net.systemd import notify
from ..traffic.gaugenames import gauge_names
from ..traffic.shared import Gauges
from .main import stop

_INHERITED: Final = "HEADGATE_SOCKETS"
"""Environment variable in which a new version is told its sockets: pairs of address and descriptors, as JSON."""
_ELDER: Final = "HEADGATE_UPGRADES"
"""Environment variable with the process id of the version that it takes over from."""


class _Address(NamedTuple):
    """One address of the configuration, bound."""

    name: str
    sockets: list[socket.socket]


@click.command("serve")
@click.argument("file", required=False, type=click.Path())
@click.option(
    "--listen", multiple=True, metavar="ADDRESS", help="Address to listen on, host:port or unix:/path [default: 127.0.0.1:8080]."
)
@click.option("--to", "servers", multiple=True, metavar="URL", help="A server to forward to; several share the load.")
def command(file: str | None, listen: tuple[str, ...], servers: tuple[str, ...]) -> None:
    """Run the gateway: with a configuration FILE, or just with --to.

    \b
    headgate serve --to http://127.0.0.1:3000
    headgate serve headgate.toml

    Signals: SIGTERM ends it in order (a second one at once), SIGHUP reads the file again, SIGUSR1 opens the logs anew, SIGUSR2
    starts a new version of the program that takes over the sockets.
    """
    try:
        loaded = _configuration(file, listen, servers)
        addresses = _sockets(loaded.config)
    except BadConfig as problem:
        click.echo(str(problem), err=True)
        sys.exit(2)
    except CannotListen as problem:
        stop(str(problem))
    _allow_descriptors()
    try:
        code = _run(loaded, addresses, str(Path(file).absolute()) if file else "")
    except OSError as problem:
        stop(f"{problem.filename}: {problem.strerror}" if problem.filename else str(problem))
    sys.exit(code)


def _configuration(file: str | None, listen: tuple[str, ...], servers: tuple[str, ...]) -> Loaded:
    if file is not None and (listen or servers):
        stop("give either a FILE, or --listen and --to, not both")
    if file is not None:
        return read(file)
    if not servers:
        stop("nothing to forward to: give a configuration FILE, or --to URL (for example --to http://127.0.0.1:3000)")
    return from_servers(listen or ("127.0.0.1:8080",), servers)


def _workers(config: Config) -> int:
    """Return how many workers there are."""
    return config.gateway.workers or len(os.sched_getaffinity(0))


def _sockets(config: Config) -> list[_Address]:
    """Return the sockets of each address, one for each worker: those of the version before, where this one takes over from it."""
    inherited = json.loads(os.environ.pop(_INHERITED, "[]"))
    count = _workers(config)
    found = []
    for address in config.gateway.listen:
        known = next((entry for entry in inherited if entry[0] == address), None)
        there = []
        if known is not None:
            inherited.remove(known)
            there = [socket.socket(fileno=fd) for fd in known[1]]
        lacking = count - len(there)
        found.append(_Address(address, there + (bind_shares(address, lacking, there) if lacking > 0 else [])))
    for _, fds in inherited:  # of addresses that are no longer configured
        for fd in fds:
            os.close(fd)
    return found


def _successor(addresses: Sequence[_Address]) -> int:
    """Start this program again with the same arguments and sockets; return its process id. Raises OSError."""
    told = [[address.name, [sock.fileno() for sock in address.sockets]] for address in addresses]
    environment = {**os.environ, _INHERITED: json.dumps(told), _ELDER: str(os.getpid())}
    every = [sock for address in addresses for sock in address.sockets]
    for sock in every:
        sock.set_inheritable(True)
    try:
        return os.posix_spawn(sys.executable, sys.orig_argv, environment)
    finally:
        for sock in every:
            sock.set_inheritable(False)


def _allow_descriptors() -> None:
    """Raise the soft limit of open files to the hard one: the usual 1024 are few for a gateway."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        pass  # an unlimited hard limit above what the kernel can do: the soft one stays as it is


def _tell_of_descriptors(journal: Journal, wanted: int, workers: int) -> None:
    """Note when the processes may not open as many files as the configuration needs."""
    most = affordable(wanted) * workers
    if most < wanted:
        journal.note(
            f"at most {most} client connections at once, not {wanted} (limits.connections): a process may not open more files "
            "(ulimit -n; LimitNOFILE= in a systemd unit)"
        )


def _run(loaded: Loaded, addresses: Sequence[_Address], path: str) -> int:
    """Start all processes, and stay as their parent. Return the exit code. Raises OSError."""
    config = loaded.config
    workers = _workers(config)
    secret = Path(config.gateway.secret).read_bytes().strip() if config.gateway.secret else b""
    shared = memories(workers, secret)
    gauges = Gauges(shared.gauges, workers)
    journal = Journal(config.gateway.log.errors)
    state = {
        "version": 1, "data": loaded.data, "folder": loaded.folder, "gauges": gauges.assign(gauge_names(config)), "servers": {},
    }  # fmt: skip
    _tell_of_descriptors(journal, config.gateway.limits.connections, workers)
    elder = int(os.environ.pop(_ELDER, "0"))
    seats = [[sock for address in addresses for sock in address.sockets[slot::workers]] for slot in range(workers)]

    def control(seat: Seat) -> int:
        from ..control.process import run_control  # its libraries would only weigh on the workers

        return run_control(seat, gauges, journal, path)

    def started() -> None:
        for address in addresses:
            journal.note(f"listening on {address_of(address.sockets[0])}")
        if elder and elder == os.getppid():
            journal.note(f"process {os.getpid()} takes over from process {elder}")
            os.kill(elder, signal.SIGTERM)
        notify(f"READY=1\nMAINPID={os.getpid()}")

    parent = Parent(
        seats,
        write_state(state),
        worker=partial(run_worker, shared=shared),
        control=control,
        journal=journal,
        died=gauges.clear,
        started=started,
        successor=lambda: _successor(addresses),
        drain=config.gateway.drain,
    )
    gc.collect()
    gc.freeze()  # the children share this memory as long as nobody touches it
    return parent.run()
