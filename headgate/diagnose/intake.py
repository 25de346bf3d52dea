"""Owns what a thing that somebody pasted is: a status, a code, a sentence, log lines, an answer with its head, a page, a HAR."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .captured import BODY_MAX, Captured
from .har import BadHar, captures_of
from .heads import MOST, heads

LONGEST: Final = 16 << 20
"""Most bytes of a paste that are read."""
LINES_READ: Final = 2000
"""Most lines of a log that are explained one by one."""
_LONGEST_TEXT: Final = 1 << 20
_LONGEST_SENTENCE: Final = 1 << 16
_CODE_WORDS: Final = 5
_CODE_LENGTH: Final = 60
_STATUS: Final = re.compile(r"(?:HTTP(?:/[\d.]+)?\s+)?(?:error\s+|status\s+|code\s+)?([1-9]\d\d)", re.IGNORECASE)
_MARKUP: Final = re.compile(r"<(?:!doctype|html|head|body|title|h1|center|div|p|\?xml|error)\b", re.IGNORECASE)
_URL: Final = re.compile(r"https?://\S+", re.IGNORECASE)
_CONTROL: Final = bytes(code for code in range(32) if code not in b"\t\n\r\x0b\x0c\x1b\x07\x08")
_NULS: Final = re.compile(rb"\0{16,}")
_JSON_ANSWER: Final = re.compile(r'\s*\{\s*"[^"\n]{1,80}"\s*:')
_LOG_KEYS: Final = re.compile(
    r'"(?:ts|time|timestamp|start_time|StartUTC|response_code|DownstreamStatus|httpRequest|jsonPayload|request_method|remote_addr)"\s*:'
)


class NotReadable(ValueError):
    """Nothing can be made of a paste. The message says what it is and what would help."""


@dataclass(frozen=True, slots=True)
class Intake:
    """A paste, sorted."""

    kind: str  # "status", "code", "sentence", "lines", "answer", "page", "har", "url"
    text: str  # as text, stripped
    captures: tuple[Captured, ...] = ()  # "answer", "page", "har": the answers in it
    note: str = ""  # what was left out

    @property
    def status(self) -> int:
        """The status of kind "status"."""
        hit = _STATUS.fullmatch(self.text)
        return int(hit[1]) if hit else 0


def sort(raw: bytes | str) -> Intake:
    """Return what `raw` is. Raises NotReadable for nothing, and for bytes that are no text."""
    data = raw.encode("utf-8", "surrogateescape") if isinstance(raw, str) else raw
    note = f"only the first {LONGEST >> 20} MiB were read" if len(data) > LONGEST else ""
    data = data[:LONGEST].removeprefix(b"\xef\xbb\xbf")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):  # what a Windows shell's redirection writes
        data = data.decode("utf-16", "replace").encode()
    if not data.strip():
        raise NotReadable("there is nothing to explain: the input is empty. A status, a code, a log line or a page would help.")
    found = _answers(data)
    if found:
        note = note or ("only the first answers were read" if len(found) == MOST else "")
        return Intake("answer", data.decode("utf-8", "replace").strip(), tuple(found), note)
    kind = _looks_like(data)
    if kind or _is_binary(data[:8192]):
        kind = kind or f"it begins with the bytes {data[:8].hex(' ')}"
        raise NotReadable(
            f"this is no text: {kind}. Paste the error page, a log line, or what `curl -i` prints; unpack archives first."
        )
    text = data.decode("utf-8", "replace").strip()
    return _sort_text(text, note)


def _is_binary(start: bytes) -> bool:
    """Whether it is no text: more than a stray control character (a client may send one, a power cut leaves runs of NUL)."""
    text = _NULS.sub(b"", start)
    control = len(text) - len(text.translate(None, _CONTROL))
    return not text.decode("utf-8", "replace").strip() or control > max(1, len(text) * 0.03)


def _answers(data: bytes) -> list[Captured]:
    """Return the HTTP answers in what curl -i, curl -v or a packet dump printed."""
    return heads(data) if b"HTTP/" in data[:65_536] else []


def _sort_text(text: str, note: str) -> Intake:
    if text.startswith("{") and '"entries"' in text[:200_000]:
        try:
            return Intake("har", text, tuple(captures_of(text)), note)
        except BadHar as error:
            if '"log"' in text[:1000]:
                raise NotReadable(str(error)) from None
    if _STATUS.fullmatch(text):
        return Intake("status", text, note=note)
    if _URL.fullmatch(text):
        return Intake("url", text, note=note)
    lines = text.splitlines()
    if _is_page(text, lines):
        body = text.encode()
        return Intake("page", text, (Captured(body=body[:BODY_MAX], length=len(body), headless=True),), note)
    if len(lines) > 1:
        some = text[:_LONGEST_TEXT].splitlines()[:LINES_READ]
        note = (
            note if len(some) == len(lines) else f"only the first {len(some):,} lines were read: `headgate logs FILE` reads all"
        )
        return Intake("lines", "\n".join(some), note=note)
    text = text[:_LONGEST_SENTENCE]
    short = len(text) <= _CODE_LENGTH and len(text.split()) <= _CODE_WORDS and text[0] not in "{["
    return Intake("code" if short else "sentence", text, note=note)


def _is_page(text: str, lines: Sequence[str]) -> bool:
    """Whether it is a body: markup near its beginning, or one JSON object that is no log line."""
    if _MARKUP.search(text[:2000]) and (text.lstrip().startswith("<") or len(lines) < 200):
        return bool(re.match(r"\s*<", text)) or _MARKUP.search(text[:300]) is not None
    return bool(_JSON_ANSWER.match(text)) and len(text) < 4000 and not _LOG_KEYS.search(text)


def _looks_like(data: bytes) -> str:
    """Return what kind of file it is by its first bytes, "" where these tell nothing."""
    for magic, name in ((b"\x1f\x8b", "gzip"), (b"PK\x03\x04", "a zip archive"), (b"\x89PNG", "a picture"), (b"%PDF", "a PDF"),
                        (b"\x16\x03", "TLS bytes"), (b"\xff\xd8\xff", "a picture"), (b"\x7fELF", "a program")):  # fmt: skip
        if data.startswith(magic):
            return name
    return ""
