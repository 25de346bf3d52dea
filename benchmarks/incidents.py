"""How soon and how rightly Headgate's incidents tell what the lab did: every scenario, played against a running gateway.

Counted for each scenario whose failure is not the client's own: seconds from the failing response to the incident in the admin
API, whether its cause is the true one, and whether the look that Headgate took by itself names the same. See docs/accuracy.md.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headgate.diagnose.catalogue import catalogue
from headgate.lab.gateways import write
from headgate.lab.laboratory import Lab, start_lab
from headgate.lab.processes import Running, running
from headgate.lab.scenario import Scenario, load_scenarios
from headgate.lab.score import obstacle, play
from headgate.lab.session import setting_for, target_of
from headgate.lab.unseen import unseen

PAGE = Path(__file__).parent.parent / "docs" / "accuracy.md"
BEGIN, END = "<!-- incidents: begin -->", "<!-- incidents: end -->"
SOON = 2.0
"""Seconds within which an incident should be there."""
PATIENCE = 20.0
LOOKS = 60.0
"""Seconds that are waited for incidents, and for the looks into them, at most."""
AT_ONCE = 6
ALONE_AT_ONCE = 3


@dataclass
class Row:
    """What became of one scenario."""

    scenario: str
    truth: tuple[str, ...]
    seconds: float = -1.0  # from the failing response to the incident; -1: there was none
    id: str = ""
    causes: tuple[str, ...] = ()  # the main cause first
    looked: str | None = None  # cause that the look named; None: there was none
    verdict: str = ""
    agrees: bool | None = None
    visible: bool = True  # from outside

    @property
    def right(self) -> bool:
        """The incident's cause is the true one."""
        return bool(self.causes) and self.causes[0] in self.truth

    @property
    def seen(self) -> bool:
        """The look named the true cause, and said that traffic saw the same."""
        return self.looked in self.truth and self.agrees is True


class Api:
    """The admin API of a gateway, over its unix socket."""

    def __init__(self, pid: int) -> None:
        self._path = Path(os.environ["HEADGATE_RUN"]) / f"{pid}.sock"

    async def get(self, path: str) -> Any:
        """Return what is there. Raises OSError while nobody listens."""
        reader, writer = await asyncio.open_unix_connection(str(self._path), limit=1 << 26)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if b"chunked" in head.lower():
                raise RuntimeError("a chunked answer")
            return json.loads(await reader.read())
        finally:
            writer.close()


def chosen(scenarios: Iterable[Scenario]) -> list[Scenario]:
    """Return those that are incidents: something fails, and it is not the client's doing."""
    causes, orderly = catalogue(), ("maintenance", "no-route", "gateway-stopping")  # those are told to nobody
    found = [one for one in scenarios if one.expect.causes and one.needs is None and one.during is None]
    return [one for one in found if all(causes[code].fault != "client" and code not in orderly for code in one.expect.causes)]


@contextlib.asynccontextmanager
async def gateway(lab: Lab, scenarios: list[Scenario], folder: Path) -> AsyncIterator[tuple[Running, Api]]:
    """Run a gateway for these scenarios that looks into its incidents."""
    setting = replace(setting_for(lab.layout, scenarios, folder), examine=True)
    async with running(write("headgate", setting, folder)) as run:
        yield run, Api(run.process.pid)


async def measure(folder: Path, names: Iterable[str] = ()) -> list[Row]:
    """Play the scenarios (all when none is named), and return what the incidents told. Raises LabError."""
    os.environ["HEADGATE_RUN"] = str(folder / "run")
    (folder / "run").mkdir(mode=0o700)
    scenarios = load_scenarios()
    lab = await start_lab(scenarios, folder, base=0)
    wanted = [one for one in chosen(scenarios.values()) if not names or one.name in set(names)]
    rows: list[Row] = []
    try:
        shared = [one for one in wanted if not one.alone]
        async with gateway(lab, shared, folder / "shared") as (run, api):
            rows += await _play_all(lab, run, api, shared)
        gate = asyncio.Semaphore(ALONE_AT_ONCE)
        for found in await asyncio.gather(*(_alone(lab, one, folder / one.name, gate) for one in wanted if one.alone)):
            rows += found
    finally:
        await lab.stop()
    return rows


async def _alone(lab: Lab, scenario: Scenario, folder: Path, gate: asyncio.Semaphore) -> list[Row]:
    async with gate, gateway(lab, [scenario], folder) as (run, api):
        return await _play_all(lab, run, api, [scenario], alone=True)


