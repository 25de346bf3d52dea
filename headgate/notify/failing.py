"""Owns how a message that did not arrive is told: why, in one sentence without secrets, and whether another try may help."""

from typing import Final

from ..diagnose.redact import clean

_LONGEST: Final = 300


class NotSent(Exception):
    """A message did not arrive. str() is a sentence for people; nothing secret is in it."""

    def __init__(self, why: str, *, again: bool, after: float = 0.0) -> None:
        """again: another try may help. after: seconds that the receiver asked to wait."""
        super().__init__(clean(why, _LONGEST))
        self.again = again
        self.after = after


class Late(NotSent):
    """Nobody answered in time: it may have arrived all the same."""

    def __init__(self, why: str) -> None:
        super().__init__(why, again=True)
