"""Owns how people and programs are told of a change: bell, desktop notification, command, webhook. None may stop the watch."""

import asyncio
import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from ..config.notifyforms import bad_url
from ..diagnose.redact import credentials_apart
from ..notify.failing import Late, NotSent
from ..notify.http import Http, Post
from ..notify.program import environment, run

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
        jobs.append(_run(["/bin/sh", "-c", ways.command], data, "--exec"))
    if ways.webhook:
        jobs.append(_post(ways.webhook, json.dumps(dict(data)).encode()))
    return [problem for problem in await asyncio.gather(*jobs) if problem]


async def _run(arguments: list[str], data: Mapping[str, Any], name: str) -> str:
    """Run a program; return what went wrong."""
    try:
        await run(arguments, b"", environment(data), _TIME)
    except NotSent as problem:
        return f"{name}: {problem}"
    return ""


async def _post(url: str, body: bytes) -> str:
    """Send a change to a webhook, up to three times. Return what went wrong."""
    address, authorization = credentials_apart(url)
    fields = {"Content-Type": "application/json", "User-Agent": "headgate-watch"}
    if authorization:
        fields["Authorization"] = authorization
    http, problem = Http(), ""
    try:
        for number in range(_TRIES):
            if number:
                await asyncio.sleep(_PAUSE * 2**number)
            try:
                await http.send(Post(address, body, fields, quote=False), _TIME)
                return ""
            except NotSent as error:
                problem = f"webhook {urlsplit(url).hostname}: {error}"
                if isinstance(error, Late) or not error.again:
                    break  # it may have taken it, or never will
    finally:
        await http.close()
    return problem


def is_webhook(url: str) -> bool:
    """Return whether a webhook's URL can be used: http or https, and a host."""
    return not bad_url(url)
