"""What is done to servers and to the gateway's own processes while clients go on asking: one function for each disturbance."""

import asyncio
import os
import signal
from collections.abc import Callable

from chaos import Gateway, Server, Step, off_loop, wait_for


def killed(server: Server, seconds: float = 0.6) -> Step:
    """The server is killed, and comes back after a while."""

    async def step() -> None:
        await off_loop(server.end)
        await asyncio.sleep(seconds)
        await off_loop(server.start)
        await asyncio.sleep(0.3)

    return step


def restarted(server: Server) -> Step:
    """The server is ended in order, and comes back at once."""

    async def step() -> None:
        await off_loop(lambda: server.end(signal.SIGTERM))
        await off_loop(server.start)
        await asyncio.sleep(0.3)

    return step


def stalled(server: Server, seconds: float = 1.5) -> Step:
    """The server stands still: its connections are accepted by the kernel, and nothing answers."""

    async def step() -> None:
        server.send(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        server.send(signal.SIGCONT)
        await asyncio.sleep(0.3)

    return step


def behaving(server: Server, mode: str, seconds: float = 1.5) -> Step:
    """The server is slow, resets, closes or answers errors for a while."""

    async def step() -> None:
        await off_loop(lambda: server.mode(mode))
        await asyncio.sleep(seconds)
        await off_loop(lambda: server.mode("ok"))
        await asyncio.sleep(0.3)

    return step


def worker_killed(gateway: Gateway) -> Step:
    """A worker is killed, and another takes its place."""

    async def step() -> None:
        before = set(gateway.workers())
        os.kill(next(iter(before)), signal.SIGKILL)
        await off_loop(
            lambda: wait_for(lambda: len(gateway.workers()) == len(before) and set(gateway.workers()) != before, "a new worker")
        )
        await asyncio.sleep(0.3)

    return step


def control_killed(gateway: Gateway) -> Step:
    """The control process is killed, and another takes its place."""

    async def step() -> None:
        before = gateway.control()
        os.kill(before, signal.SIGKILL)
        await off_loop(lambda: wait_for(lambda: _other(gateway.control, before), "a new control process"))
        await asyncio.sleep(0.5)

    return step


def _other(ask: Callable[[], int], before: int) -> bool:
    try:
        return ask() != before
    except (StopIteration, FileNotFoundError):
        return False


def reloaded(gateway: Gateway, times: int = 1) -> Step:
    """The configuration is changed and reloaded."""

    async def step() -> None:
        for turn in range(times):
            gateway.file.write_text(
                gateway.text + f'\n[upstream.other{turn % 3}]\nservers = ["http://127.0.0.1:9"]\n\n[[route]]\nupstream = "app"\n'
            )
            await off_loop(gateway.reload)

    return step


def upgraded(gateway: Gateway) -> Step:
    """A new version of the program takes over."""

    async def step() -> None:
        await off_loop(gateway.upgrade)

    return step
