"""Decides what an error answer may be made of: the one record that every renderer and template reads."""

from typing import NamedTuple

from ..diagnose.explain import Explanation
from ..model.cause import Cause
from .story import Story


class Trouble(NamedTuple):
    """What is known of the trouble that an error answer is about, beyond this one exchange. Times are RFC 3339, "" if unknown."""

    status_url: str = ""  # where the page may ask whether it works again; "": nowhere
    since: str = ""
    expected: str = ""  # when it should work again
    acknowledged: bool | str = False  # people are on it


class View(NamedTuple):
    """One error answer before it takes a form. These are also the names that own templates may use."""

    status: int
    reason: str  # reason phrase of the status
    cause: Cause
    story: Story  # words for visitors: headline, visitor, sent, broken, drawing
    reference: str
    retryable: bool  # the client may repeat the request: it can do no harm, and waiting may help
    retry_after: int | None  # seconds, None where nobody can tell
    reading: bool  # the request was a GET or HEAD: its page may be loaded again
    explanation: Explanation | None  # None for the public
    trouble: Trouble = Trouble()  # its names stand beside these in templates

    @property
    def details(self) -> str:
        """What happened, in the words that this reader may have."""
        return self.explanation.sentence if self.explanation else f"{self.cause.title}. {self.story.visitor}".rstrip()

    @property
    def timeline(self) -> tuple[str, ...]:
        """The steps of the attempt as words; none for the public."""
        return tuple(step.text for step in self.explanation.timeline) if self.explanation else ()
