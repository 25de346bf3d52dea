"""`headgate`: finds the command's file and runs it. Exit codes: 0 well, 1 findings or failures, 2 wrong usage or input.

130 is Ctrl-C, 141 that the reader of standard output went away (as with `| head -1`): what a shell makes of both signals.
"""

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from .. import __version__
from ..wire.grammar import is_token

COMMANDS = {
    "serve": "Run the gateway.",
    "status": "Show how a running gateway is: workers, servers, what failed.",
    "incidents": "List what fails and failed, show why and what to do, say that somebody is on it.",
    "report": "Look back on a week: what failed, what was saved, error budgets, what to change.",
    "reload": "Have a running gateway read its configuration again.",
    "upgrade": "Have a new version of the program take over from a running gateway.",
    "server": "Drain, eject, weigh or bring back a server of a running gateway.",
    "check": "Validate a configuration file, and warn of settings that will cause 502s.",
    "notify": "Send a test message to whoever is told of incidents, or show what they would be sent.",
    "schema": "Print the JSON Schema of the configuration, for editors.",
    "explain": "Explain a code, log line or error page of any product: what it means, what to do.",
    "diagnose": "Examine a URL: who wrote the error, which hop fails, why, what to do.",
    "logs": "Read gateways' logs: what failed, why, what belongs together, what to do.",
    "watch": "Wait until a site is back, or keep watch and tell of changes.",
    "lab": "Upstreams that misbehave on purpose, and the score of a gateway in front of them.",
    "demo": "Show it: the lab, the gateway in front of it, and what it says.",
}
"""Commands and their one-line help; each lives in the file of its name, as a click command called `command`."""


INTERRUPTED = 130
_READER_GONE = 141


class Problem(click.ClickException):
    """A mistake of the user's that ends the command: one clear message on standard error, exit code 2, no traceback."""

    exit_code = 2


@contextmanager
def _guarded() -> Iterator[None]:
    """End the program without a traceback on Ctrl-C, and where standard output is no longer read or is full."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        click.echo("headgate: stopped.", err=True)
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT) or error.filename is not None:
            raise
        with suppress(OSError, ValueError):  # what is left in it can go nowhere, and must not be tried again at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:
            sys.exit(_READER_GONE)
        stop(f"standard output: {error.strerror}")


class _Commands(click.Group):
    """Imports a command's file only when that command is used: start-up stays quick."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """As click does it; the help too may meet an output that is closed or full."""
        make_streams_usable()
        with _guarded():
            return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, before click makes an exit code 1 of Ctrl-C and of a reader that went away."""
        with _guarded():
            return super().invoke(ctx)

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
    """Headgate: the HTTP gateway that knows why.

    Exit codes: each command's help names its own; of all 2 is wrong usage or input, 130 Ctrl-C.
    """


def make_streams_usable() -> None:
    """Put nothing in the place of standard streams that are closed, and escape what a stream's encoding cannot say."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 (open until the end)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def header_fields(lines: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the header fields that --header options give; a mistake in one ends the command."""
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or any(char in line for char in "\r\n\0"):
            stop(f"--header {line[:60]!r}: expected 'Name: value', without line breaks")
        if not is_token(name.strip().encode("utf-8", "replace")):
            stop(f"--header {line[:60]!r}: the name may hold letters, digits and !#$%&'*+-.^_`|~, nothing else (RFC 9110 5.6.2)")
        fields.append((name.strip(), value.strip()))
    return tuple(fields)


def check_authorities(path: str) -> None:
    """End the command where a file holds no certificates that could be trusted."""
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except OSError as error:  # ssl.SSLError is one
        why = error.strerror if error.errno and not isinstance(error, ssl.SSLError) else "it holds no certificate in PEM"
        stop(f"--ca {path}: {why}")


def write_report(file: Path, page: str, *, told: bool) -> None:
    """Write an HTML report, and say so (told); a file that cannot be written ends the command. What it holds was told before."""
    try:
        file.write_text(page, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        from ..diagnose.redact import clean  # the start of most commands does without

        stop(f"{clean(str(file))}: {error.strerror or error}")
    if told:
        click.echo(f"Report: {file}")


def stop(message: str) -> NoReturn:
    """Print one sentence on standard error and exit with 2: the user's input cannot be used."""
    click.echo(f"headgate: {message}", err=True)
    sys.exit(2)
