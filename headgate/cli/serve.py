"""`headgate serve`: read the configuration, bind, and run the gateway."""

import gc
import os
import resource
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..config.findings import BadConfig
from ..config.load import Loaded, from_servers, read
from ..config.schema import Config
from ..control.handover import Address, Elder, start_heir
from ..control.parent import Parent
from ..control.signals import hold
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
    hold()
    _open_standard_streams()
    elder = _elder()
    try:
        loaded = _configuration(file, listen, servers)
        addresses = _sockets(loaded.config, elder)
        _allow_descriptors()
        code = _run(loaded, addresses, str(Path(file).absolute()) if file else "", elder)
    except BadConfig as problem:
        elder.failed(str(problem))
        click.echo(str(problem), err=True)
        sys.exit(2)
    except (CannotListen, OSError) as problem:
        elder.failed(_said(problem))
        stop(_said(problem))
    sys.exit(code)


def _said(problem: Exception) -> str:
    """Return what went wrong, without an error's number."""
    if not isinstance(problem, OSError):
        return str(problem)
    return f"{problem.filename}: {problem.strerror}" if problem.filename else problem.strerror or str(problem)


def _open_standard_streams() -> None:
    """Put nothing in the place of standard streams that are closed: else a socket gets the number, and log lines with it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115 (as long as we live)


def _elder() -> Elder:
    try:
        return Elder.of(os.environ)
    except ValueError as problem:
        stop(str(problem))


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


def _sockets(config: Config, elder: Elder) -> list[Address]:
    """Return the sockets of each address, one for each worker: those of the version before, where this one takes over from it."""
    count = _workers(config)
    found = []
    for address in config.gateway.listen:
        there = elder.take(address)
        lacking = count - len(there)
        found.append(Address(address, there + (bind_shares(address, lacking, there) if lacking > 0 else [])))
    elder.let_go()
    return found


def _allow_descriptors() -> None:
    """Raise the soft limit of open files to the hard one: the usual 1024 are few for a gateway."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        pass  # an unlimited hard limit above what the kernel can do: the soft one stays as it is


def _pages() -> Any:
    """Return the pages of the dashboard, loaded when somebody first wants to see one."""
    from ..web import dashboard

    return dashboard


def _tell_of_descriptors(journal: Journal, wanted: int, workers: int) -> None:
    """Note when the processes may not open as many files as the configuration needs."""
    most = affordable(wanted) * workers
    if most < wanted:
        journal.note(
            f"at most {most} client connections at once, not {wanted} (limits.connections): a process may not open more files "
            "(ulimit -n; LimitNOFILE= in a systemd unit)"
        )


def _run(loaded: Loaded, addresses: Sequence[Address], path: str, elder: Elder) -> int:
    """Start all processes, and stay as their parent. Return the exit code. Raises OSError."""
    config = loaded.config
    workers = _workers(config)
    secret = Path(config.gateway.secret).read_bytes().strip() if config.gateway.secret else b""
    shared = memories(workers, secret)
    gauges = Gauges(shared.gauges, workers)
    journal = Journal(config.gateway.log.errors)
    present = write_state({
        "version": 1, "data": loaded.data, "folder": loaded.folder, "gauges": gauges.assign(gauge_names(config)),
        "servers": elder.servers(config),
    })  # fmt: skip
    _tell_of_descriptors(journal, config.gateway.limits.connections, workers)

    def control(seat: Seat) -> int:
        from ..control.process import run_control  # its libraries would only weigh on the workers
        from ..control.tools import Tools
        from ..probe.autopsy import autopsy

        return run_control(seat, gauges, journal, path, Tools(examine=autopsy, pages=_pages, heir=bool(elder.pid)))

    def started() -> None:
        for address in addresses:
            journal.note(f"listening on {address_of(address.sockets[0])}")
        if not elder.ready():
            journal.note(f"process {elder.pid} has ended without handing over, so this one ends too")
            os.kill(os.getpid(), signal.SIGTERM)
            return
        if elder.pid:
            journal.note(f"process {os.getpid()} takes over from process {elder.pid}")
        notify(f"READY=1\nMAINPID={os.getpid()}")

    def failed(why: str) -> None:
        elder.failed(why)
        click.echo(f"headgate: {why}", err=True)

    parent = Parent(
        [[sock for address in addresses for sock in address.sockets[slot::workers]] for slot in range(workers)],
        present,
        worker=partial(run_worker, shared=shared),
        control=control,
        journal=journal,
        died=gauges.clear,
        started=started,
        failed=failed,
        successor=lambda: start_heir(addresses, present),
        drain=config.gateway.drain,
    )
    gc.collect()
    gc.freeze()  # the children share this memory as long as nobody touches it
    return parent.run()
