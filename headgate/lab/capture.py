"""Records what real gateways say when their upstream breaks: the response as the client saw it, and their logs' lines about it.

Fixtures are one file per kind, `<folder>/<kind>.jsonl`: one JSON object per scenario, with the fields of Capture. The response is
text with one character per byte (latin-1), escaped as JSON does. `load(folder)` reads them all.
"""

import asyncio
import json
import re
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from .client import Client
from .gateways import suits, write
from .laboratory import order
from .layout import Layout
from .network import inside
from .peers import PEERS
from .processes import Running, running, version
from .scenario import Scenario
from .score import host_for
from .session import setting_for, target_of
from .stable import stable

_PASSED_ON = ("upstream-502", "upstream-503")
_GROUPS = ("connect", "dns", "tls", "head", "body", "not-http", "gateway", "client", "upgrade")
_SETTLE = 0.12  # seconds in which a gateway writes what it has to say after its access log's line
SAMPLE_MAX = 16_384
"""Largest response in bytes that becomes a sample."""


@dataclass(frozen=True)
class Capture:
    """What one gateway said about one scenario."""

    kind: str
    """One of the lab's peers."""
    version: str
    scenario: str
    causes: tuple[str, ...]
    """The true cause, from the scenario; several where any of them is right; none where nothing is wrong with the exchange."""
    origin: str
    """Who wrote the response: "made" by the gateway, "relayed" from the server, "none" where there was no response."""
    status: int
    """0: no response, or none with a head that can be read."""
    ended: str
    """How the response ended: complete, cut, hang, garbled, nothing."""
    ms: int
    """Milliseconds until its end, rounded to 50."""
    token: str
    """Marks the request in its target."""
    response: bytes
    """Head and body as they came, with their framing."""
    access: tuple[str, ...]
    """The access log's lines about it."""
    errors: tuple[str, ...]
    """The error log's lines about it."""


def failing(scenarios: Iterable[Scenario]) -> list[str]:
    """Return the names of the scenarios worth capturing: one request that fails, or that relays an upstream's failure."""
    return [
        s.name
        for s in scenarios
        if s.name in _PASSED_ON
        or (s.group in _GROUPS and s.expect.cause and len(s.request) == 1 and s.request[0].leave_after is None
            and not (s.alone or s.during or s.place == "ports-exhausted"))
    ]  # fmt: skip


async def capture(layout: Layout, kind: str, names: Iterable[str], folder: Path) -> list[Capture]:
    """Start a gateway of this kind, play the scenarios one after the other, return what was seen, in the same order.

    Scenarios that say nothing about the kind, or need a network namespace where there is none, are left out. Raises LabError.
    """
    scenarios = [layout.scenarios[name] for name in names]
    suited = [s for s in scenarios if suits(s, kind) and (s.needs != "netns" or inside())]
    setting = setting_for(layout, suited, folder)
    about = version(kind)
    async with running(write(kind, setting, folder)) as run:
        return [await _one(layout, run, scenario, about) for scenario in suited]


class _Growing:
    """A log that grows: gives what came since the last time."""

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, 0
        self.take()

    def peek(self) -> str:
        """Return what is new, and leave it."""
        try:
            return self._path.read_bytes()[self._read :].decode("utf-8", "replace")
        except OSError:
            return ""

    def take(self) -> str:
        """Return what is new."""
        text = self.peek()
        self._read += len(text.encode("utf-8", "replace"))
        return text


async def _one(layout: Layout, run: Running, scenario: Scenario, about: str) -> Capture:
    setting, peer = run.written.setting, PEERS[run.written.kind]
    await order(layout, "reset", scenario.name)
    await asyncio.sleep(0.05)
    access = _Growing(setting.folder / peer.access_log)
    errors = _Growing(setting.folder / peer.error_log) if peer.error_log else None
    token = f"lab-{secrets.token_hex(6)}"
    client = Client(("127.0.0.1", setting.port), host_for(layout, target_of(run, alone=False)), f"/{scenario.name}")
    try:
        seen = (await client.play(scenario.request, [token]))[0]
    finally:
        client.close()
    await _until_logged(access, token)
    said = (_with(token, access.take()), errors.take() if errors else "")
    lines = [tuple(stable(text, setting, scenario).splitlines()) for text in said]
    made = seen.status >= 400 and bool(scenario.expect.causes)
    origin = "made" if made else "relayed" if seen.raw else "none"
    response = stable(seen.raw.decode("latin-1"), setting, scenario).encode("latin-1")
    return Capture(
        run.written.kind, about, scenario.name, scenario.expect.causes, origin, seen.status, seen.ended, round(seen.ms / 50) * 50,
        stable(token, setting, scenario), response, lines[0], lines[1],
    )  # fmt: skip


def _with(token: str, text: str) -> str:
    """Return the lines with the token in them, or all where none has it."""
    return "".join(line for line in text.splitlines(keepends=True) if token in line) or text


async def _until_logged(access: _Growing, token: str) -> None:
    """Wait until the request's line is there: some requests are too broken for one with the token in it."""
    for _ in range(30):
        if token in access.peek():
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(_SETTLE)


def save(captures: Iterable[Capture], folder: Path) -> None:
    """Write the fixtures of each kind there is, in the order given."""
    folder.mkdir(parents=True, exist_ok=True)
    by_kind: dict[str, list[Capture]] = {}
    for one in captures:
        by_kind.setdefault(one.kind, []).append(one)
    for kind, found in by_kind.items():
        lines = [json.dumps(asdict(one) | {"response": one.response.decode("latin-1")}) + "\n" for one in found]
        (folder / f"{kind}.jsonl").write_text("".join(lines), encoding="ascii")


def load(folder: Path) -> list[Capture]:
    """Read all fixtures in a folder, by kind."""
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="ascii").splitlines():
            data = json.loads(line)
            tuples = {key: tuple(data[key]) for key in ("causes", "access", "errors")}
            found.append(Capture(**data | tuples | {"response": data["response"].encode("latin-1")}))
    return found


def samples(captures: Iterable[Capture]) -> dict[str, bytes]:
    """Return one response for each page that a gateway makes by itself: "KIND/captured-SCENARIO.http" and its bytes."""
    chosen: dict[tuple[str, int, bytes], tuple[str, bytes]] = {}
    for one in captures:
        if one.origin == "made" and one.ended == "complete" and len(one.response) <= SAMPLE_MAX:
            shape = (one.kind, one.status, _shape(one))
            chosen.setdefault(shape, (f"{one.kind}/captured-{one.scenario}.http", one.response))
    return dict(chosen.values())


def _shape(one: Capture) -> bytes:
    """Return what stays of a body when another request gets the same page."""
    body = one.response.partition(b"\r\n\r\n")[2]
    return re.sub(rb"[0-9]+", b"0", body.replace(one.scenario.encode(), b"NAME"))
