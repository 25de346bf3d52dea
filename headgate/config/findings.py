"""How a mistake or a doubtful setting in a configuration is reported: where, what, what was expected, what to write."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Level = Literal["error", "warning", "note"]
"""error: the gateway will not start; warning: it will fail requests; note: worth knowing."""
Path = tuple[str | int, ...]
"""Where a key stands, outermost table first; numbers count the elements of an array from 0."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to tell about a configuration file."""

    level: Level
    file: str  # as the user named it; empty when there is none
    line: int  # counted from 1; 0: no line is concerned
    key: str  # "upstream.api.timeouts.connect"; empty for the file as a whole
    message: str  # what was found
    expected: str = ""  # what is allowed there
    hint: str = ""  # what to write instead
    id: str = ""  # stable name of the check, for warnings and notes

    def __str__(self) -> str:
        """Return `file:line: key: message; expected ...; hint`."""
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        said = [self.message, f"expected {self.expected}" if self.expected else "", self.hint]
        return ": ".join(part for part in (place, self.key, "; ".join(filter(None, said))) if part)


class Bad(ValueError):
    """A single value is not valid. Pydantic passes it on, and `wording` makes a finding of it."""

    def __init__(self, message: str, expected: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.hint = hint


class BadConfig(ValueError):
    """A configuration cannot be used. Carries every error at once, in the order of the file; str() is one line for each."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__("\n".join(map(str, findings)))
        self.findings = findings


class Remark(NamedTuple):
    """What a check has to say, before file and line are known."""

    path: Path
    message: str
    hint: str = ""
    expected: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a configuration came from, and the lines of its keys."""

    file: str = ""
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """Return the line of the key, or of the nearest table around it that is written in the file; 0 if there is none."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return 0

    def finding(self, level: Level, remark: Remark, id: str = "") -> Finding:
        """Return the remark with its place in the file."""
        line, key = self.line(remark.path), dotted(remark.path)
        return Finding(level, self.file, line, key, remark.message, remark.expected, remark.hint, id)


def dotted(path: Path) -> str:
    """Return a path as people write it: `upstream.api.servers[0].url`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
