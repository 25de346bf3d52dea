"""What a server is to those who choose among servers."""

from typing import Protocol


class Candidate(Protocol):
    """A server that may be chosen."""

    label: str  # as people know it; also what consistent hashes are made of
    weight: int  # its share against the others', 1 to 1000
    busy: int  # requests under way in this process
    ready_since: float  # when it became usable again (monotonic seconds), -1: it was so from the beginning
