"""Owns how a program is run to tell somebody: arguments without a shell, text on standard input, ended with all it started."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any, Final

from .failing import Late, NotSent

_HEARD: Final = 2000
"""Bytes at the end of standard error that are kept."""
_CHUNK: Final = 65_536
_QUOTED: Final = 200


async def run(arguments: Sequence[str], said: bytes, extra: Mapping[str, str], seconds: float) -> None:
    """Run a program to its end. said: for its standard input. extra: variables of its environment. Raises NotSent, Late."""
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **extra}, start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise NotSent(str(getattr(error, "strerror", None) or error), again=False) from None
    saying, hearing = asyncio.ensure_future(_say(process, said)), asyncio.ensure_future(_hear(process))
    try:
        async with asyncio.timeout(seconds):
            code = await process.wait()
            done, _ = await asyncio.wait([hearing], timeout=0.2)  # what it left running may hold the pipe open
    except TimeoutError:
        raise Late(f"not finished after {seconds:g} s, ended") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # a session of its own, so the group is its own too
            await process.wait()
        for task in (saying, hearing):
            task.cancel()
        await asyncio.gather(saying, hearing, return_exceptions=True)
        process._transport.close()  # type: ignore[attr-defined]  # pipes that others hold open
    if code:
        heard = f": {hearing.result()}" if done and hearing.result() else ""
        raise NotSent(f"exit code {code}{heard}" if code > 0 else f"ended by signal {-code}{heard}", again=True)


async def _say(process: asyncio.subprocess.Process, said: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # it does not listen
        process.stdin.write(said)
        await process.stdin.drain()
    process.stdin.close()


async def _hear(process: asyncio.subprocess.Process) -> str:
    """Return the end of what it says on standard error, as one line."""
    assert process.stderr is not None
    heard = b""
    while chunk := await process.stderr.read(_CHUNK):
        heard = (heard + chunk)[-_HEARD:]
    return " ".join(heard.decode("utf-8", "replace").split())[-_QUOTED:]


def environment(data: Mapping[str, Any]) -> dict[str, str]:
    """Return plain values as variables: {"state": "up"} as HEADGATE_STATE. NUL bytes are left out, and texts bounded."""
    return {f"HEADGATE_{key.upper()}": str(value).replace("\0", "")[:4000] for key, value in data.items()}
