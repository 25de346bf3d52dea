"""Owns which failures are kept whole: all of them while there are few, then an even sample; every one is counted."""

from collections import Counter
from collections.abc import Iterable
from typing import Final
from zlib import crc32

from .entry import Entry
from .reading import MOST_ENTRIES, MOST_GROUPS, Group
from .tally import OTHERS

_SURE: Final = ("proved", "likely")
_FEW: Final = 4
"""Of more possible causes than these none is named: the line then says hardly more than its status."""


def minute_of(entry: Entry) -> int:
    """Return the minute since the epoch, -1 where the time is not known."""
    return int(entry.time // 60) if entry.time >= 0 else -1


def group_of(entry: Entry, sure: bool = False) -> Group:
    """Return what a failure is counted by. sure: name a cause only where the line itself makes it at least likely."""
    told = entry.confidence in _SURE or (not sure and len(entry.causes) <= _FEW)
    cause = entry.causes[0] if entry.causes and told else ""
    path = entry.path.partition("?")[0][:200]
    return Group(cause, entry.upstream, minute_of(entry), path, entry.status, entry.made_by)


def count(groups: "Counter[Group]", group: Group, number: int = 1) -> None:
    """Count, those that come after MOST_GROUPS without their path."""
    if group not in groups and len(groups) >= MOST_GROUPS:
        group = group._replace(path=OTHERS)
    groups[group] += number


class Keeper:
    """Takes entries, keeps at most MOST_ENTRIES failures and as many lines of error logs.

    What is dropped is chosen by client and minute, so that lines of both logs that belong together are kept together.
    """

    def __init__(self, most: int = MOST_ENTRIES) -> None:
        self.most = most
        self.failures: list[Entry] = []
        self.errors: list[Entry] = []
        self.dropped: Counter[Group] = Counter()  # failures that were not kept
        self.dropped_errors = 0
        self.stride = 1  # one of so many is kept

    def take(self, entry: Entry) -> None:
        """Keep or count an entry."""
        if not self._kept(entry):
            self._drop(entry)
            return
        (self.errors if entry.error_log else self.failures).append(entry)
        while len(self.failures) > self.most or len(self.errors) > self.most:
            self.thin(self.stride * 2)

    def thin(self, stride: int) -> None:
        """Keep only one of `stride`. When all are of one client and minute, the later half goes instead."""
        self.stride = stride
        before = len(self.failures) + len(self.errors)
        self.failures = self._thinned(self.failures)
        self.errors = self._thinned(self.errors)
        if len(self.failures) + len(self.errors) == before and max(len(self.failures), len(self.errors)) > self.most:
            for entries in (self.failures, self.errors):
                for entry in entries[self.most // 2 :]:
                    self._drop(entry)
                del entries[self.most // 2 :]

    def _thinned(self, entries: Iterable[Entry]) -> list[Entry]:
        kept = []
        for entry in entries:
            if self._kept(entry):
                kept.append(entry)
            else:
                self._drop(entry)
        return kept

    def _kept(self, entry: Entry) -> bool:
        if self.stride == 1:
            return True
        return crc32(f"{entry.client}|{minute_of(entry)}".encode("utf-8", "replace")) % self.stride == 0

    def _drop(self, entry: Entry) -> None:
        if entry.error_log:
            self.dropped_errors += 1
        else:
            count(self.dropped, group_of(entry, sure=True))
