"""What visitors of one worker see, those of all are told: over deaths of workers and of the control process."""

import http.client
import json
import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

import psutil
import pytest

from headgate.control.publicstatus import PublicStatus
from headgate.lab.processes import free_port


class Visitors:
    """Asks a gateway, each time on a new connection, so that every worker is met."""

    def __init__(self, gateway: Any) -> None:
        self.gateway, self.port = gateway, gateway.port()
        self.url = ""

    def get(self, path: str, accept: str = "text/html") -> tuple[int, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request("GET", path, headers={"Accept": accept})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def fail(self) -> None:
        """Meet an error, and keep what its page asks."""
        status, page = self.get("/dead")
        assert status == 502
        found = re.search(r'data-ask="([^"]*)"', page)
        assert found is not None
        self.url = found[1]

    def told(self) -> list[dict[str, Any]]:
        """Return what twenty who ask are told."""
        return [json.loads(self.get(self.url)[1]) for _ in range(20)]

    def all_are_told(self, condition: Callable[[dict[str, Any]], bool]) -> None:
        self.gateway.until(lambda: all(map(condition, self.told())))


@pytest.fixture
def broken(start: Callable[..., Any]) -> Visitors:
    """A gateway with two workers whose only server is not there, and one visitor who noticed."""
    dead = f'[upstream.dead]\nservers = ["http://127.0.0.1:{free_port()}"]\n[[route]]\npath = "/dead"\nupstream = "dead"\n'
    gateway = start(upstream=dead, gateway='status = { rate_limit = { rate = "1000/s", burst = 10000 } }')
    visitors = Visitors(gateway)
    visitors.fail()
    return visitors


def pids(gateway: Any) -> list[int]:
    return [worker["pid"] for worker in gateway.status()["workers"]]


def incident(gateway: Any) -> str:
    gateway.until(lambda: gateway.ask("GET", "/api/incidents?state=open").json["incidents"])
    return str(gateway.ask("GET", "/api/incidents?state=open").json["incidents"][0]["id"])


def answers_anew(gateway: Any, before: int) -> bool:
    """Tell whether another control process answers."""
    with suppress(OSError):
        return bool(gateway.control() != before)
    return False


def test_one_visitor_is_enough_for_all_workers(broken: Visitors) -> None:
    broken.all_are_told(lambda told: told["working"] is False and told["since"] is not None)
    assert len({told["since"] for told in broken.told()}) == 1


def test_that_people_are_on_it_is_told_by_all(broken: Visitors) -> None:
    gateway = broken.gateway
    body = {"who": "a", "note": "b", "expected": time.time() + 600}
    assert gateway.ask("POST", f"/api/incidents/{incident(gateway)}/acknowledge", body).status == 200
    broken.all_are_told(lambda told: told["acknowledged"] and told["expected"] is not None)
    assert all(told.keys() == {"working", "since", "expected", "acknowledged"} for told in broken.told())
    for bad in (-1, "x", 1e300, None):
        answer = gateway.ask("POST", f"/api/incidents/{incident(gateway)}/acknowledge", {**body, "expected": bad})
        assert answer.status == 422


def test_a_new_worker_knows_what_the_one_before_it_saw(broken: Visitors) -> None:
    gateway = broken.gateway
    broken.all_are_told(lambda told: told["working"] is False)
    for pid in pids(gateway):
        os.kill(pid, signal.SIGKILL)
    gateway.until(lambda: all(psutil.pid_exists(pid) for pid in pids(gateway)) and len(pids(gateway)) == 2)
    gateway.until(lambda: broken.get("/")[0] == 200)
    broken.all_are_told(lambda told: told["working"] is False)


def test_without_a_control_process_it_goes_on_and_its_successor_learns(broken: Visitors) -> None:
    gateway = broken.gateway
    id = incident(gateway)
    gateway.ask("POST", f"/api/incidents/{id}/acknowledge", {"who": "a", "note": ""})
    broken.all_are_told(lambda told: told["acknowledged"])
    time.sleep(1.5)  # what was said is in the file a second later
    control = gateway.control()
    os.kill(control, signal.SIGKILL)
    assert all(told["working"] is False for told in broken.told())
    gateway.until(lambda: answers_anew(gateway, control))
    broken.fail()
    broken.all_are_told(lambda told: told["working"] is False and told["acknowledged"])


class Nothing:
    """A control process without anything, and one of its workers."""

    slot, pid = 0, 1

    def __init__(self) -> None:
        self.desk, self.listeners = self, list[Any]()


@pytest.mark.parametrize("nonsense", [None, [], {"app": None}, {"app": [1, 2]}, {"app": ["x"] * 7}, {"app": [float("inf")] * 7}])
def test_nonsense_of_a_worker_is_refused(nonsense: Any) -> None:
    nothing: Any = Nothing()
    with pytest.raises((AttributeError, TypeError, ValueError)):
        PublicStatus(nothing).heard(nothing, nonsense)
