"""Owns how the catalogue reads as documentation: docs/causes.md and one page for each cause, as Markdown.

`python -m headgate.diagnose.reference docs` writes them; without a folder, the index is printed.
"""

import sys
from pathlib import Path
from typing import Final

from ..model.cause import Cause
from ..model.phases import PHASES
from .catalogue import SECTIONS, catalogue

INDEX: Final = "causes.md"
FOLDER: Final = "causes"

_PHASES: Final = {
    "admit": "Before a server was chosen: the request itself, the routes, access and limits. No server was asked.",
    "resolve": "Finding the addresses of the server's name. Nothing of the request was sent.",
    "connect": "Opening the connection to the server, by TCP or a unix socket. Nothing of the request was sent.",
    "tls": "Agreeing on TLS with the server and checking its certificate. Nothing of the request was sent.",
    "send": "Sending the request. The server may have received a part of it.",
    "head": "Waiting for the head of the response, and reading it. The server may have carried out the request.",
    "body": "Relaying body, trailers or tunnel. The status has gone out already, so a failure cuts the client's connection.",
    "any": "These can happen in every phase; the record says in which one.",
}
_FAULTS: Final = {
    "upstream": "the server or its program",
    "network": "the network between the gateway and the server",
    "dns": "the name service",
    "tls": "the TLS settings or certificates of the server or the gateway",
    "configuration": "the gateway's configuration",
    "overload": "too much at once, for the server or the gateway",
    "gateway": "Headgate itself, or its machine",
    "client": "the client",
}
_FAULTS_ELSEWHERE: Final = _FAULTS | {
    "network": "the network, or a platform on the way",
    "configuration": "what a gateway or platform was told to do",
    "gateway": "the gateway itself, or its machine",
}
_RETRIES: Final = {
    "never": "none",
    "unsent": "any method, where nothing had been sent yet",
    "idempotent": "idempotent methods with a body that was kept (RFC 9110 9.2.2)",
    "reused-only": "idempotent methods; and any method where a reused connection closed before its first byte",
}
_CLIENT_GONE: Final = 499


def pages() -> dict[str, str]:
    """Return the text of every page of the documentation of causes, by its path below the folder of documentation."""
    causes = catalogue().values()
    return {INDEX: _index(list(causes))} | {f"{FOLDER}/{cause.code}.md": _page(cause) for cause in causes}


def write(folder: Path) -> int:
    """Write all pages below `folder`, remove those of causes that are no more, and return how many there are. Raises OSError."""
    texts = pages()
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    for old in (folder / FOLDER).glob("*.md"):
        if f"{FOLDER}/{old.name}" not in texts:
            old.unlink()
    for path, text in texts.items():
        (folder / path).write_text(text, encoding="utf-8")
    return len(texts)


def _index(causes: list[Cause]) -> str:
    own = [cause for cause in causes if not cause.elsewhere]
    lines = [
        "# Causes",
        "",
        f"The {len(own)} reasons for which Headgate can fail a request or an attempt, by the phase in which they appear; and",
        f"{len(causes) - len(own)} more that it never meets itself: `headgate diagnose`, `headgate logs` and `headgate explain`",
        "name them about other gateways and the way to them.",
        "The code of a cause stands in error answers and logs; `headgate explain CODE` prints its page.",
        "",
        "Status is what the client gets, error type the `error` of Proxy-Status (RFC 9209 2.3).",
        "Retry says what may be tried again before anything of the response went to the client:",
        "",
        *(f"- `{name}`: {words}." for name, words in _RETRIES.items()),
    ]
    for phase in (*PHASES, "any"):
        rows = [_row(cause) for cause in own if cause.phase == phase]
        lines += ["", f"## {phase}", "", _PHASES[phase], "", *_TABLE_HEAD, *rows]
        if others := [_row_elsewhere(cause) for cause in causes if cause.phase == phase and cause.elsewhere]:
            lines += ["", "Named only about other gateways and the way to them:", "", *_TABLE_HEAD_ELSEWHERE, *others]
    return "\n".join(lines) + "\n"


