"""Commands: arguments as they are, data on standard input, an end in time with all that was started."""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from headgate.notify.courier import Courier
from headgate.notify.failing import Late, NotSent

from .conftest import destination, message, until


def send(command: tuple[str, ...], *, timeout: float = 10.0, **more: Any) -> str:
    async def work() -> str:
        return await Courier("script", destination("command", command=command, timeout=timeout), "web1").send([message(**more)])

    return asyncio.run(work())


def gone(pid: int) -> bool:
    """Wait until a process is no more."""
    stat = Path(f"/proc/{pid}/stat")
    for _ in range(500):
        if not stat.exists() or stat.read_text().split()[2] == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_program_gets_the_message(tmp_path: Path) -> None:
    script = f'cat > {tmp_path}/said; printf "%s" "$HEADGATE_SERVER" > {tmp_path}/server; echo "$0 $1" > {tmp_path}/words'
    server = f"http://$(touch {tmp_path}/owned)`touch {tmp_path}/owned`;touch {tmp_path}/owned"
    assert send(("/bin/sh", "-c", script, "a b", "$HOME"), server=server) == "exit code 0"
    told = json.loads((tmp_path / "said").read_text())
    assert told["incident"]["server"] == server == (tmp_path / "server").read_text()
    assert (tmp_path / "words").read_text() == "a b $HOME\n"
    assert not (tmp_path / "owned").exists()


def test_one_that_does_not_end_is_killed_with_its_children(tmp_path: Path) -> None:
    with pytest.raises(Late, match=r"not finished after 0\.5 s"):
        send(("/bin/sh", "-c", f"sleep 60 & echo $! > {tmp_path}/child; wait"), timeout=0.5)
    assert gone(int((tmp_path / "child").read_text()))


def test_one_that_is_cancelled_is_killed_too(tmp_path: Path) -> None:
    async def work() -> None:
        settings = destination("command", command=("/bin/sh", "-c", f"echo $$ > {tmp_path}/pid; sleep 60"), timeout=60)
        task = asyncio.create_task(Courier("script", settings, "web1").send([message()]))
        await until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(work())
    assert gone(int((tmp_path / "pid").read_text()))


def test_what_it_says_of_its_failure_is_told() -> None:
    with pytest.raises(NotSent, match="exit code 3: no such channel") as caught:
        send(("/bin/sh", "-c", "echo 'no such channel' >&2; exit 3"))
    assert caught.value.again
    with pytest.raises(NotSent, match="ended by signal 9"):
        send(("/bin/sh", "-c", "kill -9 $$"))
    with pytest.raises(NotSent, match="No such file") as caught:
        send(("/nonexistent/program",))
    assert not caught.value.again


def test_floods_are_bounded() -> None:
    with pytest.raises(NotSent) as caught:
        send(("/bin/sh", "-c", "head -c 50000000 /dev/zero >&2; head -c 50000000 /dev/zero; printf '\\033[31mred' >&2; exit 1"))
    assert len(str(caught.value)) < 400
    assert "\x1b" not in str(caught.value)


def test_one_that_leaves_something_running_is_done(tmp_path: Path) -> None:
    began = time.monotonic()
    assert send(("/bin/sh", "-c", f"sleep 30 & echo $! > {tmp_path}/child"), timeout=20) == "exit code 0"
    assert time.monotonic() - began < 15
    os.kill(int((tmp_path / "child").read_text()), 9)


def test_one_that_does_not_listen_is_no_failure() -> None:
    assert send(("true",), routes=[{"route": "x" * 200, "count": 1}] * 5) == "exit code 0"
