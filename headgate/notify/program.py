"""Owns how a program is run to tell somebody: arguments without a shell, text on standard input, ended with all it started."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from typing import IO, Any, Final

from .failing import Late, NotSent

_HEARD: Final = 2000
"""Bytes at the end of standard error that are kept."""
_CHUNK: Final = 65_536
_QUOTED: Final = 200
_LAST_WORDS: Final = 0.2
"""Seconds after its end in which what it said may still come in."""


async def run(arguments: Sequence[str], said: bytes, extra: Mapping[str, str], seconds: float) -> None:
    """Run a program to its end. said: for its standard input. extra: variables of its environment. Raises NotSent, Late.

    What it leaves running is left alone, unless its time is up: then all of it is killed.
    """
    with _Heard() as heard, _given(said) as given:
        try:
            process = await asyncio.create_subprocess_exec(
                *arguments, stdin=given, stdout=asyncio.subprocess.DEVNULL, stderr=heard.giving,
                env={**os.environ, **extra}, start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise NotSent(str(getattr(error, "strerror", None) or error), again=False) from None
        heard.listen()
        try:
            async with asyncio.timeout(seconds):
                code = await process.wait()
        except TimeoutError:
            raise Late(f"not finished after {seconds:g} s, ended") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # a session of its own, so the group is its own too
                await process.wait()
        if code:
            words = await heard.last_words()
            what = f"exit code {code}" if code > 0 else f"ended by signal {-code}"
            raise NotSent(f"{what}: {words}" if words else what, again=True)


def _given(said: bytes) -> IO[bytes]:
    """Return a file in memory to be read: nobody waits for a program that does not read it."""
    file = open(os.memfd_create("headgate-message"), "w+b", buffering=0)  # noqa: SIM115 (run closes it)
    file.write(said)
    file.seek(0)
    return file


class _Heard:
    """The end of what a program says on standard error. A pipe of our own: asyncio's would be waited for."""

    def __enter__(self) -> "_Heard":
        self._hearing, self.giving = os.pipe()
        os.set_blocking(self._hearing, False)
        self._text = b""
        self._over = asyncio.Event()
        return self

    def listen(self) -> None:
        """The program has its end of the pipe."""
        os.close(self.giving)
        self.giving = -1
        asyncio.get_running_loop().add_reader(self._hearing, self._read)

    def _read(self) -> None:
        chunk = os.read(self._hearing, _CHUNK)
        self._text = (self._text + chunk)[-_HEARD:]
        if not chunk:
            asyncio.get_running_loop().remove_reader(self._hearing)
            self._over.set()

    async def last_words(self) -> str:
        """Return what it said last, as one line."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self._over.wait()  # what it left running may hold the pipe open
        return " ".join(self._text.decode("utf-8", "replace").split())[-_QUOTED:]

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._hearing)
        os.close(self._hearing)
        if self.giving >= 0:
            os.close(self.giving)


def environment(data: Mapping[str, Any]) -> dict[str, str]:
    """Return plain values as variables: {"state": "up"} as HEADGATE_STATE. NUL bytes are left out, and texts bounded."""
    return {f"HEADGATE_{key.upper()}": str(value).replace("\0", "")[:4000] for key, value in data.items()}
