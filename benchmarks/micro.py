"""Times the functions that every request passes, one by one: which ones, and on what input.

    .venv/bin/python benchmarks/micro.py

Microseconds for one call, the best of several repetitions. "equal" calls with the same bytes for ever, which flatters whatever
remembers; "different" goes through thousands of heads that differ in target, cookie and id. Where parts of Headgate are
compiled, their Python twins are timed too, in a process of its own that refuses to load compiled modules of Headgate.
"""

import itertools
import json
import os
import subprocess
import sys
import timeit
from collections.abc import Callable, Sequence
from importlib.machinery import FileFinder, ModuleSpec, SourceFileLoader
from pathlib import Path

from messages import HEADERS, TARGET

ROOT = Path(__file__).parent.parent
PACKAGE = "headgate"
DIFFERENT = 8192

RESPONSE = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Fri, 20 Nov 2026 10:15:30 GMT\r\nContent-Type: application/json\r\n"
    b"Content-Length: 120\r\nConnection: keep-alive\r\nCache-Control: private, max-age=0, must-revalidate\r\n"
    b'ETag: "5f3c-62b1a9d0e4c80"\r\nVary: Accept-Encoding, Cookie\r\nX-Content-Type-Options: nosniff\r\n'
    b"X-Frame-Options: SAMEORIGIN\r\nStrict-Transport-Security: max-age=31536000; includeSubDomains\r\n"
)


class OnlySource:
    """A finder that loads modules of Headgate from .py files, and from nothing else."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, _target: object = None) -> ModuleSpec | None:
        if name.partition(".")[0] != PACKAGE:
            return None
        for folder in path or [str(ROOT)]:
            spec = FileFinder(folder, (SourceFileLoader, [".py"])).find_spec(name)
            if spec:
                return spec
        raise ImportError(f"{name} has no Python source", name=name)


def request_heads(count: int) -> list[bytes]:
    """Request heads without their empty line; they differ from one another when there are several."""
    heads = []
    for number in range(count):
        target = TARGET if count == 1 else f"/shop/item/{number}-{number * 7919 % 65536}?ref={number * 2654435761 % 2**32:08x}"
        headers = dict(HEADERS)
        if count > 1:
            headers["Cookie"] = f"session={number * 2654435761 % 2**32:032x}; theme=dark; _ga=GA1.2.{number}.{number * 31}"
            headers["X-Request-Id"] = f"{number * 40503 % 2**32:032x}"
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        heads.append(("\r\n".join(lines) + "\r\n").encode())
    return heads


def head_cases() -> dict[str, Callable[[], object]]:
    """Reading heads."""
    from headgate.wire.limits import WireLimits
    from headgate.wire.request import read_request_head
    from headgate.wire.response import read_response_head

    limits = WireLimits()
    [equal] = request_heads(1)
    following = itertools.cycle(request_heads(DIFFERENT)).__next__
    dated = [RESPONSE.replace(b"10:15:30", b"10:%02d:%02d" % divmod(second, 60)) for second in range(3600)]
    following_response = itertools.cycle(dated).__next__
    return {
        "read_request_head, equal": lambda: read_request_head(equal, limits),
        "read_request_head, different": lambda: read_request_head(following(), limits),
        "read_response_head, equal": lambda: read_response_head(RESPONSE, b"GET", limits),
        "read_response_head, dates differ": lambda: read_response_head(following_response(), b"GET", limits),
    }


def router_cases() -> dict[str, Callable[[], object]]:
    """Finding the route: a single one, and one among a hundred."""
    from headgate.config.schema import Route
    from headgate.gateway.router import Router

    one = Router((Route(upstream="origin"),))
    routes = [Route(host=f"shop{number % 10}.example.org", path=f"/part/{number}", upstream="origin") for number in range(99)]
    many = Router((*routes, Route(host="shop.example.org", path="/shop", upstream="origin")))
    path = TARGET.partition("?")[0].encode()
    return {
        "Router.match, 1 route": lambda: one.match(b"shop.example.org", path, b"GET", b""),
        "Router.match, 100 routes": lambda: many.match(b"shop.example.org", path, b"GET", b""),
    }


def record_cases() -> dict[str, Callable[[], object]]:
    """Making a record, and writing it into the access log."""
    from headgate.model.exchange import Attempt, Exchange
    from headgate.render.access_log import json_line

    def record() -> Exchange:
        exchange = Exchange("7k2m9qx-1f", "192.0.2.7", "http", 1000.0)
        exchange.attempts.append(Attempt("origin", "http://127.0.0.1:3000", 1000.0))
        return exchange

    exchange = record()
    exchange.method, exchange.target, exchange.host, exchange.outcome = b"GET", TARGET.encode(), b"shop.example.org", "served"
    exchange.route, exchange.upstream, exchange.status, exchange.sent, exchange.t_end = "shop", "origin", 200, 620, 1000.002
    [attempt] = exchange.attempts
    attempt.address, attempt.reused, attempt.status = "127.0.0.1:3000", True, 200
    attempt.t_connected = attempt.t_sent = attempt.t_start
    attempt.t_first = attempt.t_head = attempt.t_end = 1000.002
    return {
        "Exchange and Attempt": record,
        "json_line": lambda: json_line(exchange, "2026-11-20T10:15:30.123Z"),
    }


def microseconds(function: Callable[[], object]) -> float:
    """One call of the function, the best of seven repetitions of about 0.05 seconds, the cost of calling it taken off."""
    best = []
    for candidate in (function, lambda: None):
        timer = timeit.Timer(candidate)
        timer.timeit(2 * DIFFERENT)
        count = max(DIFFERENT, int(0.05 / (timer.timeit(1000) / 1000)))
        best.append(min(timer.repeat(7, count)) / count * 1e6)
    return max(best[0] - best[1], 0.0)


def measure() -> dict[str, float]:
    """All cases, by name."""
    cases = head_cases() | router_cases() | record_cases()
    return {name: microseconds(function) for name, function in cases.items()}


def has_compiled_parts() -> bool:
    """Extension modules lie in the package."""
    return any(Path(ROOT, PACKAGE).rglob("*.so"))


def measure_source_only() -> dict[str, float]:
    """The same in a process that loads no compiled module of Headgate."""
    command = [sys.executable, __file__, "--source-only"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    return {name: float(value) for name, value in json.loads(done.stdout).items()}


def main() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    sys.path.insert(0, str(ROOT))
    if "--source-only" in sys.argv:
        sys.meta_path.insert(0, OnlySource)
        print(json.dumps(measure()))
        return
    columns = {"compiled": measure(), "Python": measure_source_only()} if has_compiled_parts() else {"Python": measure()}
    print(f"{'µs for one call':36}" + "".join(f"{title:>10}" for title in columns))
    for name in next(iter(columns.values())):
        print(f"{name:36}" + "".join(f"{column[name]:10.2f}" for column in columns.values()))


if __name__ == "__main__":
    main()