_TABLE_HEAD: Final = (
    "| Code | Title | Status | Error type | Fault | Retry | Temporary |",
    "|---|---|---|---|---|---|---|",
)
_TABLE_HEAD_ELSEWHERE: Final = ("| Code | Title | Usual status | Fault | Temporary |", "|---|---|---|---|---|")


def _row(cause: Cause) -> str:
    temporary = "yes" if cause.temporary else "no"
    cells = (
        f"[`{cause.code}`]({FOLDER}/{cause.code}.md)", cause.title, str(cause.status), f"`{cause.error}`",
        cause.fault, cause.retry, temporary,
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _row_elsewhere(cause: Cause) -> str:
    temporary = "yes" if cause.temporary else "no"
    cells = (f"[`{cause.code}`]({FOLDER}/{cause.code}.md)", cause.title, str(cause.status), cause.fault, temporary)
    return f"| {' | '.join(cells)} |"


def _page(cause: Cause) -> str:
    lines = [f"# {cause.title}", ""]
    if cause.elsewhere:
        lines += [
            f"`{cause.code}`, one of the [causes](../{INDEX}#{cause.phase}) that Headgate names only about other gateways",
            "and the way to them. Its sentence:",
        ]
    else:
        lines.append(
            f"`{cause.code}`, one of Headgate's [causes](../{INDEX}#{cause.phase}). Its sentence, with the numbers of each case:"
        )
    lines += ["", f"> {cause.sentence}", "", *(_facts_elsewhere(cause) if cause.elsewhere else _facts(cause))]
    if cause.aliases:
        lines.append(f"- Also known as: {', '.join(cause.aliases)}")
    for heading in SECTIONS:
        lines += ["", f"## {heading}", "", cause.sections.get(heading, "")]
    return "\n".join(lines) + "\n"


def _facts(cause: Cause) -> list[str]:
    """Return the cause's row in words."""
    status = f"{cause.status}, in logs only" if cause.status == _CLIENT_GONE else f"{cause.status}"
    deviation = f". {cause.deviation}" if cause.deviation else ""
    return [
        f"- Phase: {cause.phase}. {_PHASES[cause.phase]}",
        f"- Fault: {_FAULTS[cause.fault]}",
        f"- Status: {status}{deviation}",
        f"- Proxy-Status error type: `{cause.error}`",
        f"- May be tried again: {_RETRIES[cause.retry]}",
        f"- Counts against the server's health: {'yes' if cause.strike else 'no'}",
        f"- Waiting may help: {'yes' if cause.temporary else 'no'}",
    ]


def _facts_elsewhere(cause: Cause) -> list[str]:
    """Return what the row of a cause that Headgate never meets itself says of other gateways."""
    return [
        f"- Phase: {cause.phase}. {_PHASES[cause.phase]}",
        f"- Fault: {_FAULTS_ELSEWHERE[cause.fault]}",
        f"- Usual status: {cause.status}; products differ",
        f"- Error type that fits in Proxy-Status: `{cause.error}`",
        f"- May be tried again: {_RETRIES[cause.retry]}",
        f"- Waiting may help: {'yes' if cause.temporary else 'no'}",
    ]


def main(arguments: list[str]) -> int:
    """Print the index, or write all pages below the one folder that is named. Returns the exit code."""
    if not arguments:
        sys.stdout.write(pages()[INDEX])
        return 0
    if len(arguments) > 1:
        sys.stderr.write("usage: python -m headgate.diagnose.reference [FOLDER]\n")
        return 2
    try:
        count = write(Path(arguments[0]))
    except OSError as error:
        sys.stderr.write(f"cannot write the documentation of causes: {error}\n")
        return 2
    sys.stdout.write(f"{count} pages written below {arguments[0]}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
