"""`headgate lab`: start upstreams that misbehave on purpose, and score the gateways in front of them."""

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from ..lab.capture import Capture, capture, failing, samples, save
from ..lab.conversation import conversation
from ..lab.gateways import COMPARED, KINDS, suits
from ..lab.laboratory import Lab, LabError, start_lab
from ..lab.layout import DEFAULT_BASE, Layout, default_folder
from ..lab.network import enter, furnish, inside
from ..lab.peers import PEERS
from ..lab.processes import binary, version
from ..lab.report import markdown, terminal_lines
from ..lab.scenario import BadScenario, Scenario, load_scenarios
from ..lab.score import Result, Target, score
from ..lab.session import score_kind
from ..lab.settings import Setting
from ..lab.tables import compare_table, list_table, score_table
from ..render.terminal import console_for_output
from .main import Problem

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """What holds for every subcommand."""

    base: int
    folder: Path
    scenarios: dict[str, Scenario]

    @property
    def layout(self) -> Layout:
        """Where a lab with these options has its servers."""
        return Layout(self.scenarios, self.base, self.folder)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; a problem of the lab's becomes one sentence."""
    try:
        return asyncio.run(work)
    except LabError as error:
        raise Problem(str(error)) from None


@click.group(invoke_without_command=True)
@click.option("--base-port", default=DEFAULT_BASE, show_default=True, help="First of the lab's ports.")
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="Folder for certificates and unix sockets.")
@click.option("--scenarios", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Own scenario files instead.")
@click.pass_context
def command(ctx: click.Context, base_port: int, folder: Path | None, scenarios: Path | None) -> None:
    """Upstreams that misbehave on purpose. Without a subcommand: start them all, until Ctrl-C."""
    try:
        loaded = load_scenarios(scenarios)
    except BadScenario as error:
        raise Problem(str(error)) from None
    ctx.obj = Options(base_port, folder or default_folder(), loaded)
    if ctx.invoked_subcommand is None:
        with contextlib.suppress(KeyboardInterrupt):
            _run(_stay(ctx.obj))


async def _stay(options: Options) -> None:
    lab = await start_lab(options.scenarios, options.folder, options.base)
    try:
        console = console_for_output()
        console.print(list_table(lab.layout))
        dns = "{}:{}".format(*lab.layout.dns)
        console.print(f"{len(options.scenarios)} scenarios are up, DNS at {dns}, authority in {lab.layout.ca_file}. Ctrl-C ends.")
        await asyncio.Event().wait()
    finally:
        await lab.stop()


def _chosen(options: Options, names: tuple[str, ...]) -> list[str]:
    for name in names:
        if name not in options.scenarios:
            raise Problem(f"no scenario is called {name!r}; see: headgate lab list")
    return list(names or options.scenarios)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def list_(options: Options, as_json: bool) -> None:
    """Show all scenarios and where their servers are."""
    if not as_json:
        console_for_output().print(list_table(options.layout))
        return
    layout = options.layout
    click.echo(json.dumps([
        {"name": name, "title": s.title, "why": s.why, "group": s.group, "servers": layout.urls(name), "needs": s.needs}
        for name, s in options.scenarios.items()
    ], indent=1))  # fmt: skip


@command.command()
@click.option("--for", "kind", type=click.Choice(list(KINDS)), required=True, help="Kind of gateway.")
@click.option("--port", default=8080, show_default=True, help="Where the gateway shall listen.")
@click.pass_obj
def config(options: Options, kind: str, port: int) -> None:
    """Print a gateway's configuration with a route to each scenario."""
    shared = tuple(s for s in options.scenarios.values() if not s.alone and suits(s, kind))
    folder = options.folder / kind  # for its logs
    folder.mkdir(parents=True, exist_ok=True)
    click.echo(KINDS[kind](Setting(options.layout, shared, port, folder)), nl=False)


@command.command("score")
@click.option("--gateway", required=True, metavar="URL", help="The gateway, as http://host:port.")
@click.option("--access-log", type=click.Path(path_type=Path), help="Its access log, where Headgate's causes are read.")
@click.option("--kind", type=click.Choice(list(KINDS)), help="What it is; Headgate's own settings are played then.")
@click.option("--only", "names", multiple=True, metavar="NAME", help="Only these scenarios.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def score_(
    options: Options, gateway: str, access_log: Path | None, kind: str | None, names: tuple[str, ...], as_json: bool
) -> None:
    """Play all scenarios through a gateway. Needs a running lab. Exit code 1 where an answer is not right."""
    parts = urlsplit(gateway)
    if parts.scheme != "http" or not parts.hostname:
        raise Problem(f"--gateway {gateway}: expected http://host:port")
    target = Target(parts.hostname, parts.port or 80, kind or "", access_log)
    results = _run(score(options.layout, target, _chosen(options, names)))
    if as_json:
        click.echo(json.dumps([result.summary() for result in results], indent=1))
    else:
        console_for_output().print(*score_table(results), sep="\n")
    if any(result.verdict not in ("right", "skipped") or result.cause_right is False for result in results):
        raise SystemExit(1)


@contextlib.asynccontextmanager
async def _own_lab(options: Options) -> AsyncIterator[tuple[Lab, Path]]:
    """Run a lab of our own at any free ports, with a folder that vanishes afterwards."""
    if inside():
        furnish()
    with tempfile.TemporaryDirectory(prefix="headgate-lab-") as folder:
        lab = await start_lab(options.scenarios, Path(folder), base=0)
        try:
            yield lab, Path(folder)
        finally:
            await lab.stop()


@command.command("play")
@click.argument("name")
@click.option("--with", "kind", type=click.Choice(list(KINDS)), default="headgate", show_default=True, help="Kind of gateway.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_obj
def play_(options: Options, name: str, kind: str, as_json: bool) -> None:
    """Play one scenario through a gateway started for it, and show the conversation."""
    _chosen(options, (name,))
    if options.scenarios[name].needs == "netns":
        enter()

    async def work() -> Result:
        async with _own_lab(options) as (lab, folder):
            result = (await score_kind(lab.layout, kind, [name], folder / kind))[0]
            if not as_json:
                click.echo(conversation(lab, result))
            return result

    result = _run(work())
    if as_json:
        click.echo(json.dumps(result.summary(), indent=1))
    if result.verdict not in ("right", "skipped") or result.cause_right is False:
        raise SystemExit(1)


@command.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the page (Markdown) to this file.")
@click.option(
    "--with", "kinds", multiple=True, type=click.Choice(list(KINDS)), help=f"Only these kinds [default: {', '.join(COMPARED)}]."
)
@click.pass_obj
def compare(options: Options, out: Path | None, kinds: tuple[str, ...]) -> None:
    """Play all scenarios through every gateway that is installed, side by side."""
    enter()
    installed = [kind for kind in kinds or COMPARED if binary(kind)]

    async def work() -> dict[str, list[Result]]:
        async with _own_lab(options) as (lab, folder):
            return {kind: await score_kind(lab.layout, kind, options.scenarios, folder / kind) for kind in installed}

    scores = _run(work())
    console_for_output().print(compare_table(scores), *terminal_lines(scores), sep="\n")
    if out is not None:
        out.write_text(markdown(scores, {kind: version(kind) for kind in scores}), encoding="utf-8")


@command.command("capture")
@click.option("--with", "kinds", multiple=True, type=click.Choice(list(PEERS)), help="Only these kinds [default: all installed].")
@click.option("--only", "names", multiple=True, metavar="NAME", help="Only these scenarios.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for KIND.jsonl.")
@click.option("--samples", "pages", type=click.Path(file_okay=False, path_type=Path), help="Folder for the pages themselves.")
@click.pass_obj
def capture_(options: Options, kinds: tuple[str, ...], names: tuple[str, ...], out: Path, pages: Path | None) -> None:
    """Record what other gateways answer and log when their upstream fails."""
    chosen = _chosen(options, names) if names else failing(options.scenarios.values())
    enter()
    installed = [kind for kind in kinds or PEERS if binary(kind)]

    async def one(kind: str) -> list[Capture]:
        async with _own_lab(options) as (lab, folder):
            return await capture(lab.layout, kind, chosen, folder / kind)

    async def work() -> list[list[Capture]]:
        return await asyncio.gather(*map(one, installed))  # each in front of a lab of its own

    captures = [found for kind in _run(work()) for found in kind]
    save(captures, out)
    for kind in installed:
        click.echo(f"{kind} {version(kind)}: {sum(found.kind == kind for found in captures)} scenarios")
    if pages is not None:
        for name, page in samples(captures).items():
            (pages / name).parent.mkdir(parents=True, exist_ok=True)
            (pages / name).write_bytes(page)
