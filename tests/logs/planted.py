"""Logs with a planted pattern, and logs of nothing but chance, for the tests of what logs are said to tell."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from headgate.logs.analyse import analyse
from headgate.logs.read import read
from headgate.logs.reading import Reading
from headgate.logs.report import Report
from headgate.logs.sample import sample_of
from headgate.logs.scene import Scene, whole_scene

START = 1_795_168_800.0  # 2026-11-20 10:00:00 UTC
SERVERS = tuple(f"app{number}" for number in range(1, 5))
PATHS = ("/", "/cart", "/api/user/{n}", "/api/orders", "/search", "/static/app.js", "/report", "/login")


@dataclass(frozen=True)
class Request:
    """One request of a synthetic log."""

    time: float
    upstream: str
    path: str
    client: str
    method: str = "GET"
    status: int = 200
    seconds: float = 0.05

    @property
    def line(self) -> str:
        """As HAProxy writes it: it has everything."""
        at = datetime.fromtimestamp(self.time, UTC).strftime("%d/%b/%Y:%H:%M:%S.%f")[:-3]
        took = round(self.seconds * 1000)
        flags, timers = {
            502: ("SH--", f"0/0/1/-1/{took}"),
            503: ("SC--", f"0/0/-1/-1/{took}"),
            504: ("sH--", f"0/0/1/-1/{took}"),
        }.get(self.status, ("----", f"0/0/1/{took}/{took}"))
        return (
            f"{self.client}:51234 [{at}] fe be_app/{self.upstream} {timers} {self.status} 217 - - {flags} 1/1/0/0/0 0/0 "
            f'"{self.method} {self.path} HTTP/1.1"\n'
        )


def traffic(rng: random.Random, seconds: float = 3600, rate: float = 1.5) -> list[Request]:
    """Return healthy requests at random times, evenly on servers, unevenly on paths and clients."""
    found, time = [], 0.0
    while (time := time + rng.expovariate(rate)) < seconds:
        path = rng.choices(PATHS, weights=range(len(PATHS), 0, -1))[0].format(n=rng.randrange(1000))
        client = f"203.0.113.{min(250, int(rng.expovariate(1 / 30)))}"
        method = "POST" if rng.random() < 0.1 else "GET"
        took = min(20.0, rng.lognormvariate(-3, 1))
        found.append(Request(START + time, rng.choice(SERVERS), path, client, method, 200, took))
    return found


def failing(requests: list[Request], which: Callable[[Request], bool], status: int = 503) -> list[Request]:
    """Return the requests, those chosen failed."""
    return [replace(one, status=status) if which(one) else one for one in requests]


def scene(folder: Path, requests: list[Request]) -> Scene:
    """Return the failures of a log of these requests."""
    found = reading(folder, requests)
    return whole_scene(found, sample_of(found))


def reading(folder: Path, requests: list[Request]) -> Reading:
    """Write the log and read it."""
    path = folder / "access.log"
    path.write_text("".join(one.line for one in sorted(requests, key=lambda one: one.time)))
    return read([str(path)])


def combined(one: Request) -> str:
    """As nginx and Apache write it by default: without server and duration."""
    at = datetime.fromtimestamp(one.time, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'{one.client} - - [{at}] "{one.method} {one.path} HTTP/1.1" {one.status} 157 "-" "Mozilla/5.0 (X11; Linux x86_64)"\n'


def refused(one: Request, server: str = "10.0.0.1:8080") -> str:
    """The line of nginx's error log for a request that no server was there for."""
    at = datetime.fromtimestamp(one.time, UTC).strftime("%Y/%m/%d %H:%M:%S")
    return (
        f"{at} [error] 812#812: *{int(one.time)} connect() failed (111: Connection refused) while connecting to upstream, "
        f'client: {one.client}, server: shop.example, request: "{one.method} {one.path} HTTP/1.1", '
        f'upstream: "http://{server}{one.path}", host: "shop.example"\n'
    )


def report(folder: Path, logs: dict[str, str]) -> Report:
    """Write logs by their file names, and return what they come to."""
    for name, text in logs.items():
        (folder / name).write_text(text)
    return analyse(read([str(folder / name) for name in logs]))
