"""`headgate demo`: the lab, the gateway in front of it, some traffic, and in plain words what failed, why, and what to do."""

import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import sys
import tempfile
import webbrowser
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..lab.gateways import suits, write
from ..lab.laboratory import Lab, LabError, start_lab
from ..lab.processes import Running, free_port, running
from ..lab.scenario import BadScenario, load_scenarios
from ..lab.score import score
from ..lab.session import target_of
from ..lab.settings import Setting
from ..lab.showcase import SHOWN, Scene, scene
from ..render.terminal import console_for_output
from .main import Problem

_DASHBOARD = re.compile(r"note dashboard on (\S+)")
_BEAT = 0.25
"""Seconds between two requests of the traffic that goes on while the demo stays up."""
_WIDEST = 110
"""Columns beyond which lines are harder to read, not easier."""


@dataclass(frozen=True)
class Stage:
    """What is up while the demo lasts."""

    lab: Lab
    gateway: Running

    @property
    def url(self) -> str:
        """Where the gateway listens."""
        return f"http://127.0.0.1:{self.gateway.written.setting.port}"

    @property
    def dashboard(self) -> str:
        """Where browsers find the dashboard; "" as long as the gateway has not said it."""
        found = _DASHBOARD.search(self.gateway.output.read_text(encoding="utf-8", errors="replace"))
        return found[1] if found is not None else ""

    def look_into_incidents(self) -> None:
        """Have the gateway examine what failed: from now on, for the servers of the lab count what they are asked."""
        file = self.gateway.written.path
        file.write_text(file.read_text(encoding="utf-8").replace("examine = false", "examine = true"), encoding="utf-8")
        os.kill(self.gateway.process.pid, signal.SIGHUP)

    @property
    def files(self) -> dict[str, str]:
        """What the gateway reads and writes, by what it is."""
        setting = self.gateway.written.setting
        return {
            "configuration": str(self.gateway.written.path),
            "access log": str(setting.access_log),
            "error log": str(self.gateway.output),
        }


@click.command("demo")
@click.option("--once", is_flag=True, help="End when all has been told, instead of staying up until Ctrl-C.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Where the gateway listens [default: any free port].")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(once: bool, port: int | None, as_json: bool) -> None:
    """Show it: start servers that misbehave on purpose and a gateway in front of them, send traffic, explain what fails.

    Stays up afterwards, with addresses to try, until Ctrl-C. Needs no root, no other program, and no network.
    With --once, exit code 1 tells that something did not end as it should have.
    """
    if port is not None:
        _must_be_free(port)
    try:
        if not asyncio.run(_perform(once, port, as_json)):
            raise SystemExit(1)
    except (LabError, BadScenario) as error:
        raise Problem(str(error)) from None
    except (asyncio.CancelledError, KeyboardInterrupt):
        if not as_json:
            click.echo("\nEnded: servers and gateway are stopped, their files removed.")


def _must_be_free(port: int) -> None:
    """Raise Problem when something listens on the port already."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError as error:
            raise Problem(
                f"the gateway cannot listen on port {port}: {error.strerror}. Give another --port, or none for any free one"
            ) from None


async def _perform(once: bool, port: int | None, as_json: bool) -> bool:
    """Do all of it; return whether everything ended as it should have."""
    _end_on_signal()
    console = _console()
    async with _stage(port or free_port()) as stage:
        if not as_json:
            _print(console, _opening(stage))
        scenes = await _traffic(stage)
        if as_json:
            found = {
                "gateway": stage.url,
                "dashboard": stage.dashboard,
                "files": stage.files,
                "scenes": [asdict(one) for one in scenes],
            }
            click.echo(json.dumps(found, indent=1, ensure_ascii=False))
        else:
            for one in scenes:
                _print(console, _told(one))
            _print(console, Text(_summary(scenes)))
        if not once:
            stage.look_into_incidents()
            if not as_json:
                _print(console, *_suggestions(stage), whole=True)
            sys.stdout.flush()
            if sys.stdout.isatty() and _has_screen():
                webbrowser.open(stage.dashboard)
            await _go_on(stage)
    return all(one.right for one in scenes)


def _end_on_signal() -> None:
    """Let Ctrl-C and SIGTERM end the demo in order; pressed again, they change nothing: it is ending already."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    ending: list[int] = []

    def end(number: int) -> None:
        if not ending:
            ending.append(number)
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end, number)


