"""`headgate`: finds the command's file and runs it. Exit codes: 0 well, 1 findings or failures, 2 wrong usage or input."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from .. import __version__

COMMANDS = {
    "serve": "Run the gateway.",
    "check": "Validate a configuration file, and warn of settings that will cause 502s.",
    "schema": "Print the JSON Schema of the configuration, for editors.",
    "explain": "Explain a code, log line or error page of any product: what it means, what to do.",
    "diagnose": "Examine a URL: who wrote the error, which hop fails, why, what to do.",
    "logs": "Read gateways' logs: what failed, why, what belongs together, what to do.",
    "watch": "Wait until a site is back, or keep watch and tell of changes.",
    "lab": "Upstreams that misbehave on purpose, and the score of a gateway in front of them.",
    "demo": "Show it: the lab, the gateway in front of it, and what it says.",
}
"""Commands and their one-line help; each lives in the file of its name, as a click command called `command`."""


class Problem(click.ClickException):
    """A mistake of the user's that ends the command: one clear message on standard error, exit code 2, no traceback."""

    exit_code = 2


class _Commands(click.Group):
    """Imports a command's file only when that command is used: start-up stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f".{cmd_name}", __package__).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="headgate")
def main() -> None:
    """Headgate: the HTTP gateway that knows why."""


def header_fields(lines: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the header fields that --header options give; a mistake in one ends the command."""
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or any(char in line for char in "\r\n\0"):
            stop(f"--header {line[:60]!r}: expected 'Name: value', without line breaks")
        fields.append((name.strip(), value.strip()))
    return tuple(fields)


def stop(message: str) -> NoReturn:
    """Print one sentence on standard error and exit with 2: the user's input cannot be used."""
    click.echo(f"headgate: {message}", err=True)
    sys.exit(2)
