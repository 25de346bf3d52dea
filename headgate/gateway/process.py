"""What runs in a worker's process, from its birth to its end."""

import asyncio
import gc
import signal

import uvloop

from ..config.load import from_data
from ..net.seat import Seat, read_state
from ..net.tls import BadTlsFile
from ..render.page import BadTemplate
from .counting import Counting, Memories
from .orders import Orders
from .worker import Worker

_UNUSABLE = 2
"""Exit code when a file of the configuration cannot be used."""
_LONGEST = 8_000
"""Characters of a reason."""


def run_worker(seat: Seat, shared: Memories) -> int:
    """Move traffic until the parent says otherwise, or is gone. Return the exit code."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_work(seat, shared))
    except (BadTemplate, BadTlsFile) as problem:
        return _complain(seat, str(problem))
    except OSError as problem:
        return _complain(seat, f"{problem.filename}: {problem.strerror}" if problem.filename else str(problem))
    return 0


def _complain(seat: Seat, problem: str) -> int:
    """Let the parent know why this worker cannot serve, for one message must do for all workers."""
    seat.channel.send({"do": "unusable", "why": problem[:_LONGEST]})
    return _UNUSABLE


async def _work(seat: Seat, shared: Memories) -> None:
    loop = asyncio.get_running_loop()
    state = read_state(seat.present)
    config = from_data(state["data"], state["folder"])
    worker = Worker(config, loop, Counting(shared, seat.slot), state["gauges"])
    worker.told(state["servers"])
    orders = Orders(worker, seat, state["version"])
    loop.add_signal_handler(signal.SIGTERM, orders.stop)
    loop.add_signal_handler(signal.SIGUSR1, worker.reopen)
    orders.begin()
    await worker.listen(list(seat.sockets))
    running = asyncio.create_task(worker.run())
    await asyncio.sleep(0)  # from here on everything is heeded: whoever waits for the word may send a signal
    gc.collect()
    gc.freeze()  # what is here now stays: the collector need not look at it again
    gc.set_threshold(50_000, 20, 50)
    orders.ready()
    await running
    orders.end()
    worker.recorder.flush()
