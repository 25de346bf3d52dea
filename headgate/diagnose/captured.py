"""Owns what an answer looks like once it lies on the table: status, reason, fields and body, wherever it came from."""

from collections.abc import Iterable
from dataclasses import dataclass, field

BODY_MAX = 262_144
"""Most bytes of a body that are kept: every generator's marks stand in the first or last part of far less."""


@dataclass(frozen=True, slots=True)
class Captured:
    """One HTTP response as somebody saw it. What is not known is -1, "" or empty."""

    status: int = 0
    reason: str = ""
    version: str = ""  # "1.0", "1.1", "2", "3"
    fields: tuple[tuple[str, str], ...] = ()  # header fields in order, names in lower case
    body: bytes = b""  # decoded from transfer and content coding, at most BODY_MAX
    length: int = -1  # of the whole body as it was sent (Content-Length or what arrived); -1: not known
    seconds: float = -1.0  # until the response head was complete
    url: str = ""
    complete: bool = True  # False: it broke off
    headless: bool = False  # only a body is known (a pasted page): the absence of a field means nothing
    extra: dict[str, str] = field(default_factory=dict)  # anything else worth showing: "grpc-status", curl's exit code

    def header(self, name: str) -> str:
        """Return a field's value, several lines joined with a comma, "" where it is absent. `name` in lower case."""
        return ", ".join(self.all(name))

    def all(self, name: str) -> list[str]:
        """Return the values of all lines of a field. `name` in lower case."""
        return [value for one, value in self.fields if one == name]

    def has(self, name: str) -> bool:
        """Return whether a field is there at all. `name` in lower case."""
        return any(one == name for one, _ in self.fields)

    @property
    def text(self) -> str:
        """The body as text; bytes that are no UTF-8 become U+FFFD."""
        return self.body.decode("utf-8", "replace")


def lower(fields: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return fields with names in lower case and values without surrounding blanks."""
    return tuple((name.strip().lower(), value.strip()) for name, value in fields)
