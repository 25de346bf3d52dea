"""A gateway over servers that are hurt on purpose, under constant load; and an exact account of what clients saw.

Every GET asks for its own path and must get that path back; every POST has its own, and the servers write down what they execute.
A failure is told apart by what it was: a wrong answer (any status but 200), a connection that broke while an answer was due, a
connection that was refused. What is in flight in a worker when it is killed is lost; nothing else may be.
"""

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
SECONDS = 15.0
"""Within which a program has to be ready, or gone."""


def free_port() -> int:
    """A port that nobody has at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def answers(port: int) -> bool:
    """Whether something listens on a port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Return when the condition holds; RuntimeError when it takes too long."""
    end = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"waited in vain for {what}")
        time.sleep(0.01)


class Server:
    """One server process."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.port = free_port()
        self.file = folder / f"executed-{name}"
        self.file.touch()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and return when it listens."""
        command = [sys.executable, str(HERE / "origin_of_chaos.py"), str(self.port), self.name, str(self.file)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        wait_for(lambda: answers(self.port), f"server {self.name}")

    def send(self, number: int) -> None:
        """Send a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGKILL) -> None:
        """End it."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            self.process.wait(SECONDS)
            self.process = None

    def mode(self, mode: str) -> None:
        """Let it behave in another way."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
            sock.sendall(f"GET /-/{mode} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            sock.recv(1024)

    def executed(self) -> list[str]:
        """The paths of the POSTs it has executed."""
        return self.file.read_text().split()


class Gateway:
    """`headgate serve` with its processes."""

    def __init__(
        self,
        folder: Path,
        servers: Sequence[Server],
        settings: str = "",
        upstream: str = "",
        *,
        before: str = "",
        ready: bool = True,
    ) -> None:
        """settings: lines of [gateway]. upstream: lines of [upstream.app]. before: Python that its program begins with.

        ready: return when it listens.
        """
        self.folder = folder
        self.port = free_port()
        self.file = folder / "headgate.toml"
        self.errors = folder / "gateway.log"
        urls = ", ".join(f'"{server.url}"' for server in servers)
        self.text = (
            f'[gateway]\nlisten = ["127.0.0.1:{self.port}"]\n{settings}\n'
            f'[gateway.log]\naccess = "off"\nerrors = "{self.errors}"\n\n[upstream.app]\nservers = [{urls}]\n{upstream}\n'
        )
        self.file.write_text(self.text)
        command = [sys.executable, "-c", f"{before}\nfrom headgate.cli import main; main()", "serve", str(self.file)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=folder)
        self.pid = self.process.pid
        if ready:
            wait_for(lambda: self.notes("listening on"), "the gateway")

    def notes(self, words: str) -> int:
        """How many lines of its log hold these words."""
        return self.errors.read_text(errors="replace").count(words) if self.errors.exists() else 0

    def children(self) -> list[int]:
        """Its processes: the control process and the workers, in the order in which they were started."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def control(self) -> int:
        """The control process: the one that accepts no connections on the gateway's port."""
        return next(pid for pid in self.children() if pid not in self.workers())

    def workers(self) -> list[int]:
        """The workers: whoever holds a listening socket on the gateway's port."""
        inodes = listening_inodes(self.port)
        return [pid for pid in self.children() if inodes & socket_inodes(pid)]

    def reload(self) -> None:
        """Reload, and return when it is done."""
        before = self.notes("is served by")
        os.kill(self.pid, signal.SIGHUP)
        wait_for(lambda: self.notes("is served by") > before, "a reload")

    def upgrade(self) -> None:
        """Let a new version take over, and return when the old one has ended."""
        os.kill(self.pid, signal.SIGUSR2)
        words = f"takes over from process {self.pid}\n"
        wait_for(lambda: self.notes(words), "the new version")
        line = next(line for line in self.errors.read_text().splitlines() if f"{line}\n".endswith(words))
        old, self.pid = self.process, int(line.split(" note process ")[1].split()[0])
        old.wait(60)

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
        wait_for(lambda: not Path(f"/proc/{self.pid}").exists() or self._reaped(), "the gateway's end")

    def _reaped(self) -> bool:
        return self.process.pid == self.pid and self.process.poll() is not None


def listening_inodes(port: int) -> set[str]:
    """Inodes of the sockets that listen on a port of 127.0.0.1."""
    wanted = f"0100007F:{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[1] == wanted and row[3] == "0A"}


def socket_inodes(pid: int) -> set[str]:
    """Inodes of the sockets that a process holds."""
    found = set()
    with suppress(FileNotFoundError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.add(str(entry.readlink()).removeprefix("socket:[").rstrip("]"))
    return found


@dataclass
class Account:
    """What clients saw."""

    asked: Counter[str] = field(default_factory=Counter)  # by method
    wrong: Counter[str] = field(default_factory=Counter)  # by method and status
    broken: Counter[str] = field(default_factory=Counter)  # connections that ended while an answer was due, by method
    refused: int = 0
    posted: list[str] = field(default_factory=list)  # paths of POSTs that were answered with 200
    slowest: float = 0.0
    examples: list[str] = field(default_factory=list)


class Load:
    """Clients that ask without a pause, each on a connection of its own."""

    def __init__(self, port: int, clients: int = 16, posts: float = 0.1, pause: float = 0.004) -> None:
        """posts: share of POSTs. pause: seconds between two requests of a client."""
        self.account = Account()
        self._port, self._posts, self._pause = port, posts, pause
        self._over = asyncio.Event()
        self._tasks = [asyncio.create_task(self._client(number)) for number in range(clients)]

    async def end(self) -> Account:
        """Stop asking; return what was seen once the last answers are there."""
        self._over.set()
        await asyncio.gather(*self._tasks)
        return self.account

    async def _client(self, number: int) -> None:
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        count = 0
        while not self._over.is_set():
            count += 1
            method = "POST" if random.random() < self._posts else "GET"
            path = f"/{method.lower()}-{number}-{count}"
            if streams is None:
                try:
                    streams = await asyncio.open_connection("127.0.0.1", self._port)
                except OSError:
                    self.account.refused += 1
                    await asyncio.sleep(0.05)
                    continue
            if not await self._ask(streams, method, path):
                streams[1].close()
                streams = None
            await asyncio.sleep(self._pause)
        if streams is not None:
            streams[1].close()

    async def _ask(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], method: str, path: str) -> bool:
        """Make a request; False when the connection is over."""
        account, (reader, writer) = self.account, streams
        account.asked[method] += 1
        begun = time.monotonic()
        body = "Content-Length: 5\r\n\r\nhello" if method == "POST" else "\r\n"
        try:
            writer.write(f"{method} {path} HTTP/1.1\r\nHost: chaos\r\n{body}".encode())
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            answer = await asyncio.wait_for(reader.readexactly(length), 30)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            account.broken[method] += 1
            account.examples.append(f"{time.monotonic():.3f} {method} {path} {error!r}")
            return False
        account.slowest = max(account.slowest, time.monotonic() - begun)
        status = head.split()[1].decode()
        if status != "200" or path.encode() not in answer:
            account.wrong[f"{method} {status}"] += 1
            account.examples.append(f"{time.monotonic():.3f} {method} {path} {status} {answer[:200]!r}")
        elif method == "POST":
            account.posted.append(path)
        return b"\r\nconnection: close\r\n" not in head.lower()


@dataclass
class Verdict:
    """The account, and what the servers say to it."""

    account: Account
    executed: Counter[str]  # how often each POST was executed

    @property
    def twice(self) -> list[str]:
        """POSTs that were executed more than once."""
        return [path for path, count in self.executed.items() if count > 1]

    @property
    def lost(self) -> list[str]:
        """POSTs that were answered with 200, and never executed."""
        return [path for path in self.account.posted if not self.executed[path]]

    @property
    def wrong_gets(self) -> int:
        """GETs that got an answer which was not theirs."""
        return sum(count for what, count in self.account.wrong.items() if what.startswith("GET"))


async def off_loop(work: Callable[[], object]) -> None:
    """Do something that blocks, beside the clients."""
    await asyncio.to_thread(work)


Step = Callable[[], Awaitable[None]]


async def play(
    gateway: Gateway, servers: Sequence[Server], steps: Sequence[Step], *, clients: int = 16, posts: float = 0.1
) -> Verdict:
    """Run the steps one after the other under load, and return what came of it."""
    load = Load(gateway.port, clients, posts)
    try:
        await asyncio.sleep(0.5)
        for step in steps:
            await step()
        await asyncio.sleep(0.5)
    finally:
        account = await load.end()
    return Verdict(account, Counter(path for server in servers for path in server.executed()))
