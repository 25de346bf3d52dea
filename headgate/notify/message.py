"""Owns what a message is: one change of one incident, or of a share of failures, on its way to one destination."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from ..render.visible import visible

OPENED: Final = "opened"
WORSE: Final = "worse"
CHANGED: Final = "changed"
RESOLVED: Final = "resolved"
REOPENED: Final = "reopened"
ACKNOWLEDGED: Final = "acknowledged"
LASTING: Final = "lasting"
"""Nothing changed: said again to who forgets what is not repeated (Alertmanager)."""
TEST: Final = "test"
WHATS: Final = (OPENED, WORSE, CHANGED, RESOLVED, REOPENED, ACKNOWLEDGED, LASTING, TEST)

INCIDENT: Final = "incident"
SHARE: Final = "share"

_LISTED: Final = 5
"""Servers, routes and causes that a message holds."""
_TEXT: Final = 300
_KEPT: Final = frozenset({
    "id", "upstream", "server", "cause", "phase", "state", "severity", "first", "last", "opened", "resolved", "reopenings",
    "failed", "seen", "rescued", "clients", "clients_more", "servers_count", "routes_count", "acknowledged", "silenced_until",
    "test",
})  # fmt: skip
_LISTS: Final = {"servers": "server", "routes": "route", "causes": "cause"}


@dataclass(frozen=True, slots=True)
class Message:
    """One change. Times are wall-clock seconds."""

    key: str  # of the thread: "incident:7K3M", "share:NAME"; the same for all that is said of it
    what: str  # one of WHATS
    at: float
    kind: str  # INCIDENT or SHARE
    subject: Mapping[str, Any]  # plain data: a summary of the incident, or what share.py says
    link: str = ""  # to the incident's page
    before: Mapping[str, int] = field(default_factory=dict)  # what was not told before this one, and how often

    def after(self, older: "Message") -> "Message":
        """Return this message as it is told in place of an older one of its thread that was not told."""
        what, before = self.what, dict(older.before)
        if older.what in (OPENED, REOPENED) and what in (WORSE, CHANGED, LASTING):
            what = older.what  # nobody knows of it yet, so it is not worse
        elif older.what != LASTING:
            before[older.what] = before.get(older.what, 0) + 1
        for name, count in self.before.items():
            before[name] = before.get(name, 0) + count
        return replace(self, what=what, before=before)

    def identity(self) -> str:
        """Return what two messages of a thread have in common that say the same."""
        told = self.subject
        parts = [self.what, str(told.get("reopenings", 0))]
        if self.what in (WORSE, CHANGED):
            parts += [str(told.get("cause")), str(told.get("seen")), str(told.get("servers_count"))]
        elif self.what == ACKNOWLEDGED:
            parts.append(str((told.get("acknowledged") or {}).get("at")))
        return "|".join(parts)

    def is_test(self) -> bool:
        """Return whether nothing of it is true."""
        return bool(self.subject.get("test"))

    def is_over(self) -> bool:
        """Return whether it tells of an end."""
        return self.what == RESOLVED

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def of_json(told: Mapping[str, Any]) -> Message:
    """Return the message that `as_json` told. Raises KeyError, TypeError or ValueError for what is none."""
    if told["what"] not in WHATS or told["kind"] not in (INCIDENT, SHARE) or not isinstance(told["subject"], dict):
        raise ValueError("no message")
    before = {str(what): int(count) for what, count in told["before"].items()}
    return Message(str(told["key"]), told["what"], float(told["at"]), told["kind"], told["subject"], str(told["link"]), before)


def slim(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a message needs of an incident's summary, its texts bounded."""
    kept = {key: _bounded(value) for key, value in summary.items() if key in _KEPT}
    for name, inner in _LISTS.items():
        rows = [row for row in summary.get(name) or () if isinstance(row, Mapping)]
        kept[name] = [{key: _bounded(value) for key, value in row.items()} for row in rows[:_LISTED] if inner in row]
    acknowledged = summary.get("acknowledged")
    if isinstance(acknowledged, Mapping):
        kept["acknowledged"] = {key: _bounded(value) for key, value in acknowledged.items()}
    return kept


def _bounded(value: Any) -> Any:
    return visible(value, _TEXT) if isinstance(value, str) else value


def about(what: str, now: float, summary: Mapping[str, Any], link: str = "") -> Message:
    """Return the message of a change of an incident."""
    return Message(f"incident:{summary['id']}", what, now, INCIDENT, slim(summary), link)


def example(now: float, *, test: bool) -> dict[str, Any]:
    """Return the summary of an incident that never was, for tests of destinations (test: marked as such) and of templates."""
    found = {**_EXAMPLE, "first": now - 42, "opened": now - 42, "last": now}
    return {**found, "test": True} if test else found


_EXAMPLE: Final = {
    "id": "EXAMP1E0", "upstream": "shop", "server": "http://10.0.0.5:8000", "cause": "connection-refused", "phase": "connect",
    "state": "open", "severity": "seen", "resolved": None, "reopenings": 0, "failed": 41, "seen": 37, "rescued": 4,
    "clients": 12, "clients_more": False, "servers_count": 1, "routes_count": 1, "acknowledged": None, "silenced_until": None,
    "causes": [{"cause": "connection-refused", "phase": "connect", "failed": 41, "seen": 37, "rescued": 4}],
    "servers": [{"server": "http://10.0.0.5:8000", "failed": 41, "seen": 37, "rescued": 4}],
    "routes": [{"route": "shop.example.org/", "count": 41}],
}  # fmt: skip
