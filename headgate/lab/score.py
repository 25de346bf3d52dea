"""Plays scenarios through a gateway and judges the answers: right, different from the recommendation, or broken."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .client import Client, Sighting
from .gateways import unsuited
from .laboratory import LabError, order
from .layout import Layout
from .places import no_ports_left
from .processes import starved
from .scenario import Expect, Scenario

AT_ONCE = 8
"""Scenarios played side by side."""


@dataclass(frozen=True)
class Target:
    """The gateway that is scored."""

    host: str
    port: int
    kind: str = ""  # one of gateways.KINDS, "" when unknown
    access_log: Path | None = None
    pid: int = 0  # 0: its process is none of ours
    alone: bool = False  # it serves one scenario only
    netns: bool = False  # lab and gateway run in a network namespace of their own


@dataclass
class Result:
    """What one scenario showed."""

    scenario: Scenario
    verdict: str = "right"  # right | differs | broken | skipped
    reason: str = ""  # why it is not right, or why it was skipped
    sightings: list[Sighting] = field(default_factory=list)
    cause: str = ""  # "" = not visible
    cause_right: bool | None = None  # None: not visible, or nothing to name
    tries: int | None = None
    executed: int | None = None
    record: dict[str, Any] = field(default_factory=dict)  # the access log's line

    def summary(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {
            "scenario": self.scenario.name,
            "verdict": self.verdict,
            "reason": self.reason,
            "expected": {
                "status": list(self.scenario.expect.statuses), "cut": self.scenario.expect.cut,
                "cause": list(self.scenario.expect.causes), "tries": self.scenario.expect.tries,
            },
            "status": [seen.status for seen in self.sightings],
            "ended": [seen.ended for seen in self.sightings],
            "ms": [seen.ms for seen in self.sightings],
            "proxy_status": self.sightings[-1].header("proxy-status") if self.sightings else "",
            "cause": self.cause,
            "cause_right": self.cause_right,
            "tries": self.tries,
            "executed": self.executed,
        }  # fmt: skip


def obstacle(scenario: Scenario, target: Target) -> str:
    """Return why a scenario cannot be played through this gateway; "" when it can."""
    if reason := unsuited(scenario, target.kind):
        return reason
    if scenario.needs == "netns" and not target.netns:
        return "not possible here: needs a network namespace for lab and gateway"
    if (scenario.needs == "process" or scenario.during) and not target.pid:
        return "not possible here: the lab must have started the gateway"
    if scenario.alone and not target.alone:
        return "not possible here: needs a gateway of its own"
    return ""


async def score(layout: Layout, target: Target, names: Iterable[str]) -> list[Result]:
    """Play the named scenarios, return their results in the same order. Raises LabError when no lab or no gateway runs."""
    await _must_answer(target)
    scenarios = [layout.scenarios[name] for name in names]
    results: dict[str, Result] = {}
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(scenario: Scenario) -> None:
        async with gate:
            results[scenario.name] = await play(layout, target, scenario)

    disturbing = [s for s in scenarios if s.during or s.place == "ports-exhausted"]
    await asyncio.gather(*(one(s) for s in scenarios if s not in disturbing))
    for scenario in disturbing:
        await one(scenario)
    return [results[scenario.name] for scenario in scenarios]


async def _must_answer(target: Target) -> None:
    """Raise LabError when nothing listens where the gateway should be."""
    try:
        async with asyncio.timeout(5):
            _, writer = await asyncio.open_connection(target.host, target.port)
            writer.close()
    except (OSError, TimeoutError):
        raise LabError(f"no gateway answers at {target.host}:{target.port}") from None


async def play(layout: Layout, target: Target, scenario: Scenario) -> Result:
    """Play one scenario and judge it. Raises LabError when no lab runs."""
    result = Result(scenario)
    if hindrance := obstacle(scenario, target):
        result.verdict, result.reason = "skipped", hindrance
        return result
    await order(layout, "reset", scenario.name)
    await asyncio.sleep(0.05)  # the gateway notices that kept connections closed
    before = await order(layout, "seen", scenario.name)
    client = Client((target.host, target.port), host_for(layout, target), f"/{scenario.name}")
    tokens = [f"lab-{secrets.token_hex(6)}" for _ in scenario.request]
    try:
        with _during(layout, scenario):
            result.sightings = await _requests(scenario, client, tokens, target)
        if scenario.expect.closed and result.sightings[-1].ended == "complete":
            result.sightings[-1].closed = await client.is_closed()
    except PermissionError as error:
        result.verdict, result.reason = "skipped", f"not possible here: {error}"
        return result
    except OSError as error:
        result.verdict, result.reason = "broken", f"the gateway cannot be reached: {error.strerror or error}"
        return result
    finally:
        client.close()
    result.executed = (await order(layout, "seen", scenario.name))["requests"] - before["requests"]
    await _evidence(result, target)
    judge(result)
    return result


def host_for(layout: Layout, target: Target) -> str:
    """Return what the client says in Host. Apache takes from there the name that a server's certificate must have."""
    return layout.tls_name if target.kind == "apache" else f"{target.host}:{target.port}"


@contextlib.contextmanager
def _during(layout: Layout, scenario: Scenario) -> Iterator[None]:
    """Hold what a scenario needs as long as its requests run."""
    with no_ports_left(layout, scenario.name) if scenario.place == "ports-exhausted" else contextlib.nullcontext():
        yield


