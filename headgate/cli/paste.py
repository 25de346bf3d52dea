"""Owns how a paste comes in: from standard input or a file, a device, a pipe; never more than is read of it."""

import os
import sys
from pathlib import Path

import click

from ..diagnose.intake import LONGEST


def read_input() -> bytes:
    """Return what stands on standard input; somebody at a terminal is told that it is waited for."""
    if sys.stdin.isatty():
        click.echo("headgate: paste it, then press Ctrl-D.", err=True)
    return sys.stdin.buffer.read(LONGEST + 1)


def read_start(path: Path) -> bytes:
    """Return the beginning of a file, a device, a pipe (`<(curl -si ...)`; empty where nobody writes to it). Raises OSError."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(number, "rb") as file:
        os.set_blocking(number, True)
        return file.read(LONGEST + 1)