@contextlib.asynccontextmanager
async def _stage(port: int) -> AsyncIterator[Stage]:
    """Run lab and gateway as long as the block lasts, with a folder that vanishes afterwards. Raises LabError."""
    scenarios = load_scenarios(None)
    with tempfile.TemporaryDirectory(prefix="headgate-demo-") as name:
        folder = Path(name)
        lab = await start_lab(scenarios, folder / "lab", base=0)
        try:
            (folder / "gateway").mkdir()
            routed = tuple(one for one in scenarios.values() if not one.alone and suits(one, "headgate"))
            setting = Setting(lab.layout, routed, port, folder / "gateway", dashboard="auto")
            written = write("headgate", setting, folder / "gateway")
            async with running(written) as gateway:
                stage = Stage(lab, gateway)
                for _ in range(100):
                    if stage.dashboard:
                        break
                    await asyncio.sleep(0.05)
                yield stage
        finally:
            await lab.stop()


async def _traffic(stage: Stage) -> list[Scene]:
    """Send the requests that are shown, and return what became of them."""
    layout = stage.lab.layout
    results = await score(layout, target_of(stage.gateway, alone=False), SHOWN)
    log = stage.gateway.output.read_text(encoding="utf-8", errors="replace")
    return [scene(layout, result, log) for result in results]


async def _go_on(stage: Stage) -> None:
    """Send a request now and then, mostly for what works, so that the dashboard has something to show. Never returns."""
    port = stage.gateway.written.setting.port
    under_way: set[asyncio.Task[None]] = set()  # each ends by itself: the gateway answers within seconds
    while True:
        name = "healthy" if random.random() < 0.8 else random.choice(SHOWN)
        task = asyncio.create_task(_ask(port, name))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
        await asyncio.sleep(_BEAT)


async def _ask(port: int, name: str) -> None:
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"GET /{name} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
            await reader.read()
        finally:
            writer.close()


