"""Starts gateways as processes of our own, and ends them by their pid; narrows what a process may do, for some scenarios."""

import asyncio
import contextlib
import ctypes
import importlib.util
import os
import re
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from .gateways import Written
from .laboratory import LabError
from .peers import PEERS

_VERSION = re.compile(r"(?<![\w.])v?(\d+\.\d+[\w.+~-]*)", re.MULTILINE)
_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE = 24, 1


def binary(kind: str) -> str | None:
    """Return the program of a kind of gateway, None when it is not installed."""
    if kind == "headgate":
        return sys.executable if importlib.util.find_spec("headgate.cli.serve") else None
    name = PEERS[kind].program
    beside = Path(sys.executable).with_name(name)  # where packages from PyPI put theirs
    return (
        shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin") or (str(beside) if beside.exists() else None)
    )


def _command(written: Written, program: str) -> list[str]:
    if written.kind == "headgate":
        return [program, "-m", "headgate", "serve", str(written.path)]
    return PEERS[written.kind].command(program, written.setting, str(written.path))


def version(kind: str) -> str:
    """Return what the program says about its version, "" when it is not installed."""
    program = binary(kind)
    if program is None:
        return ""
    arguments = ("-m", "headgate", "--version") if kind == "headgate" else PEERS[kind].version
    done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=20, check=False)  # noqa: S603 (fixed words)
    found = _VERSION.search(done.stdout + done.stderr)
    return found.group(1) if found else ""


@dataclass
class Running:
    """A gateway's process."""

    written: Written
    process: asyncio.subprocess.Process
    output: Path
    """What it wrote to standard output and error."""

    @property
    def said(self) -> str:
        """The last lines of its output."""
        return "\n".join(self.output.read_text(encoding="utf-8", errors="replace").splitlines()[-12:])


def free_port() -> int:
    """Return a port that is given to nobody else as long as this process lives.

    A socket that does not listen stays bound to it. A program that binds with SO_REUSEADDR, as servers do, may listen there;
    who asks the kernel for any free port does not get it, even when many gateways start at once.
    """
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # only now: otherwise the kernel might share it at once
    port: int = sock.getsockname()[1]
    sock.detach()  # its descriptor stays open until this process ends
    return port


@contextlib.asynccontextmanager
async def running(written: Written) -> AsyncIterator[Running]:
    """Run a gateway as long as the block lasts. Raises LabError when it is not installed or does not come up."""
    program = binary(written.kind)
    if program is None:
        raise LabError(f"{written.kind} is not installed here")
    if written.kind in PEERS:
        PEERS[written.kind].prepare(written.setting)
    output = written.setting.folder / "output.log"
    process = await _start(_command(written, program), output)
    run = Running(written, process, output)
    try:
        await _wait_until_open(run)
        async with _companions(written):
            yield run
    finally:
        await _end(process)


async def _start(command: list[str], output: Path) -> asyncio.subprocess.Process:
    with output.open("wb") as sink:
        return await asyncio.create_subprocess_exec(
            *command, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL, preexec_fn=_obey_file_modes
        )


@contextlib.asynccontextmanager
async def _companions(written: Written) -> AsyncIterator[None]:
    """Run what belongs beside a gateway's process."""
    commands = PEERS[written.kind].companions(written.setting) if written.kind in PEERS else {}
    started = [await _start(command, written.setting.folder / file) for file, command in commands.items()]
    try:
        await _until_written(written, [written.setting.folder / file for file in commands])
        yield
    finally:
        for process in started:
            await _end(process)


async def _until_written(written: Written, files: list[Path]) -> None:
    """Ask for something until all files grow: a program that follows a log takes a second before it does."""
    for _ in range(50):
        if all(file.stat().st_size for file in files):
            break
        await _status_line(written, "/lab-ready")
        await asyncio.sleep(0.1)


def _obey_file_modes() -> None:
    """In the child: even root's gateway may not open what file modes forbid, as a gateway in production may not."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0)


async def _wait_until_open(run: Running) -> None:
    for _ in range(200):
        if run.process.returncode is not None:
            break
        try:
            if await _answers(run.written):
                return
        except OSError:
            pass
        await asyncio.sleep(0.05)
    raise LabError(f"{run.written.kind} did not start with {run.written.path}:\n{run.said}")


async def _answers(written: Written) -> bool:
    """Return whether the gateway is ready. Raises OSError while nothing listens."""
    path = PEERS[written.kind].ready if written.kind in PEERS else ""
    if path:
        return b" 200 " in await _status_line(written, path)
    _, writer = await asyncio.open_connection("127.0.0.1", written.setting.port)
    writer.close()
    return True


async def _status_line(written: Written, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", written.setting.port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n".encode())
        return await reader.readline()
    finally:
        writer.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 3)
        except TimeoutError:
            process.kill()
            await process.wait()


@contextlib.contextmanager
def starved(pid: int) -> Iterator[None]:
    """Let a process and its children open no more descriptors, as long as the block lasts."""
    limits = {}
    for one in [pid, *children(pid)]:
        limits[one] = resource.prlimit(one, resource.RLIMIT_NOFILE)
        resource.prlimit(one, resource.RLIMIT_NOFILE, (_lowest_free(one), limits[one][1]))
    try:
        yield
    finally:
        for one, limit in limits.items():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(one, resource.RLIMIT_NOFILE, limit)


def children(pid: int) -> list[int]:
    """Return all processes below this one."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *children(int(child))]
    return found


def _lowest_free(pid: int) -> int:
    """Return the number that the process's next descriptor would get."""
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    return next(number for number in range(len(used) + 1) if number not in used)
