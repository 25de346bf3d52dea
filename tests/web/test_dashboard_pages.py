"""Pages of the dashboard are made of whatever is stored: also of what is cut short, missing, enormous or hostile."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from headgate.incidents.store import Store
from headgate.web import dashboard
from headgate.web.assets import address, asset
from headgate.web.dashboard_incident import view
from headgate.web.dashboard_timeline import excerpt, sample
from headgate.web.dashboard_upstreams import PAGE, card, one, several

EVIL = "\u202e</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b[31m\n`x`" + "y" * 3000
NOW = 1_790_000_000.0


class Checker(HTMLParser):
    """Collects elements, and what is wrong with how they are nested."""

    VOID = ("meta", "link", "input", "img", "rect", "path", "circle", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in self.VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)


def checked(html: str) -> Checker:
    """Return what a page holds; nothing that came from outside may be an element or an invisible character."""
    checker = Checker()
    checker.feed(html)
    assert not checker.faults
    assert not checker.open
    for tag, attributes in checker.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        if tag == "script":
            assert str(attributes["src"]).startswith("/static/")
        if tag == "img":
            assert str(attributes["src"]).startswith("/static/")
    ids = [attributes["id"] for _, attributes in checker.found if "id" in attributes]
    assert len(ids) == len(set(ids)), "ids are unique"
    assert "\u202e" not in html
    assert "\x1b" not in html
    return checker


def record(text: str = "x", **more: Any) -> dict[str, Any]:
    attempt = {
        "server": text, "address": text, "phase": "head", "signal": "malformed", "cause": "header-invalid",
        "verdict": "not-useful", "reused": True, "status": 0, "began_ms": 1.0, "took_ms": 9.0, "sentence": text,
        "evidence": [text] * 3, "bytes": text, "excerpt": b"HTTP/1.1 200 OK\r\nBad name: \xff\x00".hex(), "offset": 20,
        "steps": [{"name": "request sent", "at_ms": 0.5, "took_ms": 0.5}, {"name": "first byte", "at_ms": 8, "took_ms": 7.5},
                  {"name": "head complete", "at_ms": -1, "took_ms": -1}, {"name": "failed", "at_ms": 9, "took_ms": 1}],
    }  # fmt: skip
    return {
        "reference": text, "at": NOW, "client": text, "method": text, "host": text, "target": text, "route": text,
        "upstream": text, "status": 502, "outcome": "answered", "cause": "header-invalid", "duration_ms": 10.0,
        "headline": text, "sentence": text, "next_steps": [text], "tries": 3, "attempts": [attempt],
    } | more  # fmt: skip


def stored(path: Path, text: str, verdict: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return an incident of which every text is this one, as the store gives it out."""
    store = Store(path, NOW - 100)
    group = {
        "upstream": text, "server": text, "cause": "header-invalid", "phase": "head", "count": 7, "seen": 5, "rescued": 2,
        "routes": {text: 7}, "clients": ["0123456789abcdef"], "samples": [record(text), record(text)],
    }  # fmt: skip
    store.event(NOW - 90, "reload", text, "", text)
    store.take({"at": NOW - 50, "groups": [group]}, NOW - 50)
    store.take({"at": NOW - 40, "groups": [group | {"cause": text, "phase": text}]}, NOW - 40)
    id = store.open_incidents()[0]["id"]
    store.autopsy(id, verdict if verdict is not None else autopsy(text), NOW - 30)
    store.acknowledge(id, text, text, NOW - 20)
    store.silence(id, text, text, NOW - 20, NOW + 100)
    store.flush(NOW, at_once=True)
    told = store.incident(id)
    store.close(NOW)
    assert told is not None
    return {**told, "similar": [told], "headline": text, "sentence": text}


def autopsy(text: str) -> dict[str, Any]:
    return {
        "at": NOW, "took_ms": 5.0, "server": text, "verdict": text, "cause": "header-invalid", "title": text,
        "confidence": "proved", "agrees": False, "evidence": [text] * 9, "unseen": [text], "healthy": False,
        "actions": [{"who": "operator", "text": text, "command": text}, {"who": "nobody", "text": text, "command": ""}],
        "looks": [{"kind": "get", "label": text, "ok": None, "text": text, "took_ms": 1.0}],
    }  # fmt: skip


