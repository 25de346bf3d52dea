"""What a server is to those who choose among servers."""

from typing import Protocol, TypeVar


class Candidate(Protocol):
    """A server that may be chosen. Servers are told apart by identity; the labels in one group differ."""

    label: str  # as people know it; also what consistent hashes are made of
    share: int  # its part against the others' at this moment, 1 or more: the weight, slow start included
    busy: int  # requests under way in this process
    cost: float  # how long it takes to answer, a peak-sensitive average in seconds (latency.py); 0.0: not known yet
    priority: int  # 0 is asked first, higher numbers are backups


S = TypeVar("S", bound=Candidate)
"""The server class of whoever uses the policies."""
