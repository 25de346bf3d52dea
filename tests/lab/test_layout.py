"""Where servers are found: no port twice, and the same plan for everybody who knows base and folder."""

from pathlib import Path

from headgate.lab.layout import Layout, host_and_port
from headgate.lab.scenario import load_scenarios


def test_no_port_is_given_twice(tmp_path: Path) -> None:
    layout = Layout(load_scenarios(), 17_000, tmp_path)
    ports = [layout.control[1], layout.dns[1]] + [port for name in layout.scenarios for port in layout.ports(name)]
    assert len(ports) == len(set(ports))
    assert min(ports) == 17_000
    assert max(ports) < 32_768


def test_urls(scenario, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    def urls(lines: str) -> list[str]:
        return Layout({"mine": scenario(lines)}, 17_000, tmp_path).urls("mine", 8080)

    stall = "\nupstream = [[{ stall = 1 }]]"
    assert urls("servers = 2" + stall) == ["http://127.0.0.1:17002", "http://127.0.0.1:17003"]
    assert urls('scheme = "https"' + stall) == ["https://127.0.0.1:17002"]
    assert urls("dns = {}" + stall) == ["http://mine.lab.test:17002"]
    assert urls('place = "gateway"\ndns = {}') == ["http://mine.lab.test:8080"]
    assert urls('place = "unix-missing"') == [f"unix:{tmp_path}/mine.sock"]
    assert urls('address = "[fe80::1]:80"') == ["http://[fe80::1]:80"]
    assert urls('place = "ports-exhausted"') == ["http://127.0.0.9:17002"]


def test_host_and_port() -> None:
    assert host_and_port("http://a:1") == ("a", 1)
    assert host_and_port("https://[fe80::1]") == ("fe80::1", 443)
