"""The command line: one file for each command. Only here are the parts put together."""

from .main import main

__all__ = ["main"]