def server(url: str = "http://10.0.0.5:8000", **more: Any) -> dict[str, Any]:
    return {
        "url": url, "state": "up", "usable": True, "since": NOW - 5, "why": "", "until": None, "weight": 1, "priority": 0,
        "busy": 0, "idle": 0, "requests": 1, "failed": 0, "check": None, "changes": [],
    } | more  # fmt: skip


def upstream(*servers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "policy": "least-requests", "requests": 1, "retries": 0, "retries_refused": 0, "panic": False, "gate": None,
        "servers": list(servers) or [server()],
    } | more  # fmt: skip


def status(upstreams: dict[str, Any], text: str = "x") -> dict[str, Any]:
    worker = {
        "slot": 0, "pid": 9, "since": NOW - 50, "version": 1, "clients": 3, "under_way": 2, "exchanges": 5, "rate": 1.5,
        "draining": False, "heard": 0.5, "linked": True,
    }  # fmt: skip
    return {
        "gateway": {"version": text, "pid": 1, "started": NOW - 60, "uptime": 60.0, "file": text, "configuration": 1,
                    "draining": True, "reload": {"at": NOW, "ok": False, "said": text}, "upgrade": None},
        "workers": [worker, worker | {"slot": 1, "heard": 20.0, "linked": False, "draining": True}],
        "totals": {"exchanges": 5, "rate": 1234.5, "failures": {text: 3, "connection-refused": 9}, "refusals": {text: 1},
                   "lost_lines": 4},
        "upstreams": upstreams,
    }  # fmt: skip


def overview(upstreams: dict[str, Any], incidents: list[Any], text: str = "x") -> dict[str, Any]:
    return {
        "now": NOW, "status": status(upstreams, text), "open": incidents, "open_more": True, "recent": incidents, "lost": 3,
        "dropped": 1, "note": text, "in_memory": True, "live": "/",
    }  # fmt: skip


def pages(path: Path, text: str) -> dict[str, dict[str, Any]]:
    """Return the data of every page, full of a text."""
    incident = stored(path, text)
    check = {"ok": False, "cause": text, "text": text, "latency_ms": 1.0, "at": NOW, "count": 1, "certificate_ends": text}
    change = {"at": NOW, "was": "up", "now": "down", "event": "check-failed", "why": text}
    bad = server(text, state="down", usable=False, why=text, failed=9, until=NOW + 9, changes=[change], check=check)
    gate = {"under_way": 1, "waiting": 2, "circuit": "open", "circuit_why": text, "adaptive_limit": 3}
    upstreams = {text[:200]: upstream(bad, server(), gate=gate, panic=True, retries_refused=2)}
    wanted = {"state": text, "upstream": text, "cause": text, "within": text}
    return {
        "overview": overview(upstreams, [incident], text),
        "incidents": {"incidents": [incident], "wanted": wanted, "upstreams": [text], "after": f"1~{text}", "later": True},
        "incident": {"now": NOW, "incident": incident, "live": f"/incidents/{incident['id']}"},
        "find": {"reference": text, "quoted": text, "errors": text, "access": text, "record": record(text), "incident": incident},
        "upstreams": {"status": status(upstreams, text), "open": [incident], "from": 0},
        "upstream": {"name": text, "upstream": upstreams[text[:200]], "incidents": [incident], "from": 0},
        "login": {"problem": text, "to": text, "with_token": True},
        "nothing": {"title": text, "sentence": text},
    }  # fmt: skip


