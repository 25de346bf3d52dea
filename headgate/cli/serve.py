"""`headgate serve`: read the configuration, bind, and run the gateway."""

import asyncio
import gc
import resource
import socket
import sys

import click
import uvloop

from ..config.findings import BadConfig
from ..config.load import from_servers, load
from ..config.schema import Config
from ..gateway.sockets import CannotListen, address_of, bind
from ..gateway.worker import Worker
from ..net.tls import BadTlsFile
from ..render.page import BadTemplate
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
    """
    try:
        config = _configuration(file, listen, servers)
        sockets = [bind(address) for address in config.gateway.listen]
    except BadConfig as problem:
        click.echo(str(problem), err=True)
        sys.exit(2)
    except CannotListen as problem:
        stop(str(problem))
    _allow_descriptors()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(config, sockets))
    except (BadTemplate, BadTlsFile) as problem:
        stop(str(problem))
    except OSError as problem:
        stop(f"{problem.filename}: {problem.strerror}" if problem.filename else str(problem))


def _configuration(file: str | None, listen: tuple[str, ...], servers: tuple[str, ...]) -> Config:
    if file is not None and (listen or servers):
        stop("give either a FILE, or --listen and --to, not both")
    if file is not None:
        return load(file)
    if not servers:
        stop("nothing to forward to: give a configuration FILE, or --to URL (for example --to http://127.0.0.1:3000)")
    return from_servers(listen or ("127.0.0.1:8080",), servers)


def _allow_descriptors() -> None:
    """Raise the soft limit of open files to the hard one: the usual 1024 are few for a gateway."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        pass  # an unlimited hard limit above what the kernel can do: the soft one stays as it is


async def _serve(config: Config, sockets: list[socket.socket]) -> None:
    worker = Worker(config, asyncio.get_running_loop())
    await worker.listen(sockets)
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0)  # from here on it heeds signals: whoever waits for the lines below may send one
    if worker.most_clients < worker.limits.connections:
        worker.recorder.note(
            f"at most {worker.most_clients} client connections at once, not {worker.limits.connections} (limits.connections): "
            "this process may not open more files (ulimit -n; LimitNOFILE= in a systemd unit)"
        )
    for sock in sockets:
        worker.recorder.note(f"listening on {address_of(sock)}")
    gc.collect()
    gc.freeze()  # what is here now stays: the collector need not look at it again
    gc.set_threshold(50_000, 20, 50)
    await running
    worker.recorder.summarise()
    worker.recorder.flush()
