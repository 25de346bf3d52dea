"""Plays scenarios through a gateway that the lab starts itself: one process for most, one each for those that need it."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from .gateways import suits, write
from .layout import Layout
from .network import inside
from .processes import Running, free_port, running
from .scenario import Scenario
from .score import Result, Target, score
from .settings import Setting

_ALONE_AT_ONCE = 3


def setting_for(layout: Layout, scenarios: Iterable[Scenario], folder: Path) -> Setting:
    """Return a setting for a gateway at a free port, which keeps its files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    return Setting(layout, tuple(scenarios), free_port(), folder)


def target_of(run: Running, alone: bool) -> Target:
    """Return the running gateway as something to score."""
    setting = run.written.setting
    return Target(
        "127.0.0.1", setting.port, run.written.kind, setting.access_log, pid=run.process.pid, alone=alone, netns=inside()
    )


async def score_kind(layout: Layout, kind: str, names: Iterable[str], folder: Path) -> list[Result]:
    """Start gateways of a kind, play the scenarios through them, stop them. Raises LabError when one does not start."""
    scenarios = [layout.scenarios[name] for name in names]
    results: dict[str, Result] = {}
    gate = asyncio.Semaphore(_ALONE_AT_ONCE)

    async def with_own_gateway(scenario: Scenario) -> None:
        async with gate:
            setting = setting_for(layout, [scenario], folder / scenario.name)
            async with running(write(kind, setting, setting.folder)) as run:
                results[scenario.name] = (await score(layout, target_of(run, alone=True), [scenario.name]))[0]

    shared = [s for s in scenarios if not (s.alone and suits(s, kind))]
    setting = setting_for(layout, [s for s in shared if suits(s, kind)], folder)
    async with running(write(kind, setting, folder)) as run:
        for result in await score(layout, target_of(run, alone=False), [s.name for s in shared]):
            results[result.scenario.name] = result
    await asyncio.gather(*(with_own_gateway(s) for s in scenarios if s not in shared))
    return [results[scenario.name] for scenario in scenarios]