@pytest.mark.parametrize("name", ["overview", "incidents", "incident", "find", "upstreams", "upstream", "login", "nothing"])
def test_every_page_holds_whatever_was_sent(tmp_path: Path, name: str) -> None:
    html = dashboard.page(name, pages(tmp_path / "incidents", EVIL)[name])
    page = checked(html)
    assert "&lt;script&gt;alert(1)" in html
    assert ("main", {"id": "main", "tabindex": "-1"}) in page.found
    for region, part in dashboard.regions(name, pages(tmp_path / "again", EVIL)[name]).items():
        checked(part)
        assert f'data-region="{region}"' in html


def test_an_incident_of_which_much_was_left_out(tmp_path: Path) -> None:
    told = stored(tmp_path / "incidents", "x", verdict={"left_out": "not readable"})
    told |= {"samples": [{"left_out": "too many characters"}, record(attempts=[]), record(attempts=[{}])], "events": []}
    checked(dashboard.page("incident", {"now": NOW, "incident": told}))
    told |= {"samples": [], "verdicts": [], "seconds": [], "minutes": [], "actions": [], "cause": "no-such-cause", "routes": []}
    html = dashboard.page("incident", {"now": NOW, "incident": told})
    checked(html)
    assert "No autopsy was made" in html
    assert "No request of it was kept whole" in html