async def _requests(scenario: Scenario, client: Client, tokens: list[str], target: Target) -> list[Sighting]:
    during = scenario.during
    if during is None:
        return await client.play(scenario.request, tokens)
    await client.connect()
    await asyncio.sleep(0.1)  # accepted by now
    if during.starve_descriptors:
        with starved(target.pid):
            return await client.play(scenario.request, tokens)
    playing = asyncio.create_task(client.play(scenario.request, tokens))
    await asyncio.sleep(during.terminate or 0)
    os.kill(target.pid, signal.SIGTERM)
    return await playing


async def _evidence(result: Result, target: Target) -> None:
    """Find out which cause the gateway named: in the access log where there is one, else in the JSON answer."""
    expect = result.scenario.expect
    last = result.sightings[-1]
    if target.access_log is not None and target.kind in ("", "headgate"):
        reference = str(last.error().get("reference") or last.header("x-request-id") or last.token)
        result.record = await _record(target.access_log, {last.token, reference})
    tries = result.record.get("tries") or []
    if isinstance(attempts := result.record.get("attempts"), int):
        result.tries = attempts
    named = [result.record.get("cause"), last.error().get("cause"), *(entry.get("cause") for entry in tries)]
    causes = [str(cause) for cause in named if cause]
    if causes:
        result.cause = next((cause for cause in causes if cause in expect.causes), causes[0])
    if expect.causes and (result.cause or result.record):
        result.cause_right = result.cause in expect.causes


async def _record(path: Path, marks: set[str]) -> dict[str, Any]:
    """Return the access log's line (JSON) with one of the marks in it; {} when none comes within 1.5 s."""
    for _ in range(30):
        if record := _find(path, marks):
            return record
        await asyncio.sleep(0.05)
    return {}


def _find(path: Path, marks: set[str]) -> dict[str, Any]:
    """Return the last line with a mark; {} when there is none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    for line in reversed(lines):
        if any(mark in line for mark in marks):
            try:
                record = json.loads(line)
            except ValueError:
                continue
            return record if isinstance(record, dict) else {}
    return {}


def judge(result: Result) -> None:
    """Compare what was seen with what is right, and set verdict and reason."""
    expect = result.scenario.expect
    last = len(result.sightings) - 1
    for number, (seen, status) in enumerate(zip(result.sightings, expect.statuses, strict=True)):
        cut = expect.cut and number == last
        verdict, reason = _judge_one(seen, status, cut, expect, healthy=result.scenario.group in ("healthy", "upgrade"))
        if verdict != "right":
            which = f"request {number + 1}: " if last else ""
            result.verdict, result.reason = verdict, which + reason
            return
    if result.verdict == "right":
        result.verdict, result.reason = _judge_rest(result, expect)


def _judge_one(seen: Sighting, status: int, cut: bool, expect: Expect, healthy: bool) -> tuple[str, str]:
    """Judge one response against its status, and whether it must break off."""
    if seen.ended in ("hang", "garbled"):
        return "broken", "no end within the client's patience" if seen.ended == "hang" else f"not readable as HTTP: {seen.note}"
    if status == 0:
        fine = seen.ended in ("nothing", "left")
        return ("right", "") if fine else ("differs", f"answered {seen.status} where nothing can be answered")
    if seen.ended == "nothing":
        if 0 in expect.tolerated:
            return "differs", "closed without an answer, which can be defended"
        return "broken", "closed without an answer"
    right = {status, *expect.also}
    if cut:
        return _judge_cut(seen, right)
    if seen.ended == "cut":
        return "broken", f"{seen.status}, and broke off: {seen.note}"
    if seen.status in right:
        return "right", ""
    if seen.status in expect.tolerated:
        return "differs", f"answered {seen.status}, which can be defended"
    if seen.status == 500 or (seen.status < 400 <= status) or (healthy and status < 400):
        return "broken", f"answered {seen.status}"
    return "differs", f"answered {seen.status}"


def _judge_cut(seen: Sighting, right: set[int]) -> tuple[str, str]:
    """A response that broke off at the server: it must break off here too, or be an error if nothing had been sent yet."""
    if seen.ended == "complete":
        if seen.status in (502, 504):
            return "right", ""  # better still: the gateway had sent nothing yet
        return "broken", f"answered {seen.status}, and it looks complete"
    return ("right", "") if seen.status in right else ("differs", f"answered {seen.status}, cut")


def _judge_rest(result: Result, expect: Expect) -> tuple[str, str]:
    """Judge what goes beyond status and cut."""
    last = result.sightings[-1]
    if expect.body is not None and last.body != expect.body.encode():
        return "broken", f"the body is {last.body[:40]!r}"
    if expect.executed is not None and result.executed != expect.executed:
        verdict = "broken" if (result.executed or 0) > expect.executed else "differs"
        return verdict, f"{result.executed} requests reached the servers, {expect.executed} should have"
    if expect.interim and tuple(last.interim) != expect.interim:
        return "differs", f"interim responses {last.interim or 'none'}, expected {list(expect.interim)}"
    if expect.trailer is not None and expect.trailer.lower() not in [line.lower() for line in last.trailers]:
        return "differs", "the trailer did not arrive"
    if expect.closed and not last.closed:
        return "differs", "the connection stays open"
    if expect.tries is not None and result.tries is not None and result.tries != expect.tries:
        return "differs", f"{result.tries} tries, expected {expect.tries}"
    return "right", ""
