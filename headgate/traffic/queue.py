"""Who waits while a server or an upstream is at its limit, who is next, and who has waited too long."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class WaitingRoom(Generic[Item]):
    """A bounded queue in which everybody waits for at most the same time.

    Oldest first, as is fair, while the wait is short. Under stress, that is when the oldest has waited longer than it would in a
    queue that only evens out bursts, newest first: in an order by age everybody would then be served just before giving up, or
    just after, while so the newest are served at once and only those wait in vain who would have anyway.

    Each item that entered comes out exactly once: by next(), by overdue() or by leave(). Times given must never decrease.
    """

    __slots__ = ("_late", "_waiting", "patience", "size", "stress")

    def __init__(self, size: int, patience: float, stress: float | None = None) -> None:
        """Open a waiting room.

        Args:
            size: items at most; 0: nobody may wait.
            patience: seconds an item waits at most.
            stress: seconds of the oldest one's wait from which on the newest is next; None: a quarter of the patience.

        """
        self.size = size
        self.patience = patience
        self.stress = patience / 4 if stress is None else stress
        self._waiting: OrderedDict[Item, float] = OrderedDict()  # when each entered, the oldest first
        self._late: dict[Item, None] = {}  # no longer to be served, not yet told

    def __len__(self) -> int:
        """Return how many are in the room, with those that overdue() has yet to tell."""
        return len(self._waiting) + len(self._late)

    def enter(self, item: Item, now: float) -> bool:
        """Let an item in; False: the room is full.

        Raises:
            ValueError: it is in the room already.

        """
        if len(self._waiting) + len(self._late) >= self.size:
            return False
        if item in self._waiting or item in self._late:
            raise ValueError(f"{item!r} waits already")
        self._waiting[item] = now
        return True

    def next(self, now: float) -> Item | None:
        """Take out who is to be served now; None: nobody that has not waited too long."""
        if not self._waiting:
            return None
        self._expire(now)
        return self._waiting.popitem(last=self.stressed(now))[0] if self._waiting else None

    def leave(self, item: Item) -> bool:
        """Take out an item that no longer wants to be served (its client went away); False: it was not in the room."""
        if self._waiting.pop(item, None) is not None:
            return True
        if item in self._late:
            del self._late[item]
            return True
        return False

    def overdue(self, now: float) -> list[Item]:
        """Take out all that have waited too long, the oldest first: they are to be told so (503)."""
        self._expire(now)
        if not self._late:
            return []
        late = list(self._late)
        self._late.clear()
        return late

    def stressed(self, now: float) -> bool:
        """Say whether the newest is next."""
        return bool(self._waiting) and now - next(iter(self._waiting.values())) > self.stress

    def _expire(self, now: float) -> None:
        """Put those aside that have waited too long: all entered with the same patience, so they are the oldest."""
        waiting = self._waiting
        while waiting:
            item, entered = next(iter(waiting.items()))
            if now - entered < self.patience:
                return
            del waiting[item]
            self._late[item] = None