def _has_screen() -> bool:
    """Tell whether a browser could be shown here."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


# How it looks.


def _console() -> Console:
    """Return a console for standard output, no wider than is good for reading."""
    console = console_for_output()
    console.width = min(console.width, _WIDEST)
    return console


def _print(console: Console, *what: RenderableType, whole: bool = False) -> None:
    """Print it; where there is no terminal, without the blanks that fill a line. whole: never fold a line."""
    if console.is_terminal:
        console.print(*what, sep="\n", soft_wrap=whole)
        return
    with console.capture() as captured:
        console.print(*what, sep="\n", soft_wrap=whole)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _opening(stage: Stage) -> RenderableType:
    servers = len(stage.lab.layout.scenarios)
    return Group(
        Text.assemble("\n", ("Headgate", "bold"), ", the HTTP gateway that knows why\n"),
        Text(f"The lab is up: {servers} servers, nearly all misbehaving on purpose."),
        Text.assemble("The gateway in front of it: ", (stage.url, "cyan")),
        Text.assemble("Its dashboard: ", (stage.dashboard, "bold cyan")),
        Text(f"{len(SHOWN)} requests go through it. This is what became of them:\n"),
    )


def _told(one: Scene) -> RenderableType:
    """Return one scene: a line with status, cause and what was wrong, and the rows below."""
    colour = "red" if one.cut or one.status >= 500 else "yellow" if one.status >= 400 else "green"
    head = Table.grid(padding=(0, 2))
    status = Text(f"{one.status or '---'}{' cut' * one.cut}", style=f"bold {colour}")
    head.add_row(*(status, Text(one.cause, style="bold cyan"))[: 1 + bool(one.cause)], Text(one.title, style="bold"))
    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True)
    rows.add_column(overflow="fold")
    for label, value in _rows(one):
        rows.add_row(Text(label, style="dim"), value)
    return Group(head, Padding(rows, (0, 0, 1, 4)))


def _rows(one: Scene) -> list[tuple[str, Text]]:
    rows = [("imitates", Text(one.imitates))] if one.cause else []
    rows += [("asked", Text(one.asked)), ("client", Text(one.client))]
    if one.sentence:
        rows.append(("why", Text(one.sentence, style="bold" if one.cause else "")))
    rows.append(("Headgate", Text(" ".join(one.did))))
    if one.advice:
        rows.append(("next", _with_code(one.advice)))
    if not one.right:
        rows.append(("expected", Text("something else: this is a fault of Headgate's, please report it", style="bold red")))
    return rows


def _with_code(text: str) -> Text:
    """Return a line in which what stands between backticks is coloured, and keeps them for those who see no colour."""
    shown = Text()
    for number, part in enumerate(text.split("`")):
        shown.append(f"`{part}`" if number % 2 else part, style="cyan" if number % 2 else "")
    return shown


def _summary(scenes: list[Scene]) -> str:
    failed = [one for one in scenes if one.cause]
    rescued = sum(one.status < 400 and not one.cut for one in failed)
    return (
        f"{len(scenes)} requests, {len(failed)} failures, each with its cause named.\n"
        f"{rescued} were rescued by another try that was safe: those clients noticed nothing."
    )


def _suggestions(stage: Stage) -> list[Text]:
    """Return what to try next: a line of words in front of lines that are meant to be copied."""
    url, me = stage.url, _own_name()
    blocks: list[tuple[str, str, tuple[str, ...]]] = [
        ("The dashboard: what fails, why, since when, what to do", "bold cyan", (stage.dashboard,)),
        (
            "In a browser: the page for people, which reloads when the service is back",
            "cyan",
            (f"{url}/connection-refused", f"{url}/response-timeout", f"{url}/maintenance"),
        ),
        (
            "For programs: the form follows Accept (JSON, RFC 9457, plain text)",
            "green",
            (
                f"curl -i {url}/not-http-ssh",
                f"curl -i -H 'Accept: application/problem+json' {url}/length-conflict",
                f"curl -i -H 'Accept: text/plain' {url}/certificate-expired",
            ),
        ),
        (
            "As a stranger gets it: cause and reference, no addresses",
            "green",
            (f"curl -i -H 'X-Forwarded-For: 203.0.113.9' {url}/connection-refused",),
        ),
        ("An answer that breaks off: curl notices, because the connection is cut", "green", (f"curl -i {url}/body-truncated",)),
        ("Any other fault: each name in this list is a path here", "green", (f"{me} lab list",)),
        ("A cause in full: how we know, what to check, how to fix and prevent it", "green", (f"{me} explain closed-on-reuse",)),
        ("What the gateway reads and writes", "", tuple(f"{what:<14}{path}" for what, path in stage.files.items())),
    ]
    lines = [Text("\nTry it", style="bold")]
    for words, style, copied in blocks:
        lines += [Text(f"  {words}", style="dim"), *(Text(f"    {text}", style=style) for text in copied)]
    return [*lines, Text("\nCtrl-C ends all of it and removes its files.", style="bold")]


def _own_name() -> str:
    """Return how this program is called from here."""
    if shutil.which("headgate"):
        return "headgate"
    program = Path(sys.argv[0])
    if program.name == "headgate" and os.access(program, os.X_OK):
        near = os.path.relpath(program)
        return str(program.absolute()) if near.startswith("..") else near
    return f"{sys.executable} -m headgate"
