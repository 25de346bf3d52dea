"""Owns how a call of the C library that cannot be broken off is waited for: in a thread that may be left behind.

The event loop's own threads are waited for at the end of the program: a resolver that is silent would hold it up for long.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def aside(work: Callable[[], T]) -> T:
    """Return what `work` does, done in a thread of its own; cancelling leaves the thread to itself. Raises what it raises."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if told.done():
            return
        if error is not None:
            told.set_exception(error)
        else:
            told.set_result(result)  # type: ignore[arg-type]  # without an error it is work's result

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except Exception as found:  # whatever it is, it is the caller's
            error = found
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=run, daemon=True).start()
    return await told
