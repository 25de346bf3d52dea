"""A call that does not return holds nobody up."""

import asyncio
import subprocess
import sys
import threading
from typing import NoReturn

import pytest

from headgate.probe.aside import aside


def test_results_and_errors_come_through() -> None:
    def fail() -> NoReturn:
        raise OSError("no")

    assert asyncio.run(aside(lambda: 7)) == 7
    with pytest.raises(OSError, match="no"):
        asyncio.run(aside(fail))


def test_who_gives_up_is_free_at_once_and_a_late_result_goes_nowhere() -> None:
    late = threading.Event()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await aside(lambda: late.wait(10))
        late.set()
        await asyncio.sleep(0.05)  # the late result comes while the loop still runs

    asyncio.run(give_up())


@pytest.mark.timeout(20)
def test_the_program_ends_without_it() -> None:
    program = (
        "import asyncio, time\nfrom headgate.probe.aside import aside\n"
        "async def main():\n    await asyncio.wait_for(aside(lambda: time.sleep(300)), 0.05)\n"
        "try: asyncio.run(main())\nexcept TimeoutError: print('over')"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=15)
    assert done.stdout == "over\n"
