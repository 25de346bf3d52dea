"""Owns how people and programs are told of a change: bell, desktop notification, command, webhook. None may stop the watch."""

import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from ..diagnose.redact import credentials_apart

_TIME: Final = 10.0
"""Seconds that a command or a webhook gets."""
_TRIES: Final = 3
_PAUSE: Final = 1.0


@dataclass(frozen=True, slots=True)
class Ways:
    """How to tell."""

    bell: bool = False
    desktop: bool = False
    command: str = ""  # run by the shell, with HEADGATE_* in its environment
    webhook: str = ""  # gets the change as JSON by POST


async def tell(ways: Ways, title: str, text: str, data: Mapping[str, Any]) -> list[str]:
    """Tell of a change in every way that was asked for; return what did not work, as sentences."""
    if ways.bell and sys.stderr.isatty():
        sys.stderr.write("\a")
        sys.stderr.flush()
    jobs = []
    if ways.desktop and (program := shutil.which("notify-send")):
        jobs.append(_run([program, "--app-name=headgate", "--", title, text], {}, "desktop notification"))
    if ways.command:
        jobs.append(_run(["/bin/sh", "-c", ways.command], environment(data), "--exec"))
    if ways.webhook:
        jobs.append(_post(ways.webhook, dict(data)))
    return [problem for problem in await asyncio.gather(*jobs) if problem]


def environment(data: Mapping[str, Any]) -> dict[str, str]:
    """Return a change as variables for a command: HEADGATE_URL, HEADGATE_STATE, HEADGATE_OLD, ... NUL bytes left out."""
    return {f"HEADGATE_{key.upper()}": str(value).replace("\0", "") for key, value in data.items()}


async def _run(arguments: list[str], extra: dict[str, str], name: str) -> str:
    """Run a program; where it takes too long end it, with all that it started. Return what went wrong."""
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments, stdin=asyncio.subprocess.DEVNULL, env={**os.environ, **extra}, start_new_session=True
        )
    except OSError as error:
        return f"{name}: {error.strerror or error}"
    try:
        code = await asyncio.wait_for(process.wait(), _TIME)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a session of its own, so the group is its own too
        await process.wait()
        return f"{name}: not finished after {_TIME:g} s, ended"
    return f"{name}: exit code {code}" if code else ""


async def _post(url: str, data: dict[str, Any]) -> str:
    """Send a change to a webhook, up to three times. Return what went wrong."""
    problem = ""
    for number in range(_TRIES):
        if number:
            await asyncio.sleep(_PAUSE * 2**number)
        try:
            problem = await asyncio.wait_for(_in_thread(url, json.dumps(data).encode()), _TIME)
        except TimeoutError:
            return f"webhook {urlsplit(url).hostname}: no answer within {_TIME:g} s"  # it may have taken it: not sent again
        if not problem:
            return ""
    return problem


def _in_thread(url: str, body: bytes) -> "asyncio.Future[str]":
    """Return what `_post_once` will: in a thread that nobody waits for at the end, for a server may keep it for ever."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[str] = loop.create_future()

    def set_result(problem: str) -> None:
        if not told.done():
            told.set_result(problem)

    def work() -> None:
        problem = _post_once(url, body)
        with contextlib.suppress(RuntimeError):  # the watch is over
            loop.call_soon_threadsafe(set_result, problem)

    threading.Thread(target=work, daemon=True).start()
    return told


def _post_once(url: str, body: bytes) -> str:
    fields = {"Content-Type": "application/json", "User-Agent": "headgate-watch"}
    url, authorization = credentials_apart(url)
    if authorization:
        fields["Authorization"] = authorization
    request = urllib.request.Request(url, body, fields, method="POST")  # noqa: S310 (is_webhook allows http and https only)
    where = f"webhook {urlsplit(url).hostname}"
    try:
        with urllib.request.urlopen(request, timeout=_TIME) as answer:  # noqa: S310
            answer.read(1)
    except urllib.error.HTTPError as error:
        return f"{where}: answered {error.code}"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"{where}: {_why(error)}"
    return ""


def _why(error: Exception) -> str:
    """Return an error in words; what a server said that is no HTTP is not repeated."""
    if isinstance(error, http.client.HTTPException):
        return "its answer is no HTTP"
    reason = getattr(error, "reason", error)
    return str(getattr(reason, "strerror", None) or reason)


def is_webhook(url: str) -> bool:
    """Return whether a webhook's URL can be used: http or https, and a host."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and port != 0 and not any(char <= " " for char in url)
