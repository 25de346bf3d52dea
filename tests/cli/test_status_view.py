"""What `headgate status` makes of what it is told, and when it says that all is well."""

import copy
from io import StringIO
from typing import Any

import pytest

from headgate.cli.status_view import is_well, one_upstream, whole
from headgate.render.terminal import SafeConsole

SERVER: dict[str, Any] = {
    "url": "http://a:1", "state": "up", "usable": True, "since": 1.0, "why": "", "until": None, "weight": 1, "priority": 0,
    "busy": 2, "idle": 3, "requests": 1234, "failed": 0, "check": None, "changes": [],
}  # fmt: skip
UPSTREAM: dict[str, Any] = {
    "policy": "maglev", "requests": 1234, "retries": 0, "retries_refused": 0, "panic": False, "gate": None, "servers": [SERVER],
}  # fmt: skip
GATE = {"under_way": 5, "waiting": 6, "circuit": "closed", "circuit_why": "", "adaptive_limit": 70}
STATUS: dict[str, Any] = {
    "gateway": {
        "version": "9.9", "pid": 5, "started": 1.0, "uptime": 65.0, "file": "", "configuration": 3, "draining": False,
        "reload": None, "upgrade": None,
    },
    "workers": [{
        "slot": 0, "pid": 6, "since": 1.0, "version": 3, "clients": 1, "under_way": 2, "exchanges": 10, "rate": 1.5,
        "draining": False, "heard": 0.1, "linked": True,
    }],
    "totals": {"exchanges": 10, "rate": 1.5, "failures": {}, "refusals": {}, "lost_lines": 0},
    "upstreams": {"app": UPSTREAM},
}  # fmt: skip


def changed(original: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return copy.deepcopy(original) | keys


def drawn(what: Any, width: int = 100) -> str:
    file = StringIO()
    SafeConsole(file=file, width=width, highlight=False).print(what)
    return file.getvalue()


def of_upstream(**keys: Any) -> str:
    return drawn(one_upstream("app", changed(UPSTREAM, **keys), 100))


def of_server(**keys: Any) -> str:
    return of_upstream(servers=[changed(SERVER, **keys)])


def of_status(part: str, **keys: Any) -> str:
    told = changed(STATUS)
    told[part] = [told[part][0] | keys] if part == "workers" else told[part] | keys
    return drawn(whole(told, 100))


@pytest.mark.parametrize(
    ("upstream", "well"),
    [
        (UPSTREAM, True),
        (changed(UPSTREAM, panic=True), False),
        (changed(UPSTREAM, servers=[SERVER, changed(SERVER, usable=False)]), False),
        (changed(UPSTREAM, gate=GATE), True),
        (changed(UPSTREAM, gate=GATE | {"circuit": None}), True),
        (changed(UPSTREAM, gate=GATE | {"circuit": "open"}), False),
    ],
)
def test_when_all_is_well(upstream, well):
    assert is_well([UPSTREAM, upstream]) is well


def test_gateway():
    assert (
        "headgate 9.9  process 5, up 1 min 5 s\nno configuration file, configuration 3\n10 exchanges, 1.5/s, 2 under way"
        in drawn(whole(STATUS, 100))
    )
    assert "draining: it ends" in of_status("gateway", draining=True)
    assert "refused, nothing changed: line 3: no" in of_status("gateway", reload={"at": 1.0, "ok": False, "said": "line 3: no"})
    assert ": done: served" in of_status("gateway", reload={"at": 1.0, "ok": True, "said": "reload: served"})
    assert "it failed" in of_status("gateway", upgrade={"at": 1.0, "pid": 7, "failed": True, "said": "it failed"})


def test_workers():
    assert "worker 0  process 6, up " in drawn(whole(STATUS, 100))
    assert ", draining" in of_status("workers", draining=True)
    assert ", serves configuration 2" in of_status("workers", version=2)
    assert ", silent for 5 s" in of_status("workers", heard=5.0)
    assert ", cannot be told anything" in of_status("workers", linked=False)


def test_totals():
    many = {f"cause-{number}": 100 - number for number in range(12)}
    shown = of_status("totals", failures=many, refusals={"client-gone": 1}, lost_lines=3)
    assert ", 3 log lines lost" in shown
    assert "  100  cause-0\n" in shown
    assert "cause-10" not in shown
    assert "  179  others" in shown
    assert "client-gone" in shown
    assert "failed attempts" not in drawn(whole(STATUS, 100))


def test_upstreams():
    assert of_upstream().startswith(
        "app  maglev, 1,234 requests\n  up           http://a:1  2 busy, 3 idle, 1,234 requests, 0 failed"
    )
    assert "panic: no server may be used" in of_upstream(panic=True)
    assert ", 5 tried again (6 more were beyond the budget)" in of_upstream(retries=5, retries_refused=6)
    assert "  5 under way, 6 waiting, adaptive limit 70, circuit closed\n" in of_upstream(gate=GATE)
    assert "circuit open: most failed" in of_upstream(gate=GATE | {"circuit": "open", "circuit_why": "most failed"})
    assert "waiting" not in of_upstream(gate=GATE | {"waiting": None})


def test_servers():
    assert "weight 5, priority 1, 7 failed" in of_server(weight=5, priority=1, failed=7)
    assert "1970-01-01" in of_server() or "1969-12-31" in of_server()
    assert ", until " in of_server(state="ejected", until=2.0)
    check = {"ok": False, "cause": "connection-refused", "text": "nobody listens", "latency_ms": None, "at": None, "count": 1}
    assert "last check: nobody listens" in of_server(check=check)
    assert "last check" not in of_server(check=check | {"ok": True})
    assert "last check" not in of_server(check=check, why="the check failed: nobody listens")


def test_nothing_that_was_told_reaches_the_terminal_raw():
    bad = "\x1b[2J\x9b31m\u202e[red]x[/red]"
    shown = of_server(why=bad, url=f"http://{bad}") + of_status("totals", failures={bad: 1})
    shown += of_status("gateway", file=bad, version=bad, reload={"at": 1.0, "ok": False, "said": bad})
    assert not set(shown) & set("\x1b\x9b\u202e")
    assert "[red]x[/red]" in shown


@pytest.mark.parametrize("width", [30, 40, 60, 71, 72, 130])
def test_nothing_is_wider_than_the_terminal_and_nothing_is_lost(width):
    server = changed(SERVER, url="http://" + "long-name." * 8 + "example:8080", why="because " * 12)
    shown = drawn(whole(changed(STATUS, upstreams={"app": changed(UPSTREAM, servers=[server], gate=GATE)}), width), width)
    assert max(map(len, shown.splitlines())) <= width
    assert "".join(server["url"].split()) in "".join(shown.split())


def test_those_who_are_told_of_incidents():
    one = {
        "kind": "slack", "where": "slack (hooks.example.org)", "sent": 1200, "failed": 0, "held": 3, "lost": 0, "tries": 9,
        "waiting": 0, "sent_at": 5.0, "error": "", "error_at": 0.0, "retry_in": 0.0,
    }  # fmt: skip
    two = one | {"waiting": 4, "failed": 2, "lost": 7, "error": "answered 503 \x1b[31m", "retry_in": 65.0}
    said = drawn(whole(STATUS | {"destinations": {"chat": one, "pager": two}}, 200), 200)
    assert "tells chat, slack (hooks.example.org): 1,200 sent\n" in said
    assert "1,200 sent, 4 waiting, 2 given up, 7 left out; answered 503" in said
    assert "tried again in 1 min 5 s" in said
    assert "\x1b" not in said
