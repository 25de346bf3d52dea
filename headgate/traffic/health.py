"""Owns what state a server is in: the one table from what three witnesses say to what people see and what may be sent.

The administrator, the active checks and the traffic each have their own say, which the others never overwrite: a passing check
does not end an ejection, and the end of an ejection does not bring back a server that fails its checks. The state is worked out
anew from all three whenever one of them says something new.
"""

from collections import deque
from collections.abc import Callable, Container, Mapping
from typing import Any, Final, NamedTuple

ADMINISTRATOR: Final = "administrator"
CHECKS: Final = "checks"
TRAFFIC: Final = "traffic"

WITNESSES: Final = {
    ADMINISTRATOR: (
        "ready",
        "drain",  # nothing new; what runs, and clients bound to it, may finish
        "maintenance",  # nothing at all
    ),
    CHECKS: (
        "none",  # nobody checks
        "unknown",  # no verdict yet
        "passing",
        "failing",
    ),
    TRAFFIC: (
        "fine",
        "ejected",
    ),
}
"""Who may say what. Each one's first word is what holds when it has not spoken."""

EVENTS: Final[Mapping[str, Mapping[str, str]]] = {
    "check-passed": {CHECKS: "passing"},  # the rise was reached, not: one look went well
    "check-failed": {CHECKS: "failing"},  # the fall was reached
    "checks-begun": {CHECKS: "unknown"},  # a reload added them
    "checks-ended": {CHECKS: "none"},  # a reload took them away: their last word no longer counts
    "ejected": {TRAFFIC: "ejected"},
    "ejection-over": {TRAFFIC: "fine"},
    "ready": {ADMINISTRATOR: "ready"},
    "drain": {ADMINISTRATOR: "drain"},
    "maintenance": {ADMINISTRATOR: "maintenance"},
    # The word of somebody who knows, in place of a check's and the traffic's, until those have news.
    "told-up": {CHECKS: "passing", TRAFFIC: "fine"},
    "told-down": {CHECKS: "failing"},
}
"""What may happen, and which witness then says what."""

PRECEDENCE: Final = (
    ("maintenance", ADMINISTRATOR, "maintenance"),
    ("down", CHECKS, "failing"),
    ("ejected", TRAFFIC, "ejected"),
    ("draining", ADMINISTRATOR, "drain"),
    ("unchecked", CHECKS, "unknown"),
)
"""State, and who must say what for it; the first row that fits decides. Without one the server is "up"."""

USABLE: Final = frozenset({"up", "unchecked"})
"""States in which a server gets new requests."""
BOUND: Final = frozenset({"up", "unchecked", "draining"})
"""States in which it gets requests of clients bound to it by a sticky cookie."""
STATES: Final = frozenset({"up", *(state for state, _, _ in PRECEDENCE)})

_CHANGES: Final = 20
_END_OF_TIME: Final = 1e12
"""Wall-clock seconds beyond which a time is not one (nor infinity, nor a number that no float holds)."""
_WHY: Final = 300
"""Most characters of a reason: some come from a server's own words."""


class Change(NamedTuple):
    """One change, as evidence."""

    at: float  # wall-clock seconds
    was: str
    now: str
    event: str
    why: str


