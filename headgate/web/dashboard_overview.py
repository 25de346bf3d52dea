"""Owns what the first page of the dashboard says: is anything wrong, what is it, and how are servers and gateway."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..render import incident as words
from .dashboard_upstreams import all_cards
from .dashboard_words import counted_rows, row

_UPSTREAMS: Final = 12
"""Upstreams shown on the first page: those that are not well first."""
_INCIDENTS: Final = 12


def view(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the template.

    data: "now" (wall-clock seconds), "status" (control/status.py), "open" and "recent" (summaries of incidents), "open_more"
    (there are more than these), "lost", "dropped", "note" (of the store), "in_memory".
    """
    status, open_ = data["status"], data["open"]
    cards = all_cards(data)
    seen = [one for one in open_ if one["severity"] == "seen"]
    return {
        "tone": _tone(status, open_, cards), "headline": _headline(status, open_, cards, data["open_more"]),
        "incidents": [row(one) for one in open_[:_INCIDENTS]],
        "incidents_more": max(0, len(open_) - _INCIDENTS), "recent": [row(one) for one in data["recent"]],
        "seen": len(seen), "failing": sum(one["seen"] for one in open_), "rescued": sum(one["rescued"] for one in open_),
        "cards": cards[:_UPSTREAMS], "cards_more": max(0, len(cards) - _UPSTREAMS), "warnings": _warnings(data),
        "workers": status["workers"], "totals": status["totals"], "gateway": status["gateway"],
        "under_way": sum(one["under_way"] for one in status["workers"]),
        "clients": sum(one["clients"] for one in status["workers"]),
        "failures": counted_rows(status["totals"]["failures"]), "refusals": counted_rows(status["totals"]["refusals"]),
    }  # fmt: skip


def _tone(status: Mapping[str, Any], open_: Sequence[Mapping[str, Any]], cards: Sequence[Mapping[str, Any]]) -> str:
    if not status["workers"] or any(one["severity"] == "seen" for one in open_):
        return "bad"
    return "mid" if open_ or any(one["tone"] == "bad" for one in cards) else "good"


def _headline(
    status: Mapping[str, Any], open_: Sequence[Mapping[str, Any]], cards: Sequence[Mapping[str, Any]], more: bool
) -> str:
    """Return what everybody wants to know first."""
    if not status["workers"]:
        return "No worker is running"
    seen = sum(one["severity"] == "seen" for one in open_)
    near = len(open_) - seen
    if seen:
        said = f"{words.counted(seen, 'incident')}{' or more' * more} that users see"
        return said + (f", and {words.counted(near, 'near miss', 'near misses')}" if near else "")
    if near:
        return (
            f"{words.counted(near, 'near miss', 'near misses')}{' or more' * more}: something fails, and users see nothing of it"
        )
    out = sum(one["out"] for one in cards)
    if out:
        return f"No incident is open; {words.counted(out, 'server gets', 'servers get')} no requests"
    return "Everything works"


def _warnings(data: Mapping[str, Any]) -> list[str]:
    """Return what the gateway has to say about itself, as sentences."""
    status, said = data["status"], []
    if data["note"]:
        said.append(f"The store of incidents: {data['note']}")
    if data["in_memory"]:
        said.append("Incidents are kept in memory only: they end with the gateway (incidents.file).")
    if data["lost"]:
        said.append(f"{words.counted(data['lost'], 'failure is', 'failures are')} in no incident: there was no room for them.")
    if data["dropped"]:
        said.append(
            f"{words.counted(data['dropped'], 'failure was', 'failures were')} only counted: too many different ones at once."
        )
    if status["totals"]["lost_lines"]:
        said.append(f"{words.counted(status['totals']['lost_lines'], 'log line')} could not be written.")
    reload = status["gateway"]["reload"]
    if reload and not reload["ok"]:
        said.append(f"The last reload changed nothing: {reload['said']}")
    silent = [str(one["slot"]) for one in status["workers"] if one["heard"] > 5 or not one["linked"]]
    if silent:
        said.append(f"Nothing was heard lately from worker {', '.join(silent)}.")
    if status["gateway"]["draining"]:
        said.append("The gateway is draining: it accepts nothing any more.")
    return said
