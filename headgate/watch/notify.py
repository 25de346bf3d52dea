"""Owns how people and programs are told of a change: bell, desktop notification, command, webhook. None may stop the watch."""

import asyncio
import json
import os
import shutil
import sys
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
        jobs.append(_run([program, "--app-name=headgate", title, text], {}, "desktop notification"))
    if ways.command:
        jobs.append(_run(["/bin/sh", "-c", ways.command], environment(data), "--exec"))
    if ways.webhook:
        jobs.append(_post(ways.webhook, dict(data)))
    return [problem for problem in await asyncio.gather(*jobs) if problem]


def environment(data: Mapping[str, Any]) -> dict[str, str]:
    """Return a change as variables for a command: HEADGATE_URL, HEADGATE_STATE, HEADGATE_OLD, ... NUL bytes left out."""
    return {f"HEADGATE_{key.upper()}": str(value).replace("\0", "") for key, value in data.items()}


async def _run(arguments: list[str], extra: dict[str, str], name: str) -> str:
    """Run a program; end it by its own id where it takes too long. Return what went wrong."""
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments, stdin=asyncio.subprocess.DEVNULL, env={**os.environ, **extra}, start_new_session=True
        )
    except OSError as error:
        return f"{name}: {error.strerror or error}"
    try:
        code = await asyncio.wait_for(process.wait(), _TIME)
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"{name}: not finished after {_TIME:g} s, ended"
    return f"{name}: exit code {code}" if code else ""


async def _post(url: str, data: dict[str, Any]) -> str:
    """Send a change to a webhook, up to three times. Return what went wrong."""
    problem = ""
    for number in range(_TRIES):
        if number:
            await asyncio.sleep(_PAUSE * 2**number)
        problem = await asyncio.to_thread(_post_once, url, json.dumps(data).encode())
        if not problem:
            return ""
    return problem


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
    except (OSError, ValueError) as error:
        return f"{where}: {error}"
    return ""


def is_webhook(url: str) -> bool:
    """Return whether a webhook's URL can be used: http or https, and a host."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
