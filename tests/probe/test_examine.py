"""The examination as a whole, where there is nothing to examine."""

import asyncio
from typing import Any

import pytest

from headgate.diagnose.judge import judge
from headgate.diagnose.looks import Asked, Look
from headgate.probe import examine as module
from headgate.probe.examine import Settings, examine


def test_without_a_network_no_dns_server_is_blamed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(host: str, *_: Any) -> Look:
        return Look("dns", f"DNS {host}", False, "no answer", facts={"resolver": "system"})

    monkeypatch.setattr(module, "system_look", silent)
    monkeypatch.setattr(module, "has_network", lambda: False)
    asked = Asked("https://a.example/", seconds=5.0)
    told = judge(asked, asyncio.run(examine(asked, how=Settings(resolvers=(), zone=False))))
    assert (told.outcome, told.suspects[0].cause) == ("unreachable", "no-network")