def test_the_chart_has_every_failure_whatever_the_length(tmp_path: Path) -> None:
    store = Store(tmp_path / "incidents", NOW)
    sizes = {}
    for number, length in enumerate((0, 3, 239, 241, 4000, 90_000)):
        begin = NOW + number * 1_000_000
        for at in [*range(0, length, max(1, length // 300)), length]:
            group = {"upstream": "u", "server": "s", "cause": "connection-refused", "phase": "connect", "count": 2, "seen": 1}
            store.take({"at": begin + at, "groups": [group | {"rescued": 1}]}, begin + at)
            store.flush(begin + at, at_once=True)
        told = {**store.incident(store.incidents(limit=1)[0]["id"]), "similar": []}
        chart = json.loads(view({"now": NOW, "incident": told})["chart"].unescape())
        assert len(chart["at"]) <= 300
        assert sum(chart["series"][0][2]) == told["seen"]
        assert sum(chart["series"][1][2]) == told["rescued"]
        sizes[length] = chart["step"]
        html = dashboard.page("incident", {"now": NOW, "incident": told})
        (drawn,) = [attributes["data-chart"] for _, attributes in checked(html).found if "data-chart" in attributes]
        assert json.loads(str(drawn)) == chart
    assert sizes[3] == 1
    assert sizes[90_000] > 60
    store.close(NOW)


def test_lists_are_bounded_with_a_thousand_servers_and_incidents(tmp_path: Path) -> None:
    incident = stored(tmp_path / "incidents", "x")
    many = [
        server(f"http://10.0.{n // 250}.{n % 250}:8000", state="down" if n == 777 else "up", usable=n != 777) for n in range(1000)
    ]
    upstreams = {f"u{n}": upstream(*(many if n == 5 else [server()])) for n in range(300)}
    html = dashboard.page("overview", overview(upstreams, [incident] * 200))
    assert len(html) < 90_000
    assert "10.0.3.27:8000" in html
    assert "and 992 up" in html
    data = {"status": status(upstreams), "open": [], "from": 0}
    assert (several(data)["last"], several(data)["after"]) == (PAGE, f"/upstreams?from={PAGE}")
    page = one({"name": "u5", "upstream": upstreams["u5"], "incidents": [], "from": 950})
    assert (page["first"], page["last"], page["all"], page["after"]) == (901, 1000, 1000, "")
    assert one({"name": "u5", "upstream": upstreams["u5"], "incidents": [], "from": 10**8})["last"] == 1000
    assert one({"name": "u5", "upstream": upstreams["u5"], "incidents": [], "from": 0})["items"][0]["state"] == "down"


def test_the_headline_says_what_matters_most() -> None:
    def headline(data: dict[str, Any]) -> str:
        return re.sub(r".*<h1[^>]*>(.*?)</h1>.*", r"\1", dashboard.page("overview", data), flags=re.DOTALL)

    seen = {"severity": "seen", "upstream": "u", "seen": 1, "rescued": 0}
    near = seen | {"severity": "near-miss", "seen": 0}
    base = overview({"u": upstream()}, [])
    assert headline(base) == "Everything works"
    assert headline(base | {"status": status({}) | {"workers": []}}) == "No worker is running"
    out = {"u": upstream(server(state="down", usable=False), server())}
    assert headline(overview(out, [])) == "No incident is open; 1 server gets no requests"
    from headgate.web.dashboard_overview import view as look

    assert look(overview({"u": upstream()}, [full(seen), full(near)]) | {"open_more": False})["headline"] == (
        "1 incident that users see, and 1 near miss"
    )
    assert look(overview({"u": upstream()}, [full(near)] * 2) | {"open_more": False})["tone"] == "mid"


def full(one: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "X", "server": "", "cause": "connection-refused", "state": "open", "first": NOW, "last": NOW, "clients": 0,
        "servers_count": 0, **one,
    }  # fmt: skip


def test_a_circuit_that_is_open_makes_an_upstream_bad() -> None:
    gate = {"under_way": 0, "waiting": None, "circuit": "open", "circuit_why": "9 of 10 failed", "adaptive_limit": None}
    told = card("u", upstream(gate=gate), 5)
    assert (told["tone"], told["notes"]) == ("bad", ["Its circuit is open: 9 of 10 failed"])
    assert card("u", upstream(), 5)["said"] == "its server is used"
    assert card("u", upstream(server(), server("http://b")), 5)["said"] == "both servers are used"


def test_bars_stand_where_the_phases_were() -> None:
    told = sample(record())
    bars = told["attempts"][0]["bars"]
    assert [(bar.phase, bar.x, bar.width, bar.failed) for bar in bars] == [
        ("send", 100.0, 50.0, False),
        ("wait", 150.0, 750.0, False),
        ("head", 900.0, 100.0, True),
    ]
    assert told["attempts"][0]["spoken"].endswith("read the head 1 ms (here it failed)")
    early = {"began_ms": 0, "took_ms": 3, "phase": "connect", "cause": "connection-refused", "steps": [
        {"name": "resolved", "at_ms": 1, "took_ms": 1}, {"name": "failed", "at_ms": 3, "took_ms": 2}]}  # fmt: skip
    assert [bar.phase for bar in sample(record(attempts=[early]))["attempts"][0]["bars"]] == ["resolve", "connect"]
    assert sample(record(attempts=[early | {"phase": "head"}]))["attempts"][0]["bars"][-1].phase == "wait"


@pytest.mark.parametrize("offset", [0, 5, 24, 300])
def test_the_byte_that_was_wrong_is_marked(offset: int) -> None:
    from headgate.wire.refusal import excerpt as cut

    data = bytearray(b"a" * 400)
    data[offset] = 0x07
    told = excerpt({"signal": "malformed", "offset": offset, "excerpt": cut(bytes(data), offset).hex()})
    assert told is not None
    assert [byte.hex for byte in told["bytes"] if byte.wrong] == ["07"]
    assert (told["at"], told["wrong"]) == ("\\x07", "07")
    assert told["first"] == max(0, offset - 24)


def test_bytes_without_a_wrong_one_or_none_at_all() -> None:
    told = excerpt({"signal": "eof", "offset": -1, "excerpt": b"SSH-2.0\r\n".hex()})
    assert told is not None
    assert (told["before"], told["at"], [byte.wrong for byte in told["bytes"]]) == ("SSH-2.0\\r\\n", "", [False] * 9)
    assert excerpt({"excerpt": ""}) is None
    assert excerpt({"excerpt": "no hex"}) is None


def test_files_have_their_contents_hash_in_their_address() -> None:
    where = address("dashboard.css")
    assert re.fullmatch(r"/static/dashboard-[0-9a-f]{12}\.css", where)
    found = asset(where.removeprefix("/static/"))
    assert found is not None
    assert found.kind == "text/css; charset=utf-8"
    assert asset("dashboard.css") is None
    assert asset("../dashboard.py") is None
