"""Each gateway that is installed starts from the lab's configuration, relays, and fails in its own way."""

import asyncio
from pathlib import Path

import pytest

from headgate.lab.capture import capture
from headgate.lab.gateways import COMPARED, KINDS, unsuited
from headgate.lab.laboratory import start_lab
from headgate.lab.peers import PEERS
from headgate.lab.processes import binary
from headgate.lab.scenario import load_scenarios
from headgate.lab.session import score_kind

ALL = load_scenarios()
OWN_STATUS = {
    "nginx": 502, "haproxy": 503, "envoy": 503, "caddy": 502, "traefik": 502, "apache": 503, "varnish": 503, "squid": 502,
}  # fmt: skip
"""What each says where a server refuses the connection."""


@pytest.mark.parametrize("kind", PEERS)
def test_relays_and_fails(tmp_path: Path, kind: str) -> None:
    if binary(kind) is None:
        pytest.skip(f"{kind} is not installed")
    names = ["healthy", "connection-refused"]

    async def work() -> None:
        lab = await start_lab({name: ALL[name] for name in names}, tmp_path, base=0)
        try:
            healthy, refused = await score_kind(lab.layout, kind, names, tmp_path / kind)
            captures = await capture(lab.layout, kind, names, tmp_path / "capture")
        finally:
            await lab.stop()
        assert healthy.verdict == "right", healthy.reason
        assert refused.sightings[0].status == OWN_STATUS[kind]
        assert [(one.scenario, one.status, one.origin) for one in captures] == [
            ("healthy", 200, "relayed"),
            ("connection-refused", OWN_STATUS[kind], "made"),
        ]
        for one in captures:
            assert any(f"/{one.scenario}?lab={one.token}" in line for line in one.access), one.access

    asyncio.run(work())


def test_what_a_product_cannot_express_has_a_reason() -> None:
    assert "TLS" in unsuited(ALL["certificate-expired"], "varnish")
    assert "unix" in unsuited(ALL["socket-missing"], "traefik")
    assert "resolver" in unsuited(ALL["dns-timeout"], "apache")
    assert "Headgate's own" in unsuited(ALL["maintenance"], "nginx")
    assert unsuited(ALL["maintenance"], "headgate") == ""
    assert unsuited(ALL["dns-timeout"], "caddy") == ""


def test_the_published_table_keeps_its_four() -> None:
    assert COMPARED == ("headgate", "nginx", "haproxy", "envoy")
    assert set(KINDS) == {"headgate", *PEERS}
