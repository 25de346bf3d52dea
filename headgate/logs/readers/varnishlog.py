"""Owns how varnishlog's text is read: the records of one transaction, many lines, are one request."""

import re
from collections.abc import Callable
from typing import Final

from ..fields import Fields

_BEGIN: Final = re.compile(rb"^(?:\*+|-+\d*-?) +<< (Request|BeReq|Session) +>> (\d+)")
_RECORD: Final = re.compile(rb"^(?:\*+|-+\d*-?) +(?:\d+ )?([A-Z]\w+) +(?:[bc-] )?(.*)$")
_STAMP: Final = re.compile(r"^(\w+): (\d+\.\d+) (\d+\.\d+)")
NOTHING: Final = {"nothing": "1"}
"""A line that belongs to a request told later."""


def reader(line: bytes) -> Fields | None:
    """Read a record. The request is told at its `End`; the records before it say nothing by themselves."""
    return _read(line)


def _collector() -> Callable[[bytes], Fields | None]:
    request: dict[str, str] = {}
    state = {"kind": ""}
    fetches: set[str] = set()  # that the request began, and that are not told yet

    def read(line: bytes) -> Fields | None:
        if begin := _BEGIN.match(line):
            state["kind"] = begin[1].decode()
            if state["kind"] == "Request":
                request.clear()
                fetches.clear()
                request["key"] = begin[2].decode()
            return NOTHING
        record = _RECORD.match(line)
        if record is None:
            return None if line.strip() else NOTHING
        tag, text = record[1].decode(), record[2].decode("utf-8", "backslashreplace")
        if tag == "Link" and text.startswith("bereq"):
            fetches.add(text)
        if tag == "End":
            if state["kind"] == "BeReq" and fetches:
                fetches.pop()
            return NOTHING if fetches else _ended(request, state)
        _note(request, tag, text, state["kind"])
        return NOTHING

    return read


def _ended(request: dict[str, str], state: dict[str, str]) -> Fields:
    """The request's own `End` comes before those of its fetches: it is told once all that can be known of it came."""
    done = state["kind"] in ("Request", "BeReq") and "status" in request
    made = dict(request) if done else dict(NOTHING)
    if done:
        request.clear()
    return made


_NAMES: Final = {"ReqMethod": "method", "ReqURL": "path", "FetchError": "message"}


def _note(request: dict[str, str], tag: str, text: str, kind: str) -> None:
    if tag in _NAMES and (kind == "Request" or tag == "FetchError"):
        request[_NAMES[tag]] = text
        if tag == "FetchError":
            request["reason"] = text
    elif tag == "RespStatus":
        request["status"] = text
    elif tag == "BereqStatus" or (tag == "BerespStatus" and kind == "BeReq"):
        request["upstream_status"] = text
    elif tag == "ReqStart":
        request["client"] = text.split(" ")[0]
    elif tag == "ReqHeader" and text.lower().startswith("host:"):
        request["host"] = text[5:].strip()
    elif tag == "BackendOpen":
        words = text.split(" ")
        request["cluster"] = words[1] if len(words) > 3 else ""
        request["upstream"] = f"{words[2]}:{words[3]}" if len(words) > 3 else ""
    elif tag == "Timestamp" and (stamp := _STAMP.match(text)) and kind == "Request":
        request["time"] = stamp[2]
        request["seconds"] = stamp[3]
    elif tag in ("ReqAcct",):
        request["bytes"] = text.split(" ")[-1]


_read: Final = _collector()