class Health:
    """The state machine of one server."""

    __slots__ = ("_reasons", "_says", "bound", "changes", "last_resort", "since", "state", "usable", "why")

    state: str  # one of STATES
    usable: bool  # may get new requests
    bound: bool  # may get requests of clients bound to it
    last_resort: bool  # may be used when nothing else may: down or not, no administrator took it out
    since: float  # wall-clock seconds since which it is in this state
    why: str  # what made it so
    changes: deque[Change]  # the latest, oldest first

    def __init__(self, at: float, checked: bool = False, initial: str = "up") -> None:
        """at: wall-clock seconds. checked: active checks will be made. initial: "up" or "down", until the first verdict.

        A server that is checked may be used before the first verdict, as else a restart would be an outage; "down" is for one
        that must not be used before it has proved itself. Raises ValueError for "down" without checks, which would be for ever.
        """
        if initial not in ("up", "down") or (initial == "down" and not checked):
            raise ValueError(
                f'initial is "up" or, with active checks, "down", not "{initial}"{"" if checked else " without checks"}'
            )
        self._says = {witness: words[0] for witness, words in WITNESSES.items()}
        self._reasons = dict.fromkeys(WITNESSES, "")
        self.changes = deque(maxlen=_CHANGES)
        self.since = at
        self.why = ""
        if checked:
            self._says[CHECKS] = "failing" if initial == "down" else "unknown"
            self.why = self._reasons[CHECKS] = "no verdict of the active checks yet"
        self._settle()

    def hear(self, event: str, why: str, at: float) -> bool:
        """Take in what happened (one of EVENTS, else ValueError), why in a few words, and when in wall-clock seconds.

        Returns True when that changed the state, or whether the server is a last resort; only then `changes` grows.
        """
        if event not in EVENTS:
            raise ValueError(f'no event "{event}": there are {", ".join(EVENTS)}')
        why = why[:_WHY]
        was, resort = self.state, self.last_resort
        for witness, word in EVENTS[event].items():
            if self._says[witness] != word:
                self._says[witness] = word
                self._reasons[witness] = why
        decider = self._settle()
        if self.state == was and self.last_resort == resort:
            return False
        if self.state != was:
            self.since = at
            self.why = self._reasons[decider] if decider else why
        self.changes.append(Change(at, was, self.state, event, why))
        return True

    def says(self, witness: str) -> str:
        """Return the present word of a witness (a key of WITNESSES)."""
        return self._says[witness]

    def snapshot(self) -> dict[str, Any]:
        """Return all of it as JSON has it; `of` makes it an object again."""
        return {
            "state": self.state,
            "since": self.since,
            "why": self.why,
            "witnesses": dict(self._says),
            "reasons": dict(self._reasons),
            "changes": [change._asdict() for change in self.changes],
        }

    @classmethod
    def of(cls, data: Any) -> "Health":
        """Return what `snapshot` described; unknown keys are left alone. Raises ValueError naming the key that is wrong."""
        health = cls(_take(data, "since", _is_time))
        health.why = _take(data, "why", _is_text)
        words, reasons = _take(data, "witnesses", bool), _take(data, "reasons", bool)
        for witness, known in WITNESSES.items():
            health._says[witness] = _take(words, witness, _one_of(known), "witnesses.")
            health._reasons[witness] = _take(reasons, witness, _is_text, "reasons.")
        changes = _take(data, "changes", _is_list)
        health.changes.extend(_change(entry, f"changes.{number}.") for number, entry in enumerate(changes))
        health._settle()
        _take(data, "state", lambda state: bool(state == health.state))
        return health

    def _settle(self) -> str:
        """Work out the state; return the witness that decided it, "" when none objects."""
        says = self._says
        state, decider = next(((state, who) for state, who, word in PRECEDENCE if says[who] == word), ("up", ""))
        self.state = state
        self.usable = state in USABLE
        self.bound = state in BOUND
        self.last_resort = says[ADMINISTRATOR] == "ready"
        return decider


class Streak:
    """Turns single looks into verdicts: so many in a row must agree before it changes."""

    __slots__ = ("_row", "_verdict", "fall", "rise")

    def __init__(self, rise: int, fall: int) -> None:
        """rise, fall: looks in a row that pass, and that fail, for a new verdict; raises ValueError below 1."""
        if rise < 1 or fall < 1:
            raise ValueError(f"rise {rise} and fall {fall}: both are at least 1")
        self.rise = rise
        self.fall = fall
        self._row = 0  # looks in a row that contradict the verdict; before the first one: passed above 0, failed below
        self._verdict: bool | None = None

    def passed(self) -> bool:
        """Take in a look that passed; True when the verdict is now, and was not before, that the server passes."""
        self._row = 0 if self._verdict else max(self._row, 0) + 1
        return self._decide()

    def failed(self) -> bool:
        """Take in a look that failed; True when the verdict is now, and was not before, that the server fails."""
        self._row = 0 if self._verdict is False else min(self._row, 0) - 1
        return self._decide()

    def forget(self) -> None:
        """Have no verdict: the next one is told even if it is the same (after somebody told the server up or down)."""
        self._row = 0
        self._verdict = None

    def _decide(self) -> bool:
        if -self.fall < self._row < self.rise:
            return False
        self._verdict = self._row > 0
        self._row = 0
        return True


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _END_OF_TIME


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _WHY


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= _CHANGES


def _take(data: Any, key: str, fits: Callable[[Any], bool], where: str = "") -> Any:
    """Return data[key] if it fits; raises ValueError naming it."""
    if not isinstance(data, dict):
        raise ValueError(f"a server's health: {where.rstrip('.') or 'the whole'} is not an object")
    if key not in data:
        raise ValueError(f"a server's health: {where}{key} is missing")
    if not fits(data[key]):
        raise ValueError(f"a server's health: {where}{key} is not what it must be")
    return data[key]


def _change(data: Any, where: str) -> Change:
    return Change(
        _take(data, "at", _is_time, where),
        _take(data, "was", _one_of(STATES), where),
        _take(data, "now", _one_of(STATES), where),
        _take(data, "event", _one_of(EVENTS), where),
        _take(data, "why", _is_text, where),
    )


def _one_of(known: Container[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in known
