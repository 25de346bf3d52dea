"""Owns how upstreams and servers are shown: what is not well first, what is well in few words, and never more than a page."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from ..render import incident as words
from .dashboard_words import STATES, row, state

PAGE: Final = 100
"""Servers, or upstreams, of one page."""
_SERVERS: Final = 8
"""Servers shown of each upstream where several are."""
ACTIONS: Final = {
    "drain": ("Drain", "Nothing new goes to it. What runs may finish, and clients bound by a sticky cookie may come back."),
    "maintenance": ("Maintenance", "It gets no requests at all. What runs may finish."),
    "eject": ("Eject", "It gets no new requests for a while, and then comes back by itself."),
    "ready": (
        "Ready",
        "It is back from drain or maintenance. Whether it gets requests is up to its checks and the traffic again.",
    ),
    "restore": ("Restore", "Its ejection ends, and it counts as healthy until the next verdict."),
}
"""What can be done to a server, as the API calls it: the button, and what it means."""
_OFFERED: Final = {
    "up": ("drain", "maintenance", "eject"),
    "unchecked": ("drain", "maintenance", "restore"),
    "draining": ("ready", "maintenance"),
    "maintenance": ("ready",),
    "ejected": ("restore", "maintenance"),
    "down": ("restore", "maintenance"),
}
"""What is of use in each state."""


def card(name: str, upstream: Mapping[str, Any], most: int, open_: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Return an upstream as an overview shows it, with at most so many of its servers. open_: its open incidents."""
    severities = [one["severity"] for one in open_]
    servers = sorted(upstream["servers"], key=lambda one: state(one["state"]).order)
    out = sum(not one["usable"] for one in servers)
    gate = upstream["gate"] or {}
    bad = upstream["panic"] or gate.get("circuit") in ("open", "half-open") or (out == len(servers) and out > 0)
    bad = bad or "seen" in severities
    tone = "bad" if bad or any(state(one["state"]).tone == "bad" for one in servers) else "mid" if out else "good"
    failed, shown = sum(one["failed"] for one in servers), [server(name, one) for one in servers[:most]]
    return {
        **upstream, "name": name, "href": f"/upstreams/{quote(name, safe='')}", "tone": tone, "out": out, "failed": failed,
        "said": _said(upstream, len(servers), out), "order": ({"bad": 0, "mid": 1, "good": 2}[tone], -out, name),
        "troubled": [one for one in shown if one["shown"].tone in ("bad", "mid")],
        "well": [one for one in shown if one["shown"].tone not in ("bad", "mid")], "hidden": _hidden(servers[most:]),
        "incidents": len(severities), "seen": "seen" in severities,
        "busy": sum(one["busy"] for one in servers), "count": len(servers), "notes": _notes(upstream),
    }  # fmt: skip


def _said(upstream: Mapping[str, Any], count: int, out: int) -> str:
    if upstream["panic"]:
        return "no server may be used, so all are tried"
    if not count:
        return "no servers"
    if not out:
        return "its server is used" if count == 1 else f"{'both' if count == 2 else f'all {count:,}'} servers are used"
    if out == count:
        return "its server gets no requests" if count == 1 else f"none of its {count:,} servers gets requests"
    return f"{count - out:,} of {count:,} servers are used"


def _notes(upstream: Mapping[str, Any]) -> list[str]:
    """Return what its limits say, where they do something."""
    gate, notes = upstream["gate"] or {}, []
    if gate.get("circuit") in ("open", "half-open"):
        notes.append(f"Its circuit is {gate['circuit']}: {gate['circuit_why']}")
    if gate.get("waiting"):
        notes.append(f"{words.counted(gate['waiting'], 'request waits', 'requests wait')} for a free place")
    if upstream["retries_refused"]:
        refused = words.counted(upstream["retries_refused"], "retry was", "retries were")
        notes.append(f"{refused} not made: the retry budget was used up")
    return notes


def _hidden(servers: Iterable[Mapping[str, Any]]) -> str:
    """Return what is said of servers that are not shown: "94 up, 2 draining"."""
    counts = Counter(one["state"] for one in servers)
    return ", ".join(f"{counts[name]:,} {state(name).label}" for name in reversed(tuple(STATES)) if counts[name])


def server(upstream: str, one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a server as lists show it."""
    shown = state(one["state"])
    base = f"/api/upstreams/{quote(upstream, safe='')}/servers/{quote(one['url'], safe='')}"
    actions = [
        {"name": name, "label": ACTIONS[name][0], "meaning": ACTIONS[name][1], "url": f"{base}/{name}"}
        for name in _OFFERED.get(one["state"], tuple(ACTIONS))
    ]
    short = one["url"].removeprefix("http://")
    return {**one, "short": short, "shown": shown, "actions": actions, "changed": list(reversed(one["changes"]))}


def all_cards(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return all upstreams, those that are not well first. data: "status", "open" (incidents)."""
    open_: dict[str, list[Mapping[str, Any]]] = {}
    for incident in data["open"]:
        open_.setdefault(incident["upstream"], []).append(incident)
    upstreams = data["status"]["upstreams"]
    return sorted(
        (card(name, one, _SERVERS, open_.get(name, ())) for name, one in upstreams.items()), key=lambda one: one["order"]
    )


def several(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the page of all upstreams. data: "status", "open" (incidents), "from" (number of the first shown)."""
    cards = all_cards(data)
    return {**_paged(cards, data["from"], "/upstreams"), "count": len(cards)}


def one(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the page of one upstream. data: "name", "upstream" (its status), "open" (summaries), "from"."""
    name, upstream = data["name"], data["upstream"]
    servers = sorted(upstream["servers"], key=lambda one: (state(one["state"]).order, -one["failed"], one["url"]))
    shown = card(name, upstream, 0)
    paged = _paged(servers, data["from"], shown["href"])
    paged["items"] = [server(name, one) for one in paged["items"]]
    states = Counter(one["state"] for one in servers)
    return {
        **paged, "card": shown, "incidents": [row(one) for one in data["incidents"]],
        "states": [(state(name), states[name]) for name in STATES if states[name]],
    }  # fmt: skip


def _paged(items: list[Any], start: int, href: str) -> dict[str, Any]:
    start = max(0, min(start, len(items) - 1)) // PAGE * PAGE if items else 0
    return {
        "items": items[start : start + PAGE], "first": start + 1, "last": min(start + PAGE, len(items)), "all": len(items),
        "before": f"{href}?from={start - PAGE}" if start else "",
        "after": f"{href}?from={start + PAGE}" if start + PAGE < len(items) else "",
    }  # fmt: skip
