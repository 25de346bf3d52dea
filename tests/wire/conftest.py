"""Runs a test over each implementation of the splitter that is installed."""

import pytest

from headgate.wire import chunks as chunk_reader
from headgate.wire import fields
from headgate.wire import request as request_reader
from headgate.wire import response as response_reader

IMPLEMENTATIONS = {cls.__module__: cls for cls in (fields.PureSplitter, fields.Splitter)}


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type:
    """Let all readers use this splitter, with nothing remembered yet."""
    splitter = IMPLEMENTATIONS[request.param]
    for module, special, stay, limit in (
        (request_reader, request_reader.SPECIAL, request_reader.STAY, "request_header_count"),
        (response_reader, response_reader.SPECIAL, response_reader.STAY, "response_header_count"),
        (chunk_reader, chunk_reader.SPECIAL, (), ""),
    ):
        monkeypatch.setattr(module, "_splitter", splitter(special, stay, limit))
    return splitter