async def _play_all(lab: Lab, run: Running, api: Api, scenarios: list[Scenario], alone: bool = False) -> list[Row]:
    """Play scenarios, wait for their incidents, then for the looks into them."""
    await _ready(api)
    gate, target = asyncio.Semaphore(AT_ONCE), target_of(run, alone)
    rows: list[Row] = []

    async def one(scenario: Scenario) -> None:
        if obstacle(scenario, target):
            return
        async with gate:
            result = await play(lab.layout, target, scenario)
            if result.verdict != "skipped":
                rows.append(await _opened(api, scenario, time.monotonic()))

    await asyncio.gather(*(one(scenario) for scenario in scenarios))
    await _looked_into(api, [row for row in rows if row.id])
    return rows


async def _ready(api: Api) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            await api.get("/api/incidents")
        except OSError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.05)
        else:
            return


async def _opened(api: Api, scenario: Scenario, begun: float) -> Row:
    """Wait for the incident of a scenario, which has an upstream of its own."""
    lasts = len(scenario.upstream) <= 1  # else it is another one when it is looked at
    row = Row(scenario.name, scenario.expect.causes, visible=lasts and not unseen({scenario.name: scenario}))
    while time.monotonic() - begun < PATIENCE:
        found = (await api.get(f"/api/incidents?upstream={scenario.name}"))["incidents"]
        if found:
            row.seconds, row.id = time.monotonic() - begun, found[0]["id"]
            return row
        await asyncio.sleep(0.05)
    return row


async def _looked_into(api: Api, rows: list[Row]) -> None:
    """Fill in what the incidents say once each was looked into."""
    waiting, end = list(rows), time.monotonic() + LOOKS
    while waiting and time.monotonic() < end:
        for row in list(waiting):
            told = await api.get(f"/api/incidents/{row.id}")
            row.causes = (told["cause"], *(cause["cause"] for cause in told["causes"]))
            if not row.visible:
                waiting.remove(row)
            elif told["verdicts"]:
                verdict = told["verdicts"][0]["verdict"]
                row.looked, row.verdict, row.agrees = verdict["cause"], verdict["verdict"], verdict["agrees"]
                waiting.remove(row)
        await asyncio.sleep(0.5)


def table(rows: list[Row]) -> str:
    """Return the numbers as a table, and what was wrong as a list."""
    visible = [row for row in rows if row.visible]
    seconds = sorted(row.seconds for row in rows if row.id)
    counts = (
        ("an incident was opened", len(seconds), len(rows)),
        (f"within {SOON:g} s of the failing response", sum(each <= SOON for each in seconds), len(rows)),
        ("its cause is the true one", sum(row.right for row in rows), len(rows)),
        (
            "where it lasts and can be seen from outside, the look names it",
            sum(row.seen for row in visible),
            len(visible),
        ),
    )
    lines = ["| Of the scenarios that fail | | |", "|---|--:|--:|"]
    lines += [f"| {what} | {many} of {of} | {100 * many / max(of, 1):.1f} % |" for what, many, of in counts]
    if seconds:
        middle, longest = seconds[len(seconds) // 2], seconds[-1]
        lines += ["", f"From the failing response to the incident: median {middle:.2f} s, longest {longest:.2f} s."]
    return "\n".join([*lines, *misses(rows)])


def misses(rows: list[Row]) -> list[str]:
    """Return what was wrong, one line each."""
    told = []
    for row in rows:
        truth = f"- {row.scenario}: true {', '.join(row.truth)}"
        if not row.right:
            told.append(f"{truth}; the incident said {row.causes[0] if row.causes else 'nothing'}")
        elif row.visible and not row.seen:
            told.append(f"{truth}; the look said {row.looked or 'nothing'}: {row.verdict}")
    return ["", "What differs:", "", *told] if told else []


def main() -> None:
    """Measure, print, and write the page when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the table into docs/accuracy.md")
    parser.add_argument("names", nargs="*", help="scenarios; all when none is named")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="headgate-incidents-") as folder:
        os.chmod(folder, 0o755)
        rows = asyncio.run(measure(Path(folder), options.names))
    text = table(rows)
    print(text)
    if options.write:
        page = PAGE.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        after = rest.partition(END)[2]
        if not rest:
            sys.exit(f"{PAGE} lacks {BEGIN}")
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
